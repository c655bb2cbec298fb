"""What a run records is what its training sees: noise, batches and probes, against enumeration in NumPy."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run

HEAD = """[experiment]
name = x
replicas = {replicas}
[data]
inputs = 2
outputs = 2
[model]
width = 3
[training]
learning_rate = {rate}
"""


def write_config(folder: Path, replicas: int, rate: float) -> None:
    (folder / "x.ini").write_text(HEAD.format(replicas=replicas, rate=rate))


def run(sharpseek: Run, *sets: str, out: str = "x", quiet: bool = True) -> str:
    """Standard error of a run."""
    result = sharpseek(
        "run", "x.ini", "--out", out, *(["--quiet"] if quiet else []), "--dtype=float64", *[f"--set={s}" for s in sets]
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def weights(file: h5py.File, record: int) -> tuple[np.ndarray, np.ndarray]:
    """W_1 [E, 3, 2] and W_2 [E, 2, 3]."""
    flat = file["parameters"][:, record]
    return flat[:, :6].reshape(-1, 3, 2), flat[:, 6:].reshape(-1, 2, 3)


def squared_gradients(w1: np.ndarray, w2: np.ndarray, x: np.ndarray, r: np.ndarray) -> tuple[float, float]:
    """Mean over rows of |d l / d W_1|^2 and |d l / d W_2|^2, l = |W_2 W_1 x - y|^2 with residuals r."""
    g1 = 2 * np.einsum("ni,nj->nij", r @ w2, x)
    g2 = 2 * np.einsum("ni,nj->nij", r, x @ w1.T)
    return (g1**2).sum() / len(x), (g2**2).sum() / len(x)


def table(rows: int, mean: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, V and outputs V x + skewed noise with this mean."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(rows, 2)) @ [[1, 0.4], [0, 0.7]] + [0.3, -0.8]
    v = np.array([[0.9, -0.3], [0.2, 1.1]])
    noise = rng.gamma(2, size=(rows, 2)) * [0.3, 0.5]
    return x, v, x @ v.T + noise - noise.mean(0) + mean


MEASURED = ("data.dataset=file:d.csv", "data.teacher=file:v.csv", "noise.distribution=measured", "noise.total=0.8")


def test_measured_noise_with_a_mean_is_centred_and_said_so(sharpseek: Run, tmp_path: Path) -> None:
    write_config(tmp_path, 2, 0.01)
    x, v, y = table(60, (-0.7, 2.5))
    np.savetxt(tmp_path / "d.csv", np.hstack([x, y]), delimiter=",")
    np.savetxt(tmp_path / "v.csv", v, delimiter=",")
    sets = [*MEASURED, "training.steps=3000", "measure.records=10", "measure.keep_parameters=true"]
    said = run(sharpseek, *sets, quiet=False)
    assert said.count("note: data.dataset: measured outputs less the teacher's have mean -0.7, 2.5;") == 1
    eps = y - x @ v.T
    eps = eps - eps.mean(0)
    values, vectors = np.linalg.eigh(eps.T @ eps / len(x))
    drawn = np.sqrt(0.4) * eps @ vectors / np.sqrt(values) @ vectors.T  # total 0.8, condition 1
    with h5py.File(tmp_path / "x/run.h5") as file:
        assert "have mean" in str(file.attrs["remarks"])
        for e in range(2):
            w1, w2 = (w[e] for w in weights(file, -1))
            # All pairs of sample and residual.
            pairs = x.repeat(len(drawn), 0)
            found = squared_gradients(w1, w2, pairs, pairs @ (w2 @ w1 - v).T - np.tile(drawn, (len(x), 1)))
            assert file["gradient_fluctuation"][e, -1] == pytest.approx(sum(found), rel=1e-9)
    run(sharpseek, *sets, "training.optimizer=gd", "training.learning_rate=0.05", out="gd")
    with h5py.File(tmp_path / "gd/run.h5") as file:
        w1, w2 = weights(file, -1)
        np.testing.assert_allclose(w2 @ w1, np.broadcast_to(v, (2, 2, 2)), atol=1e-8)


def test_each_samples_own_residual_is_what_gradients_have_where_noise_is_fixed(sharpseek: Run, tmp_path: Path) -> None:
    write_config(tmp_path, 2, 0.01)
    x, v, y = table(12, (0.0, 0.0))
    np.savetxt(tmp_path / "d.csv", np.hstack([x, y]), delimiter=",")
    np.savetxt(tmp_path / "v.csv", v, delimiter=",")
    own = y - x @ v.T
    np.savetxt(tmp_path / "s.csv", own.T @ own / len(x), delimiter=",")
    sets = ["noise.redraw=fixed", "noise.covariance=file:s.csv", "measure.quantities=gradient,balance,excess_risk"]
    steps = ["training.steps=400", "training.batch=3", "measure.records=2", "measure.keep_parameters=true"]
    run(sharpseek, *MEASURED, *sets, *steps)
    result = sharpseek("measure", "x/run.h5", "--quantities", "gradient", "--dtype", "float64", "--quiet")
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "x/run.h5") as file, h5py.File(tmp_path / "x/measure.h5") as again:
        for e in range(2):
            w1, w2 = (w[e] for w in weights(file, -1))
            r = x @ (w2 @ w1).T - y
            one = squared_gradients(w1, w2, x, r)
            assert file["gradient_fluctuation"][e, -1] == pytest.approx(sum(one), rel=1e-9)
            assert again["gradient_fluctuation"][e, -1] == pytest.approx(sum(one), rel=1e-9)
            # Three samples with replacement: E|g_B|^2 = |E g|^2 + (E|g|^2 - |E g|^2) / 3.
            mean1, mean2 = 2 * (r @ w2).T @ x / 12, 2 * r.T @ (x @ w1.T) / 12
            batch = [(m**2).sum() * 2 / 3 + s / 3 for m, s in zip((mean1, mean2), one, strict=True)]
            assert file["balance_difference"][e, -1, 0] == pytest.approx(batch[0] - batch[1], rel=1e-8)


@pytest.mark.parametrize(
    "more", [[], ["training.batch=5"], ["noise.distribution=rademacher", "data.replacement=false"]]
)
def test_the_charge_moves_as_the_balance_of_fixed_noise_says(sharpseek: Run, tmp_path: Path, more: list[str]) -> None:
    """The law of every step: the charge changes by eta^2 (|g_in|^2 - |g_out|^2) of the mini-batch that was drawn."""
    rate, replicas = 0.01, 32
    write_config(tmp_path, replicas, rate)
    steps = ["training.steps=20000", "measure.records=400", "measure.quantities=balance,gradient,spectrum"]
    run(sharpseek, "data.samples=14", "noise.redraw=fixed", "noise.condition=6", *steps, *more)
    with h5py.File(tmp_path / "x/run.h5") as file:
        charge, difference = file["charge"][:, :, 0], file["balance_difference"][:, :, 0]
        window = slice(200, 401)
        moved = (charge[:, 400] - charge[:, 200]) / 10000 / rate**2
        error = moved - difference[:, window].mean(1)
        scale = file["balance_sum"][:, window, 0].mean()
    z = error.mean() / (error.std(ddof=1) / np.sqrt(replicas))
    assert abs(z) < 4, (z, error.mean(), scale)
    assert abs(error.mean()) < 0.03 * scale


@pytest.mark.parametrize("data", ["samples", "dataset"])
def test_the_batch_of_gradient_descent_is_the_whole_set_wherever_it_enters(
    sharpseek: Run, tmp_path: Path, data: str
) -> None:
    write_config(tmp_path, 2, 0.02)
    samples = 25
    np.savetxt(tmp_path / "d.csv", np.random.default_rng(2).normal(size=(samples, 2)), delimiter=",")
    source = f"data.samples={samples}" if data == "samples" else "data.dataset=file:d.csv"
    sets = [source, "training.optimizer=gd", "training.time=0.006", "measure.records=3", "training.batch=4"]
    said = run(sharpseek, *sets, "measure.quantities=batch_sharpness,gradient,balance", quiet=False)
    assert f"note: training.batch = 4: is not used by gd, whose steps take all {samples} samples" in said
    with h5py.File(tmp_path / "x/run.h5") as file:
        assert file["step"][-1] == 375  # .006 x 25 / .0004
        assert file["rescaled_time"][0, -1] == pytest.approx(0.006)
        assert file.attrs["batch"] == samples
        # g'H_B g / |g|^2 of the only mini-batch: no error.
        assert np.all(file["batch_sharpness_ratio_of_means_error"][:, -1] < 1e-9)
        of_run = file["batch_sharpness_ratio_of_means"][:, -1]
        state = file["checkpoint/parameters"][:]
        assert np.all(file["balance_difference"][:, -1, 0] < np.inf)
    result = sharpseek("measure", "x/run.h5", "--quantities", "batch_sharpness", "--dtype", "float64", "--quiet")
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "x/measure.h5") as file:
        np.testing.assert_allclose(file["batch_sharpness_ratio_of_means"][:, -1], of_run, rtol=1e-9)
        assert int(file.attrs["batch"]) == samples
    assert state.shape == (2, 12)
    dry = sharpseek("run", "x.ini", "--dry-run", *[f"--set={s}" for s in sets])
    assert dry.returncode == 0, dry.stderr
    assert "375 steps" in dry.stdout
    assert "training.batch = 4: is not used by gd" in dry.stdout


def test_gradient_descent_on_online_data_is_refused_before_its_batch_is_asked_for(
    sharpseek: Run, tmp_path: Path
) -> None:
    write_config(tmp_path, 1, 0.01)
    for sets in (["training.time=0.01"], []):
        result = sharpseek("run", "x.ini", "--set=training.optimizer=gd", *[f"--set={s}" for s in sets])
        assert result.returncode == 2
        assert "needs a finite set of samples" in result.stderr
        assert result.stderr.count("\n") == 1


def test_window_means_of_batch_sharpness_and_flatness_are_within_their_errors(sharpseek: Run, tmp_path: Path) -> None:
    replicas = 24
    write_config(tmp_path, replicas, 0.01)
    quantities = "measure.quantities=spectrum,gradient,batch_sharpness,flatness,excess_risk"
    run(
        sharpseek,
        "training.batch=3",
        "training.steps=30000",
        "measure.records=60",
        "noise.condition=8",
        quantities,
        "measure.keep_parameters=true",
    )
    result = sharpseek(
        "measure",
        "x/run.h5",
        "--quantities",
        "batch_sharpness",
        "--batches",
        "600",
        "--out",
        "m.h5",
        "--dtype",
        "float64",
        "--quiet",
    )
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "x/run.h5") as file, h5py.File(tmp_path / "m.h5") as big:
        window = slice(31, 61)
        for name in ("batch_sharpness_ratio_of_means", "batch_sharpness_mean_of_ratios"):
            few, many = file[name][:, window], big[name][:, window]
            # The 64 batches of the run are among the 600, so that a tenth of the error is common.
            difference = (few - many).mean(1)
            claimed = np.sqrt((file[name + "_error"][:, window] ** 2).mean(1) / 30)
            z = difference / claimed
            assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.5), name
            over_seeds = difference.mean() / (difference.std(ddof=1) / np.sqrt(replicas))
            assert abs(over_seeds) < 4, name
        # Random directions: for small radii the rise is rho^2 Tr H / (2 P), to which the loss adds a quartic part.
        rise, trace = file["random_rise"][:, window], file["trace"][:, window]
        z = (rise - 0.05**2 * trace / 24).mean(1) / np.sqrt((file["random_rise_error"][:, window] ** 2).mean(1) / 30)
        assert np.sqrt((z**2).mean()) < 1.6


def test_a_data_set_of_sequences_is_recorded_with_its_own_second_moment(sharpseek: Run, tmp_path: Path) -> None:
    write_config(tmp_path, 1, 0.01)
    rows = np.random.default_rng(4).normal(size=(30, 6)) * [1, 2, 3, 1, 0.5, 2] + 0.5
    np.savetxt(tmp_path / "d.csv", rows, delimiter=",")
    run(
        sharpseek,
        "data.dataset=file:d.csv",
        "data.sequence=3",
        "data.teacher=generic",
        "model.kind=rnn",
        "training.steps=10",
        "measure.records=1",
    )
    tokens = rows.reshape(90, 2)
    with h5py.File(tmp_path / "x/run.h5") as file:
        np.testing.assert_allclose(file["input_covariance"][:], tokens.T @ tokens / 90, rtol=1e-12)
        assert "mean over the samples and tokens" in str(file["input_covariance"].attrs["long_name"])


def test_noise_that_depends_on_the_input_is_recorded_with_its_mean_and_has_no_closed_form(
    sharpseek: Run, tmp_path: Path
) -> None:
    write_config(tmp_path, 1, 0.01)
    x = np.random.default_rng(5).normal(size=(40, 2))
    x[:, 0] += 0.8
    np.savetxt(tmp_path / "d.csv", x, delimiter=",")
    sets = ["noise.heteroscedastic=0 0.5", "noise.condition=3", "training.steps=10", "measure.records=1"]
    run(sharpseek, "data.dataset=file:d.csv", *sets)
    variances = np.array([0.75, 2.25])
    sign = np.where(x[:, 0] < 0, -1, 1).mean()
    with h5py.File(tmp_path / "x/run.h5") as file:
        np.testing.assert_allclose(file["noise_covariance"][0], np.diag(variances), atol=1e-12)
        expected = np.diag(variances * (1 + 0.5 * sign * np.array([1, -1])))
        np.testing.assert_allclose(file["noise_covariance"][1], expected, atol=1e-12)
        assert np.isfinite(file["closed_form_trace"][0])
        assert np.isnan(file["closed_form_trace"][1])
        assert np.isnan(file["small_lr_limit_trace"][1])
    said = sharpseek("theory", "x.ini", "--set=data.dataset=file:d.csv", *[f"--set={s}" for s in sets[:2]])
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("noise.heteroscedastic = 0.5: this theory needs") == 1
