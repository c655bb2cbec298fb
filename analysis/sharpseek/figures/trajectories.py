"""The way: quantities over rescaled time from each start, for every condition."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import (
    DASHES,
    TIME_LABEL,
    Start,
    points,
    readable,
    single_runs,
    source,
    starts,
    thinned,
)
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict

NAMES = ("trace", "sharpness", "gradient_fluctuation")
MOST_REPLICAS = 4
"""Single replicas drawn for each condition and start."""


def _lines(run: xr.Dataset, name: str, text: str, here: np.ndarray, colour: int, start: Start) -> list[Series]:
    select = np.flatnonzero(here & start.of(run))
    records = thinned(run)
    time = run["rescaled_time"].values[select][:, records]
    values = run[name].values[select][:, records]
    good = run["status"].values[select] == 0
    tags = {"condition": text, "start": start.label}
    label = f"{text}, {start.label}"
    dash = DASHES[start.index % len(DASHES)]
    found = [
        Series(f"{label}, seed {run['seed'].values[replica]}", time[i], values[i], "thin", colour, dash=dash,
               tags=tags | {"replicas": "single replicas"})
        for i, replica in enumerate(select[:MOST_REPLICAS])
    ]  # fmt: skip
    if good.any():
        mean = Series(label, time[good].mean(axis=0), values[good].mean(axis=0), "line", colour, dash=dash, tags=tags)
        found.append(mean)
    return found


def trajectory_panel(run: xr.Dataset, name: str) -> Panel:
    """One quantity over rescaled time: means over finished replicas, stationary or not, and single replicas."""
    run = smallest_rate(run)
    series: list[Series] = []
    for colour, (text, here) in enumerate(points(run)):
        for start in starts(run):
            series += _lines(run, name, text, here, colour, start)
        theory = f"small_lr_limit_{name}"
        theory = theory if theory in run and np.isfinite(run[theory].values[here]).any() else f"closed_form_{name}"
        if theory in run and np.isfinite(run[theory].values[here]).any():
            end = float(np.nanmax(run["rescaled_time"].values[here]))
            value = float(np.nanmean(run[theory].values[here]))
            tags = {"condition": text, "theory": "theory"}
            series.append(
                Series(f"theory, {text}", np.array([0.0, end]), np.array([value, value]),
                       "reference", colour, dash="dot", tags=tags)
            )  # fmt: skip
    return Panel(readable(name), TIME_LABEL, readable(name), tuple(series))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in single_runs(experiments, "trace", "rescaled_time"):
        names = [name for name in NAMES if name in experiment.run]
        panels = tuple(trajectory_panel(experiment.run, name) for name in names)
        found.append(
            Chart(
                f"way-{experiment.name}",
                f"The way there: {experiment.title}",
                "From flat (solid) and sharp (dashed) starts, means over seeds; dotted: what theory predicts for the "
                "end. All finished replicas, stationary or not; the first record, before training, is left out.",
                source(experiment, *names, "rescaled_time"),
                panels,
                columns=len(names),
                hidden=frozenset({("replicas", "single replicas")}),
            )
        )
    return found
