"""Eigenvalues tracked from record to record: the same values, and the same bits however the run comes about."""

import signal
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run
from runs import assert_same, wait_for

CONFIG = """[experiment]
name = w
replicas = 2
[noise]
condition = 1 10
[model]
kind = mlp
width = 12
[training]
learning_rate = 0.004
batch = 4
steps = 400
[measure]
every = 20
samples = 32
warm_start = true
quantities = spectrum
eigenvalues = 3
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "w.ini"
    path.write_text(CONFIG)
    return path


def run(sharpseek: Run, out: str, *more: str) -> None:
    result = sharpseek("run", "w.ini", "--quiet", "--dtype", "float64", "--out", out, *more)
    assert result.returncode == 0, result.stderr


def test_tracked_eigenvalues_are_those_found_anew(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "warm")
    run(sharpseek, "cold", "--set=measure.warm_start=false")
    with h5py.File(tmp_path / "warm/run.h5") as warm, h5py.File(tmp_path / "cold/run.h5") as cold:
        assert np.all(warm["spectrum_status"][:] == 0)
        np.testing.assert_allclose(warm["eigenvalues"][:], cold["eigenvalues"][:], rtol=1e-6)
        assert not np.array_equal(warm["eigenvalues"][:], cold["eigenvalues"][:])  # it was used
        assert warm["checkpoint/eigenvectors"].shape == (4, 3, 84)
        assert "checkpoint/eigenvectors" not in cold


@pytest.mark.parametrize("first", [200, 210])
def test_a_tracked_run_made_longer_equals_one_that_was_long(
    sharpseek: Run, config: Path, tmp_path: Path, first: int
) -> None:
    """Also where the shorter run had a last record that the longer one does not make."""
    run(sharpseek, "whole")
    run(sharpseek, "part", f"--set=training.steps={first}")
    result = sharpseek("resume", "part", "--quiet", "--set", "training.steps=400")
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path / "part/run.h5", tmp_path / "whole/run.h5")


def test_a_stopped_and_a_sharded_tracked_run_equal_the_whole(
    sharpseek: Run, binary: Path, config: Path, tmp_path: Path
) -> None:
    long = ["--set=training.steps=60000", "--set=measure.every=600"]
    run(sharpseek, "whole", *long)
    command = [binary, "run", "w.ini", "--quiet", "--dtype", "float64", "--checkpoint-every", "0", *long]
    process = subprocess.Popen([*command, "--out", "stopped"], cwd=tmp_path)
    wait_for(tmp_path / "stopped/checkpoint.h5", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 75
    with h5py.File(tmp_path / "stopped/checkpoint.h5") as file:
        assert file["checkpoint/eigenvectors"].shape == (4, 3, 84)
    assert sharpseek("resume", "stopped", "--quiet").returncode == 0
    assert_same(tmp_path / "stopped/run.h5", tmp_path / "whole/run.h5")
    for i in range(2):
        run(sharpseek, "parts", "--shard", f"{i}/2", *long)
    assert sharpseek("merge", "parts", "--quiet").returncode == 0
    assert_same(tmp_path / "parts/run.h5", tmp_path / "whole/run.h5")
