"""B3b: the slow flow of cross-entropy predicts SGD's way along the weights that meet the labels' probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import START_AXES, swept
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.paper_forks import QUARTERS, quarters
from sharpseek.verdicts.rules import NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import rate_effect


def starts(run: xr.Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Each start in words, and its replicas, whatever their rate."""
    axes = [axis for axis in swept(run) if axis in START_AXES]
    names = list(zip(*[run[axis].values.tolist() for axis in axes], strict=True)) or [()] * run.sizes["replica"]
    for name in dict.fromkeys(names):
        words = ", ".join(f"{axis} {value:g}" for axis, value in zip(axes, name, strict=True))
        yield words, np.array([other == name for other in names])


def judge_entropy_flow(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B3b: T over the flow's at rate 0, up to the end of each quarter of the run."""
    if "flow_trace" not in run:
        return [missing("no flow was predicted (model.init = manifold)")]
    if "learning_rate" not in run.coords or len(np.unique(run["learning_rate"])) < 2:
        return [missing("rate 0 needs two learning rates")]
    ratio, times = quarters(run.assign(trace=run["trace"] / run["flow_trace"]))
    finished = (run["status"].values == 0) & np.isfinite(ratio).all(axis=1)
    run = run.assign(usable=("replica", finished))
    return [
        evidence_of(
            rate_effect(run, here, ratio[:, q]),
            ", ".join(filter(None, (f"T / slow flow, time {times[q]:.3g}", words))),
            near(NETWORK_MARGIN),
        )
        for words, here in starts(run)
        for q in range(QUARTERS)
    ]


ENTROPY_FLOW = Claim(
    "B3b",
    "The slow flow of cross-entropy, which for sampled labels descends the trace, predicts SGD's trajectory of the "
    "sharpness in nonlinear networks.",
    "T at rate 0 / T of the slow flow at the same time",
    "a straight line through the two smallest rates, mean over the last records of each quarter of the run; Student t "
    "over seeds with the smaller of the two degrees of freedom; finished replicas",
    f"Supported if every interval lies within {NETWORK_MARGIN:.0%} of 1, for every start and each quarter of the run; "
    "refuted if one lies entirely outside.",
    judge_entropy_flow,
    every_rate=True,
    needs=("trace",),
    plain="Theory predicts how sharpness changes while a classifier trains.",
    reading="{} times the prediction",
)
