"""Estimates with intervals, and what the rules of docs/claims.md make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from recompute.files import (
    Run,
    enough,
    half,
    samples_of,
)
from scipy import stats

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
LEVEL, LEAST, RESAMPLES = 0.025, 1e-12, 40_000
INFINITE = float("inf")


Interval = Callable[[float], tuple[float, float]]


@dataclass
class Estimate:
    """A value, its interval at a one-sided level, whether enough replicas stand for it, and its smallest level."""

    value: float
    interval: Interval
    enough: bool
    least: float = LEAST

    def level(self, holds: Callable[[float, float], bool]) -> float:
        """The smallest level at which something holds of the interval; 1 if it does not even of the estimate."""
        if not holds(*self.interval(0.5 - 1e-9)):
            return 1.0
        low, high = np.log(self.least), np.log(0.5)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if holds(*self.interval(float(np.exp(middle)))) else (middle, high)
        return float(np.exp(high))


@dataclass
class Piece:
    """A piece of evidence as verdicts.json has it."""

    estimate: float
    low: float
    high: float
    p: float
    against: float
    outcome: str
    condition: bool = False


def missing() -> Piece:
    return Piece(np.nan, np.nan, np.nan, 1.0, np.nan, UNDECIDED)


def judged(estimate: Estimate, low: float, high: float, worse: tuple[float, float] | None = None,
           condition: bool = False) -> Piece:  # fmt: skip
    """Supported inside (low, high), refuted entirely outside `worse`, by default the same."""
    bottom, top = (low, high) if worse is None else worse
    lower, upper = estimate.interval(LEVEL)
    p, against, outcome = 1.0, np.nan, UNDECIDED
    if estimate.enough:
        p = max(
            estimate.level(lambda a, b: a > low) if np.isfinite(low) else 0.0,
            estimate.level(lambda a, b: b < high) if np.isfinite(high) else 0.0,
        )
        if np.isfinite([bottom, top]).any():
            # Both tails of an effect at the nearer border.
            up, down = estimate.level(lambda a, b: a > top), estimate.level(lambda a, b: b < bottom)
            far = estimate.level(lambda a, b: a > bottom) if up < down else estimate.level(lambda a, b: b < top)
            both = np.isfinite([bottom, top]).all()
            against = min(1.0, min(up, down) + (far if both else 0.0))
        if not np.isnan([lower, upper]).any():
            inside = (np.isneginf(low) or lower > low) and (np.isposinf(high) or upper < high)
            outcome = REFUTED if upper < bottom or lower > top else SUPPORTED if inside else UNDECIDED
    return Piece(estimate.value, lower, upper, np.nan if condition else p, against, outcome, condition)


def near(estimate: Estimate, margin: float, centre: float = 1.0) -> Piece:
    return judged(estimate, centre - margin, centre + margin)


def student(value: float, error: float, free: float) -> Interval:
    def interval(level: float) -> tuple[float, float]:
        reach = stats.t.isf(level, free) * error if free > 0 else np.nan
        return value - reach, value + reach

    return interval


def of_log(interval: Interval) -> Interval:
    def ends(level: float) -> tuple[float, float]:
        with np.errstate(over="ignore"):
            low, high = np.exp(interval(level))
        return float(low), float(high)

    return ends


def error_of(x: np.ndarray) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x)))


NOTHING = Estimate(np.nan, lambda level: (np.nan, np.nan), False)


def mean_ratio(run: Run, use: np.ndarray, point: np.ndarray, ratio: np.ndarray) -> Estimate:
    """Student t of the logarithm over the usable replicas of a point."""
    use = use & np.isfinite(ratio) & (ratio > 0)
    logs = np.log(ratio[use & point])
    if len(logs) < 2:
        return Estimate(float(np.exp(logs.mean())) if len(logs) else np.nan, NOTHING.interval, False)
    around = student(float(logs.mean()), error_of(logs), len(logs) - 1)
    return Estimate(float(np.exp(logs.mean())), of_log(around), enough(run, point, use))


def quotient(run: Run, use: np.ndarray, above: np.ndarray, below: np.ndarray) -> Estimate:
    """Welch's interval of the ratio of two mean traces."""
    use = use & (run["trace_mean"] > 0)
    a, b = (np.log(run["trace_mean"][use & point]) for point in (above, below))
    if min(len(a), len(b)) < 2:
        return NOTHING
    welch = stats.ttest_ind(a, b, equal_var=False)
    around = student(float(a.mean() - b.mean()), float(np.hypot(error_of(a), error_of(b))), float(welch.df))
    return Estimate(
        float(np.exp(a.mean() - b.mean())), of_log(around), enough(run, above, use) and enough(run, below, use)
    )


