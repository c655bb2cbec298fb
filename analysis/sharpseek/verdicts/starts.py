"""C2 and C5: what flat and sharp starts have in common at the end."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import START_AXES, asked, start_axis
from sharpseek.verdicts.rules import (
    ABOVE_1,
    BELOW_1,
    NETWORK_MARGIN,
    TRACE_MARGIN,
    Claim,
    Evidence,
    missing,
    near,
)
from sharpseek.verdicts.statistics import (
    at,
    change_since_arrival,
    conditions,
    evidence_of,
    label,
    quotient_effect,
    ratio_evidence,
)

ONE_START = "all replicas have one start: init_imbalance and init_scale were not swept"


def judge_uniqueness(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C2: trace reached from the sharp start over trace reached from the flat one (Welch interval of the logarithm).

    Where more than two starts were swept (scale and imbalance), each of them over all the others.
    """
    axis = start_axis(run)
    if axis is None:
        return [missing(ONE_START)]
    axes = [name for name in START_AXES if name in run.coords]
    every = np.unique(np.stack([run[name].values for name in axes], axis=1), axis=0)
    if len(every) > 2:
        return _every_start(run, axes, every)
    margin = _margin(run)
    run = asked(run, margin, "trace")
    starts = np.unique(run[axis])
    return [
        evidence_of(
            quotient_effect(
                run,
                "trace_mean",
                at(run, condition) & (run[axis].values == starts[-1]),
                at(run, condition) & (run[axis].values == starts[0]),
            ),
            label(condition),
            near(margin),
        )
        for condition in conditions(run)
    ]


def _every_start(run: xr.Dataset, axes: list[str], starts: np.ndarray) -> list[Evidence]:
    margin = _margin(run)
    run = asked(run, margin, "trace")
    evidence = []
    for condition in conditions(run):
        for start in starts:
            here = np.all([run[name].values == value for name, value in zip(axes, start, strict=True)], axis=0)
            words = [f"{name.removeprefix('init_')} {value:g}" for name, value in zip(axes, start, strict=True)]
            effect = quotient_effect(run, "trace_mean", at(run, condition) & here, at(run, condition) & ~here)
            subject = ", ".join(filter(None, (label(condition), *words)))
            evidence.append(evidence_of(effect, subject, near(margin)))
    return evidence


def _margin(run: xr.Dataset) -> float:
    return TRACE_MARGIN if "closed_form_trace" in run else NETWORK_MARGIN


UNIQUENESS = Claim(
    "C2",
    "All starts, flat and sharp, end at the same trace.",
    "trace from the sharp start / trace from the flat start (more than two starts: from each / from the others)",
    "two one-sided Welch t tests over seeds of the log ratio (equivalence)",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1 ({NETWORK_MARGIN:.0%} for nonlinear "
    "networks); refuted if one lies entirely outside.",
    judge_uniqueness,
    needs=("trace_mean",),
    plain="Flat and sharp starts end equally sharp.",
    reading="{} times the end of the other start",
)


def judge_both_ways(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C5: trace at the end over trace at the arrival on the manifold, from both starts, at the largest condition."""
    axis = start_axis(run)
    if axis is None or "condition" not in run.coords:
        return [missing(ONE_START if axis is None else "kappa was not swept")]
    run = asked(run, NETWORK_MARGIN, "trace")
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
            ABOVE_1,
        ),
        ratio_evidence(
            run,
            sharp,
            change,
            f"sharp start, {label(condition)}",
            BELOW_1,
        ),
    ]


BOTH_WAYS = Claim(
    "C5",
    "On the same data a flat start gets sharper and a sharp start gets flatter.",
    "trace at the end / trace where the weights first fit the data",
    "Student t interval over seeds of the log ratio, largest kappa",
    "Supported if the flat start's interval is above 1 and the sharp start's below 1; refuted if one is on the "
    "wrong side. That says nothing about the end itself (C2): both starts may have been flatter than it, or both "
    "sharper.",
    judge_both_ways,
    needs=("trace_mean", "trace", "excess_risk"),
    plain="On the same data flat starts get sharper and sharp starts get flatter.",
    reading="{} times as sharp as when the data were first fitted",
)
