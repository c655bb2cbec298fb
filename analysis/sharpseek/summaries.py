"""Averages over seeds. What is not stationary or diverged never enters an average; it is counted beside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.files import Experiment
from sharpseek.groups import group_axes

START_AXES = ("init_imbalance", "init_scale")
"""Coordinates that tell a flat start from a sharp one, in order of preference."""


def swept(run: xr.Dataset) -> list[str]:
    """The swept coordinates of the replicas: all but the seed."""
    return [
        str(name)
        for name, values in run.coords.items()
        if values.dims == ("replica",) and name not in ("seed", "replica")
    ]


def start_axis(run: xr.Dataset) -> str | None:
    """The coordinate whose smallest value is the flat start and whose largest is the sharp one, if one was swept."""
    for name in START_AXES:
        if name in run.coords and len(np.unique(run[name])) > 1:
            return name
    return None


MOST_DRIFT = 0.05
"""Largest |mean drift|, as a share of the mean, of replicas that differ in nothing but their seed; where its standard
error over three seeds or more is no larger than this either, two standard errors if that is more."""


def asked(run: xr.Dataset, margin: float, *variables: str) -> xr.Dataset:
    """The run for a claim of this margin about these variables: `usable` says of it, and of any part of it, which
    replicas may support that claim."""
    return run.assign(usable=("replica", usable(run.drop_vars("usable", errors="ignore"), margin, variables)))


def usable(run: xr.Dataset, margin: float = MOST_DRIFT, variables: Iterable[str] | None = None) -> np.ndarray:
    """[replica] whether a replica may support a claim: finished, stationary by itself, and of a point whose seeds do
    not drift on average. A single series may be too noisy to show a drift; the mean over seeds is less so."""
    if "usable" in run:
        return run["usable"].values
    finished = run["status"].values == 0
    good = finished & (run["stationary"].values == 1)
    measured = [values.values for name, values in run.data_vars.items() if str(name).endswith("_drift")]
    if not measured or not good.any():
        return good
    points = pd.DataFrame({axis: run[axis].values for axis in swept(run)}, index=range(good.size))
    labels = (
        points.groupby(list(points), sort=False).ngroup().to_numpy() if len(points.columns) else np.zeros(good.size)
    )
    for point in np.unique(labels):
        here = labels == point
        for drift in measured:
            if _drifts(drift[here & finished & np.isfinite(drift)]):
                good[here] = False
    return good


def _drifts(drift: np.ndarray) -> bool:
    """Whether the seeds of a point, whose relative drifts these are, drift on average by more than MOST_DRIFT."""
    if drift.size == 0 or abs(drift.mean()) <= MOST_DRIFT:
        return False
    error = drift.std(ddof=1) / np.sqrt(drift.size) if drift.size > 2 else np.inf
    return bool(error > MOST_DRIFT or abs(drift.mean()) > 2 * error)


def smallest_rate(run: xr.Dataset) -> xr.Dataset:
    """The replicas at the smallest learning rate: those nearest to what theory is about."""
    if "learning_rate" not in run.coords:
        return run
    return run.isel(replica=np.flatnonzero(run["learning_rate"].values == run["learning_rate"].values.min()))


def pooled(experiment: Experiment) -> xr.Dataset:
    """All replicas of a sweep over shapes in one dataset: variables on replica, the groups' axes as coordinates.

    A single run is returned as it is, with its time series.
    """
    if len(experiment.runs) == 1:
        return experiment.run
    parts = []
    for group, run in experiment.runs.items():
        part = run[[name for name, variable in run.data_vars.items() if variable.dims == ("replica",)]]
        # Without the coordinates of other dimensions: an axis may have their name (training.time).
        part = part.drop_vars([name for name in part.coords if part[name].dims != ("replica",)])
        for name, text in group_axes(group, run).items():
            part = part.assign_coords({name: ("replica", [_number(text)] * part.sizes["replica"])})
        parts.append(part)
    return xr.concat(parts, "replica")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds with its Student-t interval (mean, low, high); the interval is NaN for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if values.size < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf(0.5 + confidence / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return mean, mean - half, mean + half


def summarise(run: xr.Dataset, variable: str, by: list[str] | None = None) -> pd.DataFrame:
    """Mean over seeds of `variable` (a [replica] variable such as trace_mean) at each sweep point.

    Columns: the axes in `by` (default: every swept coordinate), replicas, stationary (by themselves, as the file says),
    usable (those of them that enter the mean: `usable`), diverged, mean, low, high (95 % Student-t interval over usable
    replicas). Raises KeyError for an unknown variable.
    """
    axes = swept(run) if by is None else by
    values, good, diverged = run[variable].values, usable(run), run["status"].values != 0
    frame = pd.DataFrame({axis: run[axis].values for axis in axes}, index=range(len(values)))
    rows = []
    groups = frame.groupby(axes, sort=True) if axes else [((), frame)]
    for point, group in groups:
        here = group.index.to_numpy()
        mean, low, high = t_interval(values[here[good[here]]])
        rows.append(
            dict(zip(axes, point, strict=True))
            | {
                "replicas": len(here),
                "stationary": int((run["stationary"].values[here] == 1).sum()),
                "usable": int(good[here].sum()),
                "diverged": int(diverged[here].sum()),
                "mean": mean,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def last_half(run: xr.Dataset, variable: str) -> xr.DataArray:
    """Mean of a time series over the last half of the records: the window of the stationarity test."""
    series = run[variable]
    return series.isel(time=slice(series.sizes["time"] - series.sizes["time"] // 2, None)).mean("time", skipna=False)


def on_manifold(run: xr.Dataset) -> np.ndarray:
    """[replica] index of the first record at which the weights have reached the set of minima.

    That is the first record whose excess risk is at most twice its mean over the last half of the records. The initial
    weights do not fit the teacher; their curvature says nothing about minima.
    """
    excess = run["excess_risk"].values
    level = last_half(run, "excess_risk").values
    return np.argmax(excess <= 2 * level[:, None], axis=1)
