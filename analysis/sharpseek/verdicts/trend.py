"""C7: trace and sharpness of nonlinear networks rise with the imbalance of the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import asked
from sharpseek.verdicts.rules import (
    ABOVE_0,
    LEVEL,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    USABLE_SHARE,
    Claim,
    Evidence,
    missing,
)
from sharpseek.verdicts.statistics import at, conditions, evidence_of, ordered_p, slope_effect


def judge_trend(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C7: slopes of log trace and log sharpness over log kappa of a nonlinear network."""
    if experiment.architecture == "linear":
        return []
    if len(conditions(run)) < 2:
        return [missing("a slope needs two kappas or more")]
    return [trend_evidence(run, name) for name in ("trace", "sharpness")]


def trend_evidence(run: xr.Dataset, name: str) -> Evidence:
    """The slope of a quantity's logarithm over log kappa, and Jonckheere's test: they must agree."""
    run = asked(run, _own_margin(run, f"{name}_mean"), name)
    rises, falls = ordered_p(run, f"{name}_mean")
    found = evidence_of(slope_effect(run, f"{name}_mean"), name, ABOVE_0)
    agreed = {SUPPORTED: rises < LEVEL, REFUTED: falls < LEVEL}.get(found.outcome, True)
    # Both tests must agree, so that the larger p is the rule's.
    return replace(
        found,
        outcome=found.outcome if agreed else UNDECIDED,
        p=float(np.fmax(found.p, rises)),
        p_against=float(np.maximum(found.p_against, falls)),
    )


def _own_margin(run: xr.Dataset, variable: str) -> float:
    """The margin of a claim about a sign: the change that it is about, from the smallest condition to the largest, and
    at most MOST_MARGIN. What is left to go at both ends can then not have made the change."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(run[variable].values)
    ends = [logs[at(run, condition) & np.isfinite(logs)] for condition in conditions(run)[[0, -1]]]
    if min(len(values) for values in ends) == 0:
        return 0.0
    return float(min(abs(ends[1].mean() - ends[0].mean()), MOST_MARGIN))


MOST_MARGIN = 0.3
"""Largest margin of a claim about a sign."""
TREND = Claim(
    "C7",
    "Trace and sharpness rise with the imbalance of the noise in nonlinear networks.",
    "slope of log trace and of log sharpness over log kappa",
    "studentised bootstrap over seeds, and Jonckheere's test for ordered alternatives",
    f"Supported if both intervals are above 0 and both ordered tests reject at {LEVEL:.1%}; refuted if one is below 0 "
    f"and its ordered test agrees; undecided if at any kappa fewer than {USABLE_SHARE:.0%} of the replicas are "
    "stationary.",
    judge_trend,
    needs=("trace_mean", "sharpness_mean"),
    plain="Nonlinear networks, too, end sharper the more uneven the noise.",
    reading="slope {} on logarithmic axes",
)
