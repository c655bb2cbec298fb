"""Weights & Biases: a project for the folder, one of its runs for each sweep point."""

from __future__ import annotations

import hashlib

import wandb

from sharpseek.stream.points import Point
from sharpseek.stream.sinks import Sink


def make_sink(out: str | None, name: str) -> Sink:
    """`out` is the project (default: the folder's name). WANDB_MODE=offline and wandb's other variables apply."""
    return WeightsAndBiases(out or name)


class WeightsAndBiases:
    """The id of a run follows from the point's identity, so that a stream finds its run again."""

    def __init__(self, project: str) -> None:
        """`project`: its name."""
        self.project = project
        self.runs: dict[str, wandb.Run] = {}

    def last_step(self, point: Point) -> int:
        """By the step that its library reports on resuming."""
        identity = hashlib.sha256(f"{self.project}\n{point.identity}".encode()).hexdigest()[:32]
        run = wandb.init(
            project=self.project,
            id=identity,
            name=point.name,
            config=point.parameters,
            resume="allow",
            reinit="create_new",
        )
        self.runs[point.name] = run
        # 0 for a new run, else one after the last step that the server has.
        return run.step - 1

    def write(self, point: Point, step: int, values: dict[str, float]) -> None:
        """One call of `log`."""
        self.runs[point.name].log(values, step=step)

    def flush(self) -> None:
        """Nothing: its library sends by itself."""

    def close(self) -> None:
        """Ends the runs."""
        for run in self.runs.values():
            run.finish()
