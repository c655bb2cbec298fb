"""P11: the power laws of Corollary 4, whose exponents only the noise can raise."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import asked, points, swept
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.rules import ABOVE_1, NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import rate_effect

SAME = 1e-6
"""Relative distance of Theorem 1's T from T_min below which the noise counts as isotropic."""


def judge_power_laws(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P11: T at rate 0 over Theorem 1's and over T_min, for every law of the noise."""
    if "closed_form_flattest_trace" not in run or not (run["commutes"].values == 1).all():
        return []
    if "learning_rate" not in run.coords or len(np.unique(run["learning_rate"])) < 2:
        return [missing("one learning rate: no extrapolation to rate 0")]
    run = asked(run, NETWORK_MARGIN, "trace")
    evidence = []
    for subject, here in laws(run):
        closed, flattest = (run[f"closed_form_{name}"].values for name in ("trace", "flattest_trace"))
        trace = run["trace_mean"].values
        effect = rate_effect(run, here, trace / closed)
        evidence.append(evidence_of(effect, f"T / Theorem 1, {subject}", near(NETWORK_MARGIN)))
        isotropic = bool((closed[here] < (1 + SAME) * flattest[here]).all())
        region = near(NETWORK_MARGIN) if isotropic else ABOVE_1
        word = "isotropic noise" if isotropic else "anisotropic noise"
        evidence.append(evidence_of(rate_effect(run, here, trace / flattest), f"T / T_min, {word}, {subject}", region))
    return evidence


def laws(run: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    """Replicas that differ in rate and seed only, with a name: the noise's law by its condition number."""
    if "learning_rate" not in swept(run):
        return []
    together: dict[str, np.ndarray] = {}
    for here in points(run):
        first = int(np.argmax(here))
        values = np.linalg.eigvalsh(run["noise_covariance"].values[first])
        name = f"noise of condition {values[-1] / values[0]:.4g}"
        together[name] = together.get(name, np.zeros_like(here)) | here
    return list(together.items())


POWER_LAWS = Claim(
    "P11",
    "Corollary 4: under power laws of noise, inputs and teacher T grows with the dimension as Theorem 1 says, and only "
    "the noise's law sharpens.",
    "T at rate 0 / Theorem 1, / T_min",
    "a straight line through the two smallest rates; Student t with the smaller of the two degrees of freedom",
    f"Supported if at every dimension T is within {NETWORK_MARGIN:.0%} of Theorem 1's, within {NETWORK_MARGIN:.0%} of "
    f"T_min where the noise is isotropic, and above it elsewhere; refuted if an "
    "interval lies entirely outside. The slope of log T over log d is then known to 0.05 between d = 4 and 32.",
    judge_power_laws,
    every_rate=True,
    needs=("trace_mean",),
    plain="If all spectra are power laws, sharpness grows with the dimension as predicted; only the noise sharpens.",
    reading="{} times the prediction",
)
