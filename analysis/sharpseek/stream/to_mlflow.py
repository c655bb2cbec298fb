"""MLflow: an experiment for the folder, one of its runs for each sweep point; parameters are the configuration."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from sharpseek.files import SharpseekFileError
from sharpseek.stream.points import Point
from sharpseek.stream.sinks import Sink

IDENTITY = "sharpseek.identity"
LONGEST = 500
"""Longest value of a parameter that every server takes."""
PARAMETERS, METRICS = 100, 1000
"""Most parameters and metrics of one call."""


def make_sink(out: str | None, name: str) -> Sink:
    """`out` is a tracking URI (default: MLFLOW_TRACKING_URI or MLflow's own default)."""
    place = out or "default tracking URI"
    with _errors(place):
        return Mlflow(MlflowClient(tracking_uri=out), name, place)


@contextlib.contextmanager
def _errors(place: str) -> Iterator[None]:
    """What a server or a full disk says, as one line."""
    try:
        yield
    except MlflowException as error:
        raise SharpseekFileError(f"--to mlflow: {place}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise SharpseekFileError(f"--to mlflow: {error.filename or place}: {error.strerror or error}") from None


class Mlflow:
    """One MLflow run for each point, found again by the tag `sharpseek.identity`."""

    def __init__(self, client: MlflowClient, experiment: str, place: str) -> None:
        """`experiment`: its name; made if there is none. `place`: what messages call the destination."""
        self.client, self.place = client, place
        known = client.get_experiment_by_name(experiment)
        self.experiment = known.experiment_id if known else client.create_experiment(experiment)
        self.runs: dict[str, str] = {}
        self.waiting: dict[str, list[Metric]] = {}

    def last_step(self, point: Point) -> int:
        """By the history of its counter; a new point becomes a run here."""
        with _errors(self.place):
            return self._last_step(point)

    def _last_step(self, point: Point) -> int:
        digest = hashlib.sha256(point.identity.encode()).hexdigest()
        found = self.client.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{digest}'")
        if not found:
            run = self.client.create_run(self.experiment, run_name=point.name, tags={IDENTITY: digest})
            self.runs[point.name] = run.info.run_id
            parameters = [Param(key, value[:LONGEST]) for key, value in point.parameters.items()]
            for begin in range(0, len(parameters), PARAMETERS):
                self.client.log_batch(run.info.run_id, params=parameters[begin : begin + PARAMETERS])
            return -1
        self.runs[point.name] = found[0].info.run_id
        history = self.client.get_metric_history(found[0].info.run_id, "replicas/not_finite")
        return max((metric.step for metric in history), default=-1)

    def write(self, point: Point, step: int, values: dict[str, float]) -> None:
        """Waits for `flush`."""
        now = int(time.time() * 1000)
        # The counter last: a record whose sending was cut is sent again.
        ordered = sorted(values.items(), key=lambda item: item[0] == "replicas/not_finite")
        self.waiting.setdefault(self.runs[point.name], []).extend(Metric(k, v, now, step) for k, v in ordered)

    def flush(self) -> None:
        """Sends what waits, in batches."""
        with _errors(self.place):
            for run, metrics in self.waiting.items():
                for begin in range(0, len(metrics), METRICS):
                    self.client.log_batch(run, metrics=metrics[begin : begin + METRICS])
        self.waiting.clear()

    def close(self) -> None:
        """Marks the runs as ended."""
        self.flush()
        with _errors(self.place):
            for run in self.runs.values():
                self.client.log_batch(run, tags=[RunTag("sharpseek.streamed", "whole")])
                self.client.set_terminated(run)
