"""Cross-entropy with a label for every token, and measured outputs as labels: the numbers once more by NumPy alone."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import sharpseek as package
from program import Run

TOKENS, CLASSES, SAMPLES = 3, 2, 7
CONFIG = """
[experiment]
name = tokens
replicas = 2
[data]
inputs = 2
outputs = 2
sequence = 3
dataset = file:data.csv
{data}
[noise]
{noise}
[model]
kind = rnn
depth = 1
width = 3
bias = true
readout = tokens
[training]
loss = cross-entropy
learning_rate = 0.2
batch = 2
steps = 200
[measure]
records = 2
keep_parameters = true
quantities = excess_risk,spectrum,gradient,gauss_newton,noise_spectrum,batch_sharpness
"""
INPUTS = np.random.default_rng(2).normal(size=(SAMPLES, TOKENS, 2))
MEASURED = np.random.default_rng(3).normal(size=(SAMPLES, TOKENS, CLASSES))
TEACHER = np.random.default_rng(4).normal(size=(TOKENS * CLASSES, TOKENS * 2))
WEIGHTS = np.array([1.5, 0.5])
DEVIATIONS = np.sqrt([0.5, 2.0])
SHAPES = [(3, 2), (3, 3), (3,), (2, 3), (2,)]
"""W_x, W_h, b, W_out, b_out."""


def softmax(f: np.ndarray) -> np.ndarray:
    e = np.exp(f - f.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def outputs(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[tokens, classes]"""
    blocks, first = [], 0
    for shape in SHAPES:
        size = int(np.prod(shape))
        blocks.append(w[first : first + size].reshape(shape))
        first += size
    assert first == len(w)
    w_x, w_h, b, w_out, b_out = blocks
    u, read = np.zeros(3), []
    for token in x:
        u = np.tanh(w_x @ token + w_h @ u + b)
        read.append(w_out @ u + b_out)
    return np.array(read)


