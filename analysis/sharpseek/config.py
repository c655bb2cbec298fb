"""The resolved configuration of a run."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr


def configuration(run: xr.Dataset) -> dict[str, Any]:
    """The resolved configuration of a run: `configuration(run)["training"]["steps"]`; a swept key has a list. Empty for
    a file without one, such as a measured module.

    The attribute `config` stays the JSON text of the file, because that is what every netCDF writer takes. Raises
    ValueError if it is not JSON, or not an object.
    """
    sections = json.loads(run.attrs.get("config", "{}"))
    if not isinstance(sections, dict):
        raise ValueError(f"{sections!r} holds no sections")
    return sections
