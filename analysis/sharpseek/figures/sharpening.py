"""Full batches against small ones from the same start: sharpness against the edge of stability, and the fluctuation."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import mean_and_interval, readable, source
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict
from sharpseek.verdicts.sharpening import Pair, pairs

BATCH_SHARPNESS = "batch_sharpness_mean_of_ratios"


def _mean(run: xr.Dataset, name: str, label: str, colour: int, *, dash: str = "solid") -> list[Series]:
    """Mean over finished replicas with its 95 % interval; nothing where fewer than two finished."""
    good = np.flatnonzero(run["status"].values == 0)
    if good.size < 2 or name not in run:
        return []
    mean, low, high = mean_and_interval(run[name].values[good])
    return [
        Series(label, run["step"].values.astype(float), mean, "line", colour, low=low, high=high, dash=dash,
               tags={"batch": label})
    ]  # fmt: skip


def _panel(pair: Pair, name: str) -> Panel:
    series = _mean(pair.full, name, "full batch", 0) + _mean(pair.small, name, "small batch", 1)
    if name == "sharpness":
        series += _mean(pair.small, BATCH_SHARPNESS, "batch sharpness", 2, dash="dot")
        steps = pair.full["step"].values[[0, -1]].astype(float)
        series.append(Series("2 / rate", steps, np.full(2, pair.edge), "reference", dash="dash"))
    return Panel(f"{readable(name).removeprefix('gradient ')}, {pair.subject}", "steps", readable(name), tuple(series))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in experiments:
        mine = pairs(experiment)
        starts = list(dict.fromkeys(pair.start for pair in mine))
        panels = [
            _panel(pair, name)
            for start in starts
            for name in ("sharpness", "gradient_fluctuation")
            for pair in mine
            if pair.start == start
        ]
        if panels:
            found.append(
                Chart(
                    f"sharpening-{experiment.name}",
                    experiment.title,
                    "Gradient descent on all samples and SGD on mini-batches with label noise, from the same weights "
                    "at the same rate; means over finished seeds with 95 % intervals. Dashed: the edge of stability, "
                    "where a step of gradient descent begins to overshoot. Dotted: batch sharpness of the small "
                    "batches.",
                    source(experiment, "sharpness", "gradient_fluctuation", BATCH_SHARPNESS),
                    tuple(panels),
                    columns=len({pair.rate for pair in mine}),
                )
            )
    return found
