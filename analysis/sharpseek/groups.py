"""Groups of a sweep: what tells their runs apart, by name and configuration, and which have the smallest rate."""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment


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
    found: dict[str, str] = {}
    rest = name
    while rest:
        key, _, rest = rest.partition("=")
        written = sorted(map(_in_folder_name, known.get(key, [])), key=len, reverse=True)
        value = next((v for v in written if f"{rest},".startswith(f"{v},")), None)
        if value is None:
            value = re.split(r",(?=[a-z_]+=)", rest)[0]
        found[key] = unquote(value)
        rest = rest[len(value) + 1 :]
    return found


def _in_folder_name(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")


def group_values(run: xr.Dataset) -> dict[str, str]:
    """`group_axes` of a run by the name that its file holds."""
    return group_axes(str(run.attrs.get("group", "")), run)


def run_rate(run: xr.Dataset, group: str | None = None) -> float:
    """The learning rate of a run that did not sweep it over its replicas, from its group's name (default: as the file
    has it) or its configuration; NaN where these do not say."""
    axes = group_values(run) if group is None else group_axes(group, run)
    rate = axes.get("learning_rate", configuration(run).get("training", {}).get("learning_rate"))
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
    return {name: _at_smallest(run) for name, run in experiment.runs.items() if name in chosen}


def _at_smallest(run: xr.Dataset) -> xr.Dataset:
    if "learning_rate" not in run.coords:
        return run
    return run.isel(replica=np.flatnonzero(run["learning_rate"].values == run["learning_rate"].values.min()))
