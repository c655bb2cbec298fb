"""Effects with intervals over seeds, from the usable replicas of a run. Used by several claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.summaries import on_manifold, usable
from sharpseek.verdicts.effect import (
    Effect,
    Interval,
    evidence_of,
    exponential,
    no_effect,
    smallest_level,
    standard_error,
    student_interval,
)
from sharpseek.verdicts.rules import USABLE_SHARE, Evidence, Region
from sharpseek.verdicts.slopes import RESAMPLES, cluster_slope

__all__ = ["Effect", "evidence_of", "smallest_level", "standard_error", "student_interval"]


def conditions(run: xr.Dataset) -> np.ndarray:
    return np.unique(run["condition"]) if "condition" in run.coords else np.array([np.nan])


def at(run: xr.Dataset, condition: float) -> np.ndarray:
    if np.isnan(condition):
        return np.ones(run.sizes["replica"], dtype=bool)
    return run["condition"].values == condition


def label(condition: float) -> str:
    return "" if np.isnan(condition) else f"kappa {condition:g}"


def sufficient(used: int, replicas: int) -> bool:
    """Whether so many of the replicas of a point can decide anything: at least half of them, and two."""
    return bool(used >= max(2, USABLE_SHARE * replicas))


def enough(run: xr.Dataset, select: np.ndarray, use: np.ndarray) -> bool:
    """Whether `use` [replica] holds enough of the replicas `select` at every learning rate among them."""
    if not sufficient(int((use & select).sum()), int(select.sum())):
        return False
    if "learning_rate" not in run.coords:
        return True
    rates = run["learning_rate"].values
    points = [select & (rates == rate) for rate in np.unique(rates[select])]
    return all((use & here).sum() >= USABLE_SHARE * here.sum() for here in points)


def enough_at_every_condition(run: xr.Dataset) -> bool:
    """Whether no condition lacks usable replicas: a slope without its ends is not the slope that was asked for."""
    use = usable(run)
    return all(enough(run, at(run, condition), use) for condition in conditions(run))


def change_since_arrival(run: xr.Dataset, variable: str) -> np.ndarray:
    """[replica] stationary mean over the value where the weights first reached the set of minima."""
    first = on_manifold(run)
    begin = run[variable].values[np.arange(len(first)), first]
    return run[f"{variable}_mean"].values / begin


def log_mean_effect(ratio: np.ndarray, replicas: int) -> Effect:
    """Geometric mean of the positive ratios of those of `replicas` that can be used: Student t of the logarithm."""
    logs = np.log(ratio)
    if len(logs) < 2:
        return no_effect(len(logs), replicas, float(np.exp(logs.mean())) if len(logs) else np.nan)
    interval = exponential(student_interval(float(logs.mean()), standard_error(logs), len(logs)))
    return Effect(float(np.exp(logs.mean())), interval, len(logs), replicas, sufficient(len(logs), replicas))


def mean_effect(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> Effect:
    """Mean over the usable replicas of a ratio, by its logarithm: Student t."""
    use = select & usable(run) & np.isfinite(ratio) & (ratio > 0)
    effect = log_mean_effect(ratio[use], int(select.sum()))
    return replace(effect, enough=effect.enough and enough(run, select, use))


def ratio_evidence(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray, subject: str, region: Region) -> Evidence:
    """What a rule says of the mean over replicas of a ratio."""
    return evidence_of(mean_effect(run, select, ratio), subject, region)


def quotient_effect(run: xr.Dataset, variable: str, above: np.ndarray, below: np.ndarray) -> Effect:
    """Geometric mean of a positive [replica] variable over the replicas `above`, over that of those `below`: Welch."""
    values = run[variable].values
    use = usable(run) & (values > 0)
    replicas = int(above.sum() + below.sum())
    logs = [np.log(values[select & use]) for select in (above, below)]
    used = sum(len(sample) for sample in logs)
    if min(len(sample) for sample in logs) < 2:
        return no_effect(used, replicas)
    value, around = _welch(logs)
    sound = enough(run, above, use) and enough(run, below, use)
    return Effect(float(np.exp(value)), exponential(around), used, replicas, sound)


def difference_effect(above: np.ndarray, below: np.ndarray) -> Effect:
    """Mean of one sample less that of another; NaN is a replica that cannot be used. Welch's interval."""
    samples = [values[np.isfinite(values)] for values in (above, below)]
    used, replicas = sum(map(len, samples)), len(above) + len(below)
    if min(map(len, samples)) < 2:
        return no_effect(used, replicas)
    value, interval = _welch(samples)
    enough_of_both = all(sufficient(len(s), len(v)) for s, v in zip(samples, (above, below), strict=True))
    return Effect(value, interval, used, replicas, enough_of_both)


