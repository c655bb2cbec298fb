"""Runs with training.loss = cross-entropy through the command line, their numbers once more with NumPy alone."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import sharpseek as package
from program import Run

CONFIG = """
[experiment]
name = classes
replicas = 2
[data]
inputs = 2
outputs = 3
dataset = file:data.csv
{data}
[noise]
{noise}
[model]
kind = linear
width = 3
[training]
loss = cross-entropy
learning_rate = 0.2
batch = 2
steps = 300
[measure]
records = 3
keep_parameters = true
quantities = excess_risk,spectrum,gradient,gauss_newton,noise_spectrum,batch_sharpness,balance,density
"""
INPUTS = np.random.default_rng(1).normal(size=(12, 2))
TEACHER = np.array([[1.0, 0.2], [-0.5, 1.0], [0.1, -0.7]])
MEASURED = np.eye(3)[np.arange(12) % 3]
WEIGHTS = np.array([1.0, 2.0, 0.5])
FACTOR = np.diag(np.sqrt([0.9, 0.9 * 4**0.5, 0.9 * 4]) / np.sqrt((1 + 2 + 4) / 3))


def softmax(f: np.ndarray) -> np.ndarray:
    e = np.exp(f - f.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sampled(n: int) -> list[tuple[np.ndarray, float]]:
    p = softmax(TEACHER @ INPUTS[n])
    return [(WEIGHTS * (0.9 * np.eye(3)[c] + 0.1 / 3), p[c]) for c in range(3)]


def soft(n: int) -> list[tuple[np.ndarray, float]]:
    signs = itertools.product([-1, 1], repeat=3)
    return [(softmax(MEASURED[n] + FACTOR @ np.array(z)), 1 / 8) for z in signs]


CASES = {
    "sampled": (sampled, "labels = sampled\nsmoothing = 0.1\nclass_weights = 1,2,0.5\nteacher = file:teacher.csv", ""),
    "soft": (soft, "labels = soft", "distribution = rademacher\ntotal = 2.7\ncondition = 4"),
}


def write(kind: str, folder: Path) -> None:
    _, data, noise = CASES[kind]
    (folder / "classes.ini").write_text(CONFIG.format(data=data, noise=noise))
    np.savetxt(folder / "data.csv", np.hstack([INPUTS, MEASURED]), delimiter=",", fmt="%.17g")
    np.savetxt(folder / "teacher.csv", TEACHER, delimiter=",", fmt="%.17g")


def gradient(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of one sample, W_1 [3, 2] then W_2 [3, 3]."""
    w1, w2 = w[:6].reshape(3, 2), w[6:].reshape(3, 3)
    r = y.sum() * softmax(w2 @ w1 @ x) - y
    return np.concatenate([np.outer(w2.T @ r, x).ravel(), np.outer(r, w1 @ x).ravel()])


