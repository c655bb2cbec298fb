"""The rotation of the hidden frame of a two-layer linear network, measured from the weights over time.

Theory: at the limit of small rates W_1 = U W_1*, W_2 = W_2* U' with a frame U [width, rank] that turns as
U(tau) = U(0) exp(Omega* tau), W_1*, W_2*, Omega* those of `theory_limit.small_rate_limit`. Each record gives the
frame that fits it best (orthogonal Procrustes); from one record to the next it turns by exp(Omega dtau). In these
coordinates all replicas share one Omega, whatever their own frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr

from sharpseek.pairs import MIRRORED
from sharpseek.theory import closed_form
from sharpseek.theory_limit import Limit, small_rate_limit


def frames(w1: np.ndarray, w2: np.ndarray, limit: Limit) -> np.ndarray:
    """U [.., width, rank] of least |W_1 - U W_1*|^2 + |W_2 - W_2* U'|^2.

    w1 [.., width, n], w2 [.., outputs, width].
    """
    overlap = w1 @ limit.weights[0].T + np.swapaxes(w2, -1, -2) @ limit.weights[1]
    left, _, right = np.linalg.svd(overlap, full_matrices=False)
    return left @ right


def logarithms(rotations: np.ndarray) -> np.ndarray:
    """Real part of the principal logarithm of each orthogonal matrix [.., rank, rank], as scipy.linalg.logm has it.

    By eigenvalues, all matrices at once. At half a turn rounding decides which way it goes; where the eigenvalues are
    exactly -1 the logarithm is not real and its real part is 0. Raises LinAlgError where a value is not finite.
    """
    values, vectors = np.linalg.eig(rotations)
    scaled = vectors * np.log(values.astype(complex))[..., None, :]
    # V log(w) V^-1, by the transposed system.
    return np.swapaxes(np.linalg.solve(np.swapaxes(vectors, -1, -2), np.swapaxes(scaled, -1, -2)), -1, -2).real


def rotation_rates(w1: np.ndarray, w2: np.ndarray, time: np.ndarray, limit: Limit) -> np.ndarray:
    """Mean Omega [rank, rank] of one replica over its records w1 [T, width, n], w2 [T, outputs, width], time tau [T].

    The frame must turn by less than half a turn between records. Steps that are no rotation (a frame that flipped) have
    no logarithm: NaN.
    """
    u = frames(w1, w2, limit)
    left, _, right = np.linalg.svd(np.swapaxes(u[:-1], -1, -2) @ u[1:])
    turns = left @ right
    if (np.linalg.det(turns) < 0).any():
        return np.full(turns.shape[1:], np.nan)
    total = logarithms(turns).sum(axis=0)
    return (total - total.T) / 2 / (time[-1] - time[0])


@lru_cache(maxsize=64)
def _limit(*setting: tuple[tuple[float, ...], ...]) -> Limit:
    """small_rate_limit of (teacher, input covariance, noise), once for all runs of a sweep over learning rates."""
    teacher, covariance, noise = map(np.array, setting)
    start = closed_form(2, teacher, covariance, noise).weights
    return small_rate_limit(start, teacher, covariance, noise, time=8.0, step=0.02)


def measured_circulation(run: xr.Dataset, replicas: np.ndarray) -> tuple[np.ndarray, Limit]:
    """The component of the measured Omega along theory's, <Omega, Omega*>/|Omega*|^2, of each of `replicas` (indices).

    Over the last half of the records. 1 where SGD circulates as theory says, 0 where it does not circulate. All
    replicas must have the same noise.

    Needs `parameters` (measure.keep_parameters = true) of a two-layer linear network. Raises KeyError without.
    """
    outputs, inputs = run["teacher"].shape
    setting = (run["teacher"].values, run["input_covariance"].values, run["noise_covariance"].values[replicas[0]])
    limit = _limit(*(tuple(map(tuple, matrix.tolist())) for matrix in setting))
    omega = limit.rotation[0]
    half = run.sizes["time"] // 2
    time = run["rescaled_time"].values[replicas, half:]
    ratios = []
    # Of a pair the mean over both.
    for name in ("parameters", f"parameters{MIRRORED}"):
        if name not in run:
            continue
        parameters = run[name].values[replicas, half:]
        width = parameters.shape[-1] // (inputs + outputs)
        w1 = parameters[..., : width * inputs].reshape(*parameters.shape[:2], width, inputs)
        w2 = parameters[..., width * inputs :].reshape(*parameters.shape[:2], outputs, width)
        rates = [rotation_rates(w1[e], w2[e], time[e], limit) for e in range(len(replicas))]
        ratios.append([np.sum(rate * omega) / np.sum(omega**2) for rate in rates])
    return np.mean(ratios, axis=0), limit
