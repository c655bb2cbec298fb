"""How xarray reads run files: netCDF-4 by h5py alone, values when they are asked for.

What xarray's engine h5netcdf gives, in a fraction of its time: that one looks up every dimension of a variable again
each time that it needs a shape.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint, CachingFileManager
from xarray.core import indexing

_OF_NETCDF = {
    "CLASS",
    "NAME",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "_NCProperties",
    "_Netcdf4Coordinates",
    "_Netcdf4Dimid",
    "_nc3_strict",
}
"""Attributes that make the structure of a netCDF-4 file."""
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."


class _Values(BackendArray):
    """The values of one variable. The manager closes files that are not in use and opens them again."""

    def __init__(self, manager: CachingFileManager, variable: h5py.Dataset) -> None:
        self.manager = manager
        self.file = variable.file.filename
        self.name = variable.name
        self.shape = variable.shape
        self.text = h5py.check_string_dtype(variable.dtype) is not None
        self.dtype = np.dtype(object, metadata={"element_type": str}) if self.text else variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        try:
            variable = self.manager.acquire()[self.name]
            return (variable.asstr() if self.text else variable)[key]
        except OSError as error:  # of HDF5, which does not say of what file
            raise OSError(error.errno or errno.EIO, f"{self.name[1:]} cannot be read ({error})", self.file) from error


def _plain(value: Any) -> Any:
    """An attribute as a Python or NumPy value: text as str, one element as itself."""
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "SO":
            value = [v.decode() if isinstance(v, bytes) else v for v in value.flat]
        return value[0] if len(value) == 1 else value
    return value


def _plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in attributes.items() if name not in _OF_NETCDF}


class RunFile(BackendEntrypoint):
    """`xr.open_dataset(path, engine=RunFile)`: the variables of the root group. Raises OSError, ValueError."""

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xr.Dataset:
        """What xr.open_dataset calls."""
        manager = CachingFileManager(h5py.File, str(filename_or_obj), mode="r")
        try:
            file = manager.acquire()
            variables = {
                name: self._variable(manager, file, name) for name in file if name not in (drop_variables or ())
            }
            found = xr.Dataset(
                {n: v for n, v in variables.items() if v is not None}, attrs=_plain_attributes(file.attrs)
            )
            found = xr.decode_cf(found)
        except BaseException:
            manager.close()
            raise
        found.set_close(manager.close)
        return found

    @staticmethod
    def _variable(manager: CachingFileManager, file: h5py.File, name: str) -> xr.Variable | None:
        """None for groups and for dimensions without values."""
        variable = file[name]
        if not isinstance(variable, h5py.Dataset):
            return None
        attributes = dict(variable.attrs.items())
        if attributes.get("NAME", b"").startswith(_NO_VARIABLE):
            return None
        if "CLASS" in attributes and variable.ndim == 1:
            dimensions = [name]
        elif "DIMENSION_LIST" in attributes:
            scales = [h5py.h5r.get_name(references[0], file.id) for references in attributes["DIMENSION_LIST"]]
            dimensions = [scale.decode().rpartition("/")[2] for scale in scales]
        else:
            dimensions = [f"phony_dim_{length}" for length in variable.shape]
        values = _Values(manager, variable)
        encoding = {"dtype": str} if values.text else {}
        return xr.Variable(dimensions, indexing.LazilyIndexedArray(values), _plain_attributes(attributes), encoding)
