"""C7: trace and sharpness of nonlinear networks rise with the imbalance of the noise."""

from __future__ import annotations

import xarray as xr

from sharpseek.files import Experiment
from sharpseek.verdicts.rules import UNDECIDED, USABLE_SHARE, Claim, Evidence, positive
from sharpseek.verdicts.statistics import conditions, enough_at_every_condition, slope_interval


def judge_trend(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C7: slopes of log trace and log sharpness over log kappa of a nonlinear network."""
    if experiment.architecture == "linear" or len(conditions(run)) < 2:
        return []
    evidence = []
    for name in ("trace", "sharpness"):
        slope, low, high, used = slope_interval(run, f"{name}_mean")
        outcome = positive(low, high) if enough_at_every_condition(run) else UNDECIDED
        evidence.append(Evidence(f"{name}", slope, low, high, outcome, used, run.sizes["replica"]))
    return evidence


TREND = Claim(
    "C7",
    "Trace and sharpness rise with the imbalance of the noise in nonlinear networks.",
    "slope of log trace and of log sharpness over log kappa",
    "bootstrap over seeds",
    f"Supported if both intervals are above 0; refuted if one is below 0; undecided if at any kappa fewer "
    f"than {USABLE_SHARE:.0%} of the replicas are stationary.",
    judge_trend,
)
