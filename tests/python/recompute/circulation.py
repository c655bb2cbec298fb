"""C8: the rotation of hidden frames, against a limit of small rates computed here."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from recompute.estimates import (
    LEAST,
    LEVEL,
    SUPPORTED,
    UNDECIDED,
    Piece,
    extrapolated,
    fit_of,
    missing,
    near,
)
from recompute.files import (
    NOT_A_SETTING,
    Experiment,
    Run,
    rate_of,
    rates_of,
    settings_of,
    usable,
)
from scipy import linalg, stats


def c8(experiment: Experiment) -> list[Piece]:
    settings = settings_of(experiment.runs)
    if not settings or all((rows["commutes"] == 1).all() for rows in settings.values()):
        return []
    if len(rates_of(settings)) < 4:
        return [missing()]
    turned = rotations(experiment.runs)
    pieces = []
    for key, rows in settings.items():
        if rows["commutes"][0] == 1:
            continue
        fit, limit, closed = fit_of(rows, "trace"), rows["small_lr_limit_trace"][0], rows["closed_form_trace"][0]
        if fit is None:
            pieces += [missing(), missing()]
        else:
            pieces.append(near(fit.over(limit), 0.02))
            z = abs(fit.value - closed) / fit.error
            estimate = fit.over(closed)
            p = float(np.clip(2 * stats.t.sf(z, fit.seeds - 1), LEAST, 1))
            outcome = SUPPORTED if z > 10 else UNDECIDED
            pieces.append(Piece(estimate.value, *estimate.interval(LEVEL), p, np.nan, outcome))
        rotation = extrapolated(*turned[key]) if key in turned else None
        pieces.append(near(rotation.over(1.0), 0.1) if rotation else missing())
    return pieces


def rotations(runs: list[Run]) -> dict[tuple, tuple[dict[float, np.ndarray], dict[float, int]]]:
    """Measured over predicted rotation of the hidden frame, by setting and rate, with the number of replicas."""
    found: dict[tuple, tuple[dict[float, np.ndarray], dict[float, int]]] = {}
    for run in runs:
        if "parameters" not in run or "small_lr_limit_trace" not in run or len(run.shared["layer"]) != 2:
            continue
        good = usable(run, 0.02, "trace") & (run["commutes"] == 0)
        fixed = tuple((k, v) for k, v in run.group.items() if k not in NOT_A_SETTING)
        axes = [axis for axis in run.axes if axis not in NOT_A_SETTING]
        rate = run["learning_rate"] if "learning_rate" in run else np.full(run.size, rate_of(run))
        for i in range(run.size):
            key = (*fixed, *((a, run[a][i]) for a in axes))
            samples, replicas = found.setdefault(key, ({}, {}))
            r = float(rate[i])
            replicas[r] = replicas.get(r, 0) + 1
            samples.setdefault(r, np.empty(0))
            if good[i]:
                turn = rotation_of(run, i)
                samples[r] = np.append(samples[r], turn) if np.isfinite(turn) else samples[r]
    return found


LIMITS: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}


def rotation_of(run: Run, i: int) -> float:
    """<Omega, Omega*> / |Omega*|^2 of one replica, or the mean over a pair, over the last half of its records."""
    if "parameters/second" in run:
        return (_rotation(run, i, "parameters") + _rotation(run, i, "parameters/second")) / 2
    return _rotation(run, i, "parameters")


def _rotation(run: Run, i: int, weights_of: str) -> float:
    teacher, noise, inputs = run.shared["teacher"], run["noise_covariance"][i], run.shared["input_covariance"]
    key = b"".join(m.tobytes() for m in (teacher, noise, inputs))
    if key not in LIMITS:
        LIMITS[key] = limit(teacher, inputs, noise)
    first, second, omega = LIMITS[key]
    begin = run["parameters"].shape[1] // 2
    weights, time = run[weights_of][i, begin:], run["rescaled_time"][i, begin:]
    outputs, columns = teacher.shape
    width = weights.shape[1] // (outputs + columns)
    frames = []
    for row in weights:
        w1, w2 = row[: width * columns].reshape(width, columns), row[width * columns :].reshape(outputs, width)
        frames.append(_polar(w1 @ first.T + w2.T @ second))
    total = np.zeros_like(omega)
    for before, after in pairwise(frames):
        turn = _polar(before.T @ after)
        if np.linalg.det(turn) < 0:
            return np.nan
        total += np.real(linalg.logm(turn))
    measured = (total - total.T) / 2 / (time[-1] - time[0])
    return float((measured * omega).sum() / (omega**2).sum())


def _polar(matrix: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right


def limit(teacher: np.ndarray, inputs: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the slow flow of W_2 W_1 = V settles, and how its hidden frame turns there: W_1*, W_2*, Omega*.

    Equations (1) and (5) of docs/theory.md, with derivatives by hand: along v = (v_1, v_2) the Hessian of
    L = |(W_2 W_1 - V) R|^2 is 2 |(v_2 W_1 + W_2 v_1) R|^2 on the set of minima, up to what is normal to it.
    """
    left, s, right = np.linalg.svd(teacher, full_matrices=False)
    w1, w2 = np.sqrt(s)[:, None] * right, left * np.sqrt(s)
    theta, step = np.concatenate([w1.ravel(), w2.ravel()]), 0.02
    for _ in range(400):
        k1 = _velocity(theta, w1.shape, w2.shape, inputs, noise)
        k2 = _velocity(theta + step / 2 * k1, w1.shape, w2.shape, inputs, noise)
        k3 = _velocity(theta + step / 2 * k2, w1.shape, w2.shape, inputs, noise)
        k4 = _velocity(theta + step * k3, w1.shape, w2.shape, inputs, noise)
        theta = theta + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        a, b = theta[: w1.size].reshape(w1.shape), theta[w1.size :].reshape(w2.shape)
        for _ in range(3):  # back to the set of minima
            jacobian = np.hstack([np.kron(b, np.eye(a.shape[1])), np.kron(np.eye(b.shape[0]), a.T)])
            theta = theta - np.linalg.pinv(jacobian, rcond=1e-10) @ (b @ a - teacher).ravel()
            a, b = theta[: w1.size].reshape(w1.shape), theta[w1.size :].reshape(w2.shape)
    velocity = _velocity(theta, w1.shape, w2.shape, inputs, noise)
    size = a.shape[0]
    generators = []
    for i, j in zip(*np.triu_indices(size, 1), strict=True):
        one = np.zeros((size, size))
        one[i, j], one[j, i] = 1, -1
        generators.append(one)
    columns = np.array([np.concatenate([(g @ a).ravel(), (-b @ g).ravel()]) for g in generators]).T
    weights = np.linalg.lstsq(columns, velocity, rcond=None)[0]
    return a, b, np.einsum("g,gij->ij", weights, np.array(generators))


