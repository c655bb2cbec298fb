"""Where SGD ends against what theory predicts, with the residuals beneath."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import CONDITION_LABEL, conditions, means, readable, single_runs, source, starts
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict

NAMES = ("trace", "sharpness", "gradient_fluctuation")
PREDICTORS = (("small_lr_limit", "limit of small rates", "dash"), ("closed_form", "closed form", "dot"))
"""Prefix of the variable, its name and its line, best first."""


def predicted(run: xr.Dataset, prefix: str, name: str) -> np.ndarray | None:
    """[condition] the prediction at each condition, or None where the file has none."""
    variable = f"{prefix}_{name}"
    if variable not in run or not np.isfinite(run[variable].values).any():
        return None
    return np.array([np.nanmean(run[variable].values[run["condition"].values == c]) for c in conditions(run)])


def theory_panel(run: xr.Dataset, name: str) -> Panel:
    """Measured means and predictions of one quantity over the condition."""
    run = smallest_rate(run)
    x = conditions(run)
    series = []
    for prefix, label, dash in PREDICTORS:
        values = predicted(run, prefix, name)
        if values is not None:
            series.append(Series(label, x, values, "reference", dash=dash, tags={"theory": label}))
    if name == "trace" and "closed_form_flattest_trace" in run:
        flattest = np.full(len(x), np.nanmean(run["closed_form_flattest_trace"].values))
        series.append(Series("flattest possible", x, flattest, "reference", 6, tags={"theory": "flattest possible"}))
    series += [
        means(run, f"{name}_mean", start, label=start.label, colour=start.index, shift=5 * start.index,
              tags={"start": start.label})
        for start in starts(run)
    ]  # fmt: skip
    return Panel(readable(name), CONDITION_LABEL, readable(name), tuple(series), x_log=True, x_ticks=tuple(x))


def residual_panel(run: xr.Dataset, name: str) -> Panel | None:
    """Measured over predicted: against the best predictor that the file has."""
    run = smallest_rate(run)
    for prefix, label, _ in PREDICTORS:
        theory = predicted(run, prefix, name)
        if theory is None:
            continue
        series = tuple(
            means(run, f"{name}_mean", start, label=start.label, colour=start.index, shift=5 * start.index,
                  scale=theory, tags={"start": start.label})
            for start in starts(run)
        )  # fmt: skip
        return Panel(
            f"{readable(name)} / {label}", CONDITION_LABEL, "measured / predicted", series, x_log=True,
            x_ticks=tuple(conditions(run)), line_at=1.0,
        )  # fmt: skip
    return None


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in single_runs(experiments, "trace_mean", "closed_form_trace"):
        names = [name for name in NAMES if f"{name}_mean" in experiment.run]
        panels = [theory_panel(experiment.run, name) for name in names]
        panels += [panel for name in names if (panel := residual_panel(experiment.run, name)) is not None]
        found.append(
            Chart(
                f"theory-{experiment.name}",
                f"Theory and measurement: {experiment.title}",
                "Where SGD ends, against what theory predicts, and their ratio. Means over seeds with 95 % intervals; "
                "open marks: fewer than half of the replicas are stationary.",
                source(experiment, *[f"{n}_mean" for n in names], "small_lr_limit_*, closed_form_* where present"),
                tuple(panels),
                columns=len(names),
            )
        )
    return found
