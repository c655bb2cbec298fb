"""P1 to P5: what arXiv:2602.05065 proves of deep linear networks, where noise and signal commute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_settings import settings_table
from sharpseek.paper_theory import largest_two
from sharpseek.summaries import asked, smallest_rate
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.imbalance import SLOPE_MARGIN, several_rates, slope_over_theory
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
)
from sharpseek.verdicts.value import few_rates_evidence, setting_effect

AT_RATE_0 = (
    "extrapolation to rate 0 from four or more rates; a straight line through the two smallest where there are fewer"
)


def theorem_runs(experiment: Experiment, name: str) -> dict[str, xr.Dataset]:
    """The runs in which noise and signal commute at every replica."""
    runs = {group: run for group, run in experiment.runs.items() if f"closed_form_{name}" in run}
    return {group: run for group, run in runs.items() if (run["commutes"].values == 1).all()}


def theorem_evidence(experiment: Experiment, name: str, margin: float, nowhere: str) -> list[Evidence]:
    """A quantity at rate 0 over its value at Theorem 1's weights, at every setting of runs in which noise and signal
    commute. `nowhere` says what is missing where there is none."""
    runs = theorem_runs(experiment, name)
    if not runs:
        return [missing(nowhere)]
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
    return theorem_evidence(experiment, "trace", TRACE_MARGIN, "noise and signal commute nowhere here")


GAP = 1e-6
"""Relative distance of the two largest eigenvalues in closed form below which they count as equal."""


def judge_largest_eigenvalue(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """P5: lambda_max at rate 0 over its closed form, where that is a simple eigenvalue.

    Fluctuations of the weights split equal eigenvalues, and the largest of them grows by the square root of the rate: a
    straight line in the rate does not lead to its limit.
    """
    runs = {
        group: run.isel(replica=np.flatnonzero(simple_largest(run)))
        for group, run in theorem_runs(experiment, "sharpness").items()
    }
    kept = replace(experiment, runs={group: run for group, run in runs.items() if run.sizes["replica"]})
    nowhere = "noise and signal commute nowhere here with a simple largest eigenvalue"
    return theorem_evidence(kept, "sharpness", SHARPNESS_MARGIN, nowhere)


def simple_largest(run: xr.Dataset) -> np.ndarray:
    """[replica] whether the largest eigenvalue of the Hessian at Theorem 1's minimum is a simple one."""
    inputs, teacher = run["input_covariance"].values, run["teacher"].values
    known: dict[bytes, bool] = {}
    for noise in run["noise_covariance"].values:
        if noise.tobytes() not in known:
            first, second = largest_two(run.sizes["layer"], teacher, inputs, noise)
            known[noise.tobytes()] = second < (1 - GAP) * first
    return np.array([known[noise.tobytes()] for noise in run["noise_covariance"].values], dtype=bool)


def judge_isotropic(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P2: T at rate 0 over T_min, at kappa 1 and at every other condition. It needs both."""
    if "closed_form_flattest_trace" not in run:
        return []
    levels = conditions(run)
    if levels[0] != 1 or len(levels) < 2:
        return [missing("kappa 1 and a larger one are needed")]
    run = asked(run, TRACE_MARGIN, "trace")
    ratio = run["trace_mean"].values / run["closed_form_flattest_trace"].values
    several = several_rates(run)
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


def judge_depths(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P4: T / D of each depth over that of the others at every kappa and the smallest rate; the slope of each depth at
    large kappa over Theorem 1's, at rate 0."""
    if "depth" not in run.coords or len(np.unique(run["depth"])) < 2:
        return [missing("depth was not swept")]
    run = asked(run, NETWORK_MARGIN, "trace")
    run = run.assign(trace_per_depth=run["trace_mean"] / run["depth"])
    return [*_collapse(smallest_rate(run)), *_growth(run)]


def _collapse(run: xr.Dataset) -> list[Evidence]:
    depth = run["depth"].values
    evidence = []
    for condition in conditions(run):
        for value in np.unique(depth):
            here = at(run, condition)
            effect = quotient_effect(run, "trace_per_depth", here & (depth == value), here & (depth != value))
            subject = ", ".join(filter(None, (f"T / D, depth {value:g} / others", label(condition))))
            evidence.append(evidence_of(effect, subject, Region(1 / COLLAPSE, COLLAPSE)))
    return evidence


def _growth(run: xr.Dataset) -> list[Evidence]:
    large = conditions(run) >= LARGE
    if large.sum() < 2:
        return [missing(f"fewer than two kappas of {LARGE:g} or more: no power law")]
    if "closed_form_trace" not in run:
        return [missing("the files hold no closed form")]
    several = several_rates(run)
    words = "slope of log T over log kappa / Theorem 1's" + (", rate to 0" if several else "")
    region = near(SLOPE_MARGIN)
    if not several:  # away from rate 0 a true claim may look false
        region = replace(region, refuted_below=-np.inf, refuted_above=np.inf)
    evidence = []
    for value in np.unique(run["depth"]):
        rows = np.flatnonzero((run["depth"].values == value) & (run["condition"].values >= LARGE))
        evidence.append(evidence_of(slope_over_theory(run.isel(replica=rows)), f"{words}, depth {value:g}", region))
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
    plain="Where noise and signal are aligned, SGD ends as sharp as the paper predicts.",
    reading="{} times the prediction",
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
    plain="SGD ends at the flattest minimum only if the label noise is equal in all directions.",
    reading="{} times the flattest minimum",
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
    plain="The size of the initial weights does not change how sharp the end is.",
    reading="{} times the end of the other starts",
)
DEPTHS = Claim(
    "P4",
    "Corollary 1, figure 7: T / D is nearly the same at every depth D and grows with kappa as Theorem 1 says, in the "
    "end as its square root.",
    "T / D of a depth / of the others; slope of log T over log kappa / Theorem 1's",
    "Welch interval of the log ratio, smallest rate; studentised bootstrap over seeds of the slope, a straight line "
    "through the two smallest rates to rate 0",
    f"Supported if every ratio lies within a factor {COLLAPSE:g} and every depth's slope over kappas of {LARGE:g} and "
    f"more within {SLOPE_MARGIN:.0%} of Theorem 1's between the same kappas; refuted if one lies entirely outside, but "
    "a slope not by a single rate.",
    judge_depths,
    every_rate=True,
    pooled=True,
    needs=("trace_mean",),
    plain="Sharpness per layer hardly depends on depth and grows with the unevenness of the noise as predicted.",
    reading="least certain ratio: {}",
)
EIGENVALUE = Claim(
    "P5",
    "Corollary 3, equation 72: where everything commutes the largest Hessian eigenvalue has a closed form.",
    "lambda_max at rate 0 / closed form",
    AT_RATE_0 + "; settings whose two largest eigenvalues are equal in closed form are left out",
    f"Supported if every interval lies within {SHARPNESS_MARGIN:.0%} of 1; refuted if one lies entirely outside, but "
    "not by a single rate.",
    judge_largest_eigenvalue,
    every_rate=True,
    pooled=True,
    needs=("sharpness_mean",),
    plain="The largest curvature has the predicted value.",
    reading="{} times the prediction",
)
