"""How xarray reads run files: netCDF-4 by h5py alone, values when they are asked for.

What xarray's engine h5netcdf gives, in a fraction of its time: that one looks up every dimension of a variable again
each time that it needs a shape.
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from sharpseek.sources import MissingSourcesError, require_files, require_values

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


class _OpenFiles:
    """The files that were read last stay open: few, so that a sweep over any number of shapes can be held at once."""

    MOST = 8

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while a file is read, so that no other thread closes it."""
        self._files: OrderedDict[str, h5py.File] = OrderedDict()

    def get(self, path: str) -> h5py.File:
        """The file, opened if it is not. Raises OSError."""
        if path not in self._files:
            while len(self._files) >= self.MOST:
                self._files.popitem(last=False)[1].close()
            self._files[path] = self._open(path)
        self._files.move_to_end(path)
        return self._files[path]

    def close(self, path: str) -> None:
        """Closes the file if it is open. It is opened again when it is read."""
        with self.lock:
            if path in self._files:
                self._files.pop(path).close()

    @staticmethod
    def _open(path: str) -> h5py.File:
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if " lock" not in str(error):
                raise
            # The file system has no locks, or somebody in this process has opened the file without.
            return h5py.File(path, "r", locking=False)


_FILES = _OpenFiles()


def _close(path: str) -> None:
    """A function that pickles, as a method of what holds a lock does not."""
    _FILES.close(path)


class _Values(BackendArray):
    """The values of one variable, read when they are asked for."""

    def __init__(self, file: str, variable: h5py.Dataset) -> None:
        self.file = file
        self.path = str(Path(file).absolute())
        self.name = variable.name
        self.shape = variable.shape
        self.text = h5py.check_string_dtype(variable.dtype) is not None
        self.dtype = np.dtype(object, metadata={"element_type": str}) if self.text else variable.dtype
        self.may_miss = variable.is_virtual

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        with _FILES.lock:
            try:
                variable = _FILES.get(self.path)[self.name]
                if self.may_miss:
                    require_values(variable)
                    self.may_miss = False
                return (variable.asstr() if self.text else variable)[key]
            except OSError as error:  # of HDF5, which does not say of what file
                known = isinstance(error, MissingSourcesError)
                text = error.strerror if known else f"{self.name[1:]} cannot be read ({error.strerror or error})"
                raise OSError(error.errno or errno.EIO, text, self.file) from error


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
        path = str(Path(filename_or_obj).absolute())
        _FILES.close(path)  # what is open may have been replaced or grown
        with _FILES.lock:
            try:
                file = _FILES.get(path)
                require_files(file)
                names = [name for name in file if name not in (drop_variables or ())]
                variables = {name: self._variable(str(filename_or_obj), file, name) for name in names}
                found = xr.Dataset(
                    {n: v for n, v in variables.items() if v is not None}, attrs=_plain_attributes(file.attrs)
                )
                found = xr.decode_cf(found)
            except BaseException:
                _FILES.close(path)
                raise
        found.set_close(partial(_close, path))
        return found

    @staticmethod
    def _variable(given: str, file: h5py.File, name: str) -> xr.Variable | None:
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
        values = _Values(given, variable)
        encoding = {"dtype": str} if values.text else {}
        return xr.Variable(dimensions, indexing.LazilyIndexedArray(values), _plain_attributes(attributes), encoding)
