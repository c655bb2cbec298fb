"""What the seeds of a point have left to go, by docs/sharpness.md, "What is left to go"."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import stats

LENGTHS = 2.0 ** np.linspace(-4, 4, 57)
"""Relaxation times that are tried, in lengths of the record."""
LEVEL, SHOWN = 0.025, 0.0025
SLOWER, UNSEEN = 1.25, 0.75
FEWEST_RECORDS, FEWEST_SEEDS, BLOCKS = 40, 4, 12


def left_to_go(series: np.ndarray, time: np.ndarray, known: float) -> tuple[float, float]:
    """Interval of (limit - mean over the window) / |mean| of series [seed, record]; NaN where it cannot be judged."""
    records = len(time)
    first, window = -(-records // 4), records // 2
    series = series[np.isfinite(series[:, first:]).all(axis=1)]
    if records < FEWEST_RECORDS or len(series) == 0:
        return np.nan, np.nan
    length = time[-1] - time[0]
    y = series[:, first:] / abs(series[:, -window:].mean())

    # A regression of each seed on a constant, the wave and what another tau would add, at every tau.
    x = (time - time[0]) / length
    bases = [_basis(x, tau, first, window) for tau in LENGTHS]
    fits = [_interval(y, left, left, LEVEL) for left, _ in bases]
    rests = [_interval(y, turn, left, LEVEL) for left, turn in bases]
    slowest = bases[-1][0]
    _, low, high = _interval(y, slowest, slowest, SHOWN)

    # Where the rest of the fit is 0 within its interval, or changes its sign to the next tau, the data allow a tau.
    rest = np.array([value for value, _, _ in rests])
    allowed = np.array([a <= 0 <= b for _, a, b in rests])
    changes = rest[1:] * rest[:-1] <= 0
    allowed[1:] |= changes
    allowed[:-1] |= changes
    if not allowed.any():
        allowed = np.abs(rest) == np.abs(rest).min()
    if np.isfinite(known):
        counts = LENGTHS <= max(SLOWER * known / length, LENGTHS[0])
        if not low <= 0 <= high:
            counts = allowed & counts if (allowed & counts).any() else allowed
    else:
        counts = LENGTHS <= UNSEEN if low <= 0 <= high else allowed

    # Half of the drift is what the fastest relaxation leaves.
    drift, half = np.zeros(records), window // 2
    drift[records - half :], drift[records - window : records - window + half] = 1 / half, -1 / half
    _, low, high = _interval(y, drift[first:] / 2, slowest, LEVEL)
    chosen = [fit for fit, counted in zip(fits, counts, strict=True) if counted]
    return min(low, *(a for _, a, _ in chosen)), max(high, *(b for _, _, b in chosen))


def _basis(x: np.ndarray, tau: float, first: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the fitted records: of what is left at tau, and of the rest along what another tau would add."""
    wave = np.exp(-x / tau)
    wave /= wave[-window:].mean()  # its coefficient is mean - limit
    design = np.stack([np.ones(len(x)), wave, wave * x / tau], axis=1)[first:]
    left = -np.linalg.pinv(design[:, :2])[1]
    q, r = np.linalg.qr(design)
    return left, q[:, 2] * np.sign(r[2, 2])


def _interval(y: np.ndarray, weights: np.ndarray, left: np.ndarray, level: float) -> tuple[float, float, float]:
    """Mean over seeds of a weighted sum of records with its ends; of few seeds the error is that of what the fit, whose
    weights are `left`, leaves in blocks of records."""
    sums, seeds = y @ weights, len(y)
    if seeds >= FEWEST_SEEDS:
        error, free = sums.std(ddof=1) / np.sqrt(seeds), seeds - 1
    else:
        fitted = np.stack([np.ones(len(left)), left / np.linalg.norm(left)], axis=1)
        rest = y.T - fitted @ np.linalg.lstsq(fitted, y.T, rcond=None)[0]
        parts = _blocks(rest * weights[:, None])
        error = np.sqrt((parts**2).sum() * BLOCKS / (BLOCKS - 2)) / seeds
        free = seeds * (BLOCKS - 2)
    reach = stats.t.isf(level, free) * error
    return sums.mean(), sums.mean() - reach, sums.mean() + reach


def _blocks(values: np.ndarray) -> np.ndarray:
    """Sums over blocks of rows, block i from i n // BLOCKS."""
    edges = [i * len(values) // BLOCKS for i in range(BLOCKS + 1)]
    return np.array([values[a:b].sum(axis=0) for a, b in pairwise(edges)])
