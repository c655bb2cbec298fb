"""B5, B5b, B5c: where momentum, and where Adam and RMSProp, end."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.diagonal_functionals import least, values_at
from sharpseek.files import Experiment
from sharpseek.groups import group_values, run_rate
from sharpseek.linear_weights import linear_weights
from sharpseek.verdicts.beyond_networks import contrast, late_trace
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.paper_forks import optimizer_of
from sharpseek.verdicts.rules import BELOW_1, NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import log_mean_effect, sufficient

BATCH_SHARPNESS = "batch_sharpness_ratio_of_means"
PLATEAU_MARGIN = 0.15
"""Largest relative distance of batch sharpness from its plateau."""


def rates_of(run: xr.Dataset) -> np.ndarray:
    """[replica] learning rate."""
    if "learning_rate" in run.coords:
        return run["learning_rate"].values.astype(float)
    return np.full(run.sizes["replica"], run_rate(run))


def judge_momentum(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B5: T with momentum over T without at the same learning_rate / (1 - momentum)."""
    if "momentum" not in run.coords or not (run["momentum"].values == 0).any():
        return [missing("momentum was not swept from 0")]
    trace, momentum = late_trace(run), run["momentum"].values
    effective = rates_of(run) / (1 - momentum)
    evidence = []
    for mu in np.unique(momentum[momentum > 0]):
        for rate in np.unique(rates_of(run)[momentum == 0]):
            same = np.isclose(effective, rate, rtol=1e-6)
            with_it, without = same & (momentum == mu), same & (momentum == 0)
            if with_it.any():
                effect = contrast([trace[with_it], trace[without]], [1.0, -1.0])
                evidence.append(
                    evidence_of(effect, f"momentum {mu:g}, rate / (1 - momentum) = {rate:g}", near(NETWORK_MARGIN))
                )
    return evidence or [missing("no two replicas have the same learning_rate / (1 - momentum)")]


