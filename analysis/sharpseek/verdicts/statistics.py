"""Effects with intervals over seeds, from the usable replicas of a run. Used by several claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.summaries import on_manifold, t_interval, usable
from sharpseek.verdicts.rules import UNDECIDED, USABLE_SHARE, Evidence


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


def ratio_evidence(
    run: xr.Dataset, select: np.ndarray, ratio: np.ndarray, subject: str, judge: Callable[[float, float], str]
) -> Evidence:
    """Mean over the usable replicas of a ratio, by its logarithm."""
    use = select & usable(run) & np.isfinite(ratio) & (ratio > 0)
    mean, low, high = t_interval(np.log(ratio[use]))
    estimate, low, high = np.exp(mean), np.exp(low), np.exp(high)
    enough = use.sum() >= max(2, USABLE_SHARE * select.sum())
    outcome = judge(low, high) if enough else UNDECIDED
    return Evidence(subject, float(estimate), float(low), float(high), outcome, int(use.sum()), int(select.sum()))


def extrapolated(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> tuple[float, float, float, int]:
    """The ratio at learning rate 0: a straight line through its means at the two smallest rates, with a 95 % interval.

    Student t with the smaller of the two degrees of freedom. NaN unless both rates have two usable replicas.
    """
    rates = np.unique(run["learning_rate"])[:2]
    use = select & usable(run) & np.isfinite(ratio)
    samples = [ratio[use & (run["learning_rate"].values == rate)] for rate in rates]
    count = sum(len(s) for s in samples)
    if min(len(s) for s in samples) < 2:
        return np.nan, np.nan, np.nan, count
    # r(0) = r1 + (r1 - r2) a, a = eta1 / (eta2 - eta1)
    a = rates[0] / (rates[1] - rates[0])
    value = (1 + a) * samples[0].mean() - a * samples[1].mean()
    errors = [s.std(ddof=1) / np.sqrt(len(s)) for s in samples]
    half = stats.t.ppf(0.975, min(len(s) for s in samples) - 1) * np.hypot((1 + a) * errors[0], a * errors[1])
    return float(value), float(value - half), float(value + half), count


def slope_interval(
    run: xr.Dataset, variable: str, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float, int]:
    """Slope of log `variable` over log kappa with a 95 % bootstrap interval: seeds are resampled whole.

    Returns slope, low, high, number of usable replicas. NaN unless two conditions have two usable seeds.
    """
    use = usable(run)
    frame = pd.DataFrame(
        {
            "x": np.log(run["condition"].values[use]),
            "y": np.log(run[variable].values[use]),
            "seed": run["seed"].values[use],
        }
    )
    seeds = frame["seed"].unique()
    if frame["x"].nunique() < 2 or len(seeds) < 2:
        return np.nan, np.nan, np.nan, int(use.sum())

    # Sums of each seed are enough for a regression: resampling seeds is resampling rows of this table.
    frame = frame.assign(one=1.0, xx=frame["x"] ** 2, xy=frame["x"] * frame["y"])
    sums = frame.groupby("seed")[["one", "x", "y", "xx", "xy"]].sum().to_numpy()

    def slope(totals: np.ndarray) -> np.ndarray:
        n, x, y, xx, xy = np.moveaxis(totals, -1, 0)
        spread = n * xx - x * x
        return np.divide(n * xy - x * y, spread, out=np.full_like(spread, np.nan), where=spread > 1e-9)

    draws = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    resampled = slope(sums[draws].sum(axis=1))
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(slope(sums.sum(axis=0)[None])[0]), float(low), float(high), int(use.sum())


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
