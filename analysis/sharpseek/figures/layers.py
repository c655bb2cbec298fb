"""How layers share the gradient fluctuation over time."""

from __future__ import annotations

import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import TIME_LABEL, Start, points, single_runs, source, starts, thinned
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict


def layer_panel(run: xr.Dataset, start: Start | None = None) -> Panel:
    """Share of each parameter block in the gradient fluctuation, times the number of blocks: 1 = an equal share.

    Means over finished replicas of the start (default: the sharpest).
    """
    run = smallest_rate(run)
    start = starts(run)[-1] if start is None else start
    records = thinned(run)
    blocks = run["layer"].values.astype(str)
    series = []
    for text, select in points(run):
        here = select & start.of(run) & (run["status"].values == 0)
        if not here.any():
            continue
        fluctuation = run["layer_fluctuation"].values[here][:, records]
        share = (fluctuation / fluctuation.sum(axis=2, keepdims=True)).mean(axis=0) * len(blocks)
        time = run["rescaled_time"].values[here][:, records].mean(axis=0)
        for i, block in enumerate(blocks):
            tags = {"condition": text, "layer": str(block)}
            series.append(Series(f"{block}, {text}", time, share[:, i], "line", i, tags=tags))
    return Panel(start.label, TIME_LABEL, "share x number of layers", tuple(series), line_at=1.0)


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in single_runs(experiments, "layer_fluctuation"):
        run = experiment.run
        texts = [text for text, _ in points(run)]
        found.append(
            Chart(
                f"layers-{experiment.name}",
                f"Which layers fluctuate: {experiment.title}",
                "Each layer's part of the gradient fluctuation, relative to an equal share. Where noise and signal "
                "commute a deep linear network must come to 1 everywhere.",
                source(experiment, "layer_fluctuation"),
                tuple(layer_panel(run, start) for start in starts(smallest_rate(run))),
                columns=max(2, len(starts(smallest_rate(run)))),
                hidden=frozenset(("condition", text) for text in texts[:-1]),
            )
        )
    return found
