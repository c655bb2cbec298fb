"""P6: forks of a run: descent stops the sharpening, other noise flattens or sharpens (figure 4)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.groups import group_values
from sharpseek.linear_weights import linear_weights
from sharpseek.theory_limit import slow_flow_traces
from sharpseek.verdicts.effect import Effect, evidence_of
from sharpseek.verdicts.rules import ABOVE_1, BELOW_1, NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import at, conditions, label, log_mean_effect

FLOW_MARGIN = 0.10
"""Largest relative distance of T from the slow flow, at one learning rate, that counts as the predicted relaxation."""
QUARTERS = 4
WINDOW = 0.05
"""Share of the records over which T is averaged, up to each quarter of the run."""


def optimizer_of(run: xr.Dataset) -> str:
    """The optimiser, by the group or the configuration."""
    return str(group_values(run).get("optimizer", configuration(run).get("training", {}).get("optimizer", "sgd")))


def quarters(run: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """T ([replica, quarter], our trace) up to the end of each quarter of the run, and the middles of these windows in
    rescaled time since the start."""
    records = run.sizes["time"] - 1
    width = max(1, round(WINDOW * records))
    ends = [1 + records * (q + 1) // QUARTERS for q in range(QUARTERS)]
    trace, time = run["trace"].values, run["rescaled_time"].values[0]
    means = np.stack([trace[:, end - width : end].mean(axis=1) for end in ends], axis=1)
    return means, np.array([time[end - width : end].mean() - time[0] for end in ends])


def predicted(run: xr.Dataset, times: np.ndarray, moving: bool) -> np.ndarray:
    """[replica, 1 + time] trace at the minimum next to the first weights, then along the slow flow; that minimum's
    where nothing moves it."""
    first = [w[:, 0] for w in linear_weights(run)]
    shared = [run[name].values.tolist() for name in ("teacher", "input_covariance")]
    at_times = (0.0, *times.tolist()) if moving else (0.0,)
    found = [
        _flow(
            tuple(_frozen(w[e].tolist()) for w in first),
            *map(_frozen, shared),
            _frozen(run["noise_covariance"].values[e].tolist()),
            at_times,
        )
        for e in range(run.sizes["replica"])
    ]
    return np.array(found) if moving else np.repeat(np.array(found), 1 + len(times), axis=1)


Frozen = tuple[tuple[float, ...], ...]


def _frozen(matrix: list[list[float]]) -> Frozen:
    return tuple(map(tuple, matrix))


@lru_cache(maxsize=1024)
def _flow(
    weights: tuple[Frozen, ...], teacher: Frozen, inputs: Frozen, noise: Frozen, times: tuple[float, ...]
) -> np.ndarray:
    return slow_flow_traces(
        [np.array(w) for w in weights], np.array(teacher), np.array(inputs), np.array(noise), np.array(times)
    )


def judge_forks(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """P6: of a fork, T over the slow flow from its own first weights, and which way it went."""
    if "teacher" not in run or "trace" not in run:
        return []
    moving = optimizer_of(run) != "gd"
    measured, times = quarters(run)
    path = predicted(run, times, moving)
    finished = run["status"].values == 0
    evidence = []
    for condition in conditions(run):
        here = at(run, condition)
        good = here & finished & np.isfinite(measured).all(axis=1)

        def effect(ratio: np.ndarray, good: np.ndarray = good, here: np.ndarray = here) -> Effect:
            return log_mean_effect(ratio[good], int(here.sum()))

        if not moving:
            # Its own first record: a finite set has its own second moment, and with it another trace.
            last = effect(measured[:, -1] / run["trace"].values[:, 0])
            evidence.append(evidence_of(last, "descent: T at the end / at the switch", near(NETWORK_MARGIN)))
            continue
        for q in range(QUARTERS):
            found = evidence_of(
                effect(measured[:, q] / path[:, 1 + q]), f"T / slow flow, time {times[q]:.3g}", near(FLOW_MARGIN)
            )
            evidence.append(replace(found, subject=", ".join(filter(None, (found.subject, label(condition))))))
        way = float(np.exp(np.log(path[here, -1] / path[here, 0]).mean()))
        if abs(np.log(way)) > np.log(1 + 2 * NETWORK_MARGIN):
            word, region = ("sharpens", ABOVE_1) if way > 1 else ("flattens", BELOW_1)
            subject = ", ".join(filter(None, (f"{word}: T at the end / at the fork", label(condition))))
            evidence.append(evidence_of(effect(measured[:, -1] / path[:, 0]), subject, region))
    return evidence or [missing("nothing was measured after the fork")]


FORKS = Claim(
    "P6",
    "Figure 4: progressive sharpening needs SGD. It stops when the run is switched to full-batch descent, and other "
    "noise takes it up or undoes it, as fast as the slow flow says.",
    "T / T along the slow flow from the fork; T at the end / T at the fork",
    "Student t interval over seeds of the log ratio; finished replicas",
    f"Supported if T stays within {NETWORK_MARGIN:.0%} under descent, and if under SGD it lies within "
    f"{FLOW_MARGIN:.0%} of the slow flow after each quarter and, where the flow moves by more than "
    f"{2 * NETWORK_MARGIN:.0%}, on its side of 1 at the end; refuted if an interval lies entirely outside or on the "
    "other side.",
    judge_forks,
    every_rate=True,
    needs=("parameters", "trace"),
    plain="Sharpening needs the noise of SGD: without it it stops, and other noise can undo it.",
    reading="least certain ratio: {}",
)
