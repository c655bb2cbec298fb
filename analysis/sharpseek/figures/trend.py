"""Trace and sharpness over the condition of the noise, all architectures together."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import (
    CONDITION,
    CONDITION_LABEL,
    Axis,
    axis_of,
    axis_options,
    conditions,
    mean_series,
    readable,
    single_runs,
    source,
    too_few,
)
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict

NAMES = ("trace", "sharpness")


def trend_panel(run: xr.Dataset, name: str, axis: Axis) -> Panel:
    """The trend of one run over an axis: a series for every start and every setting of what else was swept."""
    series = tuple(mean_series(run, f"{name}_mean", axis))
    return Panel(readable(name), axis.label, readable(name), series, note=too_few(run, axis), **axis_options(axis))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = [e for e in single_runs(experiments, "trace_mean") if len(conditions(e.run)) > 1]
    if not chosen:
        return []
    ticks = tuple(np.unique(np.concatenate([conditions(e.run) for e in chosen])))
    panels = []
    for name in NAMES:
        series: list[Series] = []
        notes = []
        for colour, experiment in enumerate(e for e in chosen if f"{name}_mean" in e.run):
            axis = axis_of(experiment.run, CONDITION)
            assert axis is not None  # it has several conditions
            tags = {"architecture": experiment.name}
            series += mean_series(experiment.run, f"{name}_mean", axis, label=experiment.name, colour=colour, tags=tags)
            if note := too_few(experiment.run, axis):
                notes.append(f"{experiment.name}: {note}")
        if series:
            panels.append(
                Panel(readable(name), CONDITION_LABEL, readable(name), tuple(series), x_log=True, y_log=True,
                      x_ticks=ticks, note=" ".join(notes))
            )  # fmt: skip
    return [
        Chart(
            "trend",
            "The more imbalanced the noise, the sharper the end?",
            "Trace and sharpness where SGD ends, over the condition of the label noise at a fixed total. Means over "
            "seeds with 95 % intervals; open marks: fewer than half of the replicas are usable. Growth without bound "
            "needs noise that commutes with the signal; other noise saturates (docs/beyond.md).",
            "; ".join(source(e, "trace_mean", "sharpness_mean") for e in chosen),
            tuple(panels),
            columns=len(panels),
            row_height=3.6,
        )
    ]