def line(rates: list[float], values: tuple, errors: tuple) -> tuple[float, float]:
    """Value and error at rate 0 of a straight line through two."""
    weight = rates[0] / (rates[1] - rates[0])
    return (1 + weight) * values[0] - weight * values[1], float(np.hypot((1 + weight) * errors[0], weight * errors[1]))


def two_rates(run: Run, use: np.ndarray, point: np.ndarray, ratio: np.ndarray) -> Estimate:
    rates = sorted(set(run["learning_rate"].tolist()))[:2]
    use = use & np.isfinite(ratio)
    points = [point & (run["learning_rate"] == rate) for rate in rates]
    samples = [ratio[here & use] for here in points]
    if min(map(len, samples)) < 2:
        return NOTHING
    value, error = line(rates, tuple(s.mean() for s in samples), tuple(map(error_of, samples)))
    free = min(map(len, samples)) - 1
    return Estimate(float(value), student(float(value), error, free), all(enough(run, h, use) for h in points))


def polynomial(rates: list[float], samples: dict[float, np.ndarray], degree: int) -> tuple[float, float, float]:
    """Value at rate 0, its error, chi-squared: weighted least squares through the means."""
    means = np.array([samples[r].mean() for r in rates])
    errors = np.array([error_of(samples[r]) for r in rates])
    powers = (np.array(rates)[:, None] / max(rates)) ** np.arange(degree + 1)
    q, r = np.linalg.qr(powers / errors[:, None])
    inverse = np.linalg.inv(r)
    solution = inverse @ (q.T @ (means / errors))
    rest = means / errors - powers / errors[:, None] @ solution
    return float(solution[0]), float(np.linalg.norm(inverse[0])), float(rest @ rest)


def entering(samples: dict[float, np.ndarray], replicas: dict[float, int], fewest: int) -> list[float]:
    """The rates with half of their replicas; only the largest may be left out."""
    rates = sorted(samples)
    while len(rates) > fewest and not half(len(samples[rates[-1]]), replicas[rates[-1]]):
        rates.pop()
    return rates if len(rates) >= fewest and all(half(len(samples[r]), replicas[r]) for r in rates) else []


@dataclass
class Fit:
    """A value at learning rate 0, its standard error, and the fewest seeds of a rate."""

    value: float
    error: float
    seeds: int

    def over(self, scale: float) -> Estimate:
        """Relative to a prediction."""
        return Estimate(self.value / scale, student(self.value / scale, self.error / scale, self.seeds - 1), True)


def widening(chi2: float, free: int, level: float) -> float:
    """What an error is multiplied by: above 1 where chi-squared of the residuals rejects the fit at the level."""
    return float(np.sqrt(chi2 / free)) if stats.chi2.sf(chi2, free) < level else 1.0


def extrapolated(samples: dict[float, np.ndarray], replicas: dict[float, int]) -> Fit | None:
    """Quadratic through four rates or more; where it fails at 5 %, the largest is dropped or the error widened."""
    rates = entering(samples, replicas, 4)
    while len(rates) >= 4:
        value, error, chi2 = polynomial(rates, samples, 2)
        factor = widening(chi2, len(rates) - 3, 0.05)
        if factor > 1 and len(rates) > 4:
            rates.pop()
            continue
        return Fit(value, error * factor, min(len(samples[r]) for r in rates))
    return None


