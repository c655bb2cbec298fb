"""What was found for each claim, in one sentence with a number and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpseek.files import Experiment
from sharpseek.verdicts import (
    CLAIMS,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Evidence,
    Verdict,
    adjusted_against,
    adjusted_p,
    judge_unasked,
    overall,
    p_text,
)
from sharpseek.verdicts.judge import shown, unmeasured
from sharpseek.verdicts.rules import LEAST_P


@dataclass(frozen=True)
class Finding:
    """A claim with its outcome over all experiments, and the piece of evidence that decides how sure it is."""

    claim: Claim
    outcome: str
    verdicts: tuple[Verdict, ...]
    shown: Evidence | None
    """The piece with the largest p of "supported" among the evidence with the claim's outcome, of a refuted claim that
    with the smallest p of "refuted"; None if nothing could be measured."""
    experiment: str
    p: float = np.nan
    """The largest p value of "supported" among the evidence."""
    holm: float = np.nan
    """The same after Holm's correction over the claims."""
    p_against: float = np.nan
    """The p value of "refuted", after Holm's correction over the evidence; NaN where nothing can refute the claim."""
    holm_against: float = np.nan
    """The same after Holm's correction over the claims."""

    @property
    def least(self) -> float:
        """Smallest p value that could have been found."""
        return max((v.least for v in self.verdicts), default=LEAST_P)

    @property
    def usable(self) -> tuple[int, int]:
        """Replica readings that could be used, and all."""
        evidence = [e for v in self.verdicts for e in v.evidence]
        return sum(e.usable for e in evidence), sum(e.replicas for e in evidence)

    @property
    def number(self) -> str:
        """Estimate and 95 % interval."""
        return "not measured" if self.shown is None else number_text(self.shown)

    @property
    def plain(self) -> str:
        """The claim in one sentence without notation."""
        return self.claim.plain or self.claim.statement

    @property
    def reading(self) -> str:
        """The number that decides how sure the claim is, in words without notation; why there is none otherwise."""
        if self.shown is None:
            return unmeasured(e for v in self.verdicts for e in v.evidence)
        return self.claim.reading.format(f"{self.shown.estimate:#.3g}".rstrip("."))

    @property
    def gap(self) -> str:
        """Of an undecided claim with a number: its first piece without one, and how many more there are; else empty."""
        if self.outcome != UNDECIDED or self.shown is None:
            return ""
        pieces = [(v.subject, e) for v in self.verdicts for e in v.evidence if e.outcome == UNDECIDED]
        gaps = [(subject, e) for subject, e in pieces if np.isnan(e.estimate) and not e.condition]
        if not gaps:
            return ""
        subject, first = gaps[0]
        count = f" ({first.usable} of {first.replicas} replicas usable)" if first.replicas else ""
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        return f"not measured: {', '.join(filter(None, (subject, first.subject)))}{count}{more}"

    @property
    def sentence(self) -> str:
        """What was found, where, and from how much."""
        used, replicas = self.usable
        pieces = [e for v in self.verdicts for e in v.evidence]
        if self.shown is None:
            why = unmeasured(pieces)
            return f"{why[:1].upper()}{why[1:]}; {used} of {replicas} replica readings usable."
        rank = "the clearest" if self.outcome == REFUTED else "the least certain"
        least = f", {rank} of {len(pieces)}" if len(pieces) > 1 else ""
        where = ", ".join(filter(None, (self.experiment, self.shown.text)))
        p, holm, word = self.p, self.holm, "p"
        if self.outcome == REFUTED:
            p, holm, word = self.p_against, self.holm_against, "p of refuted"
        level = f"; {word} {_sign(p_text(p, self.least))}, {_after(p, holm, self.least)} after Holm"
        gap = f" Undecided because {self.gap}." if self.gap else ""
        return (
            f"{self.claim.effect} {self.number} ({where}{least}{level}; {used} of {replicas} replica readings "
            f"usable).{gap}"
        )


def number_text(evidence: Evidence) -> str:
    """Estimate and 95 % interval."""
    return f"{evidence.estimate:.4g} [{evidence.low:.4g}, {evidence.high:.4g}]"


