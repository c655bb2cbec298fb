"""B3: where cross-entropy ends: the flattest weights with the same outputs, unless the whitened noise is uneven."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.groups import group_values
from sharpseek.linear_weights import linear_weights
from sharpseek.softmax_theory import flattest_trace, trace_at, whitened_condition
from sharpseek.summaries import START_AXES, points, swept
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.rules import TRACE_MARGIN, Claim, Evidence, Region, missing, near
from sharpseek.verdicts.statistics import log_mean_effect

EVEN = 1.5
"""Largest whitened condition number at which the end is asked to be the flattest."""
UNEVEN = 2.0
"""Smallest one at which it is asked not to be."""


def labels_of(run: xr.Dataset) -> tuple[str, np.ndarray]:
    """data.labels and the class weights, by group or configuration."""
    data = configuration(run).get("data", {})
    text = str(group_values(run).get("class_weights", data.get("class_weights", "")))
    outputs = run.sizes["output"]
    weights = np.array([float(w) for w in text.split(",")]) if text else np.ones(outputs)
    return str(group_values(run).get("labels", data.get("labels", "values"))), weights


def flatness(run: xr.Dataset, class_weights: np.ndarray) -> np.ndarray:
    """[replica] mean trace over the last half of the records over the least trace of weights with the same outputs.

    Two layers: record by record. Deeper ones: at the mean product of the records, once."""
    weights = [w[:, w.shape[1] - w.shape[1] // 2 :] for w in linear_weights(run)]
    found = np.full(run.sizes["replica"], np.nan)
    for e in np.flatnonzero(run["status"].values == 0):
        records = [[w[e, t] for w in weights] for t in range(weights[0].shape[1])]
        products = [np.linalg.multi_dot(one[::-1]) for one in records]
        traces = np.array([trace_at(one, class_weights) for one in records])
        if len(weights) == 2:
            found[e] = np.mean(traces / [flattest_trace(2, p, class_weights) for p in products])
        else:
            found[e] = traces.mean() / flattest_trace(len(weights), np.mean(products, axis=0), class_weights)
    return found


def judge_entropy(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B3: T over the flattest, at every point."""
    if "parameters" not in run or "teacher" not in run:
        return [missing("parameters were not kept (measure.keep_parameters)")]
    labels, class_weights = labels_of(run)
    if labels not in ("sampled", "soft"):
        return [missing("labels are no distributions (data.labels)")]
    ratio = flatness(run, class_weights)
    evidence = []
    for here in points(run):
        first = int(np.argmax(here))
        noise = run["noise_covariance"].values[first] if labels == "soft" else None
        number = whitened_condition(run["teacher"].values, labels, noise, class_weights)
        region = near(TRACE_MARGIN) if number <= EVEN else Region(low=1 + TRACE_MARGIN) if number >= UNEVEN else None
        if region is None:
            continue
        words = [f"{_NAMES.get(a, a)} {run[a].values[first]:g}" for a in swept(run) if a in (*START_AXES, "condition")]
        subject = ", ".join([f"whitened condition number {number:.3g}", *words])
        good = here & np.isfinite(ratio)
        evidence.append(evidence_of(log_mean_effect(ratio[good], int(here.sum())), subject, region))
    return evidence


_NAMES = {"condition": "kappa"}

ENTROPY = Claim(
    "B3",
    "Cross-entropy on sampled labels ends at the flattest minimum whatever the entropies of the labels; what sharpens "
    "is noise that is uneven once whitened by the output Hessian: soft labels, class weights.",
    "T / flattest T of the same outputs",
    "Student t interval over seeds of the log ratio, smallest rate; last half of the records, finished replicas",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1 where the whitened condition number is "
    f"{EVEN:g} or less, and above 1 + {TRACE_MARGIN:.0%} where it is {UNEVEN:g} or more; refuted if one lies entirely "
    "outside.",
    judge_entropy,
    needs=("parameters",),
    plain="Classification on sampled labels ends at the flattest minimum.",
    reading="{} times the flattest minimum",
)