def regression(x: np.ndarray, y: np.ndarray, which: list[np.ndarray]) -> tuple[float, float]:
    """Slope and cluster-robust error over clusters given as indices, which may repeat."""
    rows = np.concatenate(which)
    design = np.stack([np.ones(len(rows)), x[rows]], axis=1)
    bread = np.linalg.inv(design.T @ design)
    solution = bread @ design.T @ y[rows]
    meat, begin = np.zeros((2, 2)), 0
    for members in which:
        part = slice(begin, begin + len(members))
        score = design[part].T @ (y[rows[part]] - design[part] @ solution)
        meat += np.outer(score, score)
        begin += len(members)
    count = len(which)
    return float(solution[1]), float(np.sqrt((bread @ meat @ bread)[1, 1] * count / (count - 1)))


def slope(run: Run, use: np.ndarray, values: np.ndarray) -> Estimate:
    """Slope of log values over log kappa: studentised bootstrap over seeds, at least as wide as Student's t."""
    use = use & (values > 0)
    sound = all(enough(run, run.at(kappa), use) for kappa in run.kappas)
    x, y, seeds = np.log(run["condition"][use]), np.log(values[use]), run["seed"][use]
    names = np.unique(seeds)
    if len(np.unique(x)) < 2 or len(names) < 3:
        return NOTHING
    clusters = [np.flatnonzero(seeds == name) for name in names]
    found, error = regression(x, y, clusters)
    draws = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    kinds, back = np.unique(np.sort(draws, axis=1), axis=0, return_inverse=True)
    deviations = _deviations(x, y, clusters, kinds, found)[np.ravel(back)]
    deviations = np.sort(deviations[np.isfinite(deviations)])
    least = 1 / (len(deviations) + 1)

    def interval(level: float) -> tuple[float, float]:
        if level < least * (1 - 1e-12):
            return -INFINITE, INFINITE
        lower, upper = np.quantile(deviations, [level, 1 - level])
        reach = stats.t.isf(level, len(names) - 1)
        return found - max(upper, reach) * error, found - min(lower, -reach) * error

    return Estimate(found, interval, sound, least)


def _deviations(x: np.ndarray, y: np.ndarray, clusters: list, kinds: np.ndarray, slope_of_all: float) -> np.ndarray:
    """(slope - slope of all) / error of each resample [resamples, clusters]."""
    counts = np.stack([(kinds == k).sum(axis=1) for k in range(len(clusters))], axis=1).astype(float)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.array([values[members].sum() for members in clusters])

    one, sx, sy, sxx, sxy = (summed(v) for v in (np.ones_like(x), x, y, x * x, x * y))
    n, mx, my = counts @ one, counts @ sx, counts @ sy
    with np.errstate(divide="ignore", invalid="ignore"):
        mx, my = mx / n, my / n
        spread = counts @ sxx - n * mx**2
        b = (counts @ sxy - n * mx * my) / spread
        a = my - b * mx
        # Sum over a cluster of (x - mean) (y - a - b x), for every resample.
        scores = sxy - np.outer(a, sx) - np.outer(b, sxx) - mx[:, None] * (sy - np.outer(a, one) - np.outer(b, sx))
        count = counts.sum(axis=1)
        error = np.sqrt((counts * scores**2).sum(axis=1) * count / (count - 1)) / spread
        several = (counts > 0).sum(axis=1) > 1
        return np.where((spread > 1e-9) & several, (b - slope_of_all) / error, np.nan)


def fit_of(rows: dict[str, np.ndarray], name: str) -> Fit | None:
    return extrapolated(*samples_of(rows, name))
