"""Averages over seeds. What is not stationary or diverged never enters an average; it is counted separately."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.confidence import student_quantile
from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.groups import group_axes, number
from sharpseek.relaxation import FEWEST_SEEDS, Left, fitted, left_to_go

START_AXES = ("init_imbalance", "init_scale")
"""Coordinates that tell a flat start from a sharp one, in order of preference."""


def swept(run: xr.Dataset) -> list[str]:
    """The swept coordinates of the replicas: all but the seed."""
    return [
        str(name)
        for name, values in run.coords.items()
        if values.dims == ("replica",) and name not in ("seed", "replica", "noise_sign")
    ]


def start_axis(run: xr.Dataset) -> str | None:
    """The coordinate whose smallest value is the flat start and whose largest is the sharp one, if one was swept."""
    for name in START_AXES:
        if name in run.coords and len(np.unique(run[name])) > 1:
            return name
    return None


MARGIN = 0.05
"""The margin of a claim that names none of its own."""
DRIFT_SHARE = 0.5
"""Share of a claim's margin that may be left to go."""
JUDGED = ("trace", "sharpness", "gradient_fluctuation")
"""What a replica is called stationary by, and what may be left to go of it."""


def asked(run: xr.Dataset, margin: float, *variables: str) -> xr.Dataset:
    """The run for a claim of this margin about these variables: `usable` says of it, and of any part of it, which
    replicas may support that claim."""
    return run.assign(usable=("replica", usable(run.drop_vars("usable", errors="ignore"), margin, variables)))


def usable(run: xr.Dataset, margin: float = MARGIN, variables: Iterable[str] | None = None) -> np.ndarray:
    """[replica] whether a replica may support a claim of this margin about these variables (default: the trace, or what
    is measured in its place): finished, stationary by itself, and of a point that has arrived. Where the run was
    `asked`, margin and variables are those of that claim.

    A point has arrived if what its seeds still have to go is, with its whole interval, at most DRIFT_SHARE of the
    margin (`relaxation`). A single series may be too noisy to show that it goes anywhere; the mean over seeds is less
    so.
    """
    if "usable" in run:
        return run["usable"].values
    if "status" not in run:  # measured at weights whose training is not known: nothing to judge
        return np.ones(run.sizes["replica"], dtype=bool)
    variables = _default_variables(run) if variables is None else list(variables)
    finished = run["status"].values == 0
    good = finished & (run["stationary"].values == 1)
    for point in points(run) if good.any() else []:
        if not all(_arrived(run, point & finished, name, DRIFT_SHARE * margin) for name in variables):
            good[point] = False
    return good


def diverged(run: xr.Dataset) -> np.ndarray:
    """[replica] whether it diverged; False where that was not recorded."""
    return run["status"].values != 0 if "status" in run else np.zeros(run.sizes["replica"], dtype=bool)


def cure(lost: int, short: int, longer: str = "train longer") -> str:
    """What gives more usable replicas, where so many diverged and so many others are not usable yet."""
    return " or ".join([*(["lower the learning rate"] if lost else []), *([longer] if short else [])])


def _default_variables(run: xr.Dataset) -> list[str]:
    return [name for name in JUDGED if any(f"{name}{end}" in run for end in ("", "_left", "_drift"))][:1]


def points(run: xr.Dataset) -> list[np.ndarray]:
    """[replica] masks of the replicas that differ in nothing but their seed."""
    axes = swept(run)
    if not axes:
        return [np.ones(run.sizes["replica"], dtype=bool)]
    labels = pd.DataFrame({axis: run[axis].values for axis in axes}).groupby(axes, sort=False).ngroup().to_numpy()
    return [labels == label for label in range(labels.max() + 1)]


def left_at(run: xr.Dataset, point: np.ndarray, name: str) -> Left | None:
    """What is left to go of variable `name` over the replicas `point`; None where the run does not hold its series, and
    where that is too short or not finite. `pooled` runs hold the result instead of the series."""
    if not point.any():
        return None
    if f"{name}_left" in run:
        values = [float(run[f"{name}_{part}"].values[point][0]) for part in LEFT]
        return Left(*values) if np.isfinite(values[:3]).all() else None
    if name not in run or run[name].dims != ("replica", "time"):
        return None
    time = run["rescaled_time"].values[np.argmax(point)] if "rescaled_time" in run else np.empty(0)
    known = known_relaxation_time(run)[np.argmax(point)]
    if not (time.size > 1 and np.isfinite(time).all() and (np.diff(time) > 0).all()):
        time, known = np.arange(run.sizes["time"], dtype=float), np.nan
    series = run[name].values[point]
    left = left_to_go(series[np.isfinite(series[:, fitted(time.size)]).all(axis=1)], time, known)
    return left if np.isfinite(left.low) else None


