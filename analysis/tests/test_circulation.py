"""The estimator of the rotation of hidden frames, on trajectories that rotate by construction."""

import numpy as np
import pytest
from scipy.linalg import expm
from sharpseek.circulation import frames, rotation_rates
from sharpseek.theory_limit import Limit

GENERATOR = np.random.default_rng(5)
OMEGA = np.array([[0, 0.4, -1.1], [-0.4, 0, 0.3], [1.1, -0.3, 0]])
LIMIT = Limit(1, 1, 1, 1, [GENERATOR.normal(size=(3, 4)), GENERATOR.normal(size=(3, 3))], [OMEGA], 1.0, True)
TIME = np.linspace(0, 2, 81)


def trajectory(noise: float, seed: int, speed: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Weights of width 6 whose frame turns by exp(speed OMEGA tau), with noise at every record."""
    generator = np.random.default_rng(seed)
    frame = np.linalg.qr(generator.normal(size=(6, 3)))[0]
    turned = np.stack([frame @ expm(speed * OMEGA * t) for t in TIME])
    w1 = turned @ LIMIT.weights[0] + noise * generator.normal(size=(len(TIME), 6, 4))
    w2 = LIMIT.weights[1] @ np.swapaxes(turned, 1, 2) + noise * generator.normal(size=(len(TIME), 3, 6))
    return w1, w2


def test_frames_are_orthonormal_and_exact_without_noise() -> None:
    w1, w2 = trajectory(0, 1)
    u = frames(w1, w2, LIMIT)
    assert np.allclose(np.swapaxes(u, 1, 2) @ u, np.eye(3))
    assert np.allclose(u @ LIMIT.weights[0], w1)


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_rotation_is_found_whatever_the_frame(speed: float) -> None:
    assert np.allclose(rotation_rates(*trajectory(0, 2, speed), TIME, LIMIT), speed * OMEGA, atol=1e-8)
    found = np.stack([rotation_rates(*trajectory(0.05, seed, speed), TIME, LIMIT) for seed in range(40)])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    off = ~np.eye(3, dtype=bool)
    assert (np.abs(found.mean(axis=0) - speed * OMEGA)[off] < 4 * error[off]).all()
    assert error.max() < 0.02
