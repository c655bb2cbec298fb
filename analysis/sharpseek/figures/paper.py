"""The figures of arXiv:2602.05065 in its axes and units: T is half of our trace, lambda_max half of our sharpness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.paper_common import STEPS, chart_of, over_steps, references, runs_of, steps_panel
from sharpseek.figures.paper_trends import depth_chart, label_chart, power_chart, relative_chart
from sharpseek.files import Experiment
from sharpseek.linear_weights import layer_conditions
from sharpseek.paper_figures import PAPER, PaperFigure, figures_of
from sharpseek.verdicts import Verdict


def trajectories(experiment: Experiment, names: tuple[str, ...] = ("trace", "sharpness")) -> list[Panel]:
    return [steps_panel(run, name, group) for name in names for group, run in runs_of(experiment) if name in run]


def fork_chart(experiments: list[Experiment], figure: PaperFigure, verdicts: list[Verdict]) -> list[Chart]:
    """Figure 4: a run and its forks over the steps since the run's start, in one panel."""
    series: list[Series] = []
    lines: list[Series] = []
    last = 0.0
    for colour, experiment in enumerate(experiments):
        for group, run in runs_of(experiment):
            if "trace" not in run:
                continue
            last = max(last, float(np.max(run["step"].values)))
            label = ", ".join(filter(None, (experiment.name, group)))
            own = over_steps(run, run["trace"].values / 2, group=label)
            series += [replace(s, colour=colour, tags={"run": label}) for s in own]
            lines = lines or references(run, "trace", (0.0, 1.0))
    lines = [replace(line, x=np.array([0.0, last])) for line in lines]
    panel = Panel("T", STEPS, "T", (*series, *lines), y_log=True)
    return [chart_of(figure, experiments, (panel,), verdicts, "trace")] if series else []


def layer_panels(experiment: Experiment) -> list[Panel]:
    """Condition numbers of W_1 .. W_D over steps (figure 6)."""
    found = []
    for group, run in runs_of(experiment):
        if "parameters" not in run or "teacher" not in run:
            continue
        values = layer_conditions(run)
        for i, layer in enumerate(run["layer"].values):
            series = over_steps(run, values[..., i], group=group)
            found.append(Panel(f"condition number of {layer}", STEPS, "condition number", tuple(series), y_log=True))
    return found


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    """A chart for every figure of the paper that these experiments redraw."""
    mine: dict[str, tuple[PaperFigure, list[Experiment]]] = {}
    for experiment in experiments:
        for figure in figures_of(experiment.name):
            mine.setdefault(figure.name, (figure, []))[1].append(experiment)
    special = {
        "Figure 3": relative_chart,
        "Figure 4": fork_chart,
        "Figure 7": depth_chart,
        "Corollary 4": power_chart,
        "Proposition 1": label_chart,
    }
    found: list[Chart] = []
    for name, (figure, members) in mine.items():
        if name in special:
            found += special[name](members, figure, verdicts)
            continue
        panels = [p for e in members for p in (layer_panels(e) if name == "Figure 6" else trajectories(e))]
        if panels:
            found.append(chart_of(figure, members, tuple(panels), verdicts, "trace", "sharpness"))
    order = [figure.name for figure in PAPER]
    return sorted(found, key=lambda chart: order.index(chart.title.removesuffix(" of the paper")))
