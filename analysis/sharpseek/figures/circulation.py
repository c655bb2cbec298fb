"""Circulation: whether the weights keep rotating inside the set of minima, as the limit of small rates says."""

from __future__ import annotations

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import CONDITION_LABEL, conditions, means, single_runs, source, starts
from sharpseek.figures.theory import predicted
from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts import Verdict


def circulation_panel(experiment: Experiment) -> Panel:
    """Measured circulation where the file has it, and the predicted one, over the condition."""
    run = smallest_rate(experiment.run)
    x = conditions(run)
    series = []
    theory = predicted(run, "small_lr_limit", "circulation")
    if theory is not None:
        series.append(Series("limit of small rates", x, theory, "reference", dash="dash", tags={"theory": "theory"}))
    if "circulation_mean" in run:
        series += [
            means(run, "circulation_mean", start, label=start.label, colour=start.index, shift=5 * start.index,
                  tags={"start": start.label})
            for start in starts(run)
        ]  # fmt: skip
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
            "elsewhere the stationary fluctuations have no detailed balance.",
            "; ".join(source(e, "circulation_mean where measured", "small_lr_limit_circulation") for e in chosen),
            tuple(circulation_panel(e) for e in chosen),
            columns=min(2, len(chosen)),
        )
    ]
