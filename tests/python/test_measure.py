"""`sharpseek measure` on stored runs: the run's own numbers again, and others against NumPy."""

import json
from pathlib import Path

import h5py
import numpy as np
import sharpseek as package
from program import Run

EVERYTHING = (
    "excess_risk,spectrum,gradient,smallest,gauss_newton,layers,density,noise_spectrum,batch_sharpness,flatness"
)


def test_measures_every_stored_time_as_the_run_did(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    made = sharpseek(
        "run", "small.ini", "--quiet", "--set", "measure.keep_parameters=true", "--set", "measure.every=50"
    )
    assert made.returncode == 0, made.stderr
    result = sharpseek("measure", "out/small/run.h5", "--quantities", "spectrum,gradient,excess_risk", "--quiet")
    assert result.returncode == 0, result.stderr
    run = package.open_run(tmp_path / "out/small")
    found = package.open_run(tmp_path / "out/small/measure.h5")
    assert found.attrs["config"] == run.attrs["config"]
    np.testing.assert_array_equal(found.step.values, run.step.values)
    np.testing.assert_array_equal(found.condition.values, run.condition.values)
    np.testing.assert_allclose(found.stability_threshold.values, 2 / 0.01)
    for name in ("eigenvalues", "trace", "gradient_fluctuation", "layer_fluctuation", "excess_risk"):
        np.testing.assert_allclose(found[name].values, run[name].values, rtol=2e-5, atol=1e-6, err_msg=name)


def test_every_quantity_of_the_checkpoint(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet").returncode == 0
    arguments = [
        "--quantities",
        EVERYTHING,
        "--dtype",
        "float64",
        "--out",
        "m.h5",
        "--format",
        "json",
        "--batches",
        "16",
    ]
    result = sharpseek("measure", "out/small/run.h5", *arguments, "--eigenvalues", "35")
    assert result.returncode == 0, result.stderr
    values = {name: np.array(times[0]) for name, times in json.loads(result.stdout)["variables"].items()}
    # All 35 eigenvalues: the two ends are the same spectrum, and the trace is its sum.
    np.testing.assert_allclose(values["smallest_eigenvalues"][:, ::-1], values["eigenvalues"], atol=1e-8)
    np.testing.assert_allclose(values["eigenvalues"].sum(1), values["trace"], rtol=1e-9)
    # All eigenvalues of the covariance: its trace is the gradient variance; the whole spaces coincide.
    np.testing.assert_allclose(values["noise_eigenvalues"].sum(1), values["gradient_variance"], rtol=1e-6)
    np.testing.assert_allclose(values["noise_alignment"], 1, rtol=1e-6)
    spacing = values["density_grid"][:, 1] - values["density_grid"][:, 0]
    np.testing.assert_allclose(values["density"].sum(1) * spacing, 1, rtol=1e-3)
    assert np.all(values["layer_sharpness"].max(1) <= values["sharpness"] + 1e-9)
    assert np.all(values["worst_rise"] >= values["sam_rise"])
    assert np.all(values["batch_sharpness_ratio_of_means"] > 0)
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["density"].shape == (4, 1, 201)
        assert "config" in file.attrs
        assert "measure_version" in file.attrs


def test_refuses_to_replace_a_file_and_files_that_are_no_such(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--set", "training.steps=10").returncode == 0
    assert sharpseek("measure", "out/small/run.h5", "--quiet").returncode == 0
    again = sharpseek("measure", "out/small/run.h5")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["inputs"], file["targets"] = np.zeros((4, 2)), np.zeros((4, 2))
    result = sharpseek("measure", "--module", "missing.pt", "--data", "data.h5")
    assert (result.returncode, result.stderr) == (2, "sharpseek: --module missing.pt: cannot be read\n")
    result = sharpseek("measure", "small.ini")
    assert result.returncode == 2
    assert "no HDF5 file" in result.stderr
