"""The run file: schema, meaning and determinism of what the program writes."""

import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek as package
import xarray as xr
from program import Run
from sharpseek import theory
from sharpseek.summaries import left_at, points

REQUIRED_ATTRIBUTES = (
    "schema_version config command_line version git_state compiler torch_version hdf5_version cpu threads seed started "
    "finished engine"
).split()


@pytest.fixture
def run(sharpseek: Run, config: Path, tmp_path: Path) -> xr.Dataset:
    result = sharpseek("run", "small.ini", "--quiet", "--dtype", "float64")
    assert result.returncode == 0, result.stderr
    return package.open_run(tmp_path / "out" / "small")


def test_xarray_sees_dimensions_coordinates_and_definitions(run: xr.Dataset) -> None:
    assert run.sizes["replica"] == 4
    assert run.sizes["time"] == 41
    assert {"condition", "seed", "step", "rescaled_time", "layer"} <= set(run.coords)
    assert list(run["condition"].values) == [1, 1, 10, 10]
    assert list(run["layer"].values) == ["W_1", "W_2"]
    for name, variable in run.variables.items():
        assert variable.attrs.get("long_name"), name
    for name in REQUIRED_ATTRIBUTES:
        assert name in run.attrs, name
    assert package.configuration(run)["noise"]["condition"] == [1.0, 10.0]
    assert run["trace"].dims == ("replica", "time")
    assert run["eigenvalues"].dims == ("replica", "time", "eigen")
    assert run["noise_covariance"].dims == ("replica", "output", "output_b")
    np.testing.assert_allclose(run["rescaled_time"].values[:, -1], 0.01**2 * 200 / 2)


def test_errors_are_linked_as_cf_has_it(run: xr.Dataset) -> None:
    assert run.attrs["Conventions"] == "CF-1.11"
    linked = {name: v.attrs.get("ancillary_variables", "").split() for name, v in run.variables.items()}
    assert linked["trace"] == ["trace_error"]
    assert linked["eigenvalues"] == ["eigenvalue_residuals"]
    assert linked["sharpness_mean"] == ["sharpness_standard_error"]
    assert linked["trace_error"] == linked["step"] == []
    found = {companion for names in linked.values() for companion in names}
    errors = {str(name) for name in run.variables if str(name).endswith(("_error", "_residuals", "_half_width"))}
    assert found == errors


def test_netcdf_tools_read_it(run: xr.Dataset, tmp_path: Path) -> None:
    tool = shutil.which("ncdump")
    if tool is None:
        pytest.skip("ncdump is not installed")
    text = subprocess.run(
        [tool, "-h", tmp_path / "out/small/run.h5"], capture_output=True, text=True, check=True
    ).stdout
    assert "replica = 4" in text


def test_final_weights_give_the_recorded_curvature(run: xr.Dataset, tmp_path: Path) -> None:
    """Trace and sharpness recomputed in NumPy from the stored weights, by the exact Gauss-Newton and residual terms."""
    with h5py.File(tmp_path / "out/small/run.h5") as file:
        weights = file["checkpoint/parameters"][:]
    v = run["teacher"].values
    for e in range(4):
        w1, w2 = weights[e][:20].reshape(5, 4), weights[e][20:].reshape(3, 5)

        def loss(p: np.ndarray) -> float:
            return float(np.sum((p[20:].reshape(3, 5) @ p[:20].reshape(5, 4) - v) ** 2))

        assert run["excess_risk"].values[e, -1] == pytest.approx(loss(weights[e]), rel=1e-9)

        # With whitened inputs L = |W2 W1 - V|^2: its Hessian by central differences of the exact gradient.
        def gradient(p: np.ndarray) -> np.ndarray:
            a, b = p[:20].reshape(5, 4), p[20:].reshape(3, 5)
            r = 2 * (b @ a - v)
            return np.concatenate([(b.T @ r).ravel(), (r @ a.T).ravel()])

        h = np.array([(gradient(weights[e] + d) - gradient(weights[e] - d)) / 2e-5 for d in 1e-5 * np.eye(35)])
        assert run["trace"].values[e, -1] == pytest.approx(np.trace(h), rel=1e-8)
        eigenvalues = np.linalg.eigvalsh((h + h.T) / 2)[::-1][:5]
        np.testing.assert_allclose(run["eigenvalues"].values[e, -1], eigenvalues, rtol=1e-7)
        assert run["sharpness"].values[e, -1] == run["eigenvalues"].values[e, -1, 0]
        assert np.all(run["eigenvalue_residuals"].values[e, -1] < 1e-10)
        # Fluctuation with the noise integrated out: 4 E|J'(r + eps)|^2 for x of identity second moment, fourth
        # moments of the evaluation set enter only through r, which is small here.
        s = run["noise_covariance"].values[e]
        noise = 4 * (np.trace(w2.T @ s @ w2) * 4 + np.trace(s) * np.sum(w1**2))
        assert run["gradient_fluctuation"].values[e, -1] == pytest.approx(noise, rel=0.3)


