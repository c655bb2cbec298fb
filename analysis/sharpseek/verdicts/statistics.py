"""Effects with intervals over seeds, from the usable replicas of a run. Used by several claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.summaries import on_manifold, usable
from sharpseek.verdicts.rules import LEVEL, SUPPORTED, UNDECIDED, USABLE_SHARE, Evidence


def conditions(run: xr.Dataset) -> np.ndarray:
    return np.unique(run["condition"]) if "condition" in run.coords else np.array([np.nan])


def at(run: xr.Dataset, condition: float) -> np.ndarray:
    if np.isnan(condition):
        return np.ones(run.sizes["replica"], dtype=bool)
    return run["condition"].values == condition


def label(condition: float) -> str:
    return "" if np.isnan(condition) else f"kappa {condition:g}"


def enough_at_every_condition(run: xr.Dataset) -> bool:
    """Whether no condition lacks usable replicas: a slope without its ends is not the slope that was asked for."""
    use = usable(run)
    return all(use[here].sum() >= max(2, USABLE_SHARE * here.sum()) for here in (at(run, c) for c in conditions(run)))


def change_since_arrival(run: xr.Dataset, variable: str) -> np.ndarray:
    """[replica] stationary mean over the value where the weights first reached the set of minima."""
    first = on_manifold(run)
    begin = run[variable].values[np.arange(len(first)), first]
    return run[f"{variable}_mean"].values / begin


@dataclass(frozen=True)
class Effect:
    """An estimate with its error: intervals at any level, and how many replicas stand behind it."""

    estimate: float
    interval: Callable[[float], tuple[float, float]]
    """(low, high) that the truth lies below or above with at most this probability each."""
    usable: int
    replicas: int
    enough: bool
    """Whether enough replicas could be used to decide anything."""


def evidence_of(effect: Effect, subject: str, judge: Callable[[float, float], str]) -> Evidence:
    """What a rule on intervals makes of an effect, with the p value of "supported"."""
    low, high = effect.interval(LEVEL)
    outcome = judge(low, high) if effect.enough else UNDECIDED
    p = smallest_level(effect, judge) if effect.enough else np.nan
    return Evidence(subject, effect.estimate, low, high, outcome, effect.usable, effect.replicas, p)


def smallest_level(effect: Effect, judge: Callable[[float, float], str]) -> float:
    """The p value of a rule: the smallest one-sided level at which its interval still supports, to 1 % of itself.

    For `within` this is the p value of two one-sided tests (TOST), for `positive` that of the one-sided test.
    """
    if judge(*effect.interval(0.5 - 1e-9)) != SUPPORTED:
        return 1.0
    low, high = -12.0, float(np.log10(0.5))
    while high - low > 0.004:
        middle = (low + high) / 2
        low, high = (low, middle) if judge(*effect.interval(10**middle)) == SUPPORTED else (middle, high)
    return float(10**high)


def _nothing(level: float) -> tuple[float, float]:
    return np.nan, np.nan


def student_interval(value: float, error: float, count: int) -> Callable[[float], tuple[float, float]]:
    """Student t around a value with the standard error of `count` independent ones; NaN for fewer than two."""

    def interval(level: float) -> tuple[float, float]:
        half = float(stats.t.ppf(1 - level, count - 1)) * error if count > 1 else np.nan
        return value - half, value + half

    return interval


def log_mean_effect(ratio: np.ndarray, replicas: int) -> Effect:
    """Geometric mean of the positive ratios of those of `replicas` that can be used: Student t of the logarithm."""
    logs = np.log(ratio)
    if len(logs) < 2:
        return Effect(float(np.exp(logs.mean())) if len(logs) else np.nan, _nothing, len(logs), replicas, False)
    mean = logs.mean()
    around = student_interval(mean, standard_error(logs), len(logs))

    def interval(level: float) -> tuple[float, float]:
        with np.errstate(over="ignore"):  # two replicas alone can give an interval up to infinity
            low, high = np.exp(around(level))
        return float(low), float(high)

    enough = len(logs) >= max(2, USABLE_SHARE * replicas)
    return Effect(float(np.exp(mean)), interval, len(logs), replicas, bool(enough))


def mean_effect(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> Effect:
    """Mean over the usable replicas of a ratio, by its logarithm: Student t."""
    use = select & usable(run) & np.isfinite(ratio) & (ratio > 0)
    return log_mean_effect(ratio[use], int(select.sum()))


def ratio_evidence(
    run: xr.Dataset, select: np.ndarray, ratio: np.ndarray, subject: str, judge: Callable[[float, float], str]
) -> Evidence:
    """What a rule says of the mean over replicas of a ratio."""
    return evidence_of(mean_effect(run, select, ratio), subject, judge)


def quotient_effect(run: xr.Dataset, variable: str, above: np.ndarray, below: np.ndarray) -> Effect:
    """Geometric mean of a positive [replica] variable over the replicas `above`, over that of those `below`: Welch."""
    logs, enough, replicas = [], True, 0
    for select in (above, below):
        use = select & usable(run)
        replicas += int(select.sum())
        enough = enough and use.sum() >= max(2, USABLE_SHARE * select.sum())
        logs.append(np.log(run[variable].values[use]))
    used = sum(len(values) for values in logs)
    if min(len(values) for values in logs) < 2:
        return Effect(np.nan, _nothing, used, replicas, False)
    test = stats.ttest_ind(logs[0], logs[1], equal_var=False)

    def interval(level: float) -> tuple[float, float]:
        found = test.confidence_interval(1 - 2 * level)
        return float(np.exp(found.low)), float(np.exp(found.high))

    return Effect(float(np.exp(logs[0].mean() - logs[1].mean())), interval, used, replicas, bool(enough))


def rate_effect(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> Effect:
    """The ratio at learning rate 0: a straight line through its means at the two smallest rates.

    Student t with the smaller of the two degrees of freedom.
    """
    rates = np.unique(run["learning_rate"])[:2]
    use = select & usable(run) & np.isfinite(ratio)
    samples = [ratio[use & (run["learning_rate"].values == rate)] for rate in rates]
    used = sum(len(s) for s in samples)
    replicas = int((select & np.isin(run["learning_rate"], rates)).sum())
    fewest = min(len(s) for s in samples)
    if fewest < 2:
        return Effect(np.nan, _nothing, used, replicas, False)
    # r(0) = r1 + (r1 - r2) a, a = eta1 / (eta2 - eta1)
    a = rates[0] / (rates[1] - rates[0])
    value = float((1 + a) * samples[0].mean() - a * samples[1].mean())
    error = float(np.hypot((1 + a) * standard_error(samples[0]), a * standard_error(samples[1])))
    interval = student_interval(value, error, fewest)
    return Effect(value, interval, used, replicas, used >= USABLE_SHARE * replicas)


def line_to_zero(first: float, second: float, at_first: Effect, at_second: Effect) -> Effect:
    """What a straight line through independent effects at two learning rates, first < second, says of rate 0.

    Distances of each interval's ends from its estimate add in squares, as errors do.
    """
    a = first / (second - first)
    value = (1 + a) * at_first.estimate - a * at_second.estimate

    def interval(level: float) -> tuple[float, float]:
        near, far = at_first.interval(level), at_second.interval(level)
        below = np.hypot((1 + a) * (at_first.estimate - near[0]), a * (far[1] - at_second.estimate))
        above = np.hypot((1 + a) * (near[1] - at_first.estimate), a * (at_second.estimate - far[0]))
        return float(value - below), float(value + above)

    usable_ones, replicas = at_first.usable + at_second.usable, at_first.replicas + at_second.replicas
    return Effect(float(value), interval, usable_ones, replicas, at_first.enough and at_second.enough)


def slope_effect(run: xr.Dataset, variable: str, resamples: int = 4000, seed: int = 0) -> Effect:
    """Slope of log `variable` over log kappa: seeds are clusters, resampled whole, and the bootstrap is studentised.

    Plain percentiles of so few clusters are too narrow; quantiles of (slope* - slope) / error* are not (Cameron,
    Gelbach, Miller, Review of Economics and Statistics 90, 2008). Nothing is decided unless every condition has enough
    usable replicas.
    """
    use = usable(run)
    replicas = run.sizes["replica"]
    x = np.log(run["condition"].values[use])
    y = np.log(run[variable].values[use])
    seeds = run["seed"].values[use]
    if len(np.unique(x)) < 2 or len(np.unique(seeds)) < 3:
        return Effect(np.nan, _nothing, int(use.sum()), replicas, False)
    # Sums of each seed are enough for a regression: resampling seeds is resampling rows of this table.
    table = pd.DataFrame({"seed": seeds, "n": 1.0, "x": x, "y": y, "xx": x * x, "xy": x * y})
    sums = table.groupby("seed").sum().to_numpy()  # [clusters, 5]
    slope, error = _cluster_regression(sums[None])
    draws = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    slopes, errors = _cluster_regression(sums[draws])
    with np.errstate(divide="ignore", invalid="ignore"):  # resamples of one seed alone have no error
        deviations = (slopes - slope) / errors
    deviations = np.sort(deviations[np.isfinite(deviations)])

    def interval(level: float) -> tuple[float, float]:
        # Beyond the resamples' reach: their extremes, stretched like a normal's tail.
        reach = 1 / (len(deviations) + 1)
        stretch = stats.norm.ppf(level) / stats.norm.ppf(reach) if level < reach else 1.0
        lower, upper = np.quantile(deviations, [max(level, reach), 1 - max(level, reach)])
        return float((slope - stretch * upper * error)[0]), float((slope - stretch * lower * error)[0])

    return Effect(float(slope[0]), interval, int(use.sum()), replicas, enough_at_every_condition(run))


def _cluster_regression(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and its cluster-robust standard error from sums (n, x, y, xx, xy) [..., clusters, 5]."""
    n, x, y, xx, xy = np.moveaxis(sums.sum(axis=-2), -1, 0)
    spread = xx - x * x / n
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (xy - x * y / n) / spread
        intercept = (y - slope * x) / n
        own = np.moveaxis(sums, -1, 0)  # (n, x, y, xx, xy) [..., clusters]
        residual = own[2] - intercept[..., None] * own[0] - slope[..., None] * own[1]
        score = own[4] - intercept[..., None] * own[1] - slope[..., None] * own[3] - (x / n)[..., None] * residual
        clusters = sums.shape[-2]
        error = np.sqrt((score**2).sum(axis=-1) * clusters / (clusters - 1)) / spread
    return np.where(spread > 1e-9, slope, np.nan), error


def ordered_p(run: xr.Dataset, variable: str) -> tuple[float, float]:
    """Jonckheere's test that `variable` rises (and that it falls) with kappa: one-sided p values.

    Jonckheere's statistic is a linear function of Kendall's S between value and group, and that is how it is computed.
    Replicas at different kappa share no random numbers.
    """
    use = usable(run)
    x, y = run["condition"].values[use], run[f"{variable}"].values[use]
    if len(np.unique(x)) < 2:
        return np.nan, np.nan
    rises, falls = (float(stats.kendalltau(x, y, alternative=side).pvalue) for side in ("greater", "less"))
    return rises, falls


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
