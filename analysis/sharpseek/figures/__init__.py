"""Figures: what they show (`chart` and a module per family), and how they are drawn (`static`, `interactive`).

A new figure is a module with a function `charts` and a line in FAMILIES. Where several learning rates were swept,
figures show the smallest; balances and evidence use all.
"""

from sharpseek.figures import (
    balances,
    circulation,
    flow,
    forest,
    layers,
    rivals,
    settings,
    sharpening,
    spectra,
    theory,
    trajectories,
    trend,
)
from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict

FAMILIES = (
    ("Theory and measurement", theory),
    ("Theory at every setting", settings),
    ("Trend with the imbalance of the noise", trend),
    ("Rival predictors", rivals),
    ("Ablations and evidence", forest),
    ("The way there", trajectories),
    ("Sharpening and flattening", sharpening),
    ("The slow-manifold flow", flow),
    ("Balance of squared gradients", balances),
    ("Circulation", circulation),
    ("Layers", layers),
    ("Spectra", spectra),
)
"""Sections of the report in order, each with the module that makes its charts."""


def sections(experiments: list[Experiment], verdicts: list[Verdict]) -> list[tuple[str, list[Chart]]]:
    """The charts that these experiments have data for, by section."""
    found = [(title, module.charts(experiments, verdicts)) for title, module in FAMILIES]
    return [(title, charts) for title, charts in found if charts]


__all__ = ["FAMILIES", "Chart", "Panel", "Series", "sections"]
