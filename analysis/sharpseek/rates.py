"""Learning rates that are groups of a sweep, joined to one run: the layout of files must not decide a rule.

Rates that are swept over replicas lie in one file. Where the number of steps depends on the rate (`training.time`) each
rate is a group with a file of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_settings import group_values

RATE = "learning_rate"


def join_rates(experiment: Experiment) -> Experiment:
    """The experiment with its groups that differ in the learning rate only as one run each, with its time series.

    The others are as they were. `step` becomes a variable [replica, time]: it differs between rates.
    """
    together: dict[str, list[tuple[str, xr.Dataset]]] = {}
    for name, run in experiment.runs.items():
        rest = ",".join(f"{axis}={value}" for axis, value in _axes(name, run).items() if axis != RATE)
        together.setdefault(rest, []).append((name, run))
    if all(len(members) == 1 for members in together.values()):
        return experiment
    runs = {}
    for rest, members in together.items():
        if len(members) == 1:
            name, run = members[0]
            runs[name] = run
        else:
            runs[rest] = _joined(rest, members)
    return replace(experiment, runs=runs)


def _axes(name: str, run: xr.Dataset) -> dict[str, str]:
    """What tells this group from the others, by its file or else by its name."""
    return group_values(run) or group_values(xr.Dataset(attrs={**run.attrs, "group": name}))


def _joined(rest: str, members: list[tuple[str, xr.Dataset]]) -> xr.Dataset:
    """One run of several rates; records are thinned evenly to as many as the shortest has."""
    records = min(run.sizes["time"] for _, run in members)
    common = set.intersection(*({str(name) for name in run.variables} for _, run in members))
    parts = []
    for name, run in members:
        kept = np.round(np.linspace(0, run.sizes["time"] - 1, records)).astype(int)
        part = run.drop_vars([v for v in run.variables if v not in common]).isel(time=kept)
        replicas = part.sizes["replica"]
        step = np.tile(part["step"].values, (replicas, 1))
        part = part.drop_vars([v for v in ("step", "time", "replica") if v in part.variables])
        part = part.assign_coords(step=(("replica", "time"), step))
        if RATE not in part.coords:
            rate = float(_axes(name, run)[RATE])
            part = part.assign_coords({RATE: ("replica", np.full(replicas, rate))})
        parts.append(part)
    joined = xr.concat(
        parts, "replica", data_vars="minimal", coords="minimal", compat="override", join="override",
        combine_attrs="override",
    )  # fmt: skip
    return joined.assign_attrs(group=rest)
