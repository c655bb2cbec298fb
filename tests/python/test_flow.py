"""The slow-manifold flow as users meet it: `theory --flow`, and runs that start on the manifold."""

import json
from pathlib import Path

import numpy as np
import pytest
from program import Run
from sharpseek.files import open_run

SETTINGS = ["data.samples=4", "data.teacher=mlp", "model.kind=mlp", "model.width=8", "training.time=0.1"]
FLAGS = [f"--set={setting}" for setting in SETTINGS]
RIVALS = ("minimal_fluctuation", "minimal_trace")


def test_flow_prints_the_trajectory_of_every_point(sharpseek: Run, config: Path) -> None:
    result = sharpseek("theory", "small.ini", "--flow", "--format", "json", *FLAGS)
    assert result.returncode == 0, result.stderr
    points = json.loads(result.stdout)["points"]
    assert [point["point"]["noise.condition"] for point in points] == ["1", "10"]
    for point in points:
        flow = point["flow"]
        assert flow["status"] == "complete"
        assert (flow["parameters"], flow["constraints"], flow["rank"]) == (56, 12, 12)
        assert flow["time"] == pytest.approx(np.linspace(0, 0.1, 11))
        assert len(flow["trace"]) == 11
        assert 0 <= flow["circulation"] <= 1
    isotropic = points[0]["flow"]
    assert (np.diff(isotropic["trace"]) < 0).all()
    assert isotropic["circulation"] < 1e-6
    # Sigma_eps = I: the fluctuation is twice the trace.
    assert isotropic["gradient_fluctuation"] == pytest.approx(2 * np.array(isotropic["trace"]))
    assert points[1]["flow"]["circulation"] > 1e-3


def test_a_run_on_the_manifold_holds_its_prediction(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    flags = [*FLAGS, "--set=model.init=manifold", "--set=measure.every=0", "--set=training.batch=1"]
    flags.append("--set=measure.eigenvalues=13")
    result = sharpseek("run", "small.ini", "--quiet", "--dtype", "float64", "--out", "out", *flags)
    assert result.returncode == 0, result.stderr
    run = open_run(tmp_path / "out")
    assert (run["flow_status"] == 0).all()
    # All replicas start at the same weights, where probe and flow measure the same.
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        assert run[name].values[:, 0] == pytest.approx(run[f"flow_{name}"].values[:, 0], rel=1e-6)
    # The Hessian has rank 12: its twelfth eigenvalue is the smallest that is not 0.
    spectrum = run["eigenvalues"].values[:, 0]
    assert spectrum[:, 11] == pytest.approx(run["flow_smallest_eigenvalue"].values[:, 0], rel=1e-6)
    assert (np.abs(spectrum[:, 12]) < 1e-9).all()
    assert np.ptp(run["trace"].values[:, 0]) < 1e-9 * run["trace"].values[0, 0]
    assert run["excess_risk"].values[:, 0] == pytest.approx(0, abs=1e-18)
    assert (run["trace"].values[:, 1:] != run["flow_trace"].values[:, 1:]).all()


def test_runs_on_the_manifold_hold_the_rivals_paths(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    flags = [*FLAGS, "--set=model.init=manifold", "--set=measure.every=0", "--set=measure.rivals=1"]
    result = sharpseek("run", "small.ini", "--quiet", "--dtype", "float64", "--out", "out", *flags)
    assert result.returncode == 0, result.stderr
    run = open_run(tmp_path / "out")
    assert "minimal_trace_trace" not in run
    isotropic = run["condition"].values == 1
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        flow, calm, flat = (run[f"{path}_{name}"].values for path in ("flow", "descent_flow", "isotropic_flow"))
        # All begin at the same weights; with isotropic noise all are one, with other noise all differ.
        assert calm[:, 0] == pytest.approx(flow[:, 0], rel=1e-9)
        assert flat[:, 0] == pytest.approx(flow[:, 0], rel=1e-9)
        assert calm[isotropic] == pytest.approx(flow[isotropic], rel=1e-6)
        assert flat[isotropic] == pytest.approx(flow[isotropic], rel=1e-6)
        assert (np.abs(flat / flow - 1)[~isotropic][:, -1] > 1e-3).all()
        assert (np.abs(calm / flow - 1)[~isotropic][:, -1] > 1e-6).all()
    assert (np.diff(run["isotropic_flow_trace"].values, axis=1) < 0).all()
    assert (np.diff(run["descent_flow_gradient_fluctuation"].values, axis=1) < 0).all()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_end_points_of_the_chosen_seeds(sharpseek: Run, config: Path, tmp_path: Path, activation: str) -> None:
    settings = ["data.teacher=mlp", "model.kind=mlp", f"model.activation={activation}", "measure.rivals=1"]
    flags = [f"--set={setting}" for setting in [*settings, "training.steps=2000", "measure.every=200"]]
    result = sharpseek("run", "small.ini", "--quiet", "--out", "out", *flags)
    assert result.returncode == 0, result.stderr
    run = open_run(tmp_path / "out")
    first = run["seed"].values == 0
    assert (run["rival_status"].values == np.where(first, 0, 2)).all()
    for rival in ("minimal_fluctuation", "minimal_trace"):
        for name in ("trace", "sharpness", "gradient_fluctuation"):
            assert (np.isfinite(run[f"{rival}_{name}"].values) == first).all()
    calm, flat = (run.isel(replica=np.flatnonzero(first))[f"{rival}_trace"].values for rival in RIVALS)
    restless, even = (
        run.isel(replica=np.flatnonzero(first))[f"{rival}_gradient_fluctuation"].values for rival in RIVALS
    )
    isotropic = run["condition"].values[first] == 1
    if activation == "tanh":
        # The same descent where the noise is isotropic; elsewhere not.
        assert calm[isotropic] == pytest.approx(flat[isotropic], rel=1e-4)
        assert (np.abs(calm / flat - 1)[~isotropic] > 1e-3).all()
    else:
        # Each is least in what it is named for, up to the difference between its inputs and the evaluation set.
        assert (flat <= 1.01 * calm).all()
        assert (restless <= 1.01 * even).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("measure.rivals=-1", "measure.rivals = -1: must be 0 (none) or a number of seeds"),
        ("model.width=1000", "measure.rivals = 1: needs dense matrices of all weights: at most 2000"),
    ],
)
def test_rivals_that_cannot_be_computed(sharpseek: Run, config: Path, setting: str, message: str) -> None:
    result = sharpseek("run", "small.ini", "--out", "out", "--set=measure.rivals=1", f"--set={setting}")
    assert result.returncode == 2
    assert message in result.stderr
