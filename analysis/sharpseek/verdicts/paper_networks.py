"""P9 and P10: relative sharpness rises with the condition number of the noise in nonlinear networks (figure 3)."""

from __future__ import annotations

import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.verdicts.rules import LEVEL, USABLE_SHARE, Claim, Evidence, missing
from sharpseek.verdicts.statistics import conditions
from sharpseek.verdicts.trend import trend_evidence

TEST = "studentised bootstrap over seeds, and Jonckheere's test for ordered alternatives; smallest rate"
RULE = (
    f"Supported if the interval is above 0 and the ordered test rejects at {LEVEL:.1%}; refuted if it is below 0 and "
    f"the ordered test agrees; undecided if at any kappa fewer than {USABLE_SHARE:.0%} of the replicas are stationary "
    "(the rule of C7, for the trace)."
)


def loss_of(run: xr.Dataset) -> str:
    """The training loss by the run's configuration."""
    return str(configuration(run).get("training", {}).get("loss", "squared"))


def _judge(run: xr.Dataset, loss: str) -> list[Evidence]:
    if loss_of(run) != loss:
        return []
    if len(conditions(run)) < 2:
        return [missing("a slope needs two kappas or more")]
    return [trend_evidence(run, "trace")]


def judge_squared(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P9: the slope of log T over log kappa; T over T at kappa 1 has the same."""
    return [] if experiment.architecture == "linear" else _judge(run, "squared")


def judge_cross_entropy(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P10: the same for networks that are trained by cross-entropy."""
    return _judge(run, "cross-entropy")


SQUARED = Claim(
    "P9",
    "Figures 2, 3, 8: relative sharpness rises with the condition number of the noise for ReLU, recurrent and "
    "transformer students under squared error.",
    "slope of log T over log kappa",
    TEST,
    RULE,
    judge_squared,
    needs=("trace_mean",),
    plain="ReLU, recurrent and transformer networks end sharper the more uneven the noise.",
    reading="slope {} on logarithmic axes",
)
CROSS_ENTROPY = Claim(
    "P10",
    "Figures 2, 3: it rises as well under cross-entropy on noisy soft labels, on images too.",
    "slope of log T over log kappa",
    TEST,
    RULE,
    judge_cross_entropy,
    needs=("trace_mean",),
    plain="So do classifiers on noisy soft labels.",
    reading="slope {} on logarithmic axes",
)
