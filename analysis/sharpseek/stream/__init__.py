"""Sends run files, finished or live, to TensorBoard, MLflow or Weights & Biases (`python -m sharpseek stream`)."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

from sharpseek.files import SharpseekFileError
from sharpseek.stream.points import Point, open_runs, records, run_points, streamed_variables
from sharpseek.stream.sinks import SINKS, Sink, make_sink

__all__ = ["SINKS", "stream"]


class _Stream:
    """One stream: what of each point has been sent."""

    def __init__(self, directory: Path, sink: Sink, variables: list[str], replicas: list[int]) -> None:
        self.directory, self.sink, self.variables, self.replicas = directory, sink, variables, replicas
        self.sent: dict[str, int] = {}

    def send_new(self) -> tuple[int, bool]:
        """Sends the records that are new. Returns how many, and whether every run is finished."""
        count, finished = 0, True
        for name, run in open_runs(self.directory):
            with run:
                finished = finished and "finished" in run.attrs
                variables = streamed_variables(run, self.variables)
                for point in run_points(run, name):
                    after = self.sent[point.name] if point.name in self.sent else self.sink.last_step(point)
                    self.sent[point.name] = after
                    for step, values in records(run, point, variables, self.replicas, after):
                        self._write(point, step, values)
                        count += 1
        self.sink.flush()
        return count, finished

    def _write(self, point: Point, step: int, values: dict[str, float]) -> None:
        self.sink.write(point, step, values)
        self.sent[point.name] = step


def _check(directory: Path, variables: list[str], replicas: list[int]) -> None:
    """Raises SharpseekFileError for what no run has, before a destination is touched."""
    found = False
    for name, run in open_runs(directory):
        found = True
        with run:
            streamed_variables(run, variables)
            for replica in replicas:
                if replica >= run.sizes["replica"]:
                    raise SharpseekFileError(
                        f"--replicas {replica}: {name or directory} has replicas 0 to {run.sizes['replica'] - 1}"
                    )
    if not found:
        raise SharpseekFileError(f"{directory}: no run has begun there")


def stream(
    directory: Path,
    to: str,
    out: str | None = None,
    variables: list[str] | None = None,
    replicas: list[int] | None = None,
    *,
    follow: bool = False,
    every: float = 2.0,
) -> int:
    """Sends what DIRECTORY (a run, sweep or reproduction, finished or not) holds to a destination of SINKS, and with
    `follow` what is added until all runs are finished, looking every `every` seconds.

    Returns the number of records sent; what the destination already has is not sent again. Raises SharpseekFileError,
    and KeyboardInterrupt with words for the user.
    """
    if every <= 0:
        raise SharpseekFileError(f"--every {every:g}: must be above 0 seconds")
    _check(directory, variables or [], replicas or [])
    sink = make_sink(to, out, directory.resolve().name)
    whole = _Stream(directory, sink, variables or [], replicas or [])
    total = 0
    try:
        while True:
            count, finished = whole.send_new()
            total += count
            if finished or not follow:
                return total
            time.sleep(every)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command sends what is missing in {out or to}") from None
    finally:
        # After an error that was reported there may be no room for the end either.
        with suppress(SharpseekFileError) if sys.exc_info()[0] else nullcontext():
            sink.close()
