"""Runs of networks that read out every token, learn from a teacher of their own architecture, or start by Kaiming."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run

CONFIG = """
[experiment]
name = n
replicas = 3
seed = 5
[data]
inputs = 2
outputs = 2
sequence = 3
teacher = network
teacher_width = 9
[noise]
total = 0.5
condition = 4
[model]
kind = transformer
depth = 1
width = 4
heads = 2
mlp_width = 2
activation = relu
initialisation = kaiming
[training]
learning_rate = 0.002
batch = 4
steps = 200
[measure]
records = 2
keep_parameters = true
quantities = excess_risk,gradient,layer_condition
"""
SHAPES = [(4, 2), (3, 4), (4, 4), (4, 4), (4, 4), (4, 4), (2, 4), (4, 2), (2, 4)]
"""W_e, position, W_q, W_k, W_v, W_p, W_1, W_2, W_out."""


def run(sharpseek: Run, place: Path, *sets: str) -> h5py.File:
    (place / "n.ini").write_text(CONFIG)
    result = sharpseek("run", "n.ini", "--quiet", "--dtype", "float64", *(f"--set={text}" for text in sets))
    assert result.returncode == 0, result.stderr
    return h5py.File(place / "out/n/run.h5")


def blocks(parameters: np.ndarray) -> list[np.ndarray]:
    found, first = [], 0
    for rows, columns in SHAPES:
        found.append(parameters[..., first : first + rows * columns].reshape(*parameters.shape[:-1], rows, columns))
        first += rows * columns
    assert first == parameters.shape[-1]
    return found


@pytest.mark.parametrize("kind", ["transformer", "rnn"])
@pytest.mark.parametrize(("readout", "tokens"), [("mean", 1), ("last", 1), ("tokens", 3)])
def test_each_token_that_is_read_out_has_its_outputs_and_the_same_noise(
    sharpseek: Run, tmp_path: Path, kind: str, readout: str, tokens: int
):
    with run(sharpseek, tmp_path, f"model.kind={kind}", f"model.readout={readout}") as file:
        one = np.diag([0.1, 0.4])
        np.testing.assert_allclose(file["noise_covariance"][:], [np.kron(np.eye(tokens), one)] * 3, atol=1e-15)
        assert np.all(file["gradient_fluctuation"][:] > 0)
        assert np.all(file["excess_risk"][:, -1] < file["excess_risk"][:, 0])


def test_layer_condition_is_numpys(sharpseek: Run, tmp_path: Path):
    with run(sharpseek, tmp_path) as file:
        for layer, matrices in enumerate(blocks(file["parameters"][:])):
            values = np.linalg.svd(matrices, compute_uv=False)
            np.testing.assert_allclose(file["layer_condition"][..., layer], values[..., -1] / values[..., 0], rtol=1e-9)


def test_kaiming_doubles_the_variance_of_what_goes_into_the_activation(sharpseek: Run, tmp_path: Path):
    sets = ["experiment.replicas=300", "training.steps=1", "measure.records=1", "measure.quantities=excess_risk"]
    with run(sharpseek, tmp_path, *sets) as file:
        start = blocks(file["parameters"][:, 0])
    for layer, matrices in enumerate(start):
        expected = 0.3**2 if layer == 1 else (2 if layer == 6 else 1) / SHAPES[layer][1]
        # The relative standard error of a variance is sqrt(2 / n).
        assert np.mean(matrices**2) / expected == pytest.approx(1, abs=5 * np.sqrt(2 / matrices.size)), layer


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["model.readout=tokens", "noise.heteroscedastic=0.5"], "noise.heteroscedastic = 0.5"),
        (["model.readout=tokens", "noise.rotation=teacher"], "noise.rotation = teacher"),
        (["model.readout=middle"], "model.readout = middle: must be mean | last | tokens"),
        (["model.kind=mlp", "model.readout=last"], "model.readout = last"),
        (["model.kind=rnn", "model.readout=first"], "model.readout = first: must be mean | last | tokens"),
        (["model.initialisation=he"], "model.initialisation = he: must be lecun | kaiming"),
        (["data.teacher_width=0"], "data.teacher_width = 0"),
        (["noise.rotation=teacher"], "noise.rotation = teacher: needs a teacher with one matrix"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(sharpseek: Run, tmp_path: Path, sets: list[str], said: str):
    (tmp_path / "n.ini").write_text(CONFIG)
    result = sharpseek("run", "n.ini", *(f"--set={text}" for text in sets))
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
