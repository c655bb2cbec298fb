"""Settings in examples/: those of the edge of stability run, in smoke size, and their pictures are drawn; the Markov
source has the entropies that it says, and a flow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.checkout


@pytest.fixture(autouse=True)
def examples(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")


def draw(folder: Path, name: str) -> list[str]:
    """What the example's script prints."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/analysis", "MPLBACKEND": "Agg"}
    command = [sys.executable, f"examples/{name}/picture.py", f"out/{name}"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (folder / f"{name}.png").stat().st_size > 10_000
    return result.stdout.splitlines()


def test_eoss(sharpseek: Run, tmp_path: Path) -> None:
    small = ["experiment.replicas=2", "training.steps=24 6", "measure.records=3", "data.samples=80"]
    result = sharpseek("run", "examples/eoss/eoss.ini", "--quiet", *(f"--set={text}" for text in small))
    assert result.returncode == 0, result.stderr
    groups = {file.parent.name: file for file in (tmp_path / "out/eoss").glob("*/run.h5")}
    rates = {"sgd": 0.08, "gd": 0.03}
    assert len(groups) == 2
    said = draw(tmp_path, "eoss")
    for group, file in groups.items():
        optimizer = "gd" if "optimizer=gd" in group else "sgd"
        name = "batch_lambda_max" if optimizer == "gd" else "batch_sharpness_mean_of_ratios"
        with h5py.File(file) as run:  # the last third of four records is the last one
            late = run[name][:, -1] * rates[optimizer] / 2
        (line,) = [line for line in said if line.startswith(f"{optimizer}: ") and "1 within 10 %" in line]
        assert f"last third: {late.mean():.3f} +- " in line


def test_central_flow(sharpseek: Run, tmp_path: Path) -> None:
    small = ["experiment.replicas=2", "training.steps=8 32", "measure.records=3"]
    result = sharpseek("run", "examples/central-flow/central-flow.ini", "--quiet", *(f"--set={text}" for text in small))
    assert result.returncode == 0, result.stderr
    said = draw(tmp_path, "central-flow")
    with h5py.File(tmp_path / "out/central-flow/steps=8/run.h5") as run:
        late = run["batch_lambda_max"][:, -1] * 0.015 / 2
    assert said[1].endswith(", ".join(f"{value:.3f}" for value in late))
    assert said[1].startswith("rate 0.015: ")


def test_the_sorting_task_is_that_of_its_script(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run([sys.executable, "examples/central-flow/make_sorting.py", made], cwd=tmp_path, check=True)
    for file in ("sorting.csv", "nothing.csv", "labels.csv"):
        there = np.loadtxt(tmp_path / "examples/central-flow" / file, delimiter=",")
        np.testing.assert_allclose(np.loadtxt(made / file, delimiter=","), there, rtol=1e-12)
    rows = np.loadtxt(made / "sorting.csv", delimiter=",")
    tokens = rows[:, :32].reshape(-1, 8, 4).argmax(2)
    np.testing.assert_array_equal(np.sort(tokens, 1), rows[:, 32:])


def test_the_markov_source_has_a_stop_word_and_a_flow(sharpseek: Run, tmp_path: Path) -> None:
    contexts = np.loadtxt(tmp_path / "examples/stop-words.csv", delimiter=",")
    logits = contexts @ np.loadtxt(tmp_path / "examples/stop-words-teacher.csv", delimiter=",").T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entropy, after_stop = -(p * np.log(p)).sum(axis=1), contexts[:, 3] == 1
    assert len(np.unique(contexts, axis=0)) == 9
    assert 0.009 < entropy[after_stop].min() < entropy[after_stop].max() < 0.015
    assert 1.015 < entropy[~after_stop].min() < entropy[~after_stop].max() < 1.075
    short = ["training.time=0.2", "training.learning_rate=0.005"]
    result = sharpseek(
        "theory", "examples/stop-words.ini", "--flow", "--format", "json", *(f"--set={text}" for text in short)
    )
    assert result.returncode == 0, result.stderr
    (point,) = json.loads(result.stdout)["points"]
    flow = point["flow"]
    assert (flow["status"], flow["rank"]) == ("complete", 18)
    assert (np.diff(flow["trace"]) < 0).all()
    # Sampled labels: the covariance of gradients is the Hessian, whatever the entropies.
    assert flow["gradient_fluctuation"] == pytest.approx(flow["trace"], rel=1e-9)