def _velocity(theta: np.ndarray, one: tuple, two: tuple, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """-1/2 P_T grad <Hess L, S> with H S + S H = C, the covariance of the gradient."""
    split = one[0] * one[1]
    a, b = theta[:split].reshape(one), theta[split:].reshape(two)
    root = np.real(linalg.sqrtm(inputs))
    jacobian = np.hstack([np.kron(b, root), np.kron(np.eye(b.shape[0]), (a @ root).T)])
    u, s, vt = np.linalg.svd(jacobian, full_matrices=False)
    keep = s > 1e-9 * s[0]
    u, s, vt = u[:, keep], s[keep], vt[keep]
    curvature = 2 * s**2
    c = 4 * (s[:, None] * (u.T @ np.kron(noise, np.eye(inputs.shape[0])) @ u) * s)
    spread = c / (curvature[:, None] + curvature)
    gradient = np.zeros_like(theta)
    values, directions = np.linalg.eigh((spread + spread.T) / 2)
    for value, direction in zip(values, directions.T @ vt, strict=True):
        v1, v2 = direction[:split].reshape(one), direction[split:].reshape(two)
        inner = (v2 @ a + b @ v1) @ inputs
        gradient += 4 * value * np.concatenate([(v2.T @ inner).ravel(), (inner @ v1.T).ravel()])
    return -0.5 * (gradient - vt.T @ (vt @ gradient))
