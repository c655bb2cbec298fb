"""Averages over seeds. What is not stationary or diverged never enters an average; it is counted beside it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.files import Experiment

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


_MEASURED_BY = {
    "trace": "spectrum",
    "sharpness": "spectrum",
    "eigenvalues": "spectrum",
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


def what_is_missing(variable: str) -> str:
    """Why a file may lack a variable, in words."""
    for beginnings, words in _COMPUTED_FOR:
        if variable.startswith(beginnings):
            return words
    name = variable.removesuffix("_mean")
    quantity = _MEASURED_BY.get(name)
    return f"{name} was not measured" + (f", measure.quantities had no {quantity}" if quantity else "")


MOST_DRIFT = 0.05
"""Largest |mean drift|, as a share of the mean, of replicas that differ in nothing but their seed; where its standard
error over three seeds or more is no larger than this either, two standard errors if that is more."""


def usable(run: xr.Dataset) -> np.ndarray:
    """[replica] whether a replica may support a claim: finished, stationary by itself, and of a point whose seeds do
    not drift on average. A single series may be too noisy to show a drift; the mean over seeds is less so."""
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


def most_stationary(run: xr.Dataset) -> int:
    """The largest number of stationary seeds at any sweep point, whether or not they drift on average."""
    axes = swept(run)
    frame = pd.DataFrame({axis: run[axis].values for axis in axes}, index=range(run.sizes["replica"]))
    frame["stationary"] = (run["stationary"].values == 1) & (run["status"].values == 0)
    return int((frame.groupby(axes)["stationary"].sum() if axes else frame["stationary"].agg(["sum"])).max())


def smallest_rate(run: xr.Dataset) -> xr.Dataset:
    """The replicas at the smallest learning rate: those nearest to what theory is about."""
    if "learning_rate" not in run.coords:
        return run
    return run.isel(replica=np.flatnonzero(run["learning_rate"].values == run["learning_rate"].values.min()))


def configuration(run: xr.Dataset) -> dict[str, Any]:
    """The resolved configuration, sections of keys; a swept key has a list."""
    config = run.attrs.get("config", {})
    return json.loads(config) if isinstance(config, str) else config


def group_axes(name: str, run: xr.Dataset) -> dict[str, str]:
    """What tells a group of a sweep from the others, by the group's name: {"depth": "2", "teacher": "diagonal:2,1"}.

    Values may hold commas, and text that looks like another axis: those of the configuration are tried first.
    """
    known = {
        key: [str(value) for value in values]
        for section in configuration(run).values()
        if isinstance(section, dict)
        for key, values in section.items()
        if isinstance(values, list)
    }
    axis = "|".join(map(re.escape, known)) if name.partition("=")[0] in known else "[a-z_]+"
    found: dict[str, str] = {}
    rest = name
    while rest:
        key, _, rest = rest.partition("=")
        written = sorted(map(_in_folder_name, known.get(key, [])), key=len, reverse=True)
        value = next((v for v in written if f"{rest},".startswith(f"{v},")), None)
        if value is None:
            value = re.split(rf",(?=(?:{axis})=)", rest)[0]
        found[key] = unquote(value)
        rest = rest[len(value) + 1 :]
    return found


def _in_folder_name(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")


def group_values(run: xr.Dataset) -> dict[str, str]:
    """`group_axes` of a run by the name that its file holds."""
    return group_axes(str(run.attrs.get("group", "")), run)


def run_rate(run: xr.Dataset) -> float:
    """The learning rate of a run that did not sweep it over its replicas; NaN where the file does not say."""
    rate = group_values(run).get("learning_rate", configuration(run).get("training", {}).get("learning_rate"))
    return float(rate) if isinstance(rate, str | int | float) else np.nan


def smallest_rate_runs(experiment: Experiment) -> dict[str, xr.Dataset]:
    """The replicas at the smallest learning rate, whether rates are replicas of one run or runs of their own."""
    smallest: dict[tuple[tuple[str, str], ...], tuple[float, str]] = {}
    for name, run in experiment.runs.items():
        axes = group_axes(name, run)
        rate = float(axes.pop("learning_rate", 0))
        point = tuple(axes.items())
        if point not in smallest or rate < smallest[point][0]:
            smallest[point] = (rate, name)
    chosen = {name for _, name in smallest.values()}
    return {name: smallest_rate(run) for name, run in experiment.runs.items() if name in chosen}


def pooled(experiment: Experiment) -> xr.Dataset:
    """All replicas of a sweep over shapes in one dataset: variables on replica, the groups' axes as coordinates.

    A single run is returned as it is, with its time series.
    """
    if len(experiment.runs) == 1:
        return experiment.run
    parts = []
    for group, run in experiment.runs.items():
        part = run[[name for name, variable in run.data_vars.items() if variable.dims == ("replica",)]]
        part = part.drop_vars([name for name in part.coords if part[name].dims != ("replica",)])
        axes = {
            name: ("replica", [_number(text)] * part.sizes["replica"]) for name, text in group_axes(group, run).items()
        }
        parts.append(part.assign_coords(axes))
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
    usable (those of them whose point does not drift: `usable`), diverged, mean, low, high (95 % Student-t interval over
    usable replicas). Raises KeyError for an unknown variable.
    """
    axes = swept(run) if by is None else by
    values, good, diverged = run[variable].values, usable(run), run["status"].values != 0
    stationary = run["stationary"].values == 1
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
                "stationary": int(stationary[here].sum()),
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
