"""How far the mean over a run's window still is from where the run is going, and how fast it goes there.

A quantity that relaxes is m(t) = T + A exp(-t / tau) on average over seeds. Its mean M over the window, the last half
of the records, has T - M left to go. At a given tau the least-squares estimate of T - M is a weighted sum of the
records: one number a seed, whose interval over seeds is Student's, whatever the correlation in time. Fewer than
FEWEST_SEEDS say too little about their spread: there the error comes from what the fit leaves in BLOCKS blocks of
records, which absorb correlation shorter than a block.

The interval of what is left is the hull of these intervals at every tau that counts, and of half of the drift between
the window's halves, the least that any single exponential leaves. Which tau count:

- Where theory knows the slowest relaxation (linear networks), those up to SLACK times that, unless the data, as below,
  allow none of them.
- Where the seeds show a relaxation, because a line through the records rises or falls at level SHOWN, those that the
  data allow: what the fit leaves, along the change that another tau would make, has 0 in its interval over seeds.
- Where they show none, those up to HORIZON. A relaxation slower than that and too small to be seen cannot be told from
  none in a single series; starts from both sides can tell (claim C2).

Derivation, error rates and power: docs/sharpness.md. The stopping rule computes the same in C++
(training/relaxation.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sharpseek.confidence import student_quantile

LEVEL = 0.025
"""One-sided level of the intervals over seeds."""
SHOWN = 0.0025
"""One-sided level at which a line through the records shows a relaxation."""
SLACK = 1.25
"""How much slower than theory's slowest relaxation, which is the limit of small rates, a run may be."""
FIRST = 0.25
"""Share of the records that is left out at the front: faster relaxations, which one exponential does not describe."""
TIMES = np.geomspace(1 / 16, 16, 57)
"""Relaxation times that are tried, in lengths of the record. The last one is a straight line in all but name."""
HORIZON = 0.75
"""Longest relaxation time that counts where none is shown and none is known, in lengths of the record: that of the
records that are fitted."""
FEWEST_RECORDS = 40
"""Fewest records; fewer have no window to speak of."""
FEWEST_SEEDS = 4
"""Fewest seeds whose spread is the error."""
BLOCKS = 12
"""Blocks of records that stand in for seeds where there are fewer."""


@dataclass(frozen=True)
class Left:
    """What a point still has to go, as a share of its mean over the window: (limit - mean) / |mean|."""

    value: float
    low: float
    high: float
    """95 % interval."""
    time: float
    time_low: float
    time_high: float
    """Relaxation time and its 95 % interval, in the unit of `time`; infinite where a line fits as well, NaN where the
    seeds show no relaxation."""

    def within(self, share: float) -> bool:
        """Whether the whole interval lies inside +- share."""
        return bool(-share <= self.low and self.high <= share)


