"""Opening run files, sweeps over shapes, and reproductions (schema: docs/files.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from sharpseek.backend import RunFile

SCHEMA_VERSION = 1
"""Newest schema of files, index.json and reproduce.json that this package reads."""


class SharpseekFileError(Exception):
    """A file is missing, not ours, incomplete or newer than this package. One line that names the file."""


def open_run(path: str | Path) -> xr.Dataset:
    """Opens one run: the file run.h5, or the folder that holds it.

    Returns a lazily loaded dataset with dimensions replica, time, ...; what identifies a replica (condition, seed, ...)
    are coordinates on replica. The resolved configuration is the dict `run.attrs["config"]`.
    Raises SharpseekFileError.
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
    except (OSError, ValueError) as error:
        raise SharpseekFileError(f"{file}: not a readable HDF5 file ({error})") from None
    if "schema_version" not in run.attrs:
        run.close()
        raise SharpseekFileError(f"{file}: not a run file of sharpseek: attribute schema_version is missing")
    _check_schema(int(run.attrs["schema_version"]), file)
    missing = [name for name in ("step", "rescaled_time", "status", "stationary") if name not in run.variables]
    if missing:
        run.close()
        raise SharpseekFileError(f"{file}: variable {missing[0]} is missing")
    try:
        run.attrs["config"] = json.loads(run.attrs["config"])
    except (KeyError, ValueError):
        run.close()
        raise SharpseekFileError(f"{file}: attribute config is missing or not valid JSON") from None
    run.attrs["file"] = str(file)
    return run


def open_sweep(directory: str | Path) -> dict[str, xr.Dataset]:
    """Opens every group of an experiment by name; a single run is the group "". Raises SharpseekFileError."""
    directory = Path(directory)
    if not (directory / "index.json").exists():
        return {"": open_run(directory)}
    index = _read_json(directory / "index.json")
    try:
        places = {group["name"]: directory / group["path"] for group in index["groups"]}
    except (KeyError, TypeError) as error:
        raise SharpseekFileError(f"{directory / 'index.json'}: {error} is missing") from None
    return {name: open_run(place) for name, place in places.items()}


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


def open_reproduction(directory: str | Path) -> tuple[dict[str, Any], list[Experiment]]:
    """Opens the folder that `sharpseek reproduce` wrote: its reproduce.json and its experiments, in its order.

    Raises SharpseekFileError.
    """
    directory = Path(directory)
    index = _read_json(directory / "reproduce.json")
    try:
        entries = [
            (Experiment(entry["name"], entry["title"], entry["architecture"], list(entry["claims"])), entry["path"])
            for entry in index["experiments"]
        ]
    except (KeyError, TypeError) as error:
        raise SharpseekFileError(f"{directory / 'reproduce.json'}: {error} is missing") from None
    for experiment, path in entries:
        experiment.runs = open_sweep(directory / path)
    return index, [experiment for experiment, _ in entries]


def _check_schema(version: int, file: Path) -> None:
    if version > SCHEMA_VERSION:
        raise SharpseekFileError(
            f"{file}: schema version {version} is newer than {SCHEMA_VERSION}, the newest this package reads"
        )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        index = json.loads(file.read_text())
    except FileNotFoundError:
        raise SharpseekFileError(f"{file}: no such file") from None
    except ValueError as error:
        raise SharpseekFileError(f"{file}: not valid JSON ({error})") from None
    if "schema_version" not in index:
        raise SharpseekFileError(f"{file}: not written by sharpseek: schema_version is missing")
    _check_schema(int(index["schema_version"]), file)
    return index
