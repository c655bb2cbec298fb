"""Every claim over every experiment that speaks to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sharpseek.files import Experiment
from sharpseek.groups import short_names
from sharpseek.rates import join_rates
from sharpseek.summaries import pooled, smallest_rate
from sharpseek.verdicts.registry import CLAIMS
from sharpseek.verdicts.rules import (
    LEVEL,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Evidence,
    Verdict,
    combine,
    missing,
    p_text,
)


def shown(evidence: Iterable[Evidence], outcome: str) -> Evidence | None:
    """The piece that says most about an outcome: of a refuted claim the one that speaks most clearly against it, else
    the one with the largest p of "supported" among those with this outcome; None where no piece has an interval."""
    measured = [e for e in evidence if np.isfinite(e.estimate) and not np.isnan([e.low, e.high]).any()]
    chosen = [e for e in measured if e.outcome == outcome] or measured
    if not chosen:
        return None
    if outcome == REFUTED:
        return min(chosen, key=lambda e: 1.0 if np.isnan(e.p_against) else e.p_against)
    return max(chosen, key=lambda e: (-1.0 if np.isnan(e.p) else e.p, e.high - e.low))


def unmeasured(evidence: Iterable[Evidence]) -> str:
    """Why nothing could be measured."""
    pieces = list(evidence)
    if any(e.replicas for e in pieces):
        return "no point has enough usable replicas"
    return "; ".join(dict.fromkeys(e.subject for e in pieces if e.subject)) or "nothing was measured"


def _sentence(claim: Claim, evidence: list[Evidence], outcome: str, p: float, least: float) -> str:
    """One sentence with the number that matters."""
    used = sum(e.usable for e in evidence)
    replicas = sum(e.replicas for e in evidence)
    best = shown(evidence, outcome)
    if best is None:
        return f"Undecided: {unmeasured(evidence)} ({used} of {replicas} replica readings usable)."
    where = f" ({best.text})" if best.text else ""
    return (
        f"{claim.effect.capitalize()}: {best.estimate:.3g} [{best.low:.3g}, {best.high:.3g}]{where}, "
        f"p {p_text(p, least)}; {used} of {replicas} replica readings usable."
    )


def _evidence(claim: Claim, experiment: Experiment) -> list[Evidence]:
    for name in claim.needs:
        if any(name not in run for run in experiment.runs.values()):
            return [missing(f"{name.removesuffix('_mean')} was not measured (measure.quantities)")]
    runs = {"": pooled(experiment)} if claim.pooled else experiment.runs
    evidence = []
    for run, name in zip(runs.values(), short_names(runs), strict=True):
        found = claim.judge(experiment, run if claim.every_rate else smallest_rate(run))
        evidence += [replace(e, subject=", ".join(filter(None, (name, e.subject)))) for e in found]
    return evidence


def holm(levels: Iterable[float]) -> list[float]:
    """Holm's correction of p values: each is what the whole family would need to reject it. NaN does not count."""
    raw = np.array(list(levels), dtype=float)
    corrected = np.full(raw.size, np.nan)
    order = [i for i in np.argsort(raw) if np.isfinite(raw[i])]
    reached = 0.0
    for position, i in enumerate(order):
        reached = min(1.0, max(reached, (len(order) - position) * raw[i]))
        corrected[i] = reached
    return corrected.tolist()


def _corrected(evidence: list[list[Evidence]]) -> list[list[Evidence]]:
    """The pieces of a claim by experiment, refuted only if they are so after Holm's correction over all of them: one of
    many pieces at the border of a true claim lies outside by chance."""
    levels = iter(holm(e.p_against for pieces in evidence for e in pieces))
    return [
        [
            replace(e, outcome=UNDECIDED) if next(levels) > LEVEL and e.outcome == REFUTED else e
            for e in pieces
        ]
        for pieces in evidence
    ]  # fmt: skip


