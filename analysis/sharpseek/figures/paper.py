"""The figures of arXiv:2602.05065 in its axes and units: T is half of our trace, lambda_max half of our sharpness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.paper_common import STEPS, chart_of, over_steps, references, runs_of, steps_panel, words_of
from sharpseek.figures.paper_trends import depth_chart, label_chart, power_chart, relative_chart
from sharpseek.files import Experiment
from sharpseek.linear_weights import layer_conditions
from sharpseek.paper_figures import PAPER, PaperFigure, figures_of
from sharpseek.summaries import points
from sharpseek.theory import closed_form
from sharpseek.verdicts import Verdict


def trajectories(experiment: Experiment, title: str = "") -> list[Panel]:
    """T and lambda_max over steps; `title` tells the experiment from others of the same figure."""
    return [
        steps_panel(run, name, ", ".join(filter(None, (title, group))))
        for name in ("trace", "sharpness")
        for group, run in runs_of(experiment)
        if name in run
    ]


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
    # A run too short to be seen next to the others has a panel of its own.
    short = [s for s in series if np.ptp(s.x) < VISIBLE * last]
    panels = [Panel("T", STEPS, "T", (*series, *lines), y_log=True)]
    panels += [Panel(f"T, {s.tags['run']}", STEPS, "T", (s,)) for s in short]
    return [chart_of(figure, experiments, tuple(panels), verdicts, "trace")] if series else []


VISIBLE = 0.02
"""Share of the steps drawn below which a run cannot be seen."""


def layer_panels(experiment: Experiment) -> list[Panel]:
    """Condition numbers of W_1 .. W_D over steps (figure 6), with those of Theorem 1's weights."""
    found = []
    for group, run in runs_of(experiment):
        if "parameters" not in run or "teacher" not in run:
            continue
        values = layer_conditions(run)
        for i, layer in enumerate(run["layer"].values):
            series = (*over_steps(run, values[..., i], group=group), *_closed_conditions(run, i))
            found.append(Panel(f"condition number of {layer}", STEPS, "condition number", series, y_log=True))
    return found


def _closed_conditions(run: xr.Dataset, layer: int) -> list[Series]:
    """A dotted line at the condition number of a layer of Theorem 1's weights, for each noise."""
    if not {"input_covariance", "noise_covariance"} <= set(run.variables):
        return []
    ends = np.asarray(run["step"].values, dtype=float).ravel()[[0, -1]]
    teacher, inputs = run["teacher"].values, run["input_covariance"].values
    found = []
    for colour, here in enumerate(points(run)):
        noise = run["noise_covariance"].values[np.argmax(here)]
        singular = np.linalg.svd(
            closed_form(run.sizes["layer"], teacher, inputs, noise).weights[layer], compute_uv=False
        )
        value = singular[0] / singular[np.linalg.matrix_rank(teacher) - 1]
        label = ", ".join(filter(None, ("Theorem 1", words_of(run, here))))
        found.append(Series(label, ends, np.full(2, value), "reference", colour, dash="dot"))
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
        titles = [e.name if len(members) > 1 else "" for e in members]
        panels = [
            panel
            for member, title in zip(members, titles, strict=True)
            for panel in (layer_panels(member) if name == "Figure 6" else trajectories(member, title))
        ]
        if panels:
            found.append(chart_of(figure, members, tuple(panels), verdicts, "trace", "sharpness"))
    order = [figure.name for figure in PAPER]
    return sorted(found, key=lambda chart: order.index(chart.title.removesuffix(" of the paper")))
