"""Figures: what they show (`chart` and a module per family), and how they are drawn (`static`, `interactive`).

A new figure is a module with a function `charts` and a line in FAMILIES. Where several learning rates were swept,
figures show the smallest; balances and evidence use all.
"""

import re
from dataclasses import replace

from sharpseek.figures import (
    balances,
    beyond,
    circulation,
    flow,
    forest,
    glance,
    layers,
    paper,
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

GLANCE = "At a glance"
"""The section whose chart stands on the first screen."""
FAMILIES = (
    (GLANCE, glance),
    ("The paper, figure by figure", paper),
    ("Beyond the paper", beyond),
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


LONGEST_NAME = 120
"""Letters of a figure's name: it is the name of files."""


def sections(experiments: list[Experiment], verdicts: list[Verdict]) -> list[tuple[str, list[Chart]]]:
    """The charts that these experiments have data for, by section; their names are fit for files and for HTML."""
    found: list[tuple[str, list[Chart]]] = []
    names: set[str] = set()
    for title, module in FAMILIES:
        drawn = [chart for chart in module.charts(experiments, verdicts) if chart.panels]
        charts = [replace(chart, name=_unique(chart.name, names)) for chart in drawn]
        if charts:
            found.append((title, charts))
    return found


def _unique(name: str, taken: set[str]) -> str:
    """The name with letters, digits and dashes only, and a number if another figure has it; added to `taken`."""
    plain = re.sub(r"[^\w-]+", "-", name, flags=re.ASCII).strip("-")[:LONGEST_NAME]
    chosen = next(n for n in (plain, *(f"{plain}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    taken.add(chosen)
    return chosen


__all__ = ["FAMILIES", "GLANCE", "Chart", "Panel", "Series", "sections"]