def _welch(samples: list[np.ndarray]) -> tuple[float, Interval]:
    """Difference of two means and its interval, with Satterthwaite's degrees of freedom."""
    parts = [float(np.var(sample, ddof=1) / len(sample)) for sample in samples]
    spread = sum(parts)
    weights = sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True))
    freedom = spread**2 / weights if weights > 0 else np.inf
    value = float(samples[0].mean() - samples[1].mean())
    return value, student_interval(value, float(np.sqrt(spread)), freedom + 1)


def rate_effect(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> Effect:
    """The ratio at learning rate 0: a straight line through its means at the two smallest rates.

    Student t with the smaller of the two degrees of freedom.
    """
    rates = np.unique(run["learning_rate"])[:2]
    points = [select & (run["learning_rate"].values == rate) for rate in rates]
    use = usable(run) & np.isfinite(ratio)
    samples = [ratio[use & here] for here in points]
    used = sum(len(s) for s in samples)
    replicas = int(sum(here.sum() for here in points))
    fewest = min(len(s) for s in samples)
    if fewest < 2:
        return no_effect(used, replicas)
    # r(0) = r1 + (r1 - r2) a, a = eta1 / (eta2 - eta1)
    a = rates[0] / (rates[1] - rates[0])
    value = float((1 + a) * samples[0].mean() - a * samples[1].mean())
    error = float(np.hypot((1 + a) * standard_error(samples[0]), a * standard_error(samples[1])))
    interval = student_interval(value, error, fewest)
    return Effect(value, interval, used, replicas, all(enough(run, here, use) for here in points))


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

    return Effect(
        float(value),
        interval,
        at_first.usable + at_second.usable,
        at_first.replicas + at_second.replicas,
        at_first.enough and at_second.enough,
        max(at_first.least, at_second.least),
    )


def slope_effect(run: xr.Dataset, variable: str, resamples: int = RESAMPLES, seed: int = 0) -> Effect:
    """Slope of log `variable` over log kappa: seeds are clusters (`slopes.cluster_slope`).

    Nothing is decided unless every condition has enough usable replicas.
    """
    use = usable(run) & (run[variable].values > 0)
    x, y = np.log(run["condition"].values[use]), np.log(run[variable].values[use])
    seeds = run["seed"].values[use]
    if len(np.unique(x)) < 2 or len(np.unique(seeds)) < 3:
        return no_effect(int(use.sum()), run.sizes["replica"])
    estimate, interval, least = cluster_slope(x, y, seeds, resamples, seed)
    sound = enough_at_every_condition(run)
    return Effect(estimate, interval, int(use.sum()), run.sizes["replica"], sound, least)


def ordered_p(run: xr.Dataset, variable: str) -> tuple[float, float]:
    """Jonckheere's test that `variable` rises (and that it falls) with kappa: one-sided p values.

    Jonckheere's statistic is a linear function of Kendall's S between value and group, and that is how it is computed.
    Replicas at different kappa share no random numbers.
    """
    use = usable(run)
    x, y = run["condition"].values[use], run[f"{variable}"].values[use]
    if len(np.unique(x)) < 2:
        return np.nan, np.nan
    from scipy import stats  # half a second, which every command would pay at its start

    rises, falls = (float(stats.kendalltau(x, y, alternative=side).pvalue) for side in ("greater", "less"))
    return rises, falls
