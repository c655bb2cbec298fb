"""TensorBoard: one of its runs for each sweep point, with a layout that draws means with their bands."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from sharpseek.files import SharpseekFileError
from sharpseek.stream.points import Point
from sharpseek.stream.sinks import Sink, other_run

IDENTITY = "sharpseek/identity"
LAYOUT = "custom_scalars__config__"


def make_sink(out: str | None, name: str) -> Sink:
    """Writes event files below the folder `out` (default: runs/NAME)."""
    return TensorBoard(Path(out or f"runs/{name}"))


class EventFile:
    """A new event file in a folder, written at once: TensorBoard's own writer leaves errors to a thread."""

    numbers = count()

    def __init__(self, directory: Path) -> None:
        """Makes folder and file."""
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(self.numbers)}"
        self.path = directory / name
        with self._errors():
            directory.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("wb")
        self.writer = RecordWriter(self.file)
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_event(self, event: Event) -> None:
        """One record."""
        with self._errors():
            self.writer.write(event.SerializeToString())

    def flush(self) -> None:
        """To disk."""
        with self._errors():
            self.file.flush()

    def close(self) -> None:
        """What a full disk has no room for was reported when it was written."""
        with contextlib.suppress(OSError):
            self.file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SharpseekFileError(f"--to tensorboard: {self.path}: {error.strerror}") from None


class TensorBoard:
    """Event files: OUT/POINT/events.out.tfevents.*"""

    def __init__(self, directory: Path) -> None:
        """`directory`: the log folder."""
        self.directory = directory
        self.writers: dict[str, EventFile] = {}

    def last_step(self, point: Point) -> int:
        """By the newest scalar of its event files."""
        place = self._place(point)
        events = EventAccumulator(str(place), size_guidance={"scalars": 1, "tensors": 0})
        if any(place.glob("events.out.tfevents.*")):
            events.Reload()
        if IDENTITY not in events.Tags()["tensors"]:
            self._write_texts(point)
            return -1
        if events.Tensors(IDENTITY)[-1].tensor_proto.string_val[0].decode() != point.identity:
            raise other_run("tensorboard", str(place))
        # Reservoirs of size 1 keep the newest value.
        return max((events.Scalars(tag)[-1].step for tag in events.Tags()["scalars"]), default=-1)

    def write(self, point: Point, step: int, values: dict[str, float]) -> None:
        """One event."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._writer(point).add_event(Event(step=step, wall_time=time.time(), summary=summary))

    def flush(self) -> None:
        """To disk."""
        for writer in self.writers.values():
            writer.flush()

    def close(self) -> None:
        """Closes the event files."""
        for writer in self.writers.values():
            writer.close()

    def _place(self, point: Point) -> Path:
        return self.directory / quote(point.name, safe="/=,.+-_ ")

    def _writer(self, point: Point) -> EventFile:
        if point.name not in self.writers:
            self.writers[point.name] = EventFile(self._place(point))
        return self.writers[point.name]

    def _write_texts(self, point: Point) -> None:
        """The point's identity, its configuration as a table, and the layout of charts with bands."""
        table = "\n".join(["| key | value |", "|---|---|", *(f"| {k} | {v} |" for k, v in point.parameters.items())])
        for tag, plugin, text in (
            (IDENTITY, "text", point.identity.encode()),
            ("configuration", "text", table.encode()),
            (LAYOUT, "custom_scalars", _layout().SerializeToString()),
        ):
            tensor = TensorProto(dtype=DT_STRING, string_val=[text], tensor_shape=TensorShapeProto())
            metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
            value = Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
            self._writer(point).add_event(Event(step=0, wall_time=time.time(), summary=Summary(value=[value])))


def _layout() -> layout_pb2.Layout:
    """Tab "Custom scalars": trace, sharpness and fluctuation with their 95 % bands."""
    charts = []
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        band = layout_pb2.MarginChartContent.Series(value=f"{name}/mean", lower=f"{name}/low", upper=f"{name}/high")
        charts.append(layout_pb2.Chart(title=name, margin=layout_pb2.MarginChartContent(series=[band])))
    return layout_pb2.Layout(category=[layout_pb2.Category(title="sharpseek", chart=charts)])
