"""Where SGD ends against what theory predicts, with the residuals beneath."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import (
    CONDITION,
    Axis,
    axis_of,
    axis_options,
    drawn_settings,
    mean_series,
    readable,
    single_runs,
    source,
    too_few,
)
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict

NAMES = ("trace", "sharpness", "gradient_fluctuation")
PREDICTORS = (("small_lr_limit", "limit of small rates", "dash"), ("closed_form", "closed form", "dot"))
"""Prefix of the variable, its name and its line, best first."""


def predicted(run: xr.Dataset, prefix: str, name: str, axis: Axis) -> np.ndarray | None:
    """[value] the prediction at each value of the axis, or None where the file has none."""
    variable = f"{prefix}_{name}"
    if variable not in run or not np.isfinite(run[variable].values).any():
        return None
    found = [run[variable].values[axis.at(run, value)] for value in axis.values]
    return np.array([values[np.isfinite(values)].mean() if np.isfinite(values).any() else np.nan for values in found])


def _references(run: xr.Dataset, name: str, axis: Axis, words: str) -> list[Series]:
    """What theory predicts, a line per predictor, best first."""
    series = []
    for prefix, label, dash in PREDICTORS:
        values = predicted(run, prefix, name, axis)
        if values is not None:
            text = ", ".join(filter(None, (words, label)))
            series.append(Series(text, axis.places, values, "reference", dash=dash, tags={"theory": label}))
    flattest = predicted(run, "closed_form_flattest", name, axis) if name == "trace" else None
    if flattest is not None:
        label = "flattest possible"
        text = ", ".join(filter(None, (words, label)))
        series.append(Series(text, axis.places, flattest, "reference", 6, tags={"theory": label}))
    return series


def theory_panel(run: xr.Dataset, name: str, axis: Axis) -> Panel:
    """Measured means and predictions of one quantity over the axis, for every setting of what else was swept."""
    series: list[Series] = []
    for words, part in drawn_settings(run, axis):
        series += _references(part, name, axis, words)
    series += mean_series(run, f"{name}_mean", axis)
    return Panel(
        readable(name), axis.label, readable(name), tuple(series), note=too_few(run, axis), **axis_options(axis)
    )


def residual_panel(run: xr.Dataset, name: str, axis: Axis) -> Panel | None:
    """Measured over predicted: against the best predictor that the file has."""
    for prefix, label, _ in PREDICTORS:
        if predicted(run, prefix, name, axis) is None:
            continue

        def scale(part: xr.Dataset, prefix: str = prefix) -> np.ndarray | float:
            theory = predicted(part, prefix, name, axis)
            return np.nan if theory is None else theory

        return Panel(
            f"{readable(name)} / {label}", axis.label, "measured / predicted",
            tuple(mean_series(run, f"{name}_mean", axis, scale=scale)), line_at=1.0, note=too_few(run, axis),
            **axis_options(axis),
        )  # fmt: skip
    return None


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in single_runs(experiments, "closed_form_trace"):
        run = experiment.run
        names = [name for name in NAMES if f"{name}_mean" in run]
        axis = axis_of(run)
        if not names or axis is None or axis.name != CONDITION:
            continue
        panels = [theory_panel(run, name, axis) for name in names]
        panels += [panel for name in names if (panel := residual_panel(run, name, axis)) is not None]
        found.append(
            Chart(
                f"theory-{experiment.name}",
                f"Theory and measurement: {experiment.title}",
                "Where SGD ends, against what theory predicts, and their ratio. Means over seeds with 95 % intervals; "
                "open marks: fewer than half of the replicas are usable.",
                source(experiment, *[f"{n}_mean" for n in names], "small_lr_limit_*, closed_form_* where present"),
                tuple(panels),
                columns=len(names),
            )
        )
    return found
