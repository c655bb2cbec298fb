"""An effect with its error, and what a region of allowed values makes of it: outcome and p values of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sharpseek.confidence import student_quantile
from sharpseek.verdicts.rules import LEAST_P, LEVEL, SUPPORTED, UNDECIDED, Evidence, Region

Interval = Callable[[float], tuple[float, float]]
TOLERANCE = 1e-4
"""To how much in log10 p values are found."""
HALF = 0.5 - 1e-9
"""The largest level: its interval is the estimate."""


@dataclass(frozen=True)
class Effect:
    """An estimate with its error: intervals at any level, and how many replicas it rests on."""

    estimate: float
    interval: Interval
    """(low, high) that the truth lies below or above with at most this probability each."""
    usable: int
    replicas: int
    enough: bool
    """Whether enough replicas could be used to decide anything."""
    least: float = LEAST_P
    """Smallest level that `interval` can show; below it the interval is the whole line."""


def evidence_of(effect: Effect, subject: str, region: Region, condition: bool = False) -> Evidence:
    """What a region makes of an effect: outcome, and the p values of "supported" and of "refuted"."""
    low, high = effect.interval(LEVEL)
    p, against = 1.0, np.nan
    outcome = UNDECIDED
    if effect.enough:
        outcome = region(low, high)
        p, against = smallest_level(effect, region), level_against(effect, region)
    if condition:
        p = np.nan
    return Evidence(subject, effect.estimate, low, high, outcome, effect.usable, effect.replicas, p, against,
                    effect.least, condition)  # fmt: skip


def smallest_level(effect: Effect, judge: Callable[[float, float], str]) -> float:
    """The p value of "supported": the smallest one-sided level at which the interval still supports, at least
    `effect.least`; 1 if none does.

    For an equivalence this is the p value of two one-sided tests (TOST), for a sign that of the one-sided test.
    """
    return _smallest(effect, lambda low, high: judge(low, high) == SUPPORTED)


def level_against(effect: Effect, region: Region) -> float:
    """The p value of "refuted": how often an effect at the border of the region's allowed values would come out as far
    beyond it, on either side; NaN for a region that refutes nothing.

    Where the error is small against the region only the near border counts and this is the smallest level whose
    interval lies entirely outside; where it is large the far border counts as well, as in a two-sided test.
    """
    below, above = region.against
    if np.isneginf(below) and np.isposinf(above):
        return np.nan
    beyond = {
        "above": (_smallest(effect, lambda low, high: low > above), _smallest(effect, lambda low, high: low > below)),
        "below": (_smallest(effect, lambda low, high: high < below), _smallest(effect, lambda low, high: high < above)),
    }
    side = min(beyond, key=lambda name: beyond[name][0])
    far = below if side == "above" else above
    total = beyond[side][0] + (beyond[side][1] if np.isfinite(far) else 0.0)
    return float(np.clip(total, effect.least, 1.0))


def _smallest(effect: Effect, holds: Callable[[float, float], bool]) -> float:
    """Smallest level at which something holds of the interval that holds of every narrower one; 1 if it never does."""
    if not holds(*effect.interval(HALF)):
        return 1.0
    low, high = float(np.log10(effect.least)), float(np.log10(0.5))
    while high - low > TOLERANCE:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(*effect.interval(10**middle)) else (middle, high)
    return float(10**high) if high > np.log10(effect.least) + 2 * TOLERANCE else effect.least


def nothing(level: float) -> tuple[float, float]:
    """The interval of what was not measured."""
    return np.nan, np.nan


def no_effect(usable: int, replicas: int, estimate: float = np.nan) -> Effect:
    """An effect that could not be measured, or without an error."""
    return Effect(estimate, nothing, usable, replicas, False)


def student_interval(value: float, error: float, count: float) -> Interval:
    """Student t around a value with the standard error of `count` independent ones, or of count - 1 degrees of freedom;
    NaN for fewer than two."""

    def interval(level: float) -> tuple[float, float]:
        half = student_quantile(level, count - 1) * error if count > 1 else np.nan
        return value - half, value + half

    return interval


def exponential(around: Interval) -> Interval:
    """The interval of exp(x) where `around` is that of x."""

    def interval(level: float) -> tuple[float, float]:
        with np.errstate(over="ignore"):  # two replicas alone can give an interval up to infinity
            low, high = np.exp(around(level))
        return float(low), float(high)

    return interval


def standard_error(values: np.ndarray) -> float:
    """Of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