def judge(experiments: list[Experiment]) -> list[Verdict]:
    """A verdict for every claim that an experiment speaks to, in the order of the claims."""
    joined = [join_rates(experiment) for experiment in experiments]
    verdicts = []
    for claim in CLAIMS:
        asked = [pair for pair in zip(experiments, joined, strict=True) if claim.name in pair[0].claims]
        found = [(experiment, _evidence(claim, whole)) for experiment, whole in asked]
        found = [(experiment, pieces) for experiment, pieces in found if pieces]
        corrected = _corrected([pieces for _, pieces in found])
        verdicts += [_verdict(claim, e, pieces) for (e, _), pieces in zip(found, corrected, strict=True)]
    return verdicts


def judge_unasked(experiments: list[Experiment], claim: Claim) -> list[Verdict]:
    """What a claim's rule says of the experiments that do not speak to it: to be shown, not to decide anything.

    Experiments that speak to ablations only are left out: they change what the claim is about.
    """
    verdicts = []
    for experiment in experiments:
        others = [name for name in experiment.claims if not name.startswith("C9")]
        if claim.name in experiment.claims or not others:
            continue
        pieces = _evidence(claim, join_rates(experiment))
        if any(e.replicas for e in pieces):
            verdicts += [replace(_verdict(claim, experiment, _corrected([pieces])[0]), asked=False)]
    return verdicts


def _verdict(claim: Claim, experiment: Experiment, evidence: list[Evidence]) -> Verdict:
    outcome = combine(e.outcome for e in evidence)
    files = tuple(run.attrs.get("file", "") for run in experiment.runs.values())
    verdict = Verdict(
        claim.name, experiment.name, outcome, "", claim.effect, claim.test, tuple(evidence), files
    )  # fmt: skip
    return replace(verdict, sentence=_sentence(claim, evidence, outcome, verdict.p, verdict.least))


def adjusted_p(verdicts: list[Verdict]) -> dict[str, tuple[float, float]]:
    """For each claim, the p value of "supported" and the same after Holm's correction over the claims.

    A claim needs every piece of its evidence, so that its p is the largest of theirs.
    """
    names = list(dict.fromkeys(v.claim for v in verdicts))
    raw = [max(v.p for v in verdicts if v.claim == name) for name in names]
    return {name: (p, corrected) for name, p, corrected in zip(names, raw, holm(raw), strict=True)}


def adjusted_against(verdicts: list[Verdict]) -> dict[str, tuple[float, float]]:
    """For each claim, the p value of "refuted" and the same after Holm's correction over the claims; NaN where no piece
    of the evidence can refute it.

    One piece is enough to refute a claim, so that its p is the smallest of theirs after Holm's correction over them.
    """
    names = list(dict.fromkeys(v.claim for v in verdicts))
    raw = []
    for name in names:
        pieces = [p for p in holm(e.p_against for v in verdicts if v.claim == name for e in v.evidence) if p == p]
        raw.append(min(pieces, default=np.nan))
    return {name: (p, corrected) for name, p, corrected in zip(names, raw, holm(raw), strict=True)}


def overall(verdicts: list[Verdict]) -> dict[str, str]:
    """Outcome of each claim over all experiments that speak to it.

    Supported, or refuted, only if it is so after Holm's correction over the claims as well: the chance that any claim
    of a report is called supported although it is false stays below LEVEL, and so does that of refuting a true one.
    """
    supported, refuted = adjusted_p(verdicts), adjusted_against(verdicts)
    outcomes = {}
    for claim in CLAIMS:
        if claim.name not in supported:
            continue
        outcome = combine(v.outcome for v in verdicts if v.claim == claim.name)
        level = {SUPPORTED: supported, REFUTED: refuted}.get(outcome)
        if level and not level[claim.name][1] <= LEVEL:
            outcome = UNDECIDED
        outcomes[claim.name] = outcome
    return outcomes
