"""What a stream sends: for each sweep point of each run file, means over seeds with bands, and chosen replicas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import SharpseekFileError, open_run, run_folders
from sharpseek.summaries import points, swept, t_interval

DEFAULT_VARIABLES = ("trace", "sharpness", "gradient_fluctuation", "excess_risk", "train_loss")
"""What is streamed of what a file has, unless `--variables` says otherwise."""


@dataclass(frozen=True)
class Point:
    """Replicas of one file that differ in nothing but their seed."""

    name: str
    """Such as `depth=2/condition=100`; the folder's own name if nothing was swept."""
    parameters: dict[str, str]
    """The configuration, flattened (`training.batch`), with this point's values of what was swept."""
    replicas: np.ndarray
    """Indices along `replica`."""
    identity: str
    """The same for a run, its continuation and its prolongation; different for another run."""


def flattened(config: dict[str, Any]) -> dict[str, str]:
    """{"training.batch": "4", ...} of a configuration."""
    flat: dict[str, str] = {}
    for section, keys in config.items():
        for key, value in keys.items() if isinstance(keys, dict) else []:
            flat[f"{section}.{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def run_points(run: xr.Dataset, name: str) -> list[Point]:
    """The sweep points of a run; `name` is the run's name within the stream, empty for a single run."""
    config = flattened(configuration(run))
    axes = swept(run)
    full = {axis: next((key for key in config if key.rsplit(".", 1)[1] == axis), axis) for axis in axes}
    kept = {key: value for key, value in config.items() if key not in ("training.steps", "training.time")}
    found = []
    for here in points(run):
        values = {axis: str(run[axis].values[here][0]) for axis in axes}
        title = "/".join(filter(None, (name, ",".join(f"{axis}={value}" for axis, value in values.items()))))
        own = {full[axis]: value for axis, value in values.items()}
        identity = json.dumps(kept | own | {"group": str(run.attrs.get("group", ""))}, sort_keys=True)
        found.append(Point(title or Path(run.attrs["file"]).parent.name, config | own, np.flatnonzero(here), identity))
    return found


def streamed_variables(run: xr.Dataset, wanted: list[str]) -> list[str]:
    """The [replica, time] variables to send. Raises SharpseekFileError for a name that the file does not have."""
    series = [str(name) for name, variable in run.data_vars.items() if variable.dims == ("replica", "time")]
    for name in wanted:
        if name not in series:
            raise SharpseekFileError(f"--variables {name}: not in {run.attrs['file']}, which has {', '.join(series)}")
    return wanted or [name for name in DEFAULT_VARIABLES if name in series]


def records(
    run: xr.Dataset, point: Point, variables: list[str], chosen: list[int], after: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """(step, values) of each record of a point after the step `after`, in order.

    Values: `VARIABLE/mean` with the 95 % Student interval `VARIABLE/low`, `VARIABLE/high` over the replicas whose value
    is finite, `replicas/not_finite`, how many are left out of it, and `VARIABLE/replica_I` of those chosen.
    """
    steps = run["step"].values
    new = np.flatnonzero(steps > after)
    if new.size == 0:
        return
    tables = {name: run[name].isel(time=new).values for name in variables}
    for column, step in enumerate(steps[new]):
        values: dict[str, float] = {}
        worst = 0
        for name, table in tables.items():
            series = table[point.replicas, column]
            finite = series[np.isfinite(series)]
            worst = max(worst, len(series) - len(finite))
            found = dict(zip(("mean", "low", "high"), t_interval(finite), strict=True))
            values |= {f"{name}/{end}": value for end, value in found.items() if np.isfinite(value)}
            for replica in set(chosen) & set(point.replicas.tolist()):
                if np.isfinite(table[replica, column]):
                    values[f"{name}/replica_{replica}"] = float(table[replica, column])
        yield int(step), values | {"replicas/not_finite": float(worst)}


def open_runs(directory: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """(name, run) of each run below a folder that has begun, finished or not. The caller closes it."""
    for name, folder in run_folders(directory).items():
        if (folder / "run.h5").exists() or folder == directory:
            yield name, open_run(folder)
