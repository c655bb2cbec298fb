"""The resolved configuration of a run."""

from __future__ import annotations

import json
from numbers import Number
from typing import Any

import numpy as np


class Config(dict[str, Any]):
    """The sections of a configuration: `config["training"]["steps"]`. Writers of netCDF see its JSON text."""

    @classmethod
    def parse(cls, text: str) -> Config:
        """Of its JSON text. Raises TypeError or ValueError if it is something else."""
        sections = json.loads(text)
        if not isinstance(sections, dict):
            raise ValueError(f"{sections!r} holds no sections")
        return cls(sections)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The JSON text, as an array of one element."""
        return np.array(json.dumps(self).encode(), dtype=dtype)


# xarray hands an attribute to the writer only if it is a number, a text or an array, which no dict can be; numbers are
# the one kind that a class may declare itself to be. Writers then ask NumPy, which asks __array__.
Number.register(Config)
