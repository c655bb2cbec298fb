"""Antithetic pairs in run files: what the first of a pair is, how pairs are counted, and that they vary less."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sharpseek as package
from program import Run
from sharpseek.pairs import gains

PAIRS = """
[experiment]
replicas = 48
seed = 3
[data]
inputs = 4
outputs = 2
[noise]
condition = 10
antithetic = true
[model]
width = 3
[training]
learning_rate = 0.002
steps = 4000

[measure]
every = 1000
quantities = spectrum
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "pairs.ini").write_text(PAIRS)
    return tmp_path / "pairs.ini"


def test_the_first_of_a_pair_is_the_replica_without_pairs(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    for out, assignments in (("pairs", ["noise.antithetic=true"]), ("plain", ["noise.antithetic=false"])):
        result = sharpseek("run", config.name, "--out", out, "--set", *assignments, "--quiet")
        assert result.returncode == 0, result.stderr
    pairs = package.open_run(tmp_path / "pairs", members=True)
    plain = package.open_run(tmp_path / "plain")
    assert list(pairs["seed"].values[:4]) == [0, 0, 1, 1] and list(pairs["noise_sign"].values[:4]) == [1, -1, 1, -1]
    np.testing.assert_array_equal(pairs["trace"].values[::2], plain["trace"].values[:24])
    np.testing.assert_array_equal(pairs["trace"].values[1::2, 0], plain["trace"].values[:24, 0])  # the same start
    assert not np.any(pairs["trace"].values[1::2, -1] == plain["trace"].values[:24, -1])


def test_pairs_are_one_seed_and_vary_less(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    # One start for all, so that what varies is the noise of training.
    assert sharpseek("run", config.name, "--out", "ends", "--set", "model.init=limit", "--quiet").returncode in (0, 3)
    folder = tmp_path / "ends"
    run, members = package.open_run(folder), package.open_run(folder, members=True)
    assert run.sizes["replica"] == 24 and "noise_sign" not in run.coords
    last = members["trace"][:, -1]
    np.testing.assert_array_equal(run["trace"][:, -1], (last.values[::2] + last.values[1::2]) / 2)
    # Inputs vary as well, and are shared, so that the gain is below what the noise alone would give.
    gain = gains(members.assign(end=last), "end").iloc[0]
    printed = subprocess.run(
        [sys.executable, "-m", "sharpseek", "gains", str(folder)], capture_output=True, text=True, check=True
    ).stdout
    assert f"{gain['gain']:.4g}" in printed
    assert gain["pairs"] == 24 and gain["gain"] > 1.5 and gain["low"] > 1


def test_shards_may_cut_pairs(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    few = ["--quiet"]
    for assignment in ("experiment.replicas=6", "training.steps=100", "measure.every=50"):
        few += ["--set", assignment]
    assert sharpseek("run", config.name, "--out", "whole", *few).returncode in (0, 3)
    for shard in range(4):
        assert sharpseek("run", config.name, "--out", "parts", "--shard", f"{shard}/4", *few).returncode in (0, 3)
    assert sharpseek("merge", "parts").returncode == 0
    whole, merged = package.open_run(tmp_path / "whole"), package.open_run(tmp_path / "parts")
    assert whole.sizes["replica"] == merged.sizes["replica"] == 3
    np.testing.assert_array_equal(merged["trace"].values, whole["trace"].values)