@pytest.mark.parametrize("kind", CASES)
def test_what_a_run_measures_is_what_numpy_says(kind: str, sharpseek: Run, tmp_path: Path) -> None:
    labels = CASES[kind][0]
    write(kind, tmp_path)
    made = sharpseek("run", "classes.ini", "--quiet", "--dtype", "float64")
    assert made.returncode == 0, made.stderr
    run = package.open_run(tmp_path / "out/classes")
    assert run.attrs["loss"] == "cross-entropy"
    assert run.attrs["labels"] == kind
    assert run.attrs["loss_units"] == "nat"
    assert "closed_form_trace" not in run
    if kind == "soft":
        np.testing.assert_array_equal(run.label_mean_error.values, 0)  # all signs
    else:
        assert np.isnan(run.noise_covariance.values).all()
    for e, t in itertools.product(range(2), range(run.sizes["time"])):
        w = run.parameters.values[e, t]
        means = [np.sum([p * y for y, p in labels(n)], axis=0) for n in range(12)]

        def mean_gradient(w: np.ndarray, means: list = means) -> np.ndarray:
            return np.mean([gradient(w, x, q) for x, q in zip(INPUTS, means, strict=True)], axis=0)

        fluctuation = np.mean(
            [sum(p * np.sum(gradient(w, INPUTS[n], y) ** 2) for y, p in labels(n)) for n in range(12)]
        )
        outputs = [softmax(w[6:].reshape(3, 3) @ w[:6].reshape(3, 2) @ x) for x in INPUTS]
        risk = np.mean([-np.sum(q * np.log(p / (q / q.sum()))) for p, q in zip(outputs, means, strict=True)])
        steps = 1e-5 * np.eye(len(w))
        hessian = np.stack([(mean_gradient(w + s) - mean_gradient(w - s)) / 2e-5 for s in steps])
        values = run.isel(replica=e, time=t)
        np.testing.assert_allclose(values.gradient_fluctuation, fluctuation, rtol=1e-9)
        np.testing.assert_allclose(values.gradient_variance, fluctuation - np.sum(mean_gradient(w) ** 2), rtol=1e-9)
        np.testing.assert_allclose(values.excess_risk, risk, rtol=1e-9)
        np.testing.assert_allclose(values.trace, np.trace(hessian), rtol=1e-7)
        np.testing.assert_allclose(values.sharpness, np.linalg.eigvalsh(hessian)[-1], rtol=1e-7)
        assert np.isfinite(values.batch_sharpness_ratio_of_means)
    assert (run.excess_risk.values[:, -1] < run.excess_risk.values[:, 0]).all()  # it learns

    again = sharpseek(
        "measure", "out/classes/run.h5", "--quiet", "--quantities", "spectrum,gradient", "--dtype", "float64"
    )
    assert again.returncode == 0, again.stderr
    measured = package.open_run(tmp_path / "out/classes/measure.h5")
    assert measured.attrs["loss"] == "cross-entropy"
    for name in ("trace", "gradient_fluctuation"):
        np.testing.assert_allclose(measured[name].values, run[name].values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["theory", "classes.ini"], "data.labels = sampled: this theory is for squared error, not cross-entropy"),
        (["theory", "classes.ini", "--flow", "--set", "training.momentum=0.5"], "training.momentum = 0.5"),
        (["theory", "classes.ini", "--path"], "cross-entropy"),
        (["run", "classes.ini", "--set", "model.init=limit"], "squared error, not cross-entropy"),
        (["run", "classes.ini", "--set", "model.init=manifold"], "gradient flow does not reach weights that fit"),
        (["run", "classes.ini", "--set", "measure.rivals=1"], "training.loss = cross-entropy"),
        (["run", "classes.ini", "--set", "data.labels=values"], "training.loss = cross-entropy: needs data.labels"),
        (
            ["run", "classes.ini", "--set", "training.loss=squared"],
            "training.loss = squared: needs data.labels = values",
        ),
        (["run", "classes.ini", "--set", "noise.total=2"], "noise.total = 2: has no effect with data.labels = sampled"),
        (["run", "classes.ini", "--set", "data.class_weights=1,2"], "data.class_weights = 1,2: has 2 values, needs 3"),
        (["run", "classes.ini", "--set", "data.smoothing=1.5"], "data.smoothing = 1.5: must be at least 0 and below 1"),
    ],
)
def test_what_does_not_apply_says_so_in_one_line(
    arguments: list[str], words: str, sharpseek: Run, tmp_path: Path
) -> None:
    write("sampled", tmp_path)
    result = sharpseek(*arguments)
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["theory", "--flow"], ["run", "--set", "model.init=manifold"]])
def test_soft_labels_have_no_flow(arguments: list[str], sharpseek: Run, tmp_path: Path) -> None:
    write("soft", tmp_path)
    result = sharpseek(arguments[0], "classes.ini", *arguments[1:])
    assert result.returncode == 2
    assert "data.labels = soft: the slow-manifold flow needs data.labels = values | sampled" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


SAMPLED = """
[experiment]
name = met
replicas = 2
[data]
inputs = 3
outputs = 3
samples = 4
teacher = mlp
labels = sampled
class_weights = 2,1,0.5
[model]
kind = mlp
width = 8
init = manifold
[training]
loss = cross-entropy
learning_rate = 0.001
time = 0.002
[measure]
records = 2
quantities = excess_risk,spectrum,gradient
"""


def test_sampled_labels_start_where_their_probabilities_are_met(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "met.ini").write_text(SAMPLED)
    result = sharpseek("run", "met.ini")
    assert result.returncode == 0, result.stderr
    run = package.open_run(tmp_path / "out/met")
    assert np.abs(run["excess_risk"].values[:, 0]).max() < 1e-6
    # Measured by the engine at the start, and computed with the flow: nothing in common but the weights.
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        np.testing.assert_allclose(run[name].values[:, 0], run[f"flow_{name}"].values[:, 0], rtol=1e-4, err_msg=name)


def test_the_list_names_losses(sharpseek: Run) -> None:
    found = json.loads(sharpseek("list", "--format", "json").stdout)["losses"]
    assert [loss["name"] for loss in found] == ["squared", "cross-entropy"]
    assert "training.loss" in sharpseek("list").stdout
