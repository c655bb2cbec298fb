"""Forest plots of the evidence: ablations together, and every other claim's effects."""

from __future__ import annotations

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.files import Experiment
from sharpseek.verdicts import CLAIMS, REFUTED, SUPPORTED, UNDECIDED, Verdict
from sharpseek.verdicts.ablations import ABLATIONS

OUTCOMES = ((SUPPORTED, 2), (REFUTED, 1), (UNDECIDED, 4))
"""Outcomes and their colours."""


def no_effect(effect: str, estimates: list[float]) -> float:
    """1 for effects that are ratios ("a / b") whose estimates are positive, 0 for differences and slopes."""
    finite = [value for value in estimates if np.isfinite(value)]
    return 1.0 if "/" in effect and "difference" not in effect and min(finite, default=1.0) > 0 else 0.0


def forest_panel(title: str, effect: str, verdicts: list[Verdict], with_claim: bool = False) -> Panel:
    """Every piece of evidence of these verdicts: estimate and 95 % interval, coloured by what it says."""
    every = [(v, e) for v in verdicts for e in v.evidence]
    entries = [(v, e) for v, e in every if np.isfinite(e.estimate)]
    left_out = len(every) - len(entries)
    rows = tuple(" · ".join(filter(None, (v.claim if with_claim else "", v.subject, e.text))) for v, e in entries)
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
    note = f"Not drawn: {left_out} of {len(every)} pieces of evidence, which hold no estimate." if left_out else ""
    return Panel(title, effect, "", tuple(series), rows=rows, line_at=null, note=note)


def _chart(name: str, title: str, caption: str, panels: list[Panel]) -> Chart:
    height = max(1.6, 0.19 * max(len(panel.rows) for panel in panels) + 0.9)
    return Chart(name, title, caption, "verdicts.json, from all runs", tuple(panels), columns=1, row_height=height)


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    found = []
    statements = {claim.name: claim.statement for claim in CLAIMS}
    names = {claim.name for claim in ABLATIONS}
    ablations = [v for v in verdicts if v.claim in names]
    # Ratios have no effect at 1, slopes at 0: they do not share an axis.
    panels = []
    for effect, ratio in (
        ("trace / trace it is compared with", True),
        ("slope of log trace over log kappa", False),
    ):
        chosen = [v for v in ablations if ("/" in v.effect) == ratio]
        if any(np.isfinite(e.estimate) for v in chosen for e in v.evidence):
            panels.append(forest_panel("ratios" if ratio else "slopes", effect, chosen, with_claim=True))
    if panels:
        expected = " ".join(f"{name}: {statements[name]}" for name in dict.fromkeys(v.claim for v in ablations))
        caption = f"One change each, with what was expected of it; 95 % intervals over seeds. {expected}"
        found.append(_chart("ablations", "Ablations", caption, panels))
    for claim in CLAIMS:
        mine = [v for v in verdicts if v.claim == claim.name]
        if any(np.isfinite(e.estimate) for v in mine for e in v.evidence) and claim.name not in names:
            panel = forest_panel(claim.name, claim.effect, mine)
            found.append(
                _chart(f"evidence-{claim.name}", f"Evidence for {claim.name}: {claim.statement}", claim.rule, [panel])
            )
    return found
