"""P12: whether the plateau of figure 3 at large kappa is an effect of the finite horizon."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.rules import Claim, Evidence, Region, missing
from sharpseek.verdicts.statistics import at, conditions, difference_effect

HORIZONS = (1, 4, 16)
"""Horizons in units of the first, which is a sixteenth of the run."""
RISE = 0.05
"""Slope of the plateau's log height over the log horizon that counts as a rise: 15 % from the first horizon to the
last."""


def horizon_heights(run: xr.Dataset) -> np.ndarray:
    """[horizon, replica] log of the mean T over the later half of each horizon's records.

    NaN where a replica diverged, and everywhere if the run has too few records.
    """
    trace = run["trace"].values
    records = trace.shape[1] - 1  # the first is the start
    ends = [1 + records * h // HORIZONS[-1] for h in HORIZONS]
    if ends[0] < 3:
        return np.full((len(HORIZONS), trace.shape[0]), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log([trace[:, 1 + (end - 1) // 2 : end].mean(axis=1) for end in ends])
    return np.where((run["status"].values == 0) & np.isfinite(heights).all(axis=0), heights, np.nan)


def horizon_slopes(run: xr.Dataset) -> np.ndarray:
    """[replica] slope of log T over the log horizon (`horizon_heights`)."""
    x = np.log(HORIZONS) - np.mean(np.log(HORIZONS))
    return x @ horizon_heights(run) / (x @ x)


def judge_plateau(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P12: the slope at the largest kappa less that at kappa 1, for every orientation of the noise."""
    levels = conditions(run)
    if levels[0] != 1 or len(levels) < 2:
        return [missing("kappa 1 and a larger one are needed")]
    slopes = horizon_slopes(run)
    evidence = []
    for words, here in orientations(run):
        effect = difference_effect(slopes[here & at(run, levels[-1])], slopes[here & at(run, 1)])
        subject = ", ".join(filter(None, (words, f"kappa {levels[-1]:g} / kappa 1")))
        evidence.append(evidence_of(effect, subject, Region(low=RISE)))
    return evidence


def orientations(run: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    """Replicas at each rotation of the noise, in words; all of them where it was not swept."""
    if "rotation" not in run.coords:
        return [("", np.ones(run.sizes["replica"], dtype=bool))]
    names = {"axes": "noise on the output axes", "teacher": "noise on the axes of the teacher's output"}
    values = run["rotation"].values
    return [(names.get(str(v), f"rotation {v}"), values == v) for v in dict.fromkeys(values.tolist())]


PLATEAU = Claim(
    "P12",
    "Figure 3: the plateau at large kappa is an effect of the finite horizon; T over T at kappa 1 rises on with it.",
    "slope of log (T / T at kappa 1) over the log horizon, horizons x1, x4, x16",
    "Welch interval over seeds; finished replicas, stationary or not",
    f"Supported if every interval lies above {RISE:g}; refuted if one lies entirely below: there the sharpening "
    "saturates.",
    judge_plateau,
    needs=("trace",),
    plain="The plateau under very uneven noise comes from stopping early.",
    reading="slope {} on logarithmic axes",
)
