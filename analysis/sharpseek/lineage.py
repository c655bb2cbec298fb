"""Joining a fork with the runs that it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import SharpseekFileError, open_run


def open_lineage(path: str | Path) -> xr.Dataset:
    """Opens a fork with what its parents recorded before it, replica by replica, as one series over time.

    Variables [replica, time, ...] that all of them recorded; coordinates of replicas are those of the fork. The
    coordinate generation [time] is 0 in the first ancestor and one more in each fork; a step at which a fork leaves its
    parent is that of the fork. A run that is no fork is its own lineage. Raises SharpseekFileError where a parent is
    missing or has changed.
    """
    run = open_run(path)
    line = [run]
    rows = [np.arange(run.sizes["replica"])]
    while "parent" in line[-1].attrs:
        fork = line[-1]
        rows.append(np.asarray(fork["parent_replica"].values)[rows[-1]])
        line.append(_open_parent(fork))

    shared = [n for n in run.data_vars if run[n].dims[:2] == ("replica", "time") and all(n in other for other in line)]
    pieces = []
    for generation, (own, replicas) in enumerate(zip(line[::-1], rows[::-1], strict=True)):
        later = line[::-1][generation + 1 :]
        end = min((fork.attrs["parent_step"] for fork in later), default=np.inf)
        times = np.flatnonzero((own["step"].values >= 0) & (own["step"].values < end))
        piece = own[[*shared, "rescaled_time"]].reset_coords()[[*shared, "rescaled_time", "step"]]
        piece = piece.isel(replica=replicas, time=times).drop_vars("replica", errors="ignore")
        pieces.append(piece.assign(generation=("time", np.full(times.size, generation))))
    joined = xr.concat(pieces, dim="time", data_vars="minimal", coords="minimal", compat="override", join="override")
    joined = joined.set_coords(["step", "rescaled_time", "generation"])
    joined = joined.assign_coords({n: c for n, c in run.coords.items() if c.dims == ("replica",)})
    joined.attrs = dict(run.attrs)
    return joined


def _open_parent(fork: xr.Dataset) -> xr.Dataset:
    """The parent's file where it was, or next to the fork if both have been moved."""
    file = Path(fork.attrs["parent"])
    if not file.exists():
        name = str(configuration(fork)["experiment"]["from"]).split("@")[0]
        group = file.parent.name if file.parent.name != Path(name).name else ""
        depth = 2 if fork.attrs.get("group") else 1
        file = Path(fork.attrs["file"]).parents[depth] / name / group / "run.h5"
    parent = open_run(file)
    if parent.attrs.get("fingerprint") != fork.attrs["parent_fingerprint"]:
        raise SharpseekFileError(f"{file}: is not the run that {fork.attrs['file']} was forked from")
    return parent