def jacobian(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[tokens, classes, P] by central differences."""
    steps = 1e-5 * np.eye(len(w))
    return np.stack([(outputs(w + s, x) - outputs(w - s, x)) / 2e-5 for s in steps], axis=-1)


def sampled(n: int) -> list[list[tuple[np.ndarray, float]]]:
    """Of each token, its labels with their probabilities."""
    p = softmax((TEACHER @ INPUTS[n].ravel()).reshape(TOKENS, CLASSES))
    return [[(WEIGHTS * (0.9 * np.eye(2)[c] + 0.05), p[t, c]) for c in range(2)] for t in range(TOKENS)]


def soft(n: int) -> list[list[tuple[np.ndarray, float]]]:
    signs = list(itertools.product([-1, 1], repeat=CLASSES))
    return [[(softmax(MEASURED[n, t] + DEVIATIONS * z), 1 / 4) for z in signs] for t in range(TOKENS)]


CASES = {
    "sampled": (sampled, "labels = sampled\nsmoothing = 0.1\nclass_weights = 1.5,0.5\nteacher = file:teacher.csv", ""),
    "soft": (soft, "labels = soft", "distribution = rademacher\ntotal = 2.5\ncondition = 4"),
}


def write(kind: str, folder: Path) -> None:
    _, data, noise = CASES[kind]
    (folder / "tokens.ini").write_text(CONFIG.format(data=data, noise=noise))
    rows = np.hstack([INPUTS.reshape(SAMPLES, -1), MEASURED.reshape(SAMPLES, -1)])
    np.savetxt(folder / "data.csv", rows, delimiter=",", fmt="%.17g")
    np.savetxt(folder / "teacher.csv", TEACHER, delimiter=",", fmt="%.17g")


@pytest.mark.parametrize("kind", CASES)
def test_every_token_has_its_label(kind: str, sharpseek: Run, tmp_path: Path) -> None:
    labels = CASES[kind][0]
    write(kind, tmp_path)
    made = sharpseek("run", "tokens.ini", "--quiet", "--dtype", "float64")
    assert made.returncode == 0, made.stderr
    run = package.open_run(tmp_path / "out/tokens")
    means = np.array([[sum(p * y for y, p in of) for of in labels(n)] for n in range(SAMPLES)])
    for e, t in itertools.product(range(2), range(run.sizes["time"])):
        w = run.parameters.values[e, t]
        p = np.array([softmax(outputs(w, x)) for x in INPUTS])
        slopes = [jacobian(w, x) for x in INPUTS]

        # The fluctuation over all labels that the tokens of a sample can have together.
        fluctuation = 0.0
        for n in range(SAMPLES):
            for drawn in itertools.product(*labels(n)):
                y = np.array([label for label, _ in drawn])
                g = np.einsum("tc,tcp->p", y.sum(-1, keepdims=True) * p[n] - y, slopes[n])
                fluctuation += np.prod([q for _, q in drawn]) * np.sum(g**2) / SAMPLES

        # Gauss-Newton: sum over tokens of J' mass (diag p - p p') J.
        newton = np.mean(
            [
                sum(
                    q.sum() * j.T @ (np.diag(own) - np.outer(own, own)) @ j
                    for q, own, j in zip(means[n], p[n], slopes[n], strict=True)
                )
                for n in range(SAMPLES)
            ],
            axis=0,
        )

        def mean_gradient(w: np.ndarray) -> np.ndarray:
            r = [q.sum(-1, keepdims=True) * softmax(outputs(w, x)) - q for x, q in zip(INPUTS, means, strict=True)]
            return np.mean([np.einsum("tc,tcp->p", a, jacobian(w, x)) for a, x in zip(r, INPUTS, strict=True)], axis=0)

        steps = 1e-4 * np.eye(len(w))
        hessian = np.stack([(mean_gradient(w + s) - mean_gradient(w - s)) / 2e-4 for s in steps])
        risk = np.mean(np.sum(means * np.log(means / means.sum(-1, keepdims=True) / p), axis=(1, 2)))
        values = run.isel(replica=e, time=t)
        np.testing.assert_allclose(values.excess_risk, risk, rtol=1e-9)
        np.testing.assert_allclose(values.gradient_fluctuation, fluctuation, rtol=1e-7)
        largest = np.linalg.eigvalsh(newton)[::-1][:2]
        np.testing.assert_allclose(values.gauss_newton_eigenvalues[:2], largest, rtol=1e-6)
        np.testing.assert_allclose(values.trace, np.trace(hessian), rtol=1e-5)
        np.testing.assert_allclose(values.sharpness, np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1], rtol=1e-5)
    assert (run.excess_risk.values[:, -1] < run.excess_risk.values[:, 0]).all()  # it learns


@pytest.mark.parametrize(
    "sets",
    [
        ["noise.redraw=fixed"],
        ["training.optimizer=gd"],
        ["training.optimizer=gd", "noise.redraw=fixed"],
        ["data.replacement=false", "training.optimizer=adam", "training.learning_rate=0.01"],
    ],
)
@pytest.mark.parametrize("kind", CASES)
def test_engines_train_alike(kind: str, sets: list[str], sharpseek: Run, tmp_path: Path) -> None:
    write(kind, tmp_path)
    found = []
    for engine in ("torch", "lanes"):
        options = ["--engine", engine, "--dtype", "float64", "--quiet", "--out", engine]
        made = sharpseek("run", "tokens.ini", *options, *(f"--set={text}" for text in sets))
        assert made.returncode == 0, made.stderr
        found.append(package.open_run(tmp_path / engine))
    for name in ("parameters", "train_loss", "trace", "gradient_fluctuation", "batch_sharpness_ratio_of_means"):
        np.testing.assert_allclose(found[0][name].values, found[1][name].values, rtol=1e-8, atol=1e-10, err_msg=name)
    assert np.ptp(found[0]["parameters"].values[:, -1] - found[0]["parameters"].values[:, 0]) > 0.01


RAW = """
[experiment]
name = raw
replicas = 2
[data]
dataset = digits
samples = 150
teacher = measured
inputs = {inputs}
sequence = {sequence}
outputs = 10
[noise]
total = {total}
[model]
kind = {kind}
depth = {depth}
width = 4
readout = {readout}
[training]
batch = 5
learning_rate = 0.02
steps = {steps}
[measure]
records = 2
keep_parameters = true
quantities = excess_risk,gradient
"""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first 150 images, and their one-hot rows."""
    rows = np.loadtxt(Path(__file__).resolve().parents[2] / "data/digits.csv.gz", delimiter=",")[:150]
    return rows[:, :64] / 16, np.eye(10)[rows[:, 64].astype(int)]


def raw(sharpseek: Run, folder: Path, *sets: str, **values: object) -> object:
    given = dict(inputs=64, sequence=1, total=0, kind="linear", depth=1, steps=100, readout="") | values
    (folder / "raw.ini").write_text(RAW.format(**given))
    made = sharpseek("run", "raw.ini", "--quiet", "--dtype", "float64", *(f"--set={text}" for text in sets))
    assert made.returncode == 0, made.stderr
    return package.open_run(folder / "out/raw")


def test_measured_outputs_are_the_labels_of_squared_error(sharpseek: Run, tmp_path: Path) -> None:
    x, y = digits()
    run = raw(sharpseek, tmp_path, total=2, depth=1)
    for e, t in itertools.product(range(2), range(run.sizes["time"])):
        w = run.parameters.values[e, t].reshape(10, 64)
        r = x @ w.T - y
        values = run.isel(replica=e, time=t)
        np.testing.assert_allclose(values.excess_risk, np.mean(np.sum(r**2, axis=1)), rtol=1e-10)
        # E |2 (r - eps) x'|^2, the noise independent of both.
        squares = np.sum(x**2, axis=1)
        np.testing.assert_allclose(
            values.gradient_fluctuation, 4 * np.mean((np.sum(r**2, axis=1) + 2) * squares), rtol=1e-10
        )


def test_descent_on_raw_labels_is_that_of_least_squares(sharpseek: Run, tmp_path: Path) -> None:
    x, y = digits()
    run = raw(sharpseek, tmp_path, "training.optimizer=gd", steps=60)
    for e in range(2):
        w = run.parameters.values[e, 0].reshape(10, 64)
        for _ in range(60):
            w = w - 0.02 * 2 * (x @ w.T - y).T @ x / 150
        np.testing.assert_allclose(run.parameters.values[e, -1].reshape(10, 64), w, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("redraw", ["fresh", "fixed"])
def test_engines_train_alike_on_raw_labels_of_every_token(redraw: str, sharpseek: Run, tmp_path: Path) -> None:
    x, y = digits()
    made = {}
    for engine in ("torch", "lanes"):
        (tmp_path / engine).mkdir()
        options = {"inputs": 8, "sequence": 8, "total": 1, "kind": "rnn", "readout": "tokens"}
        (tmp_path / engine / "raw.ini").write_text(RAW.format(depth=1, steps=100, **options))
        arguments = ["--engine", engine, "--quiet", "--dtype", "float64", "--set", f"noise.redraw={redraw}"]
        result = sharpseek("run", f"{engine}/raw.ini", "--out", f"{engine}/out", *arguments)
        assert result.returncode == 0, result.stderr
        made[engine] = package.open_run(tmp_path / engine / "out")
    for name in ("parameters", "train_loss", "excess_risk", "gradient_fluctuation"):
        np.testing.assert_allclose(made["torch"][name].values, made["lanes"][name].values, rtol=1e-8, err_msg=name)
    # Every token of an image has its class.
    w = made["torch"].parameters.values[0, -1]
    w_x, w_h, w_out = w[:32].reshape(4, 8), w[32:48].reshape(4, 4), w[48:].reshape(10, 4)
    risk = 0.0
    for image, label in zip(x, y, strict=True):
        u = np.zeros(4)
        for token in image.reshape(8, 8):
            u = np.tanh(w_x @ token + w_h @ u)
            risk += np.sum((w_out @ u - label) ** 2) / 150
    np.testing.assert_allclose(made["torch"].excess_risk.values[0, -1], risk, rtol=1e-9)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["data.dataset=", "data.samples=online"], "data.teacher = measured: needs data.dataset with measured outputs"),
        (
            ["data.labels=sampled", "training.loss=cross-entropy", "noise.total=3"],
            "data.teacher = measured: needs data.labels = values | soft, not sampled",
        ),
        (["noise.total=1", "noise.rotation=teacher"], "noise.rotation = teacher: needs a teacher with one matrix"),
        (["noise.total=1", "noise.distribution=measured"], "noise.distribution = measured"),
        (["data.outputs=9"], "has 10 classes, more than data.outputs = 9"),
        (["model.depth=2", "model.init=limit"], "this theory needs a linear teacher"),
    ],
)
def test_what_measured_outputs_do_not_go_with_is_said_in_one_line(
    sets: list[str], said: str, sharpseek: Run, tmp_path: Path
) -> None:
    values = {"inputs": 64, "sequence": 1, "total": 0, "kind": "linear", "depth": 1, "steps": 10, "readout": ""}
    (tmp_path / "raw.ini").write_text(RAW.format(**values))
    result = sharpseek("run", "raw.ini", *(f"--set={text}" for text in sets))
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
