"""The slow-manifold flow as users meet it: `theory --flow`, and runs that start on the manifold."""

import json
from pathlib import Path

import numpy as np
import pytest
from program import Run
from sharpseek.files import open_run

SETTINGS = ["data.samples=4", "data.teacher=mlp", "model.kind=mlp", "model.width=8", "training.time=0.1"]
FLAGS = [f"--set={setting}" for setting in SETTINGS]


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
    result = sharpseek("run", "small.ini", "--quiet", "--dtype", "float64", "--out", "out", *flags)
    assert result.returncode == 0, result.stderr
    run = open_run(tmp_path / "out")
    assert (run["flow_status"] == 0).all()
    # All replicas start at the same weights, where probe and flow measure the same.
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        assert run[name].values[:, 0] == pytest.approx(run[f"flow_{name}"].values[:, 0], rel=1e-6)
    assert np.ptp(run["trace"].values[:, 0]) < 1e-9 * run["trace"].values[0, 0]
    assert run["excess_risk"].values[:, 0] == pytest.approx(0, abs=1e-18)
    assert (run["trace"].values[:, 1:] != run["flow_trace"].values[:, 1:]).all()
