"""Quantities of the edge of stability against a dense Hessian in NumPy."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from program import Run

WIDTH, SAMPLES, RATE = 17, 12, 0.01
"""68 parameters: above the limit up to which whole matrices are diagonalised."""

CONFIG = f"""[experiment]
name = x
replicas = 3
[data]
inputs = 2
outputs = 2
dataset = file:d.csv
teacher = file:v.csv
[noise]
distribution = measured
redraw = fixed
covariance = file:s.csv
[model]
kind = mlp
width = {WIDTH}
[training]
learning_rate = {RATE}
steps = 40
[measure]
records = 2
keep_parameters = true
"""


class Data(NamedTuple):
    """Inputs with the labels of the teacher and those that training sees."""

    x: np.ndarray
    clean: np.ndarray
    y: np.ndarray


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """A table whose measured outputs are the teacher's and noise."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(SAMPLES, 2)) @ [[1.2, 0.3], [0, 0.8]]
    v = np.array([[0.7, -0.4], [0.1, 0.9]])
    noise = rng.normal(size=(SAMPLES, 2)) * [0.5, 0.8]
    noise -= noise.mean(0)
    np.savetxt(tmp_path / "d.csv", np.hstack([x, x @ v.T + noise]), delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "v.csv", v, delimiter=",")
    np.savetxt(tmp_path / "s.csv", noise.T @ noise / SAMPLES, delimiter=",", fmt="%.17g")
    return Data(x, x @ v.T, x @ v.T + noise)


