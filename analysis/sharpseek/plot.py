"""Plots of a run on matplotlib axes: each function draws on `ax` (new axes by default) and returns it.

    run = sharpseek.open_run("out/my-sweep")
    sharpseek.plot.trend(run, "trace").figure.savefig("trend.png")

They draw what the report draws: means over usable seeds with 95 % intervals, at the smallest learning rate where
several were swept; open marks where fewer than half of the replicas are stationary. KeyError or ValueError say what a
run lacks.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from sharpseek.figures.balances import balance_panel
from sharpseek.figures.chart import Panel
from sharpseek.figures.common import conditions, starts
from sharpseek.figures.forest import forest_panel
from sharpseek.figures.layers import layer_panel
from sharpseek.figures.spectra import spectrum_over_time_panel, spectrum_panel
from sharpseek.figures.static import STYLE, draw_panel
from sharpseek.figures.theory import residual_panel, theory_panel
from sharpseek.figures.trajectories import trajectory_panel
from sharpseek.figures.trend import trend_panel
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict

__all__ = [
    "balances",
    "evidence",
    "layers",
    "residuals",
    "spectrum",
    "spectrum_over_time",
    "theory",
    "trajectories",
    "trend",
]


def _need(run: xr.Dataset, *variables: str) -> None:
    for variable in variables:
        if variable not in run.variables:
            raise KeyError(f"{run.attrs.get('file', 'run')}: variable {variable} is missing")
    if not len(conditions(run)):
        raise ValueError(f"{run.attrs.get('file', 'run')}: noise.condition was not swept")


def _draw(panel: Panel, ax: Axes | None, **only: str) -> Axes:
    if ax is None:
        with plt.rc_context(STYLE):
            _, ax = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    visible = tuple(s for s in panel.series if all(s.tags.get(tag, value) == value for tag, value in only.items()))
    return draw_panel(ax, panel, visible)


def trend(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None) -> Axes:
    """Stationary mean of `variable` (trace, sharpness, gradient_fluctuation, ...) over the condition, by start."""
    _need(run, f"{variable}_mean")
    return _draw(trend_panel(run, variable), ax)


def theory(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None) -> Axes:
    """The trend with what theory predicts for a linear network."""
    _need(run, f"{variable}_mean", f"closed_form_{variable}")
    return _draw(theory_panel(run, variable), ax)


def residuals(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None) -> Axes:
    """Measured over predicted, by the best prediction that the file has."""
    _need(run, f"{variable}_mean", f"closed_form_{variable}")
    panel = residual_panel(run, variable)
    if panel is None:
        raise ValueError(f"{run.attrs.get('file', 'run')}: no prediction of {variable} is finite")
    return _draw(panel, ax)


def trajectories(
    run: xr.Dataset, variable: str = "trace", condition: float | None = None, ax: Axes | None = None
) -> Axes:
    """`variable` over rescaled time from each start at one condition (default: the largest), with single replicas."""
    _need(run, variable)
    known = conditions(run)
    chosen = known[-1] if condition is None else condition
    if chosen not in known:
        raise ValueError(f"condition = {chosen:g}: the run has {', '.join(f'{c:g}' for c in known)}")
    return _draw(trajectory_panel(run.isel(replica=run["condition"].values == chosen), variable), ax)


def spectrum(run: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Largest Hessian eigenvalues at the last record, a line per condition."""
    _need(run, "eigenvalues")
    return _draw(spectrum_panel(run), ax)


def spectrum_over_time(run: xr.Dataset, condition: float | None = None, ax: Axes | None = None) -> Axes:
    """Largest Hessian eigenvalues over rescaled time at one condition (default: the largest)."""
    _need(run, "eigenvalues")
    chosen = conditions(run)[-1] if condition is None else condition
    return _draw(spectrum_over_time_panel(run), ax, condition=f"κ = {chosen:g}")


def layers(run: xr.Dataset, condition: float | None = None, ax: Axes | None = None) -> Axes:
    """Each layer's share of the gradient fluctuation over rescaled time from the sharpest start, 1 = an equal share."""
    _need(run, "layer_fluctuation")
    chosen = conditions(run)[-1] if condition is None else condition
    return _draw(layer_panel(run, starts(run)[-1]), ax, condition=f"κ = {chosen:g}")


def balances(run: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Relative imbalance of squared gradients per kind of symmetry, with 95 % intervals."""
    _need(run, "balance_difference", "balance_sum")
    return _draw(balance_panel([Experiment("run", "", "", [], {"": run})]), ax)


def evidence(verdict: Verdict, ax: Axes | None = None) -> Axes:
    """Forest plot of a verdict's evidence: estimates with 95 % intervals."""
    if not np.isfinite([e.estimate for e in verdict.evidence]).any():
        raise ValueError(f"{verdict.claim} in {verdict.subject}: no estimate is finite")
    return _draw(forest_panel(verdict.claim, verdict.effect, [verdict]), ax)
