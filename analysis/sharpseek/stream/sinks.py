"""Where a stream goes: the interface, and the registry with one line for each destination.

A destination keeps the state of its stream itself: `last_step` asks it what it has, so that a stream that was stopped
continues where it ended and sends nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from sharpseek.files import SharpseekFileError
from sharpseek.stream.points import Point


class Sink(Protocol):
    """One destination."""

    def last_step(self, point: Point) -> int:
        """The last step that it has of a point; -1 if none. Raises SharpseekFileError if it has another run there."""

    def write(self, point: Point, step: int, values: dict[str, float]) -> None:
        """Adds the values of one record."""

    def flush(self) -> None:
        """Makes all that was written visible to readers."""

    def close(self) -> None:
        """Ends the stream."""


SINKS = {
    "tensorboard": "sharpseek.stream.to_tensorboard",
    "mlflow": "sharpseek.stream.to_mlflow",
    "wandb": "sharpseek.stream.to_wandb",
}
"""Destination -> module with a function `make_sink(out, name)`."""


def make_sink(kind: str, out: str | None, name: str) -> Sink:
    """A destination of SINKS. Raises SharpseekFileError if its library is not installed."""
    try:
        make: Callable[[str | None, str], Sink] = import_module(SINKS[kind]).make_sink
        return make(out, name)
    except ModuleNotFoundError as error:
        raise SharpseekFileError(f"--to {kind}: {error.name} is not installed; pip install {kind}") from None


def other_run(kind: str, where: str) -> SharpseekFileError:
    """The error for a destination that holds another run under the same name."""
    return SharpseekFileError(f"--to {kind}: {where} holds another run; choose another --out")
