"""Results in the schema of the files of `sharpseek measure` (docs/files.md): one replica at one time."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
import xarray as xr

from sharpseek.curvature.foreign import Operator
from sharpseek.files import SCHEMA_VERSION

STATUS = "0 converged, 1 not converged within the step limit or interrupted, 2 not finite"


def _version() -> str:
    try:
        return version("sharpseek")
    except PackageNotFoundError:
        return "unknown"


class Result:
    """A dataset in the making: variables [replica, time, ...] with their definitions."""

    def __init__(self, op: Operator, step: int, **attributes: Any) -> None:
        """With the attributes that every result has, and others."""
        self._variables: dict[str, Any] = {}
        self._coordinates: dict[str, Any] = {
            "step": ("time", np.array([step]), {"units": "SGD steps", "long_name": "steps taken at each record"})
        }
        self._attributes = {
            "schema_version": SCHEMA_VERSION,
            "measure_version": _version(),
            "operator": op.kind,
            "definition": op.definition,
            "parameters": op.dim,
            "samples": op.samples,
            "engine": f"{op.like.device.type} {str(op.like.dtype).removeprefix('torch.')}",
            "measure_torch_version": str(torch.__version__),
            "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **attributes,
        }

    def add(self, name: str, values: Any, definition: str, dimension: str | None = None) -> None:
        """A number, or one for each element of a dimension (or of "eigen" and "parameter")."""
        array = np.asarray(values, dtype=np.float64 if dimension != "eigen parameter" else None)
        dimensions = dimension.split() if dimension else []
        self._variables[name] = (
            ["replica", "time", *dimensions],
            array.reshape(1, 1, *array.shape),
            {"units": "1", "long_name": definition},
        )

    def layers(self, names: list[str]) -> None:
        """The coordinate of layers."""
        about = {"long_name": "parameter blocks in the order of the parameter vector"}
        self._coordinates["layer"] = ("layer", np.array(names, dtype=str), about)

    def dataset(self) -> xr.Dataset:
        """The dataset."""
        return xr.Dataset(self._variables, self._coordinates, self._attributes)


def prefix_of(kind: str) -> str:
    """What comes before names of variables: those of the Hessian have none, nor have those of a given matrix."""
    return {"hessian": "", "matrix": "", "noise_covariance": "noise_"}.get(kind, f"{kind}_")
