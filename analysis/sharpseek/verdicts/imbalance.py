"""C3 and C4: isotropic noise gives the flattest minimum, imbalanced noise sharper ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import asked
from sharpseek.verdicts.rules import NETWORK_MARGIN, TRACE_MARGIN, Claim, Evidence, Region, missing, near
from sharpseek.verdicts.statistics import (
    Effect,
    at,
    conditions,
    evidence_of,
    label,
    line_to_zero,
    ratio_evidence,
    slope_effect,
)


def judge_flattest(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C3: trace over the flattest possible trace, at kappa = 1 and at every other condition. It needs both."""
    if "closed_form_flattest_trace" not in run:
        return []
    if "condition" not in run.coords:
        return [missing("kappa was not swept: the claim needs kappa 1 and a larger one")]
    run = asked(run, TRACE_MARGIN, "trace")
    ratio = run["trace_mean"].values / run["closed_form_flattest_trace"].values
    levels = conditions(run)
    evidence = []
    if levels[0] == 1:
        region = near(TRACE_MARGIN)
        evidence.append(ratio_evidence(run, at(run, 1), ratio, "kappa 1", region))
    else:
        evidence.append(missing("kappa 1 was not run"))
    for condition in levels[levels > 1]:
        region = Region(low=1 + TRACE_MARGIN)
        evidence.append(ratio_evidence(run, at(run, condition), ratio, label(condition), region))
    if not (levels > 1).any():
        evidence.append(missing("no kappa above 1 was run"))
    return evidence


FLATTEST = Claim(
    "C3",
    "Isotropic label noise, and only that, leads to the flattest minimum; asked where noise and signal commute.",
    "trace / flattest possible trace",
    "Student t interval over seeds of the log ratio",
    f"Supported if the interval lies within {TRACE_MARGIN:.0%} of 1 at kappa 1 and above 1 + {TRACE_MARGIN:.0%} at "
    "every other kappa; refuted if the first lies entirely outside or another entirely below; undecided without "
    "kappa 1 or without a larger one.",
    judge_flattest,
    needs=("trace_mean",),
    plain="Label noise that is equal in all directions leads to the flattest minimum, other noise does not.",
    reading="{} times the flattest minimum",
)


def judge_imbalance(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C4: measured over predicted slope of log trace over log kappa, where noise and signal commute.

    At rate 0 by the straight line through the slopes at the two smallest rates, where there are several. Measured is
    predicted plus the slope of log (trace / predicted trace): the same where all replicas are usable, and right where
    some are not, although log trace is no straight line in log kappa.
    """
    if "closed_form_trace" not in run or not (run["commutes"].values == 1).all():
        return []
    if len(conditions(run)) < 2:
        return [missing("a slope needs two kappas or more")]
    run = asked(run, NETWORK_MARGIN, "trace")
    rate = ", rate to 0" if several_rates(run) else ""
    return [evidence_of(slope_over_theory(run), f"slope over theory{rate}", SLOPES)]


def several_rates(run: xr.Dataset) -> bool:
    """Whether more than one learning rate was swept."""
    return "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1


def slope_over_theory(run: xr.Dataset) -> Effect:
    """Slope of log trace over log kappa / the closed form's between the same kappas; at rate 0 by a straight line
    through the slopes at the two smallest rates, where there are several."""
    x, y = np.log(run["condition"].values), np.log(run["closed_form_trace"].values)
    predicted = float(np.polyfit(x, y, 1)[0])
    run = run.assign(trace_ratio=run["trace_mean"] / run["closed_form_trace"])
    if not several_rates(run):
        return _over_theory(slope_effect(run, "trace_ratio"), predicted)
    rates = np.unique(run["learning_rate"])[:2]
    parts = [run.isel(replica=np.flatnonzero(run["learning_rate"].values == rate)) for rate in rates]
    effect = line_to_zero(*rates, *(slope_effect(part, "trace_ratio") for part in parts))
    return _over_theory(effect, predicted)


def _over_theory(excess: Effect, predicted: float) -> Effect:
    """Measured over predicted slope, from the slope of log (measured / predicted)."""

    def interval(level: float) -> tuple[float, float]:
        ends = [1 + end / predicted for end in excess.interval(level)]
        return min(ends), max(ends)

    return replace(excess, estimate=1 + excess.estimate / predicted, interval=interval)


SLOPE_MARGIN = 0.10
"""Largest relative difference of the measured and the predicted slope of log trace over log kappa."""
SLOPES = Region(1 - SLOPE_MARGIN, 1 + SLOPE_MARGIN, refuted_below=0, refuted_above=np.inf)
IMBALANCE = Claim(
    "C4",
    "Where noise and signal commute: the more imbalanced the noise, the sharper the end, by as much as theory says.",
    "slope of log trace over log kappa / predicted slope",
    "studentised bootstrap over seeds at each rate; a straight line through the two smallest rates to rate 0",
    f"Supported if the interval is above 0 and within {SLOPE_MARGIN:.0%} of 1; refuted if it is below 0.",
    judge_imbalance,
    every_rate=True,
    needs=("trace_mean",),
    plain="The more uneven the noise, the sharper the end, by as much as theory says.",
    reading="{} times the predicted slope",
)