def left_to_go(series: np.ndarray, time: np.ndarray | None = None, known: float = np.nan) -> Left:
    """What is left to go of a quantity [seed, record], of replicas that differ in nothing but their seed.

    `time` [record] defaults to evenly spaced records; `known` is the slowest relaxation time, in the same unit. NaN
    with fewer than FEWEST_RECORDS, no seed, or fitted values that are not finite.
    """
    series = np.atleast_2d(np.asarray(series, dtype=float))
    seeds, records = series.shape
    time = np.arange(records, dtype=float) if time is None else np.asarray(time, dtype=float)
    if seeds == 0 or records < FEWEST_RECORDS or not np.isfinite(series[:, fitted(records)]).all():
        return Left(*[np.nan] * 6)
    length = float(time[-1] - time[0])
    left, score, drift = _weights(((time - time[0]) / length).tobytes())
    use = series[:, fitted(records)] / abs(series[:, records - records // 2 :].mean())
    remaining, low, high = _interval(use, left, left, LEVEL)
    residual, least, most = _interval(use, score, left, LEVEL)
    _, falls, rises = _interval(use, left[-1:], left[-1:], SHOWN)
    shown = bool(falls[0] > 0 or rises[0] < 0)

    # The relaxation times that the data allow, and those that count.
    allowed = (least <= 0) & (most >= 0)
    turns = np.flatnonzero(residual[:-1] * residual[1:] <= 0)
    allowed[turns] = allowed[turns + 1] = True
    if not allowed.any():
        allowed[np.argmin(np.abs(residual))] = True
    theory = bool(np.isfinite(known))
    counts = TIMES <= max(SLACK * known / length if theory else HORIZON, TIMES[0])
    if shown:
        both = allowed & counts
        counts = both if theory and both.any() else allowed  # data that contradict theory are believed

    # What the best of them leaves, and the hull.
    value = remaining[_best(residual, counts) if shown else np.flatnonzero(counts)[-1]]
    _, half_low, half_high = _interval(use, drift[None] / 2, left[-1:], LEVEL)
    times = [np.nan, np.nan, np.nan]
    if shown:
        last = TIMES.size - 1
        among = np.flatnonzero(allowed)
        times = [
            float(length * TIMES[i]) if i < last else np.inf for i in (_best(residual, allowed), among[0], among[-1])
        ]
    return Left(
        float(value),
        float(min(low[counts].min(), half_low[0])),
        float(max(high[counts].max(), half_high[0])),
        *times,
    )


def _best(residual: np.ndarray, among: np.ndarray) -> int:
    """The index where the fit leaves least."""
    chosen = np.flatnonzero(among)
    return int(chosen[np.argmin(np.abs(residual[chosen]))])


def fitted(records: int) -> slice:
    """The records that are fitted."""
    return slice(int(np.ceil(FIRST * records)), None)


def _interval(
    use: np.ndarray, weights: np.ndarray, waves: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over seeds of the weighted sums of records, use [seed, record], weights [sum, record], with Student's
    interval at a one-sided level. `waves` [sum, record]: what is fitted where errors come from time."""
    values = use @ weights.T  # [seed, sum]
    seeds, mean = len(use), values.mean(axis=0)
    if seeds >= FEWEST_SEEDS:
        error, degrees = values.std(axis=0, ddof=1) / np.sqrt(seeds), seeds - 1
    else:
        degrees = seeds * (BLOCKS - 2)
        error = np.sqrt(_squares_in_time(use, weights, waves) * BLOCKS / (BLOCKS - 2)) / seeds
    half = student_quantile(level, degrees) * error
    return mean, mean - half, mean + half


def _squares_in_time(use: np.ndarray, weights: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """[sum] squares of what each block of records adds to a weighted sum beyond the fit, over blocks and seeds."""
    edges = np.arange(BLOCKS) * use.shape[1] // BLOCKS
    own = use - use.mean(axis=1, keepdims=True)
    squares = []
    for weight, wave in zip(weights, waves, strict=True):
        rest = own - np.outer(own @ wave / (wave @ wave), wave)
        squares.append(np.sum(np.add.reduceat(rest * weight, edges, axis=1) ** 2))
    return np.array(squares)


@lru_cache(maxsize=256)
def _weights(stamps: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of the fitted records: what is left and the residual at each of TIMES, [times, record], and the drift
    [record], the mean over the window's second half less that over its first. `stamps`: times from 0 to 1."""
    t = np.frombuffer(stamps)
    first, window, half = fitted(t.size).start, t.size // 2, t.size // 2 // 2
    left, score = [], []
    for tau in TIMES:
        # exp(-t / tau), whose mean over the window is 1, so that its coefficient is M - T.
        scale = np.exp(-(t - t[0]) / tau)[-window:].mean()
        wave = _centred(np.exp(-(t - t[0]) / tau) / scale, first)
        left.append(-wave / (wave @ wave))
        # What another tau would add: d/d(log tau), without what the constant and the exponential explain.
        change = _centred((t - t[0]) / tau * np.exp(-(t - t[0]) / tau) / scale, first)
        for _ in range(2):
            change = change - (change @ wave) / (wave @ wave) * wave
        score.append(change / np.sqrt(change @ change))
    drift = np.zeros(t.size - first)
    drift[-half:] = 1 / half
    drift[-window : half - window] -= 1 / half
    return np.array(left), np.array(score), drift


def _centred(values: np.ndarray, first: int) -> np.ndarray:
    """Without their mean; twice, because what rounding leaves of it is not small against the square of a slow wave."""
    once = values[first:] - values[first:].mean()
    return np.asarray(once - once.mean())
