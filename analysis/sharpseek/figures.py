"""Figures of a run. Each function returns the matplotlib figure; styling is one place, at the top.

Where several learning rates were swept, figures show the smallest; balances use all.
"""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate, start_axis, summarise, usable
from sharpseek.verdicts import balance_table

INK = "#010203"
"""Text and axes; the report turns it into the page's text colour."""
FLAT, SHARP, THIRD, FOURTH, FIFTH = "#2a7fc9", "#d9722b", "#2f9e73", "#9a5fc0", "#b08a00"
CYCLE = (FLAT, SHARP, THIRD, FOURTH, FIFTH)

STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
}


def _figure(columns: int, rows: int = 1, height: float = 2.9, **options: object) -> tuple[Figure, np.ndarray]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9 * columns, height * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _starts(run: xr.Dataset) -> list[tuple[str, float | None, str]]:
    """(label, value, colour) of each start."""
    axis = start_axis(run)
    if axis is None:
        return [("all replicas", None, FLAT)]
    values = np.unique(run[axis])
    names = {values[0]: f"flat start ({axis} {values[0]:g})", values[-1]: f"sharp start ({axis} {values[-1]:g})"}
    return [(names.get(v, f"{axis} {v:g}"), float(v), CYCLE[i % len(CYCLE)]) for i, v in enumerate(values)]


def _points(axes: Axes, run: xr.Dataset, variable: str) -> None:
    """Mean and interval over seeds at each condition, a colour per start; open: fewer than half are stationary."""
    axis = start_axis(run)
    table = summarise(run, variable, ["condition"] + ([axis] if axis else []))
    for shift, (label, value, colour) in enumerate(_starts(run)):
        rows = table if value is None else table[table[axis] == value]
        rows = rows[np.isfinite(rows["mean"])]
        x = rows["condition"] * 1.06 ** (shift - 0.5)
        errors = np.nan_to_num(np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy()))
        firm = (rows["stationary"] * 2 >= rows["replicas"]).to_numpy()
        axes.errorbar(x, rows["mean"], errors, fmt="none", ecolor=colour, elinewidth=1.2, capsize=2)
        axes.scatter(x[firm], rows["mean"][firm], s=22, color=colour, label=label, zorder=3)
        axes.scatter(x[~firm], rows["mean"][~firm], s=22, facecolors="none", edgecolors=colour, zorder=3)


def _condition_axis(axes: Axes, run: xr.Dataset) -> None:
    values = np.unique(run["condition"])
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.minorticks_off()
    axes.set_xlabel("condition κ of the label noise")


def theory_over_condition(experiment: Experiment) -> Figure:
    """Measured trace, sharpness and gradient fluctuation of a linear network over kappa, with the closed form."""
    run = smallest_rate(experiment.run)
    names = ("trace", "sharpness", "gradient_fluctuation")
    figure, axes = _figure(len(names))
    with matplotlib.rc_context(STYLE):
        conditions = np.unique(run["condition"])
        for ax, name in zip(axes[0], names, strict=True):
            predicted = [run[f"closed_form_{name}"].values[run["condition"].values == c][0] for c in conditions]
            ax.plot(conditions, predicted, color=INK, linestyle="--", linewidth=1, label="closed form")
            if name == "trace":
                flattest = run["closed_form_flattest_trace"].values[0]
                ax.axhline(flattest, color=INK, linewidth=0.8, linestyle=":", label="flattest possible")
            _points(ax, run, f"{name}_mean")
            _condition_axis(ax, run)
            ax.set_title(name.replace("_", " "))
        axes[0][0].legend()
    return figure


