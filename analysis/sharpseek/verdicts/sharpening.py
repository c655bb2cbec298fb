"""C9s: progressive sharpening. Full batches go to the edge of stability, 2 / rate, small ones do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_settings import group_values
from sharpseek.summaries import start_axis
from sharpseek.verdicts.effect import Effect, evidence_of
from sharpseek.verdicts.rules import BELOW_1, REFUTED, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import log_mean_effect

EDGE_MARGIN = 0.10
"""Largest relative distance of the mean sharpness from 2 / rate that counts as being at the edge."""
QUANTITIES = ("sharpness", "trace", "gradient_fluctuation", "batch_sharpness_mean_of_ratios")
FULL, SMALL = "gd", "sgd"


@dataclass(frozen=True)
class Pair:
    """Full-batch and small-batch replicas that began at the same weights, at one start and rate: [replica] masks."""

    start: str
    rate: float
    full: xr.Dataset
    small: xr.Dataset

    @property
    def subject(self) -> str:
        """Start and rate in words."""
        return ", ".join(filter(None, (self.start, f"rate {self.rate:g}")))

    @property
    def edge(self) -> float:
        """The sharpness beyond which a step of gradient descent at this rate overshoots: 2 / rate."""
        return 2 / self.rate


def pairs(experiment: Experiment) -> list[Pair]:
    """The pairs of an experiment that swept the optimiser gd, sgd and the rate; empty without.

    Replicas at the same place of both runs have the same rate, start and seed.
    """
    runs = {group_values(run).get("optimizer"): run for run in experiment.runs.values()}
    if not {FULL, SMALL} <= set(runs) or "learning_rate" not in runs[FULL].coords:
        return []
    full, small = runs[FULL], runs[SMALL]
    axis = start_axis(full)
    start = full[axis].values if axis else np.zeros(full.sizes["replica"])
    names = {value: f"{axis.removeprefix('init_')} {value:g}" if axis else "" for value in np.unique(start)}
    found = []
    for value, name in names.items():
        for rate in np.unique(full["learning_rate"]):
            rows = np.flatnonzero((start == value) & (full["learning_rate"].values == rate))
            found.append(Pair(name, float(rate), full.isel(replica=rows), small.isel(replica=rows)))
    return found


def late(run: xr.Dataset, name: str) -> np.ndarray:
    """[replica] mean over the last half of the records; NaN where the replica diverged."""
    values = run[name].values
    mean = values[:, values.shape[1] - values.shape[1] // 2 :].mean(axis=1)
    return np.where(run["status"].values == 0, mean, np.nan)


def log_effect(ratio: np.ndarray) -> Effect:
    """Geometric mean over replicas of a positive ratio; NaN is a replica that cannot be used."""
    return log_mean_effect(ratio[np.isfinite(ratio)], len(ratio))


def reaches_the_edge(found: list[Pair]) -> list[Pair]:
    """The pairs at whose rate full batches must meet the edge: where, from the same kind of start, the smallest rate
    (nearest to gradient flow) ends sharper than 2 / rate by more than the margin."""
    chosen = []
    for start in dict.fromkeys(pair.start for pair in found):
        mine = sorted((pair for pair in found if pair.start == start), key=lambda pair: pair.rate)
        end = late(mine[0].full, "sharpness")
        if np.isfinite(end).any():
            chosen += [p for p in mine[1:] if np.nanmean(end) > (1 + EDGE_MARGIN) * p.edge]
    return chosen


def sharpening_table(experiment: Experiment) -> pd.DataFrame:
    """What both did, at every start and rate: start, rate, edge (2 / rate), batch (full or small), sharpness at the
    start and its largest value, means over the last half of `QUANTITIES`, finished and replicas. Means over seeds."""
    rows = []
    for pair in pairs(experiment):
        for batch, run in (("full", pair.full), ("small", pair.small)):
            good = run["status"].values == 0
            sharp = run["sharpness"].values[good]
            row = {"start": pair.start, "rate": pair.rate, "edge": pair.edge, "batch": batch}
            row["sharpness_at_start"] = sharp[:, 0].mean() if good.any() else np.nan
            row["largest_sharpness"] = sharp.max(axis=1).mean() if good.any() else np.nan
            for name in QUANTITIES:
                if name in run:
                    row[name] = late(run, name)[good].mean() if good.any() else np.nan
            rows.append(row | {"finished": int(good.sum()), "replicas": int(good.size)})
    return pd.DataFrame(rows)


def sharpening_markdown(experiment: Experiment) -> str:
    """`sharpening_table` as Markdown."""
    lines = [
        "| start | rate | 2 / rate | batch | sharpness at start | largest | sharpness | trace | gradient fluctuation "
        "| batch sharpness | finished |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sharpening_table(experiment).itertuples():
        numbers = (row.sharpness_at_start, row.largest_sharpness, *(getattr(row, name, np.nan) for name in QUANTITIES))
        lines.append(
            f"| {row.start} | {row.rate:g} | {row.edge:.3g} | {row.batch} | "
            + " | ".join(f"{value:.3g}" for value in numbers)
            + f" | {row.finished} / {row.replicas} |"
        )
    return "\n".join(lines)


def judge_sharpening(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """C9s: the edge, the distance of small batches from it and from full ones, and the fluctuation's fall."""
    found = pairs(experiment)
    evidence = []
    edges = reaches_the_edge(found)
    for pair in edges:
        effect = log_effect(late(pair.full, "sharpness") / pair.edge)
        subject = f"full batch, sharpness / (2 / rate), {pair.subject}"
        evidence.append(evidence_of(effect, subject, near(EDGE_MARGIN)))
    for pair in found:
        for subject, ratio in (
            ("small batch, sharpness / (2 / rate)", late(pair.small, "sharpness") / pair.edge),
            ("small / full batch, sharpness", late(pair.small, "sharpness") / late(pair.full, "sharpness")),
            (
                "small / full batch, gradient fluctuation",
                late(pair.small, "gradient_fluctuation") / late(pair.full, "gradient_fluctuation"),
            ),
        ):
            evidence.append(evidence_of(log_effect(ratio), f"{subject}, {pair.subject}", BELOW_1))
    if found and not edges:
        # No rate whose edge is in the way: nothing was tested there, and the claim is not supported by the rest.
        evidence.append(missing("full batch, no rate meets its edge"))
    return evidence


SHARPENING = Claim(
    "C9s",
    "Full-batch gradient descent sharpens up to the edge of stability 2 / rate and hovers there; small batches with "
    "label noise, from the same weights at the same rate, end below that edge, flatter and with a smaller gradient "
    "fluctuation.",
    "mean over the last half of the run / 2 / rate, or / that of full batches",
    "Student t interval over seeds of the log ratio, paired by initial weights; finished replicas",
    f"Supported if full batches are within {EDGE_MARGIN:.0%} of 2 / rate at every rate whose edge the smallest rate "
    "exceeds by more than that, and small batches' sharpness / edge, sharpness / full and fluctuation / full lie "
    f"below 1 everywhere; {REFUTED} if an interval lies entirely on the other side.",
    judge_sharpening,
    every_rate=True,
    pooled=True,
    needs=("sharpness", "gradient_fluctuation"),
    plain="Full batches sharpen up to the edge of stability; small noisy batches end flatter.",
    reading="{} times what it is compared with",
)
