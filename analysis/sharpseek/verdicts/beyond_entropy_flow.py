"""B3b: the slow flow of cross-entropy predicts SGD's way along the weights that meet the labels' probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import START_AXES, swept
from sharpseek.verdicts.effect import Effect, evidence_of
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


def resolved(run: xr.Dataset, here: np.ndarray) -> list[bool]:
    """For each quarter of the run whether, up to its end, both rates are below every non-zero eigenvalue of the
    Hessian along the flow of the replicas `here`.

    A direction of eigenvalue h takes rate / (2 h) of rescaled time to fill with noise: a run shorter than that has no
    flow yet, and no line through two rates says what it will be.
    """
    smallest = run["flow_smallest_eigenvalue"].values[here]
    largest_rate = np.unique(run["learning_rate"].values[here])[:2].max()
    ends = [1 + (run.sizes["time"] - 1) * (q + 1) // QUARTERS for q in range(QUARTERS)]
    return [bool((smallest[:, :end] > largest_rate).all()) for end in ends]


def rate_0(run: xr.Dataset) -> Iterator[tuple[str, np.ndarray, list[Effect], list[bool]]]:
    """Of each start its words, its replicas, T over the flow's at rate 0 up to the end of each quarter, and which of
    these are asked for."""
    ratio, _ = quarters(run.assign(trace=run["trace"] / run["flow_trace"]))
    finished = (run["status"].values == 0) & np.isfinite(ratio).all(axis=1)
    run = run.assign(usable=("replica", finished))
    for words, here in starts(run):
        yield words, here, [rate_effect(run, here, ratio[:, q]) for q in range(QUARTERS)], resolved(run, here)


def judge_entropy_flow(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B3b: T over the flow's at rate 0, up to the end of each quarter of the run."""
    if "flow_trace" not in run or "flow_smallest_eigenvalue" not in run:
        return [missing("no flow was predicted (model.init = manifold)")]
    if "learning_rate" not in run.coords or len(np.unique(run["learning_rate"])) < 2:
        return [missing("rate 0 needs two learning rates")]
    times = quarters(run)[1]
    evidence = [
        evidence_of(
            effect,
            ", ".join(filter(None, (f"T / slow flow, time {time:.3g}", words))),
            near(NETWORK_MARGIN),
        )
        for words, _, effects, asked in rate_0(run)
        for effect, time, ask in zip(effects, times, asked, strict=True)
        if ask
    ]
    return evidence or [missing("from no start are both rates below every eigenvalue of the Hessian on the way")]


ENTROPY_FLOW = Claim(
    "B3b",
    "The slow flow of cross-entropy, which for sampled labels descends the trace, predicts SGD's trajectory of the "
    "sharpness in nonlinear networks.",
    "T at rate 0 / T of the slow flow at the same time",
    "a straight line through the two smallest rates, mean over the last records of each quarter of the run; Student t "
    "over seeds with the smaller of the two degrees of freedom; finished replicas",
    "Asked as long as both rates are below every non-zero eigenvalue of the Hessian along the flow. Supported if every "
    f"interval lies within {NETWORK_MARGIN:.0%} of 1, for every start and each such quarter of the run; refuted if one "
    "lies entirely outside.",
    judge_entropy_flow,
    every_rate=True,
    needs=("trace",),
    plain="Theory predicts how sharpness changes while a classifier trains.",
    reading="{} times the prediction",
)
