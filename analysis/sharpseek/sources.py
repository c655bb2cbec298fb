"""Where the values of virtual variables are. HDF5 shows a fill value for a source that it does not find, in silence."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from pathlib import Path

import h5py
import numpy as np

_NAMED = 4
"""So many missing files are named."""


class MissingSourcesError(FileNotFoundError):
    """Files that a virtual variable shows are not there. `strerror` names them and what to do."""


def require_files(file: h5py.File) -> None:
    """Raises MissingSourcesError if files are missing whose values the variables of the root group show."""
    known: dict[str, Path | None] = {}
    for variable in file.values():
        if isinstance(variable, h5py.Dataset) and variable.is_virtual:
            for name in _file_names(variable):
                if name not in known:
                    known[name] = _place(file, name)
    missing = [name for name, place in known.items() if place is None]
    if missing:
        raise MissingSourcesError(errno.ENOENT, _said(file, missing), file.filename)


def require_values(variable: h5py.Dataset) -> None:
    """Raises OSError unless HDF5 can find every value of a virtual variable.

    All sources are open at once, in the same way, as they are when HDF5 reads the variable.
    """
    _allow_many_files()
    file = variable.file
    access = file.id.get_access_plist()
    with contextlib.ExitStack() as opened:
        sources: dict[str, h5py.File] = {".": file}
        for source in variable.virtual_sources():
            name = _unescaped(source.file_name)
            if name not in sources:
                place = _place(file, name)
                if place is None:
                    raise MissingSourcesError(errno.ENOENT, _said(file, [name]), file.filename)
                source_id = h5py.h5f.open(os.fsencode(place), h5py.h5f.ACC_RDONLY, fapl=access)
                sources[name] = opened.enter_context(h5py.File(source_id))
            shown = sources[name].get(_unescaped(source.dset_name))
            if not isinstance(shown, h5py.Dataset) or not _fits(source.src_space, source.vspace, shown.shape):
                text = f"its {variable.name[1:]} shows values of {source.dset_name} in {name} that are not there"
                raise OSError(errno.EIO, text, file.filename)
            if shown.is_virtual and name != ".":
                require_values(shown)


def _file_names(variable: h5py.Dataset) -> list[str]:
    """The files that a virtual variable shows, but for its own."""
    stored = variable.id.get_create_plist()
    names = [stored.get_virtual_filename(i) for i in range(stored.get_virtual_count())]
    return [_unescaped(name) for name in dict.fromkeys(names) if name != "."]


def _unescaped(name: str) -> str:
    return name.replace("%%", "%")


def _place(file: h5py.File, name: str) -> Path | None:
    """Where HDF5 finds a source: HDF5_VDS_PREFIX, the folder of the file, the current one, that of a link's target."""
    folder = Path(file.filename).absolute().parent
    if Path(name).is_absolute():
        places = [Path(name), folder / Path(name).name]
    else:
        prefixes = [Path(prefix) for prefix in os.environ.get("HDF5_VDS_PREFIX", "").split(":") if prefix]
        folders = [*prefixes, folder, Path(), Path(file.filename).resolve().parent]
        places = [place / name for place in folders]
    return next((place for place in places if place.exists()), None)


def _said(file: h5py.File, missing: list[str]) -> str:
    names = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    cure = "keep it next to its shards, or write one that holds the values: sharpseek merge DIR --copy"
    if "shards" not in file.attrs:
        cure = "keep them where the virtual data set looks for them, or copy the values into the file"
    return f"its values are in {names}, which {'are' if len(missing) > 1 else 'is'} missing; {cure}"


def _fits(selection: h5py.h5s.SpaceID, target: h5py.h5s.SpaceID, shape: tuple[int, ...]) -> bool:
    """Whether a variable of this shape has what a mapping takes of it."""
    if selection.get_select_type() == h5py.h5s.SEL_ALL:  # stored without a shape
        return int(np.prod(shape)) == target.get_select_npoints()
    last = selection.get_select_bounds()[1]
    return len(last) == len(shape) and all(i < n for i, n in zip(last, shape, strict=True))


def _allow_many_files() -> None:
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