def _sign(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def _after(p: float, holm: float, least: float) -> str:
    """A corrected p value: where the uncorrected one is only a bound, so is this."""
    return f"< {holm:.2g}" if p <= least * 1.001 else f"{holm:.2g}"


def findings(verdicts: list[Verdict]) -> list[Finding]:
    """A finding for every claim that the verdicts speak to, in the order of the claims."""
    outcomes = overall(verdicts)
    levels, against = adjusted_p(verdicts), adjusted_against(verdicts)
    found = []
    for claim in CLAIMS:
        if claim.name not in outcomes:
            continue
        mine = tuple(v for v in verdicts if v.claim == claim.name)
        outcome = outcomes[claim.name]
        best = shown([e for v in mine for e in v.evidence], outcome)
        where = next((v.subject for v in mine if any(e is best for e in v.evidence)), "")
        found.append(Finding(claim, outcome, mine, best, where, *levels[claim.name], *against[claim.name]))
    return found


def headline(found: list[Finding]) -> str:
    """The question's answer in one sentence without notation; `answer` has the numbers."""
    by_name = {f.claim.name: f for f in found}
    ends, ways = by_name.get("C2"), by_name.get("C5")
    if ends is not None:
        if ends.outcome == REFUTED:
            return "The start matters here: flat and sharp starts end apart."
        if ends.outcome == UNDECIDED:
            return "These data do not decide whether flat and sharp starts end alike."
        if ways is not None and ways.outcome == SUPPORTED:
            return "Neither: the data decide; flat and sharp starts end equally sharp, one rising, the other falling."
        return "The data decide, not the start: flat and sharp starts end equally sharp."
    if not found:
        return "No claim was judged: the figures and tables below show what was measured."
    paper = [f for f in found if f.claim.name.startswith("P")]
    counted = paper or found
    counts = [(sum(f.outcome == outcome for f in counted), outcome) for outcome in (SUPPORTED, REFUTED, UNDECIDED)]
    told = _listed([f"{count} {'is' if count == 1 else 'are'} {outcome}" for count, outcome in counts if count])
    kind = "statements of the paper" if paper else "claims"
    if len(counted) == 1:
        tally = f"the one {kind.replace('ments', 'ment').replace('ms', 'm')} tested here is {counted[0].outcome}"
    else:
        tally = f"of the {len(counted)} {kind} tested here, {told}"
    limit = by_name.get("B1")
    if limit is not None and limit.outcome == SUPPORTED:
        return f"Sharpening stops where the noise is turned against the signal; {tally}."
    return f"{tally[:1].upper()}{tally[1:]}."


def _listed(parts: list[str]) -> str:
    """Parts with commas and "and"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def answer(found: list[Finding], unasked: list[Verdict] | None = None) -> str:
    """The question's answer as far as these data go, from C2 and C5, and what is known where they were not asked."""
    by_name = {f.claim.name: f for f in found}
    ends, ways = by_name.get("C2"), by_name.get("C5")
    if ends is None and "B1" in by_name:
        return _beyond(by_name)
    paper = [f for f in found if f.claim.name.startswith("P")]
    if paper and ends is None and ways is None:
        return _of_the_paper(paper)
    sentences = [_ends(ends, ways), _ways(ends, ways), *_asked(ends, ways), *_not_asked(unasked or [])]
    return " ".join(filter(None, sentences))


def _of_the_paper(found: list[Finding]) -> str:
    """How many of the paper's statements hold, which do not, and the number that says so."""
    parts = []
    for outcome in (SUPPORTED, REFUTED, UNDECIDED):
        these = [f for f in found if f.outcome == outcome]
        if these:
            names = [f"{f.claim.name}: {_where(f)}" if outcome == REFUTED else f.claim.name for f in these]
            verb = "is" if len(these) == 1 else "are"
            parts.append(f"{len(these)} {verb} {outcome} ({('; ' if outcome == REFUTED else ', ').join(names)})")
    statements = "statement" if len(found) == 1 else f"{len(found)} statements"
    return f"Of the {statements} of arXiv:2602.05065 that {'was' if len(found) == 1 else 'were'} put to the test, " + (
        f"{', '.join(parts)}."
    )


def _beyond(by_name: dict[str, Finding]) -> str:
    """Where the paper's statements end, claim by claim (docs/beyond.md)."""
    parts = []
    for name, words in _BEYOND.items():
        if found := by_name.get(name):
            but = "" if found.outcome == SUPPORTED else f", {found.outcome}"
            parts.append(f"{words} ({name}{but}: {_where(found)})")
    return f"Beyond the paper: {'; '.join(parts)}."


_BEYOND = {
    "B1": "sharpening saturates where noise and signal do not commute",
    "B2": "so it does in nonlinear networks",
    "B3": "cross-entropy on sampled labels ends at the flattest minimum",
    "B4": "large rates suppress sharpening",
}


def _ends(ends: Finding | None, ways: Finding | None) -> str:
    """What C2 says: whether the start matters."""
    if ends is None:
        return "Not asked here: no experiment compares the ends of flat and sharp starts (C2)."
    if ends.outcome == REFUTED:
        return f"These data contradict the claim that the data alone decide: starts end apart (C2: {_where(ends)})."
    if ends.outcome == UNDECIDED:
        return f"Not decided by these data: whether flat and sharp starts end alike (C2: {_where(ends)})."
    if ways is not None and ways.outcome == SUPPORTED:
        return (
            "Neither: the data decide. Flat and sharp starts end at the same curvature, one rising, the other falling."
        )
    return "Flat and sharp starts end at the same curvature (C2): the data decide, not the start."


def _ways(ends: Finding | None, ways: Finding | None) -> str:
    """What C5 says beyond that: whether both directions occur."""
    if ways is None:
        return "" if ends is None else "Whether one rises and the other falls was not asked (C5)."
    if ways.outcome == SUPPORTED:
        together = ends is not None and ends.outcome == SUPPORTED
        return "" if together else "On the same data flat starts get sharper and sharp ones flatter (C5)."
    if ways.outcome == UNDECIDED:
        return f"Whether one rises and the other falls is not decided (C5: {_where(ways)})."
    return f"That one rises and the other falls is refuted, {_direction(ways)} (C5: {_where(ways)})."


def _asked(*found: Finding | None) -> list[str]:
    """Which experiments the answer rests on."""
    names = [f"{f.claim.name} of {', '.join(v.subject for v in f.verdicts)}" for f in found if f is not None]
    return [f"Asked: {'; '.join(names)}."] if names else []


def _direction(ways: Finding) -> str:
    """Which way starts went that should have gone the other one."""
    wrong = [e for v in ways.verdicts for e in v.evidence if e.outcome == REFUTED]
    rising = all(e.estimate > 1 for e in wrong)
    falling = all(e.estimate < 1 for e in wrong)
    if rising:
        return "because the sharper start, too, was flatter than the end"
    return "because the flatter start, too, was sharper than the end" if falling else "in both directions"


def _where(finding: Finding) -> str:
    if finding.shown is None:
        return unmeasured(e for v in finding.verdicts for e in v.evidence)
    where = ", ".join(filter(None, (finding.experiment, finding.shown.text)))
    number = f"{number_text(finding.shown)}, {where}"
    return f"{finding.gap}; least certain of the rest {number}" if finding.gap else number


def _not_asked(unasked: list[Verdict]) -> list[str]:
    """For each claim, the number that lies farthest from it in every experiment that was not asked."""
    sentences = []
    for claim, what in (("C2", "trace from the sharp start / from the flat one"), ("C5", "trace at the end / arrival")):
        parts = []
        for verdict in (v for v in unasked if v.claim == claim):
            measured = [e for e in verdict.evidence if not np.isnan([e.estimate, e.low, e.high]).any()]
            open_ones = [e for e in measured if e.outcome != SUPPORTED]
            worst = max(open_ones, key=lambda e: e.p, default=None)
            number = f", {number_text(worst)} at {worst.text or 'the end'}" if worst else ""
            parts.append(f"{verdict.subject} {verdict.outcome if measured else 'not measured'}{number}")
        if parts:
            sentences.append(f"{claim} was not asked of these, which decide nothing ({what}): {'; '.join(parts)}.")
    return sentences


def not_asked(experiments: list[Experiment]) -> list[Verdict]:
    """What the rules of C2 and C5 say of the experiments that are not asked, for `answer`."""
    return [v for claim in CLAIMS if claim.name in ("C2", "C5") for v in judge_unasked(experiments, claim)]


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
            "p_against": number(f.p_against),
            "p_against_holm": number(f.holm_against),
            "p_least": number(f.least),
            "effect": f.claim.effect,
            "test": f.claim.test,
            "rule": f.claim.rule,
            "evidence": [
                {
                    "experiment": v.subject,
                    "at": e.subject,
                    "detail": e.detail,
                    "estimate": number(e.estimate),
                    "low": number(e.low),
                    "high": number(e.high),
                    "p": number(e.p),
                    "p_against": number(e.p_against),
                    "p_least": number(e.least),
                    "condition": e.condition,
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
