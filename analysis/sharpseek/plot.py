"""Plots of a run on matplotlib axes: each function draws on `ax` (new axes by default) and returns it.

    run = sharpseek.open_run("out/my-sweep")
    sharpseek.plot.trend(run, "trace").figure.savefig("trend.png")

They draw what the report draws: means over usable seeds with 95 % intervals, at the smallest learning rate where
several were swept; open marks where fewer than half of the replicas are usable. Trends are drawn over the noise
condition, or over what else was swept (`over` names it); series tell apart the settings of the other axes. Points with
too few usable replicas are named on the axes and in a warning. KeyError or ValueError say what a run lacks.
"""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from sharpseek.figures.balances import balance_panel
from sharpseek.figures.chart import Panel
from sharpseek.figures.common import Axis, axis_of, conditions, starts
from sharpseek.figures.forest import forest_panel
from sharpseek.figures.layers import layer_panel
from sharpseek.figures.spectra import density_panel, spectrum_over_time_panel, spectrum_panel
from sharpseek.figures.static import STYLE, draw_panel
from sharpseek.figures.theory import residual_panel, theory_panel
from sharpseek.figures.trajectories import trajectory_panel
from sharpseek.figures.trend import trend_panel
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate, start_axis
from sharpseek.verdicts import Verdict

__all__ = [
    "balances",
    "density",
    "evidence",
    "layers",
    "residuals",
    "spectrum",
    "spectrum_over_time",
    "theory",
    "trajectories",
    "trend",
]


_MEASURED_BY = {
    "trace": "spectrum",
    "sharpness": "spectrum",
    "eigenvalues": "spectrum",
    "density": "density",
    "gradient_fluctuation": "gradient",
    "gradient_variance": "gradient",
    "layer_fluctuation": "gradient",
    "balance_difference": "balance",
    "balance_sum": "balance",
    "excess_risk": "excess_risk",
}
"""Names of measure.quantities that write a variable."""
_COMPUTED_FOR = (
    (("closed_form_", "small_lr_limit_", "commutes"), "only linear networks have it"),
    (("flow_", "descent_flow_", "isotropic_flow_"), "only runs with model.init = manifold have it"),
    (("minimal_fluctuation_", "minimal_trace_"), "only runs with measure.rivals above 0 have it"),
    (("parameters",), "only runs with measure.keep_parameters = true have it"),
)


def _why_missing(variable: str) -> str:
    """Why a file may lack a variable, in words."""
    for beginnings, words in _COMPUTED_FOR:
        if variable.startswith(beginnings):
            return words
    name = variable.removesuffix("_mean")
    quantity = _MEASURED_BY.get(name)
    return f"{name} was not measured" + (f", measure.quantities had no {quantity}" if quantity else "")


def _file(run: xr.Dataset) -> str:
    return str(run.attrs.get("file", "run"))


def _need(run: xr.Dataset, *variables: str) -> None:
    for variable in variables:
        if variable not in run.variables:
            series = variable.removesuffix("_mean")
            unfinished = series != variable and series in run.variables and "finished" not in run.attrs
            why = f"the run is not finished; plot.trajectories(run, {series!r}) draws what there is"
            raise KeyError(
                f"{_file(run)}: variable {variable} is missing: {why if unfinished else _why_missing(variable)}"
            )


def _axis(run: xr.Dataset, over: str | None) -> Axis:
    try:
        axis = axis_of(run, over)
    except ValueError as error:
        raise ValueError(f"{_file(run)}: {error}") from None
    if axis is None:
        start = start_axis(run)
        other = f"over={start!r} draws over starts, " if start else ""
        what = f"noise.condition was not swept, nor anything else to draw over; {other}plot.trajectories over time"
        raise ValueError(f"{_file(run)}: {what}")
    return axis


def _draw(panel: Panel, ax: Axes | None, **only: str) -> Axes:
    if ax is None:
        with plt.rc_context(STYLE):
            _, ax = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    visible = tuple(s for s in panel.series if all(s.tags.get(tag, value) == value for tag, value in only.items()))
    if panel.note:
        warnings.warn(panel.note, stacklevel=3)
    return draw_panel(ax, panel, visible)


