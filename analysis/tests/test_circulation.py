"""The estimator of the rotation of hidden frames, on trajectories that rotate by construction."""

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm, logm
from sharpseek.circulation import frames, logarithms, measured_circulation, rotation_rates
from sharpseek.theory import closed_form
from sharpseek.theory_limit import Limit, small_rate_limit

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


def test_a_pair_turns_by_the_mean_of_its_two() -> None:
    teacher, noise = np.diag([1.2, 0.8])[:, ::-1] + 0.3, np.diag([10.0, 0.1])
    limit = small_rate_limit(
        closed_form(2, teacher, np.eye(2), noise).weights, teacher, np.eye(2), noise, time=8.0, step=0.02
    )
    frame = np.linalg.qr(GENERATOR.normal(size=(3, 2)))[0]
    weights = []
    for speed in (0.7, 1.6):
        turned = np.stack([frame @ expm(speed * limit.rotation[0] * t) for t in TIME])
        w1, w2 = turned @ limit.weights[0], limit.weights[1] @ np.swapaxes(turned, 1, 2)
        weights.append(np.concatenate([w1.reshape(len(TIME), -1), w2.reshape(len(TIME), -1)], axis=1))
    run = xr.Dataset(
        {
            "teacher": (("output", "input"), teacher),
            "input_covariance": (("input", "other"), np.eye(2)),
            "noise_covariance": (("replica", "output", "second"), noise[None]),
            "parameters": (("replica", "time", "parameter"), weights[0][None]),
        },
        coords={"rescaled_time": (("replica", "time"), TIME[None])},
    )
    alone, both = run, run.assign(parameters_mirrored=(("replica", "time", "parameter"), weights[1][None]))
    assert measured_circulation(alone, np.array([0]))[0] == pytest.approx([0.7], rel=1e-6)
    assert measured_circulation(both, np.array([0]))[0] == pytest.approx([1.15], rel=1e-6)


def _rotations(rank: int, count: int) -> np.ndarray:
    """Of any angle."""
    q = np.linalg.qr(np.random.default_rng(rank).normal(size=(count, rank, rank)))[0]
    q[np.linalg.det(q) < 0, 0] *= -1
    return q


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("angle", [0.0, 1e-8, 0.01, 1.0])
def test_logarithms_are_those_of_scipy(rank: int, angle: float) -> None:
    generators = np.random.default_rng(6).normal(size=(20, rank, rank))
    turns = np.stack([expm(angle * (g - g.T) / 4) for g in generators])
    turns = np.concatenate([turns, _rotations(rank, 20)])
    expected = np.stack([logm(turn).real for turn in turns])
    assert np.allclose(logarithms(turns), expected, rtol=0, atol=1e-9)


def test_logarithms_of_equal_planes_and_of_half_turns() -> None:
    plane = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    q = _rotations(4, 20)
    equal = q @ np.kron(np.eye(2), plane) @ np.swapaxes(q, 1, 2)
    assert np.allclose(logarithms(equal), np.stack([logm(turn).real for turn in equal]), atol=1e-12)
    half = np.diag([-1.0, -1.0, 1.0])
    assert np.allclose(logarithms(half[None]), logm(half).real, atol=1e-12)
    assert np.allclose(logarithms(half[None]), 0)
    with pytest.raises(np.linalg.LinAlgError):
        logarithms(np.full((1, 3, 3), np.nan))


def test_a_frame_that_flips_has_no_rotation() -> None:
    w1, w2 = trajectory(0, 3)
    flip = np.diag([-1.0, 1, 1])
    frame = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 3)))[0]
    w1[40:], w2[40:] = frame @ flip @ LIMIT.weights[0], LIMIT.weights[1] @ flip @ frame.T
    w1[:40], w2[:40] = frame @ LIMIT.weights[0], LIMIT.weights[1] @ frame.T
    assert np.isnan(rotation_rates(w1, w2, TIME, LIMIT)).all()
