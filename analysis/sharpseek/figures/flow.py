"""The slow-manifold flow: the predicted curve under what SGD measured at several learning rates and at rate 0."""

from __future__ import annotations

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import TIME_LABEL, condition_text, rate_line, readable
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict, circulation_table, flow_table
from sharpseek.verdicts.flow import runs_by_rate
from sharpseek.verdicts.statistics import at, conditions


def _panel(experiment: Experiment, condition: float) -> Panel:
    series: list[Series] = []
    measured = runs_by_rate(experiment)
    for colour, (rate, run, select) in enumerate(measured):
        here = np.flatnonzero(select & at(run, condition) & (run["status"].values == 0))
        if line := rate_line(run, here, rate, colour):
            series.append(line)
    _, finest, select = measured[0]
    replica = np.flatnonzero(select & at(finest, condition))[0]
    series.append(
        Series("flow", finest["rescaled_time"].values[replica], finest["flow_trace"].values[replica], "reference",
               dash="dash")
    )  # fmt: skip
    table = flow_table(experiment)
    table = table[table["condition"] == condition] if np.isfinite(condition) else table
    predicted = table["predicted"].to_numpy()
    series.append(
        Series("rate to 0", table["time"].to_numpy(), predicted * table["ratio"].to_numpy(), "points",
               low=predicted * table["low"].to_numpy(), high=predicted * table["high"].to_numpy(), symbol="diamond")
    )  # fmt: skip
    circulation = circulation_table(experiment)
    share = circulation["circulation"].to_numpy()[np.flatnonzero(conditions(finest) == condition)]
    title = f"{condition_text(condition)}, circulation {share[0]:.2f}" if share.size else condition_text(condition)
    return Panel(title, TIME_LABEL, readable("trace"), tuple(series))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    for experiment in experiments:
        measured = runs_by_rate(experiment)
        if not measured or "B3b" in experiment.claims:  # of cross-entropy: beyond_flow draws them
            continue
        panels = tuple(_panel(experiment, condition) for condition in conditions(measured[0][1]))
        found.append(
            Chart(
                f"flow-{experiment.name}",
                f"Predicted without a step of SGD: {experiment.title}",
                "Dashed: the slow-manifold flow. Lines: means over seeds at each learning rate. Diamonds: extrapolated "
                "to rate 0 with 95 % intervals, what the flow is to be compared with. Circulation: share of the flow's "
                "path across the gradient of the gradient fluctuation.",
                f"{experiment.name}: trace, flow_trace, flow_circulation",
                panels,
                columns=len(panels),
            )
        )
    return found
