"""Forest plots of the evidence: ablations together, and every other claim's effects."""

from __future__ import annotations

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.files import Experiment
from sharpseek.verdicts import CLAIMS, REFUTED, SUPPORTED, UNDECIDED, Verdict

OUTCOMES = ((SUPPORTED, 2), (REFUTED, 1), (UNDECIDED, 4))
"""Outcomes and their colours."""


def no_effect(effect: str, estimates: list[float]) -> float:
    """1 for effects that are ratios ("a / b") whose estimates are positive, 0 for differences and slopes."""
    finite = [value for value in estimates if np.isfinite(value)]
    return 1.0 if "/" in effect and "difference" not in effect and min(finite, default=1.0) > 0 else 0.0


def forest_panel(title: str, effect: str, verdicts: list[Verdict], with_claim: bool = False) -> Panel:
    """Every piece of evidence of these verdicts: estimate and 95 % interval, coloured by what it says."""
    entries = [(v, e) for v in verdicts for e in v.evidence]
    rows = tuple(" · ".join(filter(None, (v.claim if with_claim else "", v.subject, e.subject))) for v, e in entries)
    series = []
    for outcome, colour in OUTCOMES:
        chosen = [(i, e) for i, (_, e) in enumerate(entries) if e.outcome == outcome]
        if chosen:
            series.append(
                Series(
                    outcome,
                    np.array([e.estimate for _, e in chosen], dtype=float),
                    np.array([i for i, _ in chosen], dtype=float),
                    "mark",
                    colour,
                    low=np.array([e.low for _, e in chosen], dtype=float),
                    high=np.array([e.high for _, e in chosen], dtype=float),
                    firm=np.array([2 * e.usable >= e.replicas for _, e in chosen]),
                    tags={"outcome": outcome},
                    notes=[f"{outcome}; {e.usable} of {e.replicas} replicas usable" for _, e in chosen],
                )
            )
    null = no_effect(effect, [e.estimate for _, e in entries])
    return Panel(title, effect, "", tuple(series), rows=rows, line_at=null)


def _chart(name: str, title: str, caption: str, panel: Panel) -> Chart:
    height = max(1.6, 0.19 * len(panel.rows) + 0.9)
    return Chart(name, title, caption, "verdicts.json, from all runs", (panel,), columns=1, row_height=height)


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    ablations = [v for v in verdicts if v.claim.startswith("C9")]
    if ablations:
        panel = forest_panel("ablations", "effect (each claim names its own)", ablations, with_claim=True)
        caption = "One change each; the effect and its expectation are named by the claim. 95 % intervals over seeds."
        found.append(_chart("ablations", "Ablations", caption, panel))
    for claim in CLAIMS:
        mine = [v for v in verdicts if v.claim == claim.name]
        if mine and not claim.name.startswith("C9"):
            panel = forest_panel(claim.name, claim.effect, mine)
            found.append(
                _chart(f"evidence-{claim.name}", f"Evidence for {claim.name}: {claim.statement}", claim.rule, panel)
            )
    return found
