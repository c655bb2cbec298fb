"""The resolved configuration of a run, as text that reads like a dict."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any


class Config(str):
    """JSON text of a dict that is read like the dict: `config["training"]["steps"]`, `"noise" in config`.

    Attributes of a netCDF file are texts and numbers. A dict among those of a dataset could not be written again;
    this one is a text to every writer. It is not changed in place: `dict(config)` is a copy that can be.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Config:
        """Raises ValueError unless `text` is JSON of a dict."""
        if not isinstance(json.loads(text), dict):
            raise ValueError("not a dict")
        return super().__new__(cls, text)

    def _sections(self) -> dict[str, Any]:
        sections: dict[str, Any] = json.loads(str(self))
        return sections

    def __getitem__(self, key: str) -> Any:  # type: ignore[override]
        return self._sections()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The section, or `default` if there is none."""
        return self._sections().get(key, default)

    def keys(self) -> KeysView[str]:
        """The sections' names."""
        return self._sections().keys()

    def values(self) -> ValuesView[Any]:
        """The sections."""
        return self._sections().values()

    def items(self) -> ItemsView[str, Any]:
        """The sections with their names."""
        return self._sections().items()

    def __contains__(self, key: object) -> bool:
        return key in self._sections()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections())

    def __len__(self) -> int:
        return len(self._sections())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            return self._sections() == other
        return str.__eq__(self, other) if isinstance(other, str) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __repr__(self) -> str:
        return repr(self._sections())
