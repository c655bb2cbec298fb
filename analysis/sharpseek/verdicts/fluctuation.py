"""C6a: the gradient fluctuation falls and layers come to share it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import asked, last_half, start_axis, usable
from sharpseek.verdicts.effect import (
    Effect,
    evidence_of,
    exponential,
    no_effect,
    standard_error,
    student_interval,
)
from sharpseek.verdicts.rules import BELOW_1, SHARPNESS_MARGIN, Claim, Evidence, near
from sharpseek.verdicts.statistics import at, change_since_arrival, conditions, enough, label, ratio_evidence


def judge_fluctuation(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6a: the fluctuation at the end over its value at the arrival, and each layer's over the mean of the layers'."""
    if "closed_form_trace" not in run or not (run["commutes"].values == 1).all():
        return []
    evidence = []
    run = asked(run, SHARPNESS_MARGIN, "gradient_fluctuation")
    axis = start_axis(run)
    change = change_since_arrival(run, "gradient_fluctuation")
    sharp = run[axis].values == run[axis].values.max() if axis else np.ones(run.sizes["replica"], dtype=bool)
    for condition in conditions(run):
        evidence.append(
            ratio_evidence(
                run,
                at(run, condition) & sharp,
                change,
                ", ".join(filter(None, ("fluctuation", "sharp start" if axis else "", label(condition)))),
                BELOW_1,
            )
        )
    for condition in conditions(run):
        here = at(run, condition)
        for layer, effect in layer_effects(run, here).items():
            subject = ", ".join(filter(None, (f"layer {layer}", label(condition))))
            evidence.append(evidence_of(effect, subject, near(SHARPNESS_MARGIN)))
    return evidence


def layer_effects(run: xr.Dataset, select: np.ndarray) -> dict[str, Effect]:
    """Each layer's mean fluctuation over the usable ones of the selected replicas, over the layers' geometric mean.

    Of the last half of the records. Means over seeds come first: the largest over the smallest layer of each replica
    would be above 1 by noise alone. Student t of the logarithm, its error from the seeds' deviations (delta method).
    """
    values = last_half(run, "layer_fluctuation").values  # [replica, layer]
    use = select & usable(run) & (np.isfinite(values) & (values > 0)).all(axis=1)
    layers = [str(name) for name in run["layer"].values]
    used, replicas = int(use.sum()), int(select.sum())
    if used < 2:
        return dict.fromkeys(layers, no_effect(used, replicas))
    means = values[use].mean(axis=0)
    logs = np.log(means) - np.log(means).mean()
    relative = values[use] / means
    deviations = relative - relative.mean(axis=1, keepdims=True)  # [seed, layer] of log mean - mean of the layers' logs
    sound = enough(run, select, use)
    return {
        layer: Effect(
            float(np.exp(logs[i])),
            exponential(student_interval(float(logs[i]), standard_error(deviations[:, i]), used)),
            used,
            replicas,
            sound,
        )
        for i, layer in enumerate(layers)
    }


FLUCTUATION = Claim(
    "C6a",
    "Where noise and signal commute the gradient fluctuation falls, and layers come to share it equally.",
    "fluctuation at the end / at the arrival on the minima; a layer's fluctuation / geometric mean of the layers'",
    "Student t interval over seeds of the log ratio; of means over seeds for layers",
    f"Supported if the first is below 1 from the sharp start and every layer's within {SHARPNESS_MARGIN:.0%} of 1, at "
    "every kappa; refuted if the first is above 1 or a layer's interval lies entirely outside.",
    judge_fluctuation,
    needs=("gradient_fluctuation", "gradient_fluctuation_mean", "layer_fluctuation", "excess_risk"),
    plain="Gradients come to fluctuate less, and all layers share the fluctuation equally.",
    reading="least certain ratio: {}",
)
