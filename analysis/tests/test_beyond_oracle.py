"""Three points of B1 and one of B3 from scratch: SGD itself in NumPy, with nothing of the program or the package.

The package's limit (`saturation.settle`) and Theorem 1 only enter as what the outcome is compared with.
"""

import numpy as np
import pytest
from scipy import optimize
from sharpseek.saturation import settle
from sharpseek.theory import closed_form

V = np.diag([1.5, 0.7])
LOUD = 10.0
SEEDS = 40


def turned(degrees: float, kappa: float) -> np.ndarray:
    """Noise whose quiet direction lies at an angle from the first axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    r = np.array([[c, -s], [s, c]])
    return LOUD * r @ np.diag([1 / kappa, 1]) @ r.T


def linear_sgd(noises: np.ndarray, rate: float, time: float, seed: int) -> np.ndarray:
    """Mean T of W_2 W_1 over the later half of a run with batches of one, of a network for each noise covariance."""
    generator, size = np.random.default_rng(seed), len(noises)
    roots = np.linalg.cholesky(noises)
    stretch = np.where(np.arange(size) % 2, 2.0, 1.0)[:, None, None]  # flat and sharp starts
    w1, w2 = np.tile(np.sqrt(V), (size, 1, 1)) / stretch, np.tile(np.sqrt(V), (size, 1, 1)) * stretch
    steps = round(time / rate**2)
    total = np.zeros(size)
    for begin in range(0, steps, 1000):
        x = generator.normal(size=(1000, size, 2, 1))
        noise = roots @ generator.normal(size=(1000, size, 2, 1))
        for k in range(1000):
            hidden = w1 @ x[k]
            error = w2 @ hidden - V @ x[k] - noise[k]
            step = 2 * rate * error
            w1, w2 = w1 - (w2.swapaxes(1, 2) @ step) * x[k].swapaxes(1, 2), w2 - step * hidden.swapaxes(1, 2)
        if begin >= steps // 2:
            total += 2 * ((w1**2).sum(axis=(1, 2)) + (w2**2).sum(axis=(1, 2)))  # T = trace / 2
    return total / len(range(-(-(steps // 2) // 1000) * 1000, steps, 1000))


def test_sgd_saturates_at_the_limit_and_not_at_theorem_1() -> None:
    points = [(30.0, 1e2), (45.0, 1e4), (60.0, 1e6)]
    noises = np.repeat(np.array([turned(*point) for point in points]), SEEDS, axis=0)
    rates = (0.003, 0.006)
    ends = [linear_sgd(noises, rate, 1.2, seed) for seed, rate in enumerate(rates)]
    flattest = 2 * 2 * np.sqrt(4) * np.trace(V) / 2  # D (Tr S)^(2(D-1)/D) (d_y Tr Sigma_x)^(1/D) for D = 2, d = 2
    for k, (point, noise) in enumerate(zip(points, noises[::SEEDS], strict=True)):
        means = [end[k * SEEDS : (k + 1) * SEEDS].mean() / flattest for end in ends]
        at_zero = 2 * means[0] - means[1]
        limit = settle(V, noise).relative_trace
        form = closed_form(2, V, np.eye(2), noise)
        assert at_zero == pytest.approx(limit, rel=0.05), point
        assert at_zero < 0.85 * form.trace / form.flattest_trace, point


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_cross_entropy_on_sampled_labels_ends_at_the_flattest_minimum() -> None:
    generator = np.random.default_rng(3)
    inputs, size = generator.normal(size=(24, 2)), 32
    teacher = np.array([[2.5, 0.0], [0.0, 1.0], [0.0, 0.0]])
    classes = softmax(inputs @ teacher.T).cumsum(axis=1)

    def trace(w1: np.ndarray, w2: np.ndarray) -> float:
        """Of the Hessian of the mean loss over the inputs, where the outputs are the labels' chances: all second
        derivatives of log-sum-exp, by its definition."""
        q = softmax(inputs @ (w2 @ w1).T)
        own = np.einsum("nc,ch->nh", q, w2**2) - np.einsum("nc,ch->nh", q, w2) ** 2  # d2 by hidden units
        return float(
            ((own.sum(axis=1)) * (inputs**2).sum(axis=1)).mean()
            + ((q * (1 - q)).sum(axis=1) * ((inputs @ w1.T) ** 2).sum(axis=1)).mean()
        )

    def least(product: np.ndarray) -> float:
        def value(z: np.ndarray) -> float:
            w1 = z[:4].reshape(2, 2)
            if abs(np.linalg.det(w1)) < 1e-9:
                return 1e9
            return trace(w1, (product + z[4:]) @ np.linalg.inv(w1))

        return float(optimize.minimize(value, np.array([1.5, 0, 0, 1.5, 0, 0]), method="BFGS").fun)

    def end(rate: float, steps: int) -> float:
        """Mean over seeds of T over the least with the same outputs."""
        w1 = np.tile(first, (size, 1, 1))
        w2 = teacher @ np.linalg.inv(w1)
        for _ in range(steps):
            which = generator.integers(len(inputs), size=size)
            x = inputs[which][:, :, None]
            drawn = (generator.random(size)[:, None] > classes[which]).sum(axis=1)
            hidden = w1 @ x
            error = softmax((w2 @ hidden)[:, :, 0])
            error[np.arange(size), drawn] -= 1
            step = rate * error[:, :, None]
            w1, w2 = w1 - (w2.swapaxes(1, 2) @ step) * x.swapaxes(1, 2), w2 - step * hidden.swapaxes(1, 2)
        return float(np.mean([trace(a, b) / least(b @ a) for a, b in zip(w1, w2, strict=True)]))

    first = np.diag([1.6, 1.0]) / 3
    assert trace(first, teacher @ np.linalg.inv(first)) > 3 * least(teacher)
    coarse, fine = end(0.1, 12_000), end(0.05, 48_000)
    assert 1 <= fine < coarse
    assert 2 * fine - coarse == pytest.approx(1, abs=0.02)
