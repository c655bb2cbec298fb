"""Every claim over every experiment that speaks to it."""

from __future__ import annotations

import numpy as np

from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate
from sharpseek.verdicts.registry import CLAIMS
from sharpseek.verdicts.rules import Claim, Evidence, Verdict, combine


def _sentence(claim: Claim, evidence: list[Evidence], outcome: str) -> str:
    """One sentence with the number that matters: the worst piece of evidence."""
    used = sum(e.usable for e in evidence)
    replicas = sum(e.replicas for e in evidence)
    measured = [e for e in evidence if np.isfinite(e.low)]
    if not measured:
        return f"Undecided: no point has two stationary seeds ({used} of {replicas} replica readings usable)."
    worst = [e for e in measured if e.outcome == outcome] or measured
    shown = max(worst, key=lambda e: e.high - e.low)
    return (
        f"{claim.effect.capitalize()}: {shown.estimate:.3g} [{shown.low:.3g}, {shown.high:.3g}] ({shown.subject}); "
        f"{used} of {replicas} replica readings usable."
    )


def judge(experiments: list[Experiment]) -> list[Verdict]:
    """A verdict for every claim that an experiment speaks to, in the order of the claims."""
    verdicts = []
    for claim in CLAIMS:
        for experiment in experiments:
            if claim.name not in experiment.claims:
                continue
            runs = [run if claim.every_rate else smallest_rate(run) for run in experiment.runs.values()]
            evidence = [e for run in runs for e in claim.judge(experiment, run)]
            if not evidence:
                continue
            outcome = combine(e.outcome for e in evidence)
            verdicts.append(
                Verdict(
                    claim.name,
                    experiment.name,
                    outcome,
                    _sentence(claim, evidence, outcome),
                    claim.effect,
                    claim.test,
                    tuple(evidence),
                )
            )
    return verdicts


def overall(verdicts: list[Verdict]) -> dict[str, str]:
    """Outcome of each claim over all experiments that speak to it."""
    return {
        claim.name: combine(v.outcome for v in verdicts if v.claim == claim.name)
        for claim in CLAIMS
        if any(v.claim == claim.name for v in verdicts)
    }
