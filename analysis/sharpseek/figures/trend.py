"""Trace and sharpness over the condition of the noise, all architectures together."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import CONDITION_LABEL, conditions, means, readable, single_runs, source, starts
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict

NAMES = ("trace", "sharpness")


def trend_series(run: xr.Dataset, name: str, label: str = "", colour: int | None = None) -> list[Series]:
    """Means over seeds at each condition, a series per start (colours by start unless `colour` is given)."""
    run = smallest_rate(run)
    return [
        means(
            run, f"{name}_mean", start, label=f"{label}, {start.label}" if label else start.label,
            colour=start.index if colour is None else colour, shift=5 * start.index,
            tags={"start": start.label} | ({"architecture": label} if label else {}),
        )
        for start in starts(run)
    ]  # fmt: skip


def trend_panel(run: xr.Dataset, name: str) -> Panel:
    """The trend of one run."""
    return Panel(
        readable(name), CONDITION_LABEL, readable(name), tuple(trend_series(run, name)), x_log=True,
        x_ticks=tuple(conditions(run)),
    )  # fmt: skip


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = [e for e in single_runs(experiments, "trace_mean") if len(conditions(e.run)) > 1]
    if not chosen:
        return []
    ticks = tuple(np.unique(np.concatenate([conditions(e.run) for e in chosen])))
    panels = []
    for name in NAMES:
        series: list[Series] = []
        for colour, experiment in enumerate(e for e in chosen if f"{name}_mean" in e.run):
            series += trend_series(experiment.run, name, experiment.name, colour)
        panels.append(
            Panel(readable(name), CONDITION_LABEL, readable(name), tuple(series), x_log=True, y_log=True, x_ticks=ticks)
        )
    return [
        Chart(
            "trend",
            "The more imbalanced the noise, the sharper the end?",
            "Trace and sharpness where SGD ends, over the condition of the label noise at a fixed total. Means over "
            "seeds with 95 % intervals; open marks: fewer than half of the replicas are stationary.",
            "; ".join(source(e, "trace_mean", "sharpness_mean") for e in chosen),
            tuple(panels),
            columns=2,
            row_height=3.6,
        )
    ]
