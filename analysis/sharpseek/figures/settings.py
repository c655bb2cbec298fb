"""Measured against predicted at every setting of every linear network: a point per sweep point, whatever was swept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import readable, source
from sharpseek.figures.theory import NAMES, PREDICTORS
from sharpseek.files import Experiment
from sharpseek.groups import smallest_rate_runs
from sharpseek.summaries import summarise, swept
from sharpseek.verdicts import Verdict


def best_prediction(run: xr.Dataset, name: str) -> np.ndarray | None:
    """[replica] the limit of small rates where the file has it, else the closed form where noise and signal commute."""
    values = np.full(run.sizes["replica"], np.nan)
    if f"closed_form_{name}" in run and "commutes" in run:
        values = np.where(run["commutes"].values == 1, run[f"closed_form_{name}"].values, np.nan)
    prefix = PREDICTORS[0][0]
    if f"{prefix}_{name}" in run:
        limit = run[f"{prefix}_{name}"].values
        values = np.where(np.isfinite(limit), limit, values)
    return values if np.isfinite(values).any() else None


def settings_table(experiment: Experiment, name: str) -> pd.DataFrame:
    """Predicted, mean and interval of one quantity at each sweep point (smallest rate) of each run, with its text."""
    tables = []
    for group, run in smallest_rate_runs(experiment).items():
        predicted = best_prediction(run, name)
        if predicted is None or f"{name}_mean" not in run:
            continue
        axes = swept(run)
        table = summarise(run, f"{name}_mean", axes)
        theory = pd.DataFrame({axis: run[axis].values for axis in axes}, index=range(len(predicted)))
        theory["predicted"] = predicted
        table["predicted"] = (
            theory.groupby(axes, sort=True)["predicted"].mean().to_numpy() if axes else theory["predicted"].mean()
        )
        points = [", ".join(f"{axis} {row[axis]}" for axis in axes) for row in table.to_dict("records")]
        table["point"] = [", ".join(filter(None, (group, point))) for point in points]
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def settings_panels(experiments: list[Experiment], name: str) -> tuple[Panel, Panel]:
    """Measured over predicted as a scatter, and their ratio over the prediction."""
    scatter: list[Series] = []
    ratio: list[Series] = []
    ends: list[float] = []
    for colour, experiment in enumerate(experiments):
        table = settings_table(experiment, name)
        if not len(table):
            continue
        x, mean = table["predicted"].to_numpy(), table["mean"].to_numpy()
        low, high = table["low"].to_numpy(), table["high"].to_numpy()
        firm = (2 * table["usable"] >= table["replicas"]).to_numpy()
        tags = {"experiment": experiment.name}
        notes = list(table["point"])
        ends += list(x[np.isfinite(x)])
        for found, scale in ((scatter, 1.0), (ratio, x)):
            found.append(
                Series(experiment.name, x, mean / scale, "marks", colour, low / scale, high / scale, firm, tags=tags,
                       notes=notes)
            )  # fmt: skip
    if ends:
        line = np.array([min(ends), max(ends)])
        scatter.insert(0, Series("measured = predicted", line, line, "reference", dash="dot"))
    label = f"predicted {readable(name)}"
    return (
        Panel(readable(name), label, f"measured {readable(name)}", tuple(scatter), x_log=True, y_log=True),
        Panel(f"{readable(name)} / predicted", label, "measured / predicted", tuple(ratio), x_log=True, line_at=1.0),
    )


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = [e for e in experiments if any(best_prediction(run, "trace") is not None for run in e.runs.values())]
    if not chosen:
        return []
    names = [n for n in NAMES if any(f"{n}_mean" in run for e in chosen for run in e.runs.values())]
    pairs = [settings_panels(chosen, name) for name in names]
    return [
        Chart(
            "settings",
            "Theory at every setting",
            "Every sweep point of every linear network at its smallest rate against the limit of small rates (the "
            "closed form where a file has no limit and noise and signal commute). Means over seeds with 95 % "
            "intervals; open marks: fewer than half of the replicas are usable.",
            "; ".join(source(e, *[f"{n}_mean" for n in names], "small_lr_limit_* or closed_form_*") for e in chosen),
            (*[first for first, _ in pairs], *[second for _, second in pairs]),
            columns=len(names),
        )
    ]
