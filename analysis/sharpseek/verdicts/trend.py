"""C7: trace and sharpness of nonlinear networks rise with the imbalance of the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.verdicts.rules import LEVEL, REFUTED, SUPPORTED, UNDECIDED, USABLE_SHARE, Claim, Evidence, positive
from sharpseek.verdicts.statistics import conditions, evidence_of, ordered_p, slope_effect


def judge_trend(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C7: slopes of log trace and log sharpness over log kappa of a nonlinear network."""
    if experiment.architecture == "linear" or len(conditions(run)) < 2:
        return []
    evidence = []
    for name in ("trace", "sharpness"):
        rises, falls = ordered_p(run, f"{name}_mean")
        found = evidence_of(slope_effect(run, f"{name}_mean"), name, positive)
        agreed = {SUPPORTED: rises < LEVEL, REFUTED: falls < LEVEL}.get(found.outcome, True)
        evidence.append(
            replace(found, outcome=found.outcome if agreed else UNDECIDED, p=float(np.maximum(found.p, rises)))
        )
    return evidence


TREND = Claim(
    "C7",
    "Trace and sharpness rise with the imbalance of the noise in nonlinear networks.",
    "slope of log trace and of log sharpness over log kappa",
    "studentised bootstrap over seeds, and Jonckheere's test for ordered alternatives",
    f"Supported if both intervals are above 0 and both ordered tests reject at {LEVEL:.1%}; refuted if one is below 0 "
    f"and its ordered test agrees; undecided if at any kappa fewer than {USABLE_SHARE:.0%} of the replicas are "
    "stationary.",
    judge_trend,
)
