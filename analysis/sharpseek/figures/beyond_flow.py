"""Trajectories of cross-entropy: the slow flow, SGD at two rates, and what a line through them says of rate 0."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import TIME_LABEL, rate_line, readable, source
from sharpseek.files import Experiment
from sharpseek.rates import join_rates
from sharpseek.verdicts.beyond_entropy_flow import rate_0
from sharpseek.verdicts.paper_forks import quarters
from sharpseek.verdicts.rules import LEVEL


def entropy_charts(experiments: list[Experiment]) -> list[Chart]:
    """A panel for each experiment and start."""
    panels, used = [], []
    for experiment in map(join_rates, experiments):
        for run in experiment.runs.values():
            if "flow_smallest_eigenvalue" not in run or "learning_rate" not in run.coords:
                continue
            for words, here, effects, asked in rate_0(run):
                bounds = [(e.estimate, *e.interval(LEVEL)) for e in effects]
                title = ", ".join(filter(None, (experiment.name, words.replace("init_imbalance", "imbalance"))))
                panels.append(_panel(run, here, title, np.array(bounds), np.array(asked)))
            used.append(experiment)
    if not panels:
        return []
    caption = (
        "Dashed: the slow flow of cross-entropy, computed without a step of SGD. Lines: means over seeds at each "
        "learning rate with 95 % bands. Diamonds: a straight line through the two rates at rate 0 with 95 % intervals, "
        "open where a rate is above an eigenvalue of the Hessian on the way and the claim does not ask."
    )
    sources = "; ".join(source(e, "trace, flow_trace") for e in {e.name: e for e in used}.values())
    return [Chart("entropy-flow", "Cross-entropy: predicted trajectories", caption, sources, tuple(panels), columns=2,
                  row_height=3.2)]  # fmt: skip


def _panel(run: xr.Dataset, here: np.ndarray, title: str, bounds: np.ndarray, asked: np.ndarray) -> Panel:
    series = []
    rates = run["learning_rate"].values
    finished = run["status"].values == 0
    for colour, rate in enumerate(np.unique(rates[here])):
        rows = np.flatnonzero(here & finished & (rates == rate))
        if line := rate_line(run, rows, rate, colour):
            series.append(line)
    first = int(np.argmax(here))
    time, flow = run["rescaled_time"].values[first], run["flow_trace"].values[first]
    series.append(Series("flow", time, flow, "reference", dash="dash"))
    at = quarters(run)[1]
    predicted = np.interp(at, time - time[0], flow)
    value, low, high = (predicted * bounds[:, i] for i in range(3))
    series.append(Series("rate to 0", at, value, "points", low=low, high=high, firm=asked, symbol="diamond"))
    return Panel(title, TIME_LABEL, readable("trace"), tuple(series), y_log=True)