def test_closed_form_in_the_file_is_numpys(run: xr.Dataset) -> None:
    for e in range(4):
        s = run["noise_covariance"].values[e]
        expected = theory.closed_form(2, run["teacher"].values, run["input_covariance"].values, s)
        for name in ("trace", "sharpness", "gradient_fluctuation", "flattest_trace"):
            assert run[f"closed_form_{name}"].values[e] == pytest.approx(getattr(expected, name), rel=1e-10)


def test_same_configuration_gives_the_same_numbers(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    for name, extra in (("a", []), ("b", ["--threads", "1"])):
        assert sharpseek("run", "small.ini", "--quiet", "--out", name, *extra).returncode == 0
    a, b = package.open_run(tmp_path / "a"), package.open_run(tmp_path / "b")
    for name in ("trace", "sharpness", "train_loss", "gradient_fluctuation"):
        np.testing.assert_allclose(a[name].values, b[name].values, rtol=1e-4)
    np.testing.assert_array_equal(a["noise_covariance"].values, b["noise_covariance"].values)


def test_sweep_over_shapes_writes_groups_and_an_index(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert (
        sharpseek("run", "small.ini", "--quiet", "--set", "model.depth=2 3", "--set", "training.steps=10").returncode
        == 0
    )
    sweep = package.open_sweep(tmp_path / "out" / "small")
    assert list(sweep) == ["depth=2", "depth=3"]
    assert sweep["depth=3"].sizes["layer"] == 3


def test_diverged_replica_is_marked_and_never_averaged(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--set", "training.learning_rate=0.01 10").returncode == 3
    run = package.open_run(tmp_path / "out" / "small")
    wild = run["learning_rate"].values == 10
    assert np.all(run["status"].values == wild)
    assert np.all((run["diverged_at"].values >= 0) == wild)
    assert np.all(run["stationary"].values[wild] == 0)
    assert np.all(np.isnan(run["trace_mean"].values[wild]))
    assert np.all(np.isfinite(run["trace"].values[~wild]))


def test_keep_parameters_stores_the_weights_over_time(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--set", "measure.keep_parameters=true").returncode == 0
    with h5py.File(tmp_path / "out/small/run.h5") as file:
        assert file["parameters"].shape == (4, 41, 35)
        np.testing.assert_array_equal(file["parameters"][:, -1], file["checkpoint/parameters"][:])


def test_a_run_until_stationary_stops_early_and_its_file_holds_no_empty_records(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    sets = [x for s in ("until=stationary", "steps=200000") for x in ("--set", f"training.{s}")]
    assert sharpseek("run", "small.ini", "--quiet", *sets, "--set", "measure.every=100").returncode == 0
    run = package.open_run(tmp_path / "out" / "small")
    assert run.sizes["time"] in (50, 63, 79, 99, 124, 155, 194, 243)
    np.testing.assert_array_equal(run["step"].values, 100 * np.arange(run.sizes["time"]))
    assert np.isfinite(run["trace"].values).all()
    assert run["stationary"].values.mean() >= 0.9
    # The records that it has are those of the run that continues.
    length = ["--set", f"training.steps={int(run['step'].values[-1])}", "--set", "measure.every=100"]
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *length).returncode == 0
    np.testing.assert_array_equal(package.open_run(tmp_path / "whole")["trace"].values, run["trace"].values)


def test_a_run_stops_where_python_too_finds_that_every_point_has_arrived(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    sets = ["training.until=stationary", "training.steps=200000", "measure.every=100", "experiment.replicas=5"]
    sets += ["noise.condition=1 30", "model.init_imbalance=1 2", "training.learning_rate=0.006"]
    assert sharpseek("run", "small.ini", "--quiet", *[f"--set={s}" for s in sets]).returncode == 0
    run = package.open_run(tmp_path / "out" / "small").load()
    looks = [40]
    while looks[-1] < run.sizes["time"]:
        looks.append(int(np.ceil(1.25 * looks[-1])))
    assert looks[-1] == run.sizes["time"]
    most = {"trace": 0.025, "sharpness": 0.05, "gradient_fluctuation": 0.05}
    for records in looks[-2:]:
        part = run.isel(time=slice(0, records))
        for point in points(part):
            for name, share in most.items():
                left = left_at(part, point, name)
                assert left is not None
                assert left.within(share), (records, name, left)
    # The relaxation times of single replicas: NaN, or inside their intervals.
    for name in most:
        value, low, high = (run[f"{name}_relaxation_time{end}"].values for end in ("", "_low", "_high"))
        seen = np.isfinite(value)
        assert np.isnan(low[np.isnan(value)]).all()
        assert ((low <= value) & (value <= high))[seen].all()


def test_a_run_that_does_not_become_stationary_goes_to_its_last_step(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    sets = ["--set", "training.until=stationary", "--set", "training.learning_rate=0.00001"]
    assert sharpseek("run", "small.ini", "--quiet", *sets, "--set", "measure.every=2").returncode == 0
    run = package.open_run(tmp_path / "out" / "small")
    assert run["step"].values[-1] == 200
