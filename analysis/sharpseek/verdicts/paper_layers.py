"""P8: anisotropic noise makes the first and the last layer ill-conditioned, and no other (figure 6)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_weights import layer_conditions
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.rules import Claim, Evidence, Region, missing
from sharpseek.verdicts.statistics import at, conditions, quotient_effect

WORSE = 1.25
"""Factor of a layer's condition number over that under isotropic noise from which on it counts as worse."""


def judge_layers(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P8: each layer's condition number at the largest kappa over that at kappa 1, late in the run."""
    if "layer" not in run.dims or "teacher" not in run:
        return []
    levels = conditions(run)
    if levels[0] != 1 or len(levels) < 2:
        return [missing("kappa 1 and a larger one are needed")]
    layers = [str(name) for name in run["layer"].values]
    if len(layers) < 3:
        return [missing("two layers: none lies between the first and the last")]
    late = late_conditions(run)
    # Of the way, not of the end: every finished replica counts.
    run = run.assign(usable=("replica", run["status"].values == 0))
    evidence = []
    for i, name in enumerate(layers):
        here = run.assign(layer_condition=("replica", late[:, i]))
        effect = quotient_effect(here, "layer_condition", at(run, levels[-1]), at(run, 1))
        outer = i in (0, len(layers) - 1)
        region = Region(low=WORSE) if outer else Region(high=WORSE)
        place = "outer" if outer else "inner"
        evidence.append(evidence_of(effect, f"{place} layer {name}, kappa {levels[-1]:g} / kappa 1", region))
    return evidence


def late_conditions(run: xr.Dataset) -> np.ndarray:
    """[replica, layer] geometric mean of the condition numbers over the last quarter of the records."""
    values = layer_conditions(run)
    return np.exp(np.log(values[:, values.shape[1] - max(1, values.shape[1] // 4) :]).mean(axis=1))


LAYERS = Claim(
    "P8",
    "Equation 66, figure 6: anisotropic noise makes the first and the last layer ill-conditioned, the others not.",
    "condition number of a layer / the same under isotropic noise",
    "Welch interval over seeds of the log ratio; last quarter of the run, finished replicas, stationary or not",
    f"Supported if the first and the last layer's intervals lie above {WORSE:g} and every other layer's below; refuted "
    "if one lies entirely on the other side.",
    judge_layers,
    needs=("parameters",),
    plain="Uneven noise distorts the first and the last layer, and none in between.",
    reading="{} times its value under even noise",
)
