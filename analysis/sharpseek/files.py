"""Opening run files, sweeps over shapes, and reproductions (schema: docs/files.md)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sharpseek.backend import RunFile
from sharpseek.config import configuration
from sharpseek.interrupts import INTERRUPTED, raising_interrupts
from sharpseek.pairs import pair_means
from sharpseek.sources import MissingSourcesError

SCHEMA_VERSION = 1
"""Newest schema of files, index.json and reproduce.json that this package reads."""


class SharpseekFileError(Exception):
    """A file is missing, not ours, incomplete or newer than this package. One line that names the file."""


def described(error: OSError, file: str | Path) -> str:
    """What the system says, as one line that names the file of the error, or `file` if the error names none."""
    return f"{error.filename or file}: {' '.join((error.strerror or str(error)).split())}"


def exit_status(command: Callable[[], int | None]) -> int:
    """Runs a command. What is wrong with a file is one line on stderr and status 2, Ctrl-C one line and status 75."""
    failure = 2
    try:
        with raising_interrupts():
            status = command() or 0
            sys.stdout.flush()
            return status
    except SharpseekFileError as error:
        print(f"sharpseek: {error}", file=sys.stderr)
    except OSError as error:
        print(f"sharpseek: {described(error, 'standard output')}", file=sys.stderr)
    except KeyboardInterrupt as stop:
        failure = INTERRUPTED
        print(f"sharpseek: {stop if str(stop) else 'interrupted'}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # it would be tried, and fail, again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return failure


def open_run(path: str | Path, members: bool = False) -> xr.Dataset:
    """Opens one run: the file run.h5, or the folder that holds it; or a file of `sharpseek measure`; or what
    `to_netcdf` made of one of these.

    Returns a lazily loaded dataset with dimensions replica, time, ...; what identifies a replica (condition, seed, ...)
    are coordinates on replica. `configuration(run)` is the resolved configuration; a module
    that was measured has none. A run that is still running or was stopped opens too: NaN, and step -1, where it has not
    come to; `require_finished` refuses it. Antithetic pairs (noise.antithetic) are one replica each, the mean of the
    two (`pair_means`); with `members` they stay as the file has them. Raises SharpseekFileError.
    """
    file = Path(path)
    if file.is_dir():
        if not (file / "run.h5").exists() and (file / "index.json").exists():
            raise SharpseekFileError(f"{file}: holds several runs; use open_sweep")
        file = file / "run.h5"
    if not file.exists():
        raise SharpseekFileError(f"{file}: no such file")
    try:
        run = xr.open_dataset(file, engine=RunFile)
    except MissingSourcesError as error:
        raise SharpseekFileError(f"{file}: {error.strerror}") from None
    except (OSError, ValueError) as error:
        raise SharpseekFileError(f"{file}: {_why_not_opened(file, error)}") from None
    try:
        _check_run(run, file)
    except SharpseekFileError:
        run.close()
        raise
    run.attrs["file"] = str(file)
    return run if members else pair_means(run)


def _why_not_opened(file: Path, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be opened: {os.strerror(error.errno)}"
    with file.open("rb") as opened:
        if opened.read(3) == b"CDF":
            return 'a netCDF-3 file, which is not read; write netCDF-4: to_netcdf(..., engine="h5netcdf")'
    return f"not a readable HDF5 file ({error})"


def _check_run(run: xr.Dataset, file: Path) -> None:
    """Raises SharpseekFileError unless a file is ours and whole."""
    if "checkpoint_schema" in run.attrs:
        raise SharpseekFileError(f"{file}: the checkpoint of a run; open run.h5 next to it")
    if "schema_version" not in run.attrs:
        raise SharpseekFileError(f"{file}: not a run file of sharpseek: attribute schema_version is missing")
    _check_schema(run.attrs["schema_version"], file)
    selection = "file" in run.attrs  # saved by a user, who chose what is in it
    measured = "measure_version" in run.attrs
    needed = () if selection else ("step",) if measured else ("step", "rescaled_time", "status", "stationary")
    missing = [name for name in needed if name not in run.variables]
    if missing:
        raise SharpseekFileError(f"{file}: variable {missing[0]} is missing")
    if "config" not in run.attrs and not (selection or measured):
        raise SharpseekFileError(f"{file}: attribute config is missing")
    try:
        configuration(run)
    except (TypeError, ValueError):
        raise SharpseekFileError(f"{file}: attribute config is not valid JSON") from None


def require_finished(run: xr.Dataset) -> None:
    """Raises SharpseekFileError if a run that open_run opened is not finished."""
    if "finished" not in run.attrs:
        file = Path(run.attrs["file"])
        raise SharpseekFileError(f"{file}: the run is not finished; continue with: sharpseek resume {file.parent}")


def open_sweep(directory: str | Path) -> xr.DataTree:
    """Opens every group of an experiment as a child of one tree, by its name; a single run is the tree's root.

    `tree["depth=2"]["trace"]` reads as with a dataset, `tree["depth=2"].to_dataset()` is what `open_run` returns,
    `open_joined` makes one dataset of all groups. Raises SharpseekFileError.
    """
    runs = open_groups(directory)
    if list(runs) == [""]:
        return xr.DataTree(runs[""], name=Path(directory).resolve().name)
    # Names hold no slash: the program writes one as %2F.
    return xr.DataTree.from_dict(dict(runs), name=Path(directory).resolve().name)


def open_groups(directory: str | Path) -> dict[str, xr.Dataset]:
    """Opens every group of an experiment by name; a single run is the group "". Raises SharpseekFileError."""
    return {name: open_run(place) for name, place in _group_places(Path(directory)).items()}


def run_folders(directory: str | Path) -> dict[str, Path]:
    """The folder of each run of a run, sweep or reproduction that has begun, finished or not, by a name that is unique
    in it ("" for a single run). Raises SharpseekFileError."""
    directory = Path(directory)
    if not (directory / "reproduce.json").exists():
        return _group_places(directory)
    index = _read_json(directory / "reproduce.json")
    found = {}
    for path in _field(directory / "reproduce.json", lambda: [entry["path"] for entry in index["experiments"]]):
        if (directory / path / "index.json").exists() or (directory / path / "run.h5").exists():
            for group, place in _group_places(directory / path).items():
                found["/".join(filter(None, (path, group)))] = place
    return found


def _group_places(directory: Path) -> dict[str, Path]:
    """Where each group of an experiment is; {"": directory} if there is no index."""
    file = directory / "index.json"
    if not file.exists():
        return {"": directory}
    index = _read_json(file)
    places = _field(file, lambda: {group["name"]: directory / group["path"] for group in index["groups"]})
    return {name: place.parent if place.name == "run.h5" else place for name, place in places.items()}


def _field(file: Path, read: Callable[[], Any]) -> Any:
    """What `read` takes from the parsed `file`. Raises SharpseekFileError if it lacks that."""
    try:
        return read()
    except (KeyError, TypeError) as error:
        raise _incomplete(file, error) from None


@dataclass
class Experiment:
    """One experiment of a reproduction: what it is and its runs by group name."""

    name: str
    title: str
    architecture: str
    claims: list[str]
    runs: dict[str, xr.Dataset] = field(default_factory=dict)

    @property
    def run(self) -> xr.Dataset:
        """The only run. Raises SharpseekFileError if there are several."""
        if len(self.runs) != 1:
            raise SharpseekFileError(f"experiment {self.name}: holds {len(self.runs)} runs, one was asked for")
        return next(iter(self.runs.values()))


def open_reproduction(directory: str | Path, interim: bool = False) -> tuple[dict[str, Any], list[Experiment]]:
    """Opens the folder that `sharpseek reproduce` wrote: its reproduce.json and its experiments, in its order. A run or
    sweep of `sharpseek run` is one experiment with the claims of its configuration. `interim`: those experiments that
    have finished are enough.

    Raises SharpseekFileError, also for what is not finished.
    """
    directory = Path(directory)
    file = directory / "reproduce.json"
    if not file.exists() and ((directory / "index.json").exists() or (directory / "run.h5").exists()):
        return _only_experiment(directory)
    index = _read_json(file)
    if "finished" not in index and not interim:
        raise SharpseekFileError(
            f"{file}: the reproduction is not finished; continue with: sharpseek resume {directory}"
        )
    try:
        entries = [
            (
                Experiment(entry["name"], entry["title"], entry["architecture"], list(entry["claims"])),
                directory / entry["path"],
            )
            for entry in index["experiments"]
        ]
    except (KeyError, TypeError) as error:
        raise _incomplete(file, error) from None
    for experiment, path in entries:
        experiment.runs = open_groups(path)
        for run in experiment.runs.values():
            require_finished(run)
    return index, [experiment for experiment, _ in entries]


def _only_experiment(directory: Path) -> tuple[dict[str, Any], list[Experiment]]:
    """A run or sweep as a reproduction of one experiment."""
    runs = open_groups(directory)
    for run in runs.values():
        require_finished(run)
    first = next(iter(runs.values()))
    sections = configuration(first)
    said, model = sections.get("experiment", {}), sections.get("model", {})
    name = str(said.get("name") or directory.resolve().name)
    architecture = str(model.get("kind", ""))
    if architecture == "mlp":
        architecture = f"{model.get('activation', '')} mlp".strip()
    claims = [claim for claim in str(said.get("claims", "")).split(",") if claim]
    times = {key: [str(run.attrs[key]) for run in runs.values() if key in run.attrs] for key in ("started", "finished")}
    index = {
        "preset": name,
        "version": first.attrs.get("version", ""),
        "started": min(times["started"], default=""),
        "finished": max(times["finished"], default=""),
    }
    title = str(said.get("title") or name)
    index["title"] = title
    return index, [Experiment(name, title, architecture, claims, runs)]


def _incomplete(file: Path, error: KeyError | TypeError) -> SharpseekFileError:
    what = f"{error} is missing" if isinstance(error, KeyError) else f"not written by sharpseek ({error})"
    return SharpseekFileError(f"{file}: {what}")


def _check_schema(version: object, file: Path) -> None:
    if not isinstance(version, int | np.integer) or version < 1:
        raise SharpseekFileError(f"{file}: schema_version = {version!r}: must be a whole number of at least 1")
    if version > SCHEMA_VERSION:
        raise SharpseekFileError(
            f"{file}: schema version {version} is newer than {SCHEMA_VERSION}, the newest this package reads"
        )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SharpseekFileError(f"{file}: no such file") from None
    except OSError as error:
        raise SharpseekFileError(described(error, file)) from None
    except (ValueError, RecursionError) as error:
        raise SharpseekFileError(f"{file}: not valid JSON ({error})") from None
    if not isinstance(index, dict) or "schema_version" not in index:
        raise SharpseekFileError(f"{file}: not written by sharpseek: schema_version is missing")
    _check_schema(index["schema_version"], file)
    return index