def loss(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    w1, w2 = w[: 2 * WIDTH].reshape(WIDTH, 2), w[2 * WIDTH :].reshape(2, WIDTH)
    return float(((np.tanh(x @ w1.T) @ w2.T - y) ** 2).sum(1).mean())


def gradient(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    w1, w2 = w[: 2 * WIDTH].reshape(WIDTH, 2), w[2 * WIDTH :].reshape(2, WIDTH)
    h = np.tanh(x @ w1.T)
    r = 2 * (h @ w2.T - y) / len(x)
    return np.concatenate([((r @ w2 * (1 - h**2)).T @ x).ravel(), (r.T @ h).ravel()])


def hessian(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By complex steps: exact to rounding."""
    columns = [gradient(w + 1e-30j * unit, x, y).imag / 1e-30 for unit in np.eye(len(w))]
    return (np.array(columns) + np.array(columns).T) / 2


def descending(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]


def run(sharpseek: Run, folder: Path, quantities: str, *sets: str) -> h5py.File:
    (folder / "x.ini").write_text(CONFIG)
    choices = [f"--set={s}" for s in (f"measure.quantities={quantities}", *sets)]
    result = sharpseek("run", "x.ini", "--quiet", "--dtype", "float64", *choices)
    assert result.returncode == 0, result.stderr
    return h5py.File(folder / "out/x/run.h5")


def test_quantities_of_a_full_batch_are_those_of_the_dense_hessian(sharpseek: Run, tmp_path: Path, data: Data) -> None:
    quantities = (
        "spectrum,gradient_share,layer_spectrum,layer_alignment,batch_spectrum,momentum,one_step,preconditioned"
    )
    mu = 0.6
    sets = ["training.optimizer=gd", f"training.momentum={mu}", "measure.keep_vectors=true"]
    with run(sharpseek, tmp_path, quantities, *sets) as file:
        for e in range(3):
            now = {name: v[e, -1] for name, v in file.items() if getattr(v, "shape", ())[:2] == (3, 3)}
            w = now["parameters"]
            clean, own = hessian(w, data.x, data.clean), hessian(w, data.x, data.y)
            g = gradient(w, data.x, data.y)
            values, vectors = descending(clean)

            assert now["eigenvectors"].shape == (5, 68)
            for i, v in enumerate(now["eigenvectors"]):
                assert np.linalg.norm(clean @ v - now["eigenvalues"][i] * v) < 2e-5 * values[0]
                assert v[np.abs(v).argmax()] > 0
            np.testing.assert_allclose(now["eigenvalues"], values[:5], rtol=1e-6)

            share = np.cumsum((vectors[:, :5].T @ g) ** 2) / (g @ g)
            assert np.all(np.abs(now["gradient_share"] - share) <= now["gradient_share_error"] + 1e-12)
            assert np.all(now["gradient_share_error"][:4] < 0.01)
            assert now["gradient_share_error"][4] == 1

            half = 2 * WIDTH
            for layer, part in enumerate((slice(0, half), slice(half, 2 * half))):
                block = clean[part, part]
                np.testing.assert_allclose(now["layer_eigenvalues"][layer], descending(block)[0][:5], rtol=1e-6)
                assert now["layer_trace"][layer] == pytest.approx(np.trace(block), rel=1e-9)
            assert np.all(now["layer_trace_error"] == 0)
            w1, w2 = w[:half].reshape(WIDTH, 2), w[half:].reshape(2, WIDTH)
            aligned = (np.linalg.svd(w1)[0][:, 0] @ np.linalg.svd(w2)[2][0]) ** 2
            assert now["layer_alignment"][0] == pytest.approx(aligned, rel=1e-9)
            assert np.isnan(now["layer_alignment"][1])

            assert now["batch_lambda_max"] == pytest.approx(descending(own)[0][0], rel=1e-7)
            assert now["batch_lambda_max_sd"] == now["batch_lambda_max_error"] == 0
            s = mu * file["checkpoint/slot_0"][e] + g
            for name in ("momentum_batch_sharpness", "momentum_batch_sharpness_mean_of_ratios"):
                assert now[name] == pytest.approx(s @ own @ s / (s @ g), rel=1e-9)
                assert now[name + "_error"] == 0
            assert now["momentum_threshold_small"] == pytest.approx(2 * (1 - mu) / RATE)
            assert now["momentum_threshold_large"] == pytest.approx(2 * (1 + mu) / RATE)
            change = loss(w - RATE * s, data.x, data.y) - loss(w, data.x, data.y)
            assert now["one_step_loss_change"] == pytest.approx(change, rel=1e-9)
            assert now["preconditioned_sharpness"] == pytest.approx(values[0], rel=1e-7)
            assert now["preconditioned_threshold"] == pytest.approx(2 * (1 + mu) / RATE)


@pytest.mark.parametrize(("optimizer", "slot"), [("adam", 1), ("rmsprop", 0)])
def test_preconditioned_sharpness_is_that_of_the_mean_squares_in_the_checkpoint(
    sharpseek: Run, tmp_path: Path, data: Data, optimizer: str, slot: int
) -> None:
    sets = [f"training.optimizer={optimizer}", "training.batch=3", "training.betas=0.8,0.97"]
    sets.append("training.schedule=linear:0.5")
    with run(sharpseek, tmp_path, "preconditioned,one_step", *sets) as file:
        for e in range(3):
            v = file[f"checkpoint/slot_{slot}"][e] / (1 - 0.97**40 if optimizer == "adam" else 1)
            root = 1 / np.sqrt(np.sqrt(v) + 1e-8)
            scaled = root[:, None] * hessian(file["parameters"][e, -1], data.x, data.clean) * root
            found = file["preconditioned_sharpness"][e]
            assert found[-1] == pytest.approx(np.linalg.eigvalsh(scaled)[-1], rel=1e-7)
            assert file["preconditioned_sharpness_residual"][e, -1] < 1e-4 * found[-1]
            assert np.isnan(found[0])
            edge = 2 * 1.8 / 0.2 / RATE if optimizer == "adam" else 2 / RATE
            np.testing.assert_allclose(file["preconditioned_threshold"][e, 1:], edge / np.array([0.75, 0.5]), rtol=0.02)


def test_means_over_mini_batches_are_those_over_all_of_them(sharpseek: Run, tmp_path: Path, data: Data) -> None:
    """Batches of one sample: what all of them give is known."""
    with run(sharpseek, tmp_path, "batch_spectrum,one_step", "experiment.replicas=8") as file:
        deviations: dict[str, list[float]] = {"batch_lambda_max": [], "one_step_loss_change": []}
        for e in range(8):
            w = file["parameters"][e, -1]
            one = [(data.x[n : n + 1], data.y[n : n + 1]) for n in range(SAMPLES)]
            before = loss(w, data.x, data.y)
            exact = {
                "batch_lambda_max": [np.linalg.eigvalsh(hessian(w, *sample))[-1] for sample in one],
                "one_step_loss_change": [
                    loss(w - RATE * gradient(w, *sample), data.x, data.y) - before for sample in one
                ],
            }
            for name, values in exact.items():
                error = file[f"{name}_error"][e, -1]
                assert file[f"{name}_sd"][e, -1] == pytest.approx(8 * error)  # 64 mini-batches
                assert 0 < abs(file[name][e, -1] - np.mean(values)) < 5 * error, name
                deviations[name].append(file[f"{name}_sd"][e, -1] / np.std(values))
        for name, ratios in deviations.items():
            assert np.mean(ratios) == pytest.approx(1, abs=0.15), name


@pytest.mark.parametrize(
    ("optimizer", "quantity", "defined"),
    [
        ("lion", "preconditioned", "adam | rmsprop | sgd | gd"),
        ("sam", "momentum", "sgd | gd"),
        ("adam", "momentum", "sgd | gd"),
    ],
)
def test_a_quantity_that_is_not_defined_for_the_optimiser_is_refused(
    sharpseek: Run, tmp_path: Path, data: Data, optimizer: str, quantity: str, defined: str
) -> None:
    (tmp_path / "x.ini").write_text(CONFIG)
    choices = [f"--set=measure.quantities={quantity}", f"--set=training.optimizer={optimizer}"]
    result = sharpseek("run", "x.ini", *choices)
    assert result.returncode == 2
    assert f"training.optimizer = {optimizer}: measure.quantities has {quantity}, " in result.stderr
    assert result.stderr.rstrip().endswith(f"which is defined for {defined}")
    assert not (tmp_path / "out").exists()


def test_what_the_weights_alone_do_not_tell_is_refused_afterwards_and_the_rest_measured(
    sharpseek: Run, tmp_path: Path, data: Data
) -> None:
    with run(sharpseek, tmp_path, "batch_spectrum,layer_alignment", "training.batch=4") as file:
        during = {name: file[name][:] for name in ("batch_lambda_max", "layer_alignment")}
    result = sharpseek("measure", "out/x/run.h5", "--quantities", "one_step", "--out", "m.h5")
    assert result.returncode == 2
    assert "--quantities one_step: is measured by sharpseek run" in result.stderr
    choices = ["--quantities", "batch_spectrum,layer_alignment,eigenvectors", "--dtype", "float64"]
    result = sharpseek("measure", "out/x/run.h5", "--quiet", "--out", "m.h5", *choices)
    assert result.returncode == 0, result.stderr  # a layer without a next one is no failure
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["eigenvectors"].shape == (3, 3, 5, 68)
        for name, values in during.items():
            np.testing.assert_allclose(file[name][:], values, rtol=1e-7, err_msg=name)
