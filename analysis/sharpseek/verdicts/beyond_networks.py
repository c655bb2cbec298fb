"""B2: relative sharpness of nonlinear networks with noise on the teacher's own axes and with turned noise."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.verdicts.beyond_saturation import angle
from sharpseek.verdicts.effect import Effect, evidence_of, exponential, no_effect, student_interval
from sharpseek.verdicts.rules import Claim, Evidence, Region, missing, near
from sharpseek.verdicts.statistics import at, conditions, sufficient

RISE = 1.25
"""Relative sharpness on the axes over that of turned noise that counts as more."""
SLOPE = 0.05
"""Largest slope of log T over log kappa between the two largest kappas that counts as saturated."""


def late_trace(run: xr.Dataset) -> np.ndarray:
    """[replica] mean T over the last half of the records, stationary or not; NaN where a replica diverged."""
    trace = run["trace"].values
    late = trace[:, trace.shape[1] - trace.shape[1] // 2 :].mean(axis=1)
    return np.where((run["status"].values == 0) & np.isfinite(late), late, np.nan)


def contrast(samples: list[np.ndarray], signs: list[float]) -> Effect:
    """exp of the sum of signed means of samples' logarithms, with Satterthwaite's degrees of freedom."""
    logs = [np.log(s[np.isfinite(s)]) for s in samples]
    used, replicas = sum(map(len, logs)), sum(map(len, samples))
    if min(map(len, logs)) < 2:
        return no_effect(used, replicas)
    parts = np.array([sign**2 * np.var(x, ddof=1) / len(x) for x, sign in zip(logs, signs, strict=True)])
    weights = sum(part**2 / (len(x) - 1) for part, x in zip(parts, logs, strict=True))
    freedom = parts.sum() ** 2 / weights if weights > 0 else np.inf
    value = float(sum(sign * x.mean() for x, sign in zip(logs, signs, strict=True)))
    interval = exponential(student_interval(value, float(np.sqrt(parts.sum())), freedom + 1))
    sound = all(sufficient(len(x), len(s)) for x, s in zip(logs, samples, strict=True))
    return Effect(float(np.exp(value)), interval, used, replicas, sound)


def judge_axes(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B2: the contrast of relative sharpness, and of turned noise the rise between the two largest kappas."""
    levels = conditions(run)
    if "rotation" not in run.coords or levels[0] != 1 or len(levels) < 3:
        return [missing("noise on the teacher's axes and turned, kappa 1 and two larger ones are needed")]
    trace, angles = late_trace(run), np.array([angle(str(r)) for r in run["rotation"].values])

    def of(condition: float, degrees: float) -> np.ndarray:
        return trace[at(run, condition) & (angles == degrees)]

    evidence = []
    for degrees in np.unique(angles[np.isfinite(angles) & (angles != 0)]):
        first, before, last = levels[0], levels[-2], levels[-1]
        effect = contrast([of(last, 0), of(first, 0), of(last, degrees), of(first, degrees)], [1.0, -1.0, -1.0, 1.0])
        subject = f"own axes / turned by {degrees:g} degrees, kappa {last:g}"
        evidence.append(evidence_of(effect, subject, Region(low=RISE)))
        share = 1 / np.log(last / before)
        rise = contrast([of(last, degrees), of(before, degrees)], [share, -share])
        # exp of a slope: near 1 + slope
        evidence.append(
            evidence_of(rise, f"exp of the slope, turned by {degrees:g} degrees, kappa {before:g} to {last:g}",
                        near(SLOPE))
        )  # fmt: skip
    return evidence or [missing("no turned noise")]


AXES = Claim(
    "B2",
    "Nonlinear networks sharpen far more with noise on the axes of the teacher's output than with turned noise, with "
    "which they saturate.",
    "T over T at kappa 1, own axes / turned; exp of the slope of log T over log kappa",
    "Welch interval over seeds of logarithms; last half of the records, finished replicas, stationary or not",
    f"Supported if every ratio lies above {RISE:g} and, of turned noise, exp of the slope between the two largest "
    f"kappas within {SLOPE:g} of 1; refuted if an interval lies entirely outside.",
    judge_axes,
    needs=("trace",),
    plain="Nonlinear networks sharpen far more if the noise lies along the directions of the teacher.",
    reading="least certain ratio: {}",
)
