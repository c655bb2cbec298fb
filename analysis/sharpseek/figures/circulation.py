"""Circulation: how fast the weights keep rotating inside the set of minima in the limit of small rates."""

from __future__ import annotations

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import CONDITION, axis_of, axis_options, conditions, single_runs, source
from sharpseek.figures.theory import predicted
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict

ROUNDING = 1e-12
"""A predicted speed up to this is what rounding leaves of 0, and is drawn as 0."""


def circulation_panel(experiment: Experiment) -> Panel:
    """The predicted circulation over the condition."""
    run = smallest_rate(experiment.run)
    axis = axis_of(run, CONDITION)
    assert axis is not None
    series = []
    theory = predicted(run, "small_lr_limit", "circulation", axis)
    if theory is not None:
        label = "limit of small rates"
        drawn = np.where(np.abs(theory) <= ROUNDING, 0.0, theory)
        series.append(Series(label, axis.places, drawn, "reference", dash="dash", tags={"theory": "theory"}))
    return Panel(experiment.title, axis.label, "circulation", tuple(series), **axis_options(axis))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = [e for e in single_runs(experiments, "small_lr_limit_circulation") if len(conditions(e.run))]
    if not chosen:
        return []
    return [
        Chart(
            "circulation",
            "Circulation: do the weights come to rest?",
            "Speed of the weights inside the set of minima in rescaled time. It is 0 where noise and signal commute; "
            "elsewhere the stationary fluctuations have no detailed balance. The evidence for C8 is what was measured.",
            "; ".join(source(e, "small_lr_limit_circulation") for e in chosen),
            tuple(circulation_panel(e) for e in chosen),
            columns=min(2, len(chosen)),
        )
    ]