def _at(run: xr.Dataset, condition: float | None) -> xr.Dataset:
    """The replicas at one condition (default: the largest); all of them where the condition was not swept."""
    known = conditions(run)
    if condition is not None and condition not in known:
        has = ", ".join(f"{c:g}" for c in known) if len(known) else "one condition, which was not swept"
        raise ValueError(f"{_file(run)}: condition = {condition:g}: the run has {has}")
    if not len(known):
        return run
    chosen = known[-1] if condition is None else condition
    return run.isel(replica=np.flatnonzero(run["condition"].values == chosen))


def trend(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None, *, over: str | None = None) -> Axes:
    """Stationary mean of `variable` (trace, sharpness, ...) over the condition, or over the axis `over`, by start."""
    _need(run, f"{variable}_mean")
    return _draw(trend_panel(run, variable, _axis(run, over)), ax)


def theory(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None, *, over: str | None = None) -> Axes:
    """The trend with what theory predicts for a linear network."""
    _need(run, f"{variable}_mean", f"closed_form_{variable}")
    return _draw(theory_panel(run, variable, _axis(run, over)), ax)


def residuals(run: xr.Dataset, variable: str = "trace", ax: Axes | None = None, *, over: str | None = None) -> Axes:
    """Measured over predicted, by the best prediction that the file has."""
    _need(run, f"{variable}_mean", f"closed_form_{variable}")
    panel = residual_panel(run, variable, _axis(run, over))
    if panel is None:
        raise ValueError(f"{_file(run)}: no prediction of {variable} is finite")
    return _draw(panel, ax)


def trajectories(
    run: xr.Dataset, variable: str = "trace", condition: float | None = None, ax: Axes | None = None
) -> Axes:
    """`variable` over rescaled time from each start, with single replicas and, for linear networks, a line of theory.

    At one condition (default: the largest), in a colour for each setting of what else was swept.
    """
    _need(run, variable)
    return _draw(trajectory_panel(_at(run, condition), variable), ax)


def spectrum(run: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Largest Hessian eigenvalues at the last record, a line per condition (and setting of what else was swept)."""
    _need(run, "eigenvalues")
    return _draw(spectrum_panel(run), ax)


def spectrum_over_time(run: xr.Dataset, condition: float | None = None, ax: Axes | None = None) -> Axes:
    """Largest Hessian eigenvalues over rescaled time at one condition (default: the largest)."""
    _need(run, "eigenvalues")
    return _draw(spectrum_over_time_panel(_at(run, condition)), ax)


def density(run: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Density of Hessian eigenvalues at the last record with its 95 % band, one replica per condition."""
    _need(run, "density", "density_grid", "density_half_width")
    return _draw(density_panel(run), ax)


def layers(run: xr.Dataset, condition: float | None = None, ax: Axes | None = None) -> Axes:
    """Each layer's share of the gradient fluctuation over rescaled time from the sharpest start, 1 = an equal share.

    At one condition (default: the largest).
    """
    _need(run, "layer_fluctuation")
    part = _at(run, condition)
    return _draw(layer_panel(part, starts(smallest_rate(part))[-1]), ax)


def balances(run: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Relative imbalance of squared gradients per kind of symmetry, with 95 % intervals."""
    _need(run, "balance_difference", "balance_sum")
    return _draw(balance_panel([Experiment("run", "", "", [], {"": run})]), ax)


def evidence(verdict: Verdict, ax: Axes | None = None) -> Axes:
    """Forest plot of a verdict's evidence: estimates with 95 % intervals."""
    if not np.isfinite([e.estimate for e in verdict.evidence]).any():
        raise ValueError(f"{verdict.claim} in {verdict.subject}: no estimate is finite")
    return _draw(forest_panel(verdict.claim, verdict.effect, [verdict]), ax)
