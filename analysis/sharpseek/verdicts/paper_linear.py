"""P1 to P5: what arXiv:2602.05065 proves of deep linear networks, where noise and signal commute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_settings import settings_table
from sharpseek.summaries import asked
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.rules import (
    NETWORK_MARGIN,
    SHARPNESS_MARGIN,
    TRACE_MARGIN,
    Claim,
    Evidence,
    Region,
    missing,
    near,
)
from sharpseek.verdicts.starts import judge_uniqueness
from sharpseek.verdicts.statistics import (
    at,
    conditions,
    label,
    quotient_effect,
    rate_effect,
    ratio_evidence,
    slope_effect,
)
from sharpseek.verdicts.value import few_rates_evidence, setting_effect

AT_RATE_0 = (
    "extrapolation to rate 0 from four or more rates; a straight line through the two smallest where there are fewer"
)


def theorem_evidence(experiment: Experiment, name: str, margin: float) -> list[Evidence]:
    """A quantity at rate 0 over its value at Theorem 1's weights, at every setting where noise and signal commute."""
    runs = {group: run for group, run in experiment.runs.items() if f"closed_form_{name}" in run}
    runs = {group: run for group, run in runs.items() if (run["commutes"].values == 1).all()}
    if not runs:
        return [missing("noise and signal commute nowhere here")]
    table = settings_table([replace(experiment, runs=runs)], [name])
    if len(table):
        return [
            evidence_of(setting_effect(row, row.closed_form), f"{row.setting}, rate to 0", near(margin))
            for _, row in table.iterrows()
        ]
    return [
        replace(piece, subject=", ".join(filter(None, (group, piece.subject))))
        for group, run in runs.items()
        for piece in few_rates_evidence(run, name, f"closed_form_{name}", margin)
    ]


def judge_theorem_1(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """P1: T at rate 0 over Theorem 1's."""
    return theorem_evidence(experiment, "trace", TRACE_MARGIN)


def judge_largest_eigenvalue(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """P5: lambda_max at rate 0 over its closed form."""
    return theorem_evidence(experiment, "sharpness", SHARPNESS_MARGIN)


def judge_isotropic(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P2: T at rate 0 over T_min, at kappa 1 and at every other condition. It needs both."""
    if "closed_form_flattest_trace" not in run:
        return []
    levels = conditions(run)
    if levels[0] != 1 or len(levels) < 2:
        return [missing("kappa 1 and a larger one are needed")]
    run = asked(run, TRACE_MARGIN, "trace")
    ratio = run["trace_mean"].values / run["closed_form_flattest_trace"].values
    several = "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1
    evidence = []
    for condition in levels:
        region = near(TRACE_MARGIN) if condition == 1 else Region(low=1 + TRACE_MARGIN)
        if several:
            effect = rate_effect(run, at(run, condition), ratio)
            evidence.append(evidence_of(effect, f"{label(condition)}, rate to 0", region))
        else:  # away from rate 0 a true claim may look false
            region = replace(region, refuted_below=-np.inf, refuted_above=np.inf)
            evidence.append(ratio_evidence(run, at(run, condition), ratio, label(condition), region))
    return evidence


COLLAPSE = 1.5
"""Largest factor between T / D of a depth and of the others that counts as a collapse. Theorem 1 itself has up to 1.3
at kappa 1000 for V = I in two dimensions, and Corollary 1 constants that depend on it."""
LARGE = 100.0
"""Smallest kappa at which a power law is asked for: below, the smallest minimum is near."""
SQUARE_ROOT = Region(0.4, 0.6)
"""Slopes of log T over log kappa that count as a growth as the square root."""


def judge_depths(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P4: T / D of each depth over that of the others at every kappa, and the slope at large kappa of each depth."""
    if "depth" not in run.coords or len(np.unique(run["depth"])) < 2:
        return [missing("depth was not swept")]
    run = asked(run, NETWORK_MARGIN, "trace")
    run = run.assign(trace_per_depth=run["trace_mean"] / run["depth"])
    depth = run["depth"].values
    evidence = []
    for condition in conditions(run):
        for value in np.unique(depth):
            here = at(run, condition)
            effect = quotient_effect(run, "trace_per_depth", here & (depth == value), here & (depth != value))
            subject = ", ".join(filter(None, (f"T / D, depth {value:g} / others", label(condition))))
            evidence.append(evidence_of(effect, subject, Region(1 / COLLAPSE, COLLAPSE)))
    large = conditions(run) >= LARGE
    if large.sum() < 2:
        return [*evidence, missing(f"fewer than two kappas of {LARGE:g} or more: no power law")]
    for value in np.unique(depth):
        rows = np.flatnonzero((depth == value) & (run["condition"].values >= LARGE))
        effect = slope_effect(run.isel(replica=rows), "trace_mean")
        evidence.append(evidence_of(effect, f"slope of log T over log kappa, depth {value:g}", SQUARE_ROOT))
    return evidence


THEOREM_1 = Claim(
    "P1",
    "Theorem 1: where noise and signal commute, SGD ends at the sharpness of the entropic loss's minimum.",
    "T at rate 0 / Theorem 1",
    AT_RATE_0,
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1; refuted if one lies entirely outside, but not "
    "by a single rate.",
    judge_theorem_1,
    every_rate=True,
    pooled=True,
    needs=("trace_mean",),
)
ISOTROPIC = Claim(
    "P2",
    "Corollary 2: SGD ends at the flattest minimum if and only if the label noise is isotropic.",
    "T at rate 0 / T_min",
    "a straight line through the two smallest rates; Student t with the smaller of the two degrees of freedom",
    f"Supported if the interval lies within {TRACE_MARGIN:.0%} of 1 at kappa 1 and above 1 + {TRACE_MARGIN:.0%} at "
    "every other kappa; refuted if the first lies entirely outside or another entirely below, but not by one rate.",
    judge_isotropic,
    every_rate=True,
    needs=("trace_mean",),
)
SCALES = Claim(
    "P3",
    "Figure 1: the sharpness at the end does not depend on the scale of the initial weights.",
    "T from a start / T from all other starts",
    "two one-sided Welch t tests over seeds of the log ratio (equivalence), smallest rate",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1; refuted if one lies entirely outside (the rule "
    "of C2).",
    judge_uniqueness,
    needs=("trace_mean",),
)
DEPTHS = Claim(
    "P4",
    "Corollary 1, figure 7: T / D is nearly the same at every depth D and grows as the square root of kappa.",
    "T / D of a depth / of the others; slope of log T over log kappa",
    "Welch interval of the log ratio; studentised bootstrap over seeds of the slope; smallest rate",
    f"Supported if every ratio lies within a factor {COLLAPSE:g} and every depth's slope over kappas of {LARGE:g} and "
    f"more between {SQUARE_ROOT.low:g} and {SQUARE_ROOT.high:g}; refuted if one lies entirely outside.",
    judge_depths,
    pooled=True,
    needs=("trace_mean",),
)
EIGENVALUE = Claim(
    "P5",
    "Corollary 3, equation 72: where everything commutes the largest Hessian eigenvalue has a closed form.",
    "lambda_max at rate 0 / closed form",
    AT_RATE_0,
    f"Supported if every interval lies within {SHARPNESS_MARGIN:.0%} of 1; refuted if one lies entirely outside, but "
    "not by a single rate.",
    judge_largest_eigenvalue,
    every_rate=True,
    pooled=True,
    needs=("sharpness_mean",),
)
