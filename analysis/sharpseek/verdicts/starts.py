"""C2 and C5: what flat and sharp starts have in common at the end."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from sharpseek.files import Experiment
from sharpseek.summaries import start_axis, usable
from sharpseek.verdicts.rules import (
    NETWORK_MARGIN,
    TRACE_MARGIN,
    UNDECIDED,
    USABLE_SHARE,
    Claim,
    Evidence,
    positive,
    within,
)
from sharpseek.verdicts.statistics import (
    at,
    change_since_arrival,
    conditions,
    label,
    ratio_evidence,
)


def judge_uniqueness(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C2: trace reached from the sharp start over trace reached from the flat one (Welch interval of the logarithm)."""
    axis = start_axis(run)
    if axis is None:
        return []
    margin = TRACE_MARGIN if "closed_form_trace" in run else NETWORK_MARGIN
    starts = np.unique(run[axis])
    evidence = []
    for condition in conditions(run):
        logs = []
        replicas = 0
        enough = True
        for start in (starts[0], starts[-1]):
            select = at(run, condition) & (run[axis].values == start)
            use = select & usable(run)
            replicas += int(select.sum())
            enough = enough and use.sum() >= max(2, USABLE_SHARE * select.sum())
            logs.append(np.log(run["trace_mean"].values[use]))
        used = sum(len(values) for values in logs)
        estimate = low = high = np.nan
        if min(len(values) for values in logs) >= 2:
            difference = stats.ttest_ind(logs[1], logs[0], equal_var=False)
            interval = difference.confidence_interval(0.95)
            estimate = float(np.exp(logs[1].mean() - logs[0].mean()))
            low, high = float(np.exp(interval.low)), float(np.exp(interval.high))
        outcome = within(low, high, margin) if enough else UNDECIDED
        evidence.append(Evidence(label(condition), estimate, low, high, outcome, used, replicas))
    return evidence


UNIQUENESS = Claim(
    "C2",
    "A flat and a sharp start end at the same trace.",
    "trace from the sharp start / trace from the flat start",
    "Welch t interval over seeds of the log ratio (equivalence)",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1 ({NETWORK_MARGIN:.0%} for nonlinear "
    "networks); refuted if one lies entirely outside.",
    judge_uniqueness,
)


def judge_both_ways(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C5: trace at the end over trace at the arrival on the manifold, from both starts, at the largest condition."""
    axis = start_axis(run)
    if axis is None or "condition" not in run.coords:
        return []
    change = change_since_arrival(run, "trace")
    starts = np.unique(run[axis])
    condition = conditions(run)[-1]
    flat = at(run, condition) & (run[axis].values == starts[0])
    sharp = at(run, condition) & (run[axis].values == starts[-1])
    return [
        ratio_evidence(
            run,
            flat,
            change,
            f"flat start, {label(condition)}",
            lambda low, high: positive(low - 1, high - 1),
        ),
        ratio_evidence(
            run,
            sharp,
            change,
            f"sharp start, {label(condition)}",
            lambda low, high: positive(1 - high, 1 - low),
        ),
    ]


BOTH_WAYS = Claim(
    "C5",
    "On the same data a flat start gets sharper and a sharp start gets flatter.",
    "trace at the end / trace where the weights first fit the data",
    "Student t interval over seeds of the log ratio, largest kappa",
    "Supported if the flat start's interval is above 1 and the sharp start's below 1; refuted if one is on the "
    "wrong side.",
    judge_both_ways,
)
