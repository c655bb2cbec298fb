"""C6a: the gradient fluctuation falls and layers come to share it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import start_axis
from sharpseek.verdicts.rules import SHARPNESS_MARGIN, Claim, Evidence, positive, within
from sharpseek.verdicts.statistics import (
    at,
    change_since_arrival,
    conditions,
    label,
    ratio_evidence,
)


def judge_fluctuation(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6a: the fluctuation at the end over its value at the arrival, and layers: largest over smallest share."""
    if "closed_form_trace" not in run or not (run["commutes"].values == 1).all():
        return []
    evidence = []
    axis = start_axis(run)
    change = change_since_arrival(run, "gradient_fluctuation")
    sharp = run[axis].values == run[axis].values.max() if axis else np.ones(run.sizes["replica"], dtype=bool)
    for condition in conditions(run):
        evidence.append(
            ratio_evidence(
                run,
                at(run, condition) & sharp,
                change,
                f"fluctuation, sharp start, {label(condition)}" if axis else f"fluctuation, {label(condition)}",
                lambda low, high: positive(1 - high, 1 - low),
            )
        )
    half = run["layer_fluctuation"].isel(time=slice(run.sizes["time"] - run.sizes["time"] // 2, None)).mean("time")
    spread = (half.max("layer") / half.min("layer")).values
    for condition in conditions(run):
        evidence.append(
            ratio_evidence(
                run,
                at(run, condition),
                spread,
                f"largest over smallest layer, {label(condition)}",
                lambda low, high: within(low, high, 2 * SHARPNESS_MARGIN),
            )
        )
    return evidence


FLUCTUATION = Claim(
    "C6a",
    "Where noise and signal commute the gradient fluctuation falls, and layers come to share it equally.",
    "fluctuation at the end / at the arrival on the minima; largest / smallest layer",
    "Student t interval over seeds of the log ratio",
    f"Supported if the first is below 1 from the sharp start and the second within {2 * SHARPNESS_MARGIN:.0%} of 1 "
    "at every kappa.",
    judge_fluctuation,
)
