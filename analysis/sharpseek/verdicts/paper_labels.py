"""P7: the size of the labels decides whether training flattens or sharpens (Proposition 1)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.groups import group_values
from sharpseek.paper_theory import expected_at_start
from sharpseek.summaries import asked
from sharpseek.verdicts.effect import Effect, evidence_of, standard_error, student_interval
from sharpseek.verdicts.rules import ABOVE_1, BELOW_1, NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import at, conditions, label, ratio_evidence, sufficient

START_MARGIN = 0.10
"""Largest relative distance of the mean T of the initial weights from Proposition 1."""


def expected_trace(run: xr.Dataset) -> float:
    """What Proposition 1 says of our trace (2 T) of the initial weights; NaN where the configuration does not say."""
    model = configuration(run).get("model", {})
    own = group_values(run)
    if "init_scale" in run.coords or "init_imbalance" in run.coords or model.get("init", "random") != "random":
        return np.nan
    try:
        width = int(own.get("width", model["width"]))
        scale = float(model.get("init_scale", 1))
    except (KeyError, TypeError, ValueError):
        return np.nan
    outputs, inputs = run["teacher"].shape
    return 2 * expected_at_start(
        run.sizes["layer"], outputs, inputs, width, float(np.trace(run["input_covariance"].values)), scale
    )


def judge_labels(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P7: T at the start over Proposition 1's, and T at the end over that at the start, on the predicted side of 1."""
    if "closed_form_trace" not in run or "trace" not in run:
        return []
    expected = expected_trace(run)
    if not np.isfinite(expected):
        return [missing("Proposition 1 needs random initial weights of one scale")]
    start = run["trace"].values[:, 0]
    ratio = start / expected
    effect = Effect(
        float(ratio.mean()),
        student_interval(float(ratio.mean()), standard_error(ratio) if ratio.size > 1 else np.nan, ratio.size),
        ratio.size,
        ratio.size,
        sufficient(ratio.size, ratio.size),
    )
    evidence = [evidence_of(effect, "T at the start / Proposition 1", near(START_MARGIN))]
    run = asked(run, NETWORK_MARGIN, "trace")
    for condition in conditions(run):
        here = at(run, condition)
        predicted = float(run["closed_form_trace"].values[here].mean()) / expected
        if abs(np.log(predicted)) < np.log(1 + 2 * NETWORK_MARGIN):
            continue  # no direction is predicted
        word, region = ("sharpens", ABOVE_1) if predicted > 1 else ("flattens", BELOW_1)
        subject = ", ".join(filter(None, (f"end / start, should be {predicted:.3g}: {word}", label(condition))))
        evidence.append(ratio_evidence(run, here, run["trace_mean"].values / start, subject, region))
    return evidence


LABELS = Claim(
    "P7",
    "Proposition 1: the sharpness of initial weights does not depend on the labels, so that small labels flatten and "
    "large ones sharpen, from the first step.",
    "T at the start / Proposition 1; T at the end / T at the start",
    "Student t interval over seeds, of the mean at the start and of the log ratio; smallest rate",
    f"Supported if the first lies within {START_MARGIN:.0%} of 1 and the second on the side of 1 where Theorem 1 over "
    f"Proposition 1 lies, at every size of the labels at which these differ by more than {2 * NETWORK_MARGIN:.0%}; "
    "refuted if an interval lies entirely outside or on the other side.",
    judge_labels,
    needs=("trace_mean",),
    plain="Labels do not change how sharp initial weights are; small ones then flatten, large ones sharpen.",
    reading="least certain ratio: {}",
)