LEFT = ("left", "left_low", "left_high", "relaxation_time", "relaxation_time_low", "relaxation_time_high")
"""What `pooled` keeps of a series, after the variable's name."""


def known_relaxation_time(run: xr.Dataset) -> np.ndarray:
    """[replica] slowest relaxation time in rescaled time where theory knows it: linear networks under plain SGD; else
    NaN."""
    unknown = np.full(run.sizes["replica"], np.nan)
    training = configuration(run).get("training", {})
    for key, plain in (("optimizer", "sgd"), ("momentum", 0), ("weight_decay", 0), ("schedule", "constant")):
        if key in run.coords or training.get(key, plain) != plain:
            return unknown
    if "small_lr_limit_relaxation_rate" not in run:
        return unknown
    with np.errstate(divide="ignore"):
        rate = run["small_lr_limit_relaxation_rate"].values
        return np.where(rate > 0, 1 / rate, np.nan)


def _arrived(run: xr.Dataset, point: np.ndarray, name: str, share: float) -> bool:
    """Whether what is left to go of a variable at a point lies within +- share, by its series and by half of the drift
    that the file holds (what the fastest relaxation leaves), as far as there are any."""
    if not point.any():
        return True
    left = left_at(run, point, name)
    if left is not None and not left.within(share):
        return False
    drift = run[f"{name}_drift"].values[point] / 2 if f"{name}_drift" in run else np.empty(0)
    drift = drift[np.isfinite(drift)]
    if drift.size == 0:
        return True
    mean, low, high = t_interval(drift)
    if left is not None and drift.size < FEWEST_SEEDS:  # whose spread says nothing; the series have been asked
        low = high = mean
    return bool(-share <= low and high <= share)


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
        part = part.drop_vars([name for name in part.coords if part[name].dims != ("replica",)]).assign(_left_of(run))
        for name, text in group_axes(group, run).items():
            part = part.assign_coords({name: ("replica", [number(text)] * part.sizes["replica"])})
        parts.append(part)
    return xr.concat(parts, "replica")


def _left_of(run: xr.Dataset) -> dict[str, tuple[str, np.ndarray]]:
    """What `usable` wants to know of a run's series, as variables on replica."""
    found: dict[str, tuple[str, np.ndarray]] = {}
    finished = run["status"].values == 0
    for name in JUDGED:
        table = np.full((len(LEFT), run.sizes["replica"]), np.nan)
        for point in points(run):
            left = left_at(run, point & finished, name)
            if left is not None:
                table[:, point] = np.array(astuple(left))[:, None]
        if np.isfinite(table).any():
            found |= {f"{name}_{part}": ("replica", values) for part, values in zip(LEFT, table, strict=True)}
    return found


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean over seeds with its Student-t interval (mean, low, high); the interval is NaN for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if values.size < 2:
        return mean, np.nan, np.nan
    half = float(student_quantile((1 - confidence) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return mean, mean - half, mean + half


def summarise(run: xr.Dataset, variable: str, by: list[str] | None = None) -> pd.DataFrame:
    """Mean over seeds of `variable` (a [replica] variable such as trace_mean) at each sweep point.

    Columns: the axes in `by` (default: every swept coordinate), replicas, stationary (by themselves, as the file says),
    usable (those of them that enter the mean: `usable`), diverged, mean, low, high (95 % Student-t interval over usable
    replicas). Raises KeyError for an unknown variable.
    """
    axes = swept(run) if by is None else by
    about = [name for name in JUDGED if variable == f"{name}_mean"] or None
    values, good, lost = run[variable].values, usable(run, variables=about), diverged(run)
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
                "diverged": int(lost[here].sum()),
                "mean": mean,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def relaxation_table(run: xr.Dataset, variable: str) -> pd.DataFrame:
    """What is left to go of `variable` (trace, sharpness, ...) at each sweep point, as a share of its mean, and its
    relaxation time in rescaled time: the swept axes and LEFT, each with its 95 % interval. NaN where that cannot be
    judged, and for the time where no relaxation is shown."""
    axes, finished = swept(run), run["status"].values == 0
    rows = []
    for point in points(run):
        left = left_at(run, point & finished, variable)
        values = astuple(left) if left else (np.nan,) * len(LEFT)
        rows.append({axis: run[axis].values[point][0] for axis in axes} | dict(zip(LEFT, values, strict=True)))
    return pd.DataFrame(rows)


def with_what_is_left(table: pd.DataFrame, run: xr.Dataset, variable: str) -> pd.DataFrame:
    """A table of `summarise` at every sweep point with left_low, left_high and relaxation_time of `variable`."""
    columns = ["left_low", "left_high", "relaxation_time"]
    left = relaxation_table(run, variable)[[*swept(run), *columns]]
    return table.merge(left, on=swept(run), how="left") if swept(run) else pd.concat([table, left], axis=1)


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
