"""Circulation: how fast the weights keep rotating inside the set of minima in the limit of small rates."""

from __future__ import annotations

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import CONDITION_LABEL, conditions, single_runs, source
from sharpseek.figures.theory import predicted
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict


def circulation_panel(experiment: Experiment) -> Panel:
    """The predicted circulation over the condition."""
    run = smallest_rate(experiment.run)
    x = conditions(run)
    series = []
    theory = predicted(run, "small_lr_limit", "circulation")
    if theory is not None:
        series.append(Series("limit of small rates", x, theory, "reference", dash="dash", tags={"theory": "theory"}))
    return Panel(experiment.title, CONDITION_LABEL, "circulation", tuple(series), x_log=True, x_ticks=tuple(x))


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = list(single_runs(experiments, "small_lr_limit_circulation"))
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
