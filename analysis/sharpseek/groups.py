"""Groups of a sweep: what tells their runs apart, by name and configuration, and which have the smallest rate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment, SharpseekFileError, open_groups


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


def number(text: str) -> float | str:
    """A swept value as a number where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def open_joined(directory: str | Path) -> xr.Dataset:
    """Opens a run, or all groups of a sweep as one dataset: their replicas one after another, with what tells the
    groups apart (`learning_rate`, `depth`) as coordinates on `replica`.

    A sweep over rates with `training.time` writes a folder for each rate, because its runs have different lengths;
    here it is one dataset again, whose `step` is [replica, time]. Variables whose other dimensions differ between
    groups (the parameters of networks of several depths) are left out; attribute `left_out` names them. Raises
    SharpseekFileError, also if the groups have different numbers of records.
    """
    runs = open_groups(directory)
    if len(runs) == 1:
        return next(iter(runs.values()))
    records = {name: run.sizes["time"] for name, run in runs.items()}
    if len(set(records.values())) > 1:
        counts = ", ".join(f"{name}: {count}" for name, count in records.items())
        raise SharpseekFileError(
            f"{directory}: its groups have different numbers of records ({counts}), so that they have no time in common"
        )
    # A group's axis may have the name of a dimension's coordinate (training.time).
    axes = {name: group_axes(name, run) for name, run in runs.items()}
    parts = [_part(run, axes[name]) for name, run in runs.items()]
    shared = [name for name in parts[0].variables if all(_alike(name, part, parts[0]) for part in parts)]
    left_out = sorted({str(name) for part in parts for name in part.variables} - {str(name) for name in shared})
    parts = [part.drop_vars([name for name in part.variables if name not in shared]) for part in parts]
    joined = xr.concat(parts, "replica", data_vars="minimal", coords="minimal", compat="override", join="override")
    same = {key: value for key, value in parts[0].attrs.items() if all(_equal(part, key, value) for part in parts)}
    joined.attrs = same | {"file": str(directory), "left_out": " ".join(left_out)}
    return joined


def _part(run: xr.Dataset, axes: dict[str, str]) -> xr.Dataset:
    """A group's run with its axes as coordinates, its steps per replica."""
    replicas = run.sizes["replica"]
    steps = run["step"].expand_dims(replica=replicas)
    part = run.drop_vars("step").assign_coords(step=steps)
    part = part.drop_vars([name for name in axes if name in part.variables])
    return part.assign_coords({name: ("replica", [number(text)] * replicas) for name, text in axes.items()})


def _alike(name: object, part: xr.Dataset, first: xr.Dataset) -> bool:
    """Whether a variable has the same dimensions in both, and if it has no replica the same values."""
    if name not in part.variables:
        return False
    one, other = part.variables[name], first.variables[name]
    sizes = [{dim: size for dim, size in variable.sizes.items() if dim != "replica"} for variable in (one, other)]
    return one.dims == other.dims and sizes[0] == sizes[1] and ("replica" in one.dims or one.equals(other))


def _equal(part: xr.Dataset, key: str, value: object) -> bool:
    return key in part.attrs and bool(np.all(part.attrs[key] == value))


NUMBERS = re.compile(r"(?<![\w.])-?[\d.]+(?:e[-+]?\d+)?(?:,-?[\d.]+(?:e[-+]?\d+)?){4,}(?![\w.])")
"""Five numbers or more with commas between them."""


def shortened(name: str) -> str:
    """A name whose lists of five numbers or more are their first two, an ellipsis and the last."""

    def ends(found: re.Match[str]) -> str:
        numbers = found[0].split(",")
        return f"{numbers[0]},{numbers[1]},…,{numbers[-1]}"

    return NUMBERS.sub(ends, name)


def short_names(names: Iterable[str]) -> list[str]:
    """The names, `shortened` where that leaves them different from each other."""
    whole = list(names)
    short = [shortened(name) for name in whole]
    return [s if short.count(s) == 1 else w for s, w in zip(short, whole, strict=True)]


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