def trajectories(experiment: Experiment, condition: float | None = None) -> Figure:
    """Trace from each start over rescaled time at one condition (default: the largest), fluctuation beneath.

    Thin lines: replicas; thick lines: their mean. Non-stationary replicas are drawn too: this figure shows the way.
    """
    run = smallest_rate(experiment.run)
    figure, axes = _figure(1, 2, height=2.2, sharex=True)
    with matplotlib.rc_context(STYLE):
        kappa = float(np.max(run["condition"])) if condition is None else condition
        here = run["condition"].values == kappa if "condition" in run.coords else np.ones(run.sizes["replica"], bool)
        axis = start_axis(run)
        for row, name in enumerate(("trace", "gradient_fluctuation")):
            ax = axes[row][0]
            for label, value, colour in _starts(run):
                select = here if value is None else here & (run[axis].values == value)
                if not select.any():
                    continue
                time = run["rescaled_time"].values[select][:, 1:]
                series = run[name].values[select][:, 1:]
                ax.plot(time.T, series.T, color=colour, linewidth=0.5, alpha=0.35)
                ax.plot(time.mean(axis=0), series.mean(axis=0), color=colour, linewidth=1.6, label=label)
            if f"closed_form_{name}" in run:
                ax.axhline(
                    run[f"closed_form_{name}"].values[here][0],
                    color=INK,
                    linestyle="--",
                    linewidth=1,
                    label="closed form",
                )
            ax.set_title(f"{name.replace('_', ' ')}, κ = {kappa:g}")
        axes[0][0].legend()
        axes[1][0].set_xlabel("rescaled time η² · steps / batch")
    return figure


def trend(experiments: Iterable[Experiment]) -> Figure:
    """Trace and sharpness over kappa for each nonlinear architecture, one row each."""
    chosen = list(experiments)
    figure, axes = _figure(2, len(chosen), height=2.4)
    with matplotlib.rc_context(STYLE):
        for row, experiment in zip(axes, chosen, strict=True):
            run = smallest_rate(experiment.run)
            for ax, name in zip(row, ("trace", "sharpness"), strict=True):
                _points(ax, run, f"{name}_mean")
                _condition_axis(ax, run)
                ax.set_title(f"{experiment.architecture}: {name}")
            row[0].legend()
    return figure


def spectra(experiments: Iterable[Experiment]) -> Figure:
    """Largest Hessian eigenvalues at the last record per condition: mean over usable replicas (all, if none is)."""
    chosen = list(experiments)
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = _figure(columns, rows, height=2.4)
    with matplotlib.rc_context(STYLE):
        for ax in axes.flat[len(chosen) :]:
            ax.set_visible(False)
        for ax, experiment in zip(axes.flat, chosen, strict=False):
            run = smallest_rate(experiment.run)
            good = usable(run)
            for i, condition in enumerate(np.unique(run["condition"])):
                here = run["condition"].values == condition
                select = here & good if (here & good).any() else here
                values = run["eigenvalues"].values[select, -1]
                index = np.arange(1, values.shape[1] + 1)
                mark = "" if (here & good).any() else " (not stationary)"
                ax.plot(
                    index, values.mean(axis=0), "o-", markersize=3, linewidth=1, color=CYCLE[i % len(CYCLE)],
                    label=f"κ = {condition:g}{mark}",
                )  # fmt: skip
            ax.set_title(experiment.title)
            ax.set_xlabel("eigenvalue index")
            ax.set_xticks(index)
            ax.legend()
    return figure


def balances(experiments: Iterable[Experiment]) -> Figure:
    """Relative imbalance of squared gradients by kind of symmetry, with 95 % intervals; tanh units are the control."""
    rows = []
    for experiment in experiments:
        for row in balance_table(experiment.run).itertuples():
            rows.append((f"{experiment.name}: {row.kind}", row))
    figure, axes = _figure(2, height=max(1.6, 0.28 * len(rows) + 0.9))
    with matplotlib.rc_context(STYLE):
        axes[0][1].remove()
        ax = axes[0][0]
        ax.axvline(0, color=INK, linewidth=0.8)
        for i, (_, row) in enumerate(rows):
            colour = THIRD if row.conserved else SHARP
            if np.isfinite(row.low):
                ax.plot([row.low, row.high], [i, i], color=colour, linewidth=1.6)
            if np.isfinite(row.mean):
                ax.plot([row.mean], [i], "o", color=colour, markersize=4)
        ax.set_yticks(range(len(rows)), [name for name, _ in rows])
        ax.invert_yaxis()
        ax.set_xlabel("(incoming − outgoing) / (incoming + outgoing) squared gradients")
        ax.plot([], [], color=THIRD, label="symmetry: must be 0")
        ax.plot([], [], color=SHARP, label="control: no symmetry")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
