"""Hessian eigenvalues: at the end for every condition, over time, and as densities."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import (
    TIME_LABEL,
    mean_over,
    points,
    single_runs,
    source,
    thinned,
)
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict

DENSITY_FLOOR = 1e-6
"""Densities below this share of the largest are not drawn."""


def spectrum_panel(run: xr.Dataset) -> Panel:
    """Largest eigenvalues at the last record: mean over usable replicas (over all, said so, if none is)."""
    run = smallest_rate(run)
    series = []
    for colour, (text, here) in enumerate(points(run)):
        values, good = mean_over(run, here, run["eigenvalues"].values[:, -1])
        label = text + ("" if good else " (none usable)")
        index = np.arange(1, len(values) + 1)
        series.append(
            Series(label, index, values, "points", colour, firm=np.full(len(index), good),
                   tags={"condition": text})
        )  # fmt: skip
    return Panel("at the end", "index of the eigenvalue", "eigenvalue", tuple(series))


def spectrum_over_time_panel(run: xr.Dataset) -> Panel:
    """The largest eigenvalues over rescaled time, means over usable replicas of all starts."""
    run = smallest_rate(run)
    rescaled = "rescaled_time" in run  # a training that is not ours has steps only, and no record of initial weights
    records = thinned(run, 1 if rescaled else 0)
    times = run["rescaled_time"].values if rescaled else np.tile(run["step"].values, (run.sizes["replica"], 1))
    series = []
    for colour, (text, here) in enumerate(points(run)):
        values, _ = mean_over(run, here, run["eigenvalues"].values[:, records])
        time, _ = mean_over(run, here, times[:, records])
        for k in range(values.shape[1]):
            label = f"{text}, eigenvalue {k + 1}"
            tags = {"condition": text, "eigenvalue": str(k + 1)}
            series.append(Series(label, time, values[:, k], "line" if k == 0 else "reference", colour, tags=tags))
    return Panel("over time", TIME_LABEL if rescaled else "step", "eigenvalue", tuple(series))


def density_panel(run: xr.Dataset) -> Panel:
    """Density of eigenvalues at the last record with its 95 % band: the first replica of each point, for each has a
    grid of its own. Between eigenvalues far apart, below `DENSITY_FLOOR` of the largest, nothing is drawn: the tails of
    the Gaussians there, down to 1e-100, would take the whole logarithmic axis."""
    run = smallest_rate(run)
    series = []
    for colour, (text, here) in enumerate(points(run)):
        first = np.flatnonzero(here)[0]
        grid, values, half = (run[name].values[first, -1] for name in ("density_grid", "density", "density_half_width"))
        floor = DENSITY_FLOOR * np.nanmax(values, initial=0)
        drawn = np.where(values >= floor, values, np.nan)
        low, high = np.maximum(values - half, floor), np.maximum(values + half, floor)
        series.append(Series(text, grid, drawn, "line", colour, low=low, high=high, tags={"condition": text}))
    return Panel("density at the end", "eigenvalue", "density", tuple(series), y_log=True)


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in single_runs(experiments, "eigenvalues"):
        panels = [spectrum_panel(experiment.run), spectrum_over_time_panel(experiment.run)]
        if "density" in experiment.run:
            panels.append(density_panel(experiment.run))
        shown = [str(k + 1) for k in range(1, experiment.run.sizes["eigen"])]
        found.append(
            Chart(
                f"spectrum-{experiment.name}",
                f"Largest Hessian eigenvalues: {experiment.title}",
                "Mean over usable replicas (over all where none is usable: open marks).",
                source(experiment, "eigenvalues"),
                tuple(panels),
                columns=len(panels),
                hidden=frozenset(("eigenvalue", k) for k in shown[1:]),
            )
        )
    return found
