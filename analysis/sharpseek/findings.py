"""What was found for each claim, in one sentence with a number and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpseek.verdicts import CLAIMS, REFUTED, SUPPORTED, Claim, Evidence, Verdict, adjusted_p, overall


@dataclass(frozen=True)
class Finding:
    """A claim with its outcome over all experiments, and the piece of evidence that decides how sure it is."""

    claim: Claim
    outcome: str
    verdicts: tuple[Verdict, ...]
    shown: Evidence | None
    """The widest interval among the evidence with the claim's outcome; None if nothing could be measured."""
    experiment: str
    p: float = np.nan
    """The largest p value of "supported" among the evidence; NaN where the rule has none."""
    holm: float = np.nan
    """The same after Holm's correction over the claims."""

    @property
    def usable(self) -> tuple[int, int]:
        """Replica readings that could be used, and all."""
        evidence = [e for v in self.verdicts for e in v.evidence]
        return sum(e.usable for e in evidence), sum(e.replicas for e in evidence)

    @property
    def number(self) -> str:
        """Estimate and 95 % interval."""
        if self.shown is None:
            return "not measured"
        return f"{self.shown.estimate:.4g} [{self.shown.low:.4g}, {self.shown.high:.4g}]"

    @property
    def sentence(self) -> str:
        """What was found, where, and from how much."""
        used, replicas = self.usable
        if self.shown is None:
            return f"No point has two stationary seeds; {used} of {replicas} replica readings usable."
        count = sum(len(v.evidence) for v in self.verdicts)
        least = f", the least certain of {count}" if count > 1 else ""
        where = ", ".join(filter(None, (self.experiment, self.shown.subject)))
        level = f"; p = {self.p:.2g}, {self.holm:.2g} after Holm" if np.isfinite(self.p) else ""
        return (
            f"{self.claim.effect} {self.number} ({where}{least}{level}; {used} of {replicas} replica readings usable)."
        )


def findings(verdicts: list[Verdict]) -> list[Finding]:
    """A finding for every claim that the verdicts speak to, in the order of the claims."""
    outcomes = overall(verdicts)
    levels = adjusted_p(verdicts)
    found = []
    for claim in CLAIMS:
        if claim.name not in outcomes:
            continue
        mine = tuple(v for v in verdicts if v.claim == claim.name)
        outcome = outcomes[claim.name]
        measured = [(v, e) for v in mine for e in v.evidence if np.isfinite([e.low, e.high]).all()]
        decisive = [(v, e) for v, e in measured if e.outcome == outcome] or measured
        best = max(decisive, key=lambda pair: pair[1].high - pair[1].low, default=None)
        shown, where = (best[1], best[0].subject) if best else (None, "")
        found.append(Finding(claim, outcome, mine, shown, where, *levels[claim.name]))
    return found


def answer(outcomes: dict[str, str]) -> str:
    """The question's answer as far as these data go."""
    if outcomes.get("C2") == SUPPORTED and outcomes.get("C5") == SUPPORTED:
        return (
            "Neither: the data decide. Flat and sharp starts end at the same curvature, one rising, the other falling."
        )
    if REFUTED in (outcomes.get("C2"), outcomes.get("C5")):
        return "These data contradict the claim that the data alone decide: see C2 and C5."
    return "Not decided by these data alone: see which claims need longer runs."


def as_json(found: list[Finding]) -> list[dict[str, Any]]:
    """The findings with all evidence, for verdicts.json: what other programs and the documentation read."""

    def number(value: float) -> float | None:
        return float(f"{value:.8g}") if np.isfinite(value) else None

    return [
        {
            "claim": f.claim.name,
            "statement": f.claim.statement,
            "outcome": f.outcome,
            "sentence": f.sentence,
            "p": number(f.p),
            "p_holm": number(f.holm),
            "effect": f.claim.effect,
            "test": f.claim.test,
            "rule": f.claim.rule,
            "evidence": [
                {
                    "experiment": v.subject,
                    "at": e.subject,
                    "estimate": number(e.estimate),
                    "low": number(e.low),
                    "high": number(e.high),
                    "p": number(e.p),
                    "outcome": e.outcome,
                    "usable": e.usable,
                    "replicas": e.replicas,
                }
                for v in f.verdicts
                for e in v.evidence
            ],
        }
        for f in found
    ]
