"""B4 and B4b: large learning rates: whether sharpening is suppressed, and where SGD diverges."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.verdicts.beyond_networks import late_trace
from sharpseek.verdicts.beyond_saturation import settings
from sharpseek.verdicts.effect import Effect, evidence_of
from sharpseek.verdicts.rules import Claim, Evidence, Region, missing, near
from sharpseek.verdicts.statistics import log_mean_effect

BATCH_SHARPNESS = "batch_sharpness_ratio_of_means"
SUPPRESSED = 0.85
"""T at the largest rate that every replica finishes over the limit: below it sharpening is suppressed."""
KEPT = 0.10
"""Largest relative distance of the same ratio from 1 under isotropic noise."""
LARGE = 100.0
"""Smallest kappa of which suppression is asked."""
BORDER = 1.5
"""Factor around eta x batch sharpness / 2 = 1 in which the border of divergence is predicted."""


def largest_finished(run: xr.Dataset, here: np.ndarray) -> float:
    """The largest rate up to which every replica `here` finished; NaN if none."""
    rates = run["learning_rate"].values
    finished = [rate for rate in np.unique(rates[here]) if (run["status"].values[here & (rates <= rate)] == 0).all()]
    return float(finished[-1]) if finished else np.nan


def kappas(run: xr.Dataset) -> np.ndarray | None:
    """[replica] kappa, swept or the configuration's only one; None where neither says."""
    if "condition" in run.coords:
        return run["condition"].values.astype(float)
    given = configuration(run).get("noise", {}).get("condition")
    return None if given is None else np.full(run.sizes["replica"], float(given))


def judge_suppressed(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B4: T at the largest rate that all replicas finish over the limit of small rates."""
    kappa = kappas(run)
    if "learning_rate" not in run.coords or kappa is None or "small_lr_limit_trace" not in run:
        return [missing("rates and kappas of a linear network are needed")]
    ratio = late_trace(run) / run["small_lr_limit_trace"].values
    evidence = []
    for words, here in settings(run):
        condition = float(kappa[here][0])
        if 1 < condition < LARGE:
            continue
        rate = largest_finished(run, here)
        chosen = here & (run["learning_rate"].values == rate)
        good = chosen & np.isfinite(ratio)
        region = near(KEPT) if condition == 1 else Region(high=SUPPRESSED)
        subject = f"T at rate {rate:g} / limit, {words}"
        evidence.append(evidence_of(log_mean_effect(ratio[good], int(chosen.sum())), subject, region))
    return evidence


def border(run: xr.Dataset, here: np.ndarray) -> Effect:
    """The rate at which replicas begin to diverge times half of the batch sharpness at the limit: for every seed the
    geometric middle between its largest finished rate and the next."""
    rates, seeds = run["learning_rate"].values, run["seed"].values
    at_limit = float(np.nanmean(run[BATCH_SHARPNESS].values[here, 0]))
    middles = []
    for seed in np.unique(seeds[here]):
        mine = here & (seeds == seed)
        order = np.argsort(rates[mine])
        diverged = run["status"].values[mine][order] != 0
        if diverged.any() and not diverged[0]:
            first = int(np.argmax(diverged))
            middles.append(np.sqrt(np.prod(rates[mine][order][first - 1 : first + 1])))
    return log_mean_effect(np.array(middles) * at_limit / 2, len(np.unique(seeds[here])))


def judge_border(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B4b: the border of divergence in units of the predicted one."""
    if "learning_rate" not in run.coords or "small_lr_limit_trace" not in run:
        return [missing("learning rates were not swept")]
    return [
        evidence_of(border(run, here), f"border, {words}", Region(1 / BORDER, BORDER)) for words, here in settings(run)
    ]


SUPPRESSION = Claim(
    "B4",
    "Large learning rates suppress sharpening by anisotropic noise, and change the flattest minimum of isotropic "
    "noise little.",
    "T at the largest rate that every replica finishes / limit of small rates",
    "Student t interval over seeds of the log ratio; last half of the records",
    f"Supported if every interval lies below {SUPPRESSED:g} for kappas of {LARGE:g} and more, and within {KEPT:.0%} of "
    "1 at kappa 1; refuted if one lies entirely outside.",
    judge_suppressed,
    every_rate=True,
    needs=("trace", "small_lr_limit_trace"),
    plain="Large learning rates suppress sharpening.",
    reading="{} times the end at small rates",
)
DIVERGENCE = Claim(
    "B4b",
    "SGD diverges where the learning rate times the batch sharpness of the small-rate limit reaches 2.",
    "rate of divergence x batch sharpness at the limit / 2",
    "Student t interval over seeds of the logarithm; each seed's border is the geometric middle of two rates",
    f"Supported if every interval lies within a factor {BORDER:g} of 1; refuted if one lies entirely outside.",
    judge_border,
    every_rate=True,
    needs=(BATCH_SHARPNESS, "small_lr_limit_trace"),
    plain="SGD diverges at the learning rate that theory names.",
    reading="{} times the predicted rate",
)
