"""Every claim over every experiment that speaks to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sharpseek.files import Experiment
from sharpseek.summaries import pooled, smallest_rate
from sharpseek.verdicts.registry import CLAIMS
from sharpseek.verdicts.rules import LEVEL, SUPPORTED, UNDECIDED, Claim, Evidence, Verdict, combine


def _sentence(claim: Claim, evidence: list[Evidence], outcome: str) -> str:
    """One sentence with the number that matters: the worst piece of evidence."""
    used = sum(e.usable for e in evidence)
    replicas = sum(e.replicas for e in evidence)
    measured = [e for e in evidence if np.isfinite(e.low)]
    if not measured:
        return f"Undecided: no point has two stationary seeds ({used} of {replicas} replica readings usable)."
    worst = [e for e in measured if e.outcome == outcome] or measured
    shown = max(worst, key=lambda e: e.high - e.low)
    p = float(np.max([e.p for e in evidence]))
    level = f", p = {p:.2g}" if np.isfinite(p) else ""
    return (
        f"{claim.effect.capitalize()}: {shown.estimate:.3g} [{shown.low:.3g}, {shown.high:.3g}] ({shown.subject})"
        f"{level}; "
        f"{used} of {replicas} replica readings usable."
    )


def _evidence(claim: Claim, experiment: Experiment) -> list[Evidence]:
    runs = {"": pooled(experiment)} if claim.pooled else experiment.runs
    evidence = []
    for group, run in runs.items():
        found = claim.judge(experiment, run if claim.every_rate else smallest_rate(run))
        evidence += [replace(e, subject=", ".join(filter(None, (group, e.subject)))) for e in found]
    return evidence


def judge(experiments: list[Experiment]) -> list[Verdict]:
    """A verdict for every claim that an experiment speaks to, in the order of the claims."""
    verdicts = []
    for claim in CLAIMS:
        for experiment in experiments:
            if claim.name not in experiment.claims:
                continue
            evidence = _evidence(claim, experiment)
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
                    tuple(run.attrs.get("file", "") for run in experiment.runs.values()),
                )
            )
    return verdicts


def adjusted_p(verdicts: list[Verdict]) -> dict[str, tuple[float, float]]:
    """For each claim, the p value of "supported" and the same after Holm's correction over the claims.

    A claim needs every piece of its evidence, so that its p is the largest of theirs. Claims whose rules have no p
    value are NaN and do not enter the correction.
    """
    raw = {}
    for claim in dict.fromkeys(v.claim for v in verdicts):
        raw[claim] = float(np.max([v.p for v in verdicts if v.claim == claim]))
    order = sorted((claim for claim in raw if np.isfinite(raw[claim])), key=raw.__getitem__)
    result = {claim: (p, np.nan) for claim, p in raw.items()}
    reached = 0.0
    for position, claim in enumerate(order):
        reached = min(1.0, max(reached, (len(order) - position) * raw[claim]))
        result[claim] = (raw[claim], reached)
    return result


def overall(verdicts: list[Verdict]) -> dict[str, str]:
    """Outcome of each claim over all experiments that speak to it.

    Supported only if it is so after Holm's correction over the claims as well: the chance that any claim of a report is
    called supported although it is false then stays below LEVEL.
    """
    adjusted = adjusted_p(verdicts)
    outcomes = {}
    for claim in CLAIMS:
        if claim.name not in adjusted:
            continue
        outcome = combine(v.outcome for v in verdicts if v.claim == claim.name)
        if outcome == SUPPORTED and adjusted[claim.name][1] > LEVEL:
            outcome = UNDECIDED
        outcomes[claim.name] = outcome
    return outcomes