def judge_plateaus(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B5b: batch sharpness of all samples over 2 (1 + momentum) / rate, of replicas that came to this edge in the
    first half of the run. Mini-batches are drawn and described, and judged by nothing (docs/beyond.md)."""
    if optimizer_of(run) != "gd":
        return []
    if "momentum" not in run.coords:
        return [missing("momentum was not swept")]
    series = run[BATCH_SHARPNESS].values
    momentum, rates = run["momentum"].values, rates_of(run)
    height = series * (rates / 2 / (1 + momentum))[:, None]
    half = height.shape[1] // 2
    ratio = height[:, height.shape[1] - half :].mean(axis=1)
    # The first half says whether a replica came to the edge, the second whether it stayed there.
    with np.errstate(invalid="ignore"):
        reached = (height[:, : height.shape[1] - half] >= 1 - PLATEAU_MARGIN).any(axis=1)
    good = (run["status"].values == 0) & np.isfinite(ratio)
    evidence = []
    for mu in np.unique(momentum):
        for rate in np.unique(rates):
            here = (momentum == mu) & (rates == rate)
            asked = here & reached
            if not sufficient(int(asked.sum()), int(here.sum())):
                continue
            effect = log_mean_effect(ratio[asked & good], int(asked.sum()))
            evidence.append(evidence_of(effect, f"all samples, momentum {mu:g}, rate {rate:g}", near(PLATEAU_MARGIN)))
    return evidence or [missing("at no momentum and rate did half of the replicas come to the edge")]


def excesses(run: xr.Dataset) -> dict[str, np.ndarray]:
    """[replica] mean over the last half of the records of each functional over its least value on the set of minima."""
    first, last = (w[:, w.shape[1] - w.shape[1] // 2 :] for w in linear_weights(run))
    found: dict[str, np.ndarray] = {}
    for e in range(run.sizes["replica"]):
        noise = run["noise_covariance"].values[e]
        bottom = least(run["teacher"].values, noise)
        for name, value in values_at(first[e], last[e], noise).items():
            found.setdefault(name, np.full(run.sizes["replica"], np.nan))[e] = value.mean() / bottom[name]
    return {name: np.where(run["status"].values == 0, value, np.nan) for name, value in found.items()}


def judge_adaptive(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B5c: Tr Diag(H)^(1/2) of an adaptive optimiser over SGD's under isotropic noise; its functionals under
    anisotropic noise."""
    optimizer = optimizer_of(run)
    if optimizer not in ("adam", "rmsprop"):
        return []
    group = group_values(run)
    sgd = [
        other for other in experiment.runs.values()
        if optimizer_of(other) == "sgd"
        and {k: v for k, v in group_values(other).items() if k != "optimizer"}
        == {k: v for k, v in group.items() if k != "optimizer"}
    ]  # fmt: skip
    if not sgd or "parameters" not in run or "condition" not in run.coords:
        return [missing("kept parameters, kappas and runs of sgd are needed")]
    mine, theirs = excesses(run), excesses(sgd[0])
    kappa, other = run["condition"].values, sgd[0]["condition"].values
    evidence = []
    for condition in np.unique(kappa):
        here, there = kappa == condition, other == condition
        if condition == 1:
            effect = contrast([mine["half"][here], theirs["half"][there]], [1.0, -1.0])
            evidence.append(evidence_of(effect, f"Tr Diag(H)^(1/2), {optimizer} / sgd, kappa 1", BELOW_1))
            continue
        for name, words in (("trace", "Tr H"), ("half", "Tr Diag(H)^(1/2)")):
            ratio = mine["fluctuation"][here] / mine[name][here]
            good = np.isfinite(ratio)
            effect = log_mean_effect(ratio[good], int(here.sum()))
            subject = f"fluctuation / {words}, each over its least, {optimizer}, kappa {condition:g}"
            evidence.append(evidence_of(effect, subject, BELOW_1))
    return evidence


MOMENTUM = Claim(
    "B5",
    "Momentum ends where SGD does at the rate learning_rate / (1 - momentum).",
    "T with momentum / without, same learning_rate / (1 - momentum)",
    "Welch interval over seeds of the log ratio; last half of the records, finished replicas",
    f"Supported if every interval lies within {NETWORK_MARGIN:.0%} of 1; refuted if one lies entirely outside.",
    judge_momentum,
    every_rate=True,
    needs=("trace",),
    plain="Momentum ends where plain SGD at a matching larger rate does.",
    reading="{} times the end of plain SGD",
)
PLATEAUS = Claim(
    "B5b",
    "At the edge the batch sharpness of gradient descent on all samples stays at 2 (1 + momentum) / rate.",
    "batch sharpness / plateau",
    "Student t interval over seeds of the log ratio; last half of the records, finished replicas",
    f"Asked of replicas whose batch sharpness came to {1 - PLATEAU_MARGIN:.0%} of the plateau in the first half of the "
    f"records, where half of them or more did. Supported if every interval lies within {PLATEAU_MARGIN:.0%} of 1; "
    "refuted if one lies entirely outside.",
    judge_plateaus,
    every_rate=True,
    needs=(BATCH_SHARPNESS,),
    plain="At the edge of stability, momentum holds the sharpness that theory gives.",
    reading="{} times the prediction",
)
ADAPTIVE = Claim(
    "B5c",
    "Adam and RMSProp end at a smaller Tr Diag(H)^(1/2) than SGD under isotropic noise; under anisotropic noise the "
    "functional that is least at their end is the gradient fluctuation.",
    "Tr Diag(H)^(1/2), adaptive / SGD; fluctuation over its least / another functional over its least",
    "Welch and Student t intervals over seeds of the log ratio; last half of the records, finished replicas",
    "Supported if every interval lies below 1; refuted if one lies entirely above.",
    judge_adaptive,
    every_rate=True,
    needs=("parameters",),
    plain="Adam and RMSProp minimise another measure of curvature than SGD.",
    reading="least certain ratio: {}",
)
