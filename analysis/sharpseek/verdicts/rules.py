"""What a claim, a piece of evidence and a verdict are, and the elementary rules that turn intervals into outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from sharpseek.files import Experiment

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"

TRACE_MARGIN = 0.02
"""Largest relative difference of trace that counts as agreement for linear networks."""
PAIR_TRACE_MARGIN = 0.01
"""The same for the end of a linear network whose replicas are antithetic pairs (C1)."""
SHARPNESS_MARGIN = 0.04
"""Largest relative difference of sharpness that counts as agreement for linear networks."""
NETWORK_MARGIN = 0.05
"""Largest relative difference of trace that counts as the same end for nonlinear networks."""
PAIR_FLOW_MARGIN = 0.02
"""Largest relative difference of a trajectory's trace that counts as agreement for linear networks in pairs (C10)."""
USABLE_SHARE = 0.5
"""Share of replicas at a point below which it decides nothing."""
LEVEL = 0.025
"""Largest probability of a wrong "supported", and of a wrong "refuted": intervals are 95 % intervals."""
LEAST_P = 1e-12
"""Smallest p value that is looked for; a smaller one is printed as less than this."""


@dataclass(frozen=True)
class Evidence:
    """One effect: an estimate with its 95 % interval, and what it says about the claim."""

    subject: str
    """Which effect this is: the same words in every reproduction of a preset, so that two can be compared."""
    estimate: float
    low: float
    high: float
    outcome: str
    usable: int
    replicas: int
    p: float = 1.0
    """Smallest one-sided level at which the rule still supports the claim; 1 where it does at none, or where nothing
    could be measured; NaN for a condition."""
    p_against: float = np.nan
    """Smallest level at which the rule refutes the claim; NaN where this piece cannot refute it."""
    least: float = LEAST_P
    """Smallest p value that could have been found: at or below it p only says "less than"."""
    condition: bool = False
    """Whether this piece can only keep the claim from being supported: it asks that nothing speaks against the claim,
    and the less is known the easier that is. It has no p of "supported"."""
    detail: str = ""
    """What else was found, in words with numbers, next to the estimate."""

    @property
    def text(self) -> str:
        """Subject and detail, as they are shown."""
        return ": ".join(filter(None, (self.subject, self.detail)))

    @property
    def p_text(self) -> str:
        """The p value of "supported" as it may be printed."""
        return p_text(self.p, self.least)


def p_text(p: float, least: float = LEAST_P) -> str:
    """A p value in words: "0.013", "< 1e-12" where no more can be said, and a dash where there is none."""
    if not np.isfinite(p):
        return "–"
    return f"< {least:.2g}" if p <= least * 1.001 else f"{p:.2g}"


def missing(subject: str, usable: int = 0, replicas: int = 0) -> Evidence:
    """A piece that the claim needs and the data do not have: undecided, and `subject` says why."""
    return Evidence(subject, np.nan, np.nan, np.nan, UNDECIDED, usable, replicas)


@dataclass(frozen=True)
class Verdict:
    """What the data say about one claim in one experiment, or about a claim as a whole."""

    claim: str
    subject: str
    outcome: str
    sentence: str
    effect: str
    test: str
    evidence: tuple[Evidence, ...]
    files: tuple[str, ...] = ()
    """The run files that were judged."""
    asked: bool = True
    """Whether the experiment speaks to the claim. Others are shown where the answer stands and decide nothing."""

    @property
    def usable_share(self) -> float:
        """Share of replicas that could be used."""
        replicas = sum(e.replicas for e in self.evidence)
        return sum(e.usable for e in self.evidence) / replicas if replicas else 0.0

    @property
    def p(self) -> float:
        """Every piece of evidence must support the claim, so that the largest p is the claim's; 1 if a condition is not
        met or nothing else was measured."""
        tests = [e.p for e in self.evidence if not e.condition]
        met = all(e.outcome == SUPPORTED for e in self.evidence if e.condition)
        return float(np.max(tests)) if tests and met else 1.0

    @property
    def least(self) -> float:
        """Smallest p that could have been found: the largest of the pieces'."""
        return max((e.least for e in self.evidence if not e.condition), default=LEAST_P)


@dataclass(frozen=True)
class Claim:
    """A claim under test: its statement, the effect that is measured, the test and the rule."""

    name: str
    statement: str
    effect: str
    test: str
    rule: str
    judge: Callable[[Experiment, xr.Dataset], list[Evidence]]
    every_rate: bool = False
    """Whether replicas of all learning rates are evidence; otherwise those of the smallest."""
    pooled: bool = False
    """Whether the replicas of all groups of a sweep over shapes are judged together; otherwise each group alone. Groups
    that differ in the learning rate only are one run for every claim (`sharpseek.rates`)."""
    needs: tuple[str, ...] = ()
    """Variables of a run without which the claim cannot be judged: then it is undecided, and says so."""
    plain: str = ""
    """The statement in one sentence without notation; empty: the statement is one."""
    reading: str = "{}"
    """What the number of a piece of evidence means, in words without notation; {} stands for the number."""

    @property
    def code(self) -> str:
        """Where the judge is written: "verdicts/trend.py:20"."""
        code = self.judge.__code__
        return f"verdicts/{Path(code.co_filename).name}:{code.co_firstlineno}"


@dataclass(frozen=True)
class Region:
    """The values of an effect that a claim allows, and those that speak against it.

    An interval inside (low, high) supports the claim; one entirely below `refuted_below` or above `refuted_above`
    refutes it. These two are low and high unless given.
    """

    low: float = -np.inf
    high: float = np.inf
    refuted_below: float | None = None
    refuted_above: float | None = None

    @property
    def against(self) -> tuple[float, float]:
        """(refuted_below, refuted_above)."""
        below = self.low if self.refuted_below is None else self.refuted_below
        above = self.high if self.refuted_above is None else self.refuted_above
        return below, above

    def __call__(self, low: float, high: float) -> str:
        """The outcome of an interval."""
        if np.isnan([low, high]).any():
            return UNDECIDED
        below, above = self.against
        if high < below or low > above:
            return REFUTED
        inside = (low > self.low or np.isneginf(self.low)) and (high < self.high or np.isposinf(self.high))
        return SUPPORTED if inside else UNDECIDED


ABOVE_0 = Region(low=0)
ABOVE_1 = Region(low=1)
BELOW_1 = Region(high=1)
NOT_BELOW_0 = Region(refuted_below=0)
"""Allows everything, and is refuted below 0."""


def near(margin: float, centre: float = 1.0) -> Region:
    """Equivalence with `centre`: supported inside centre +- margin, refuted entirely outside."""
    return Region(centre - margin, centre + margin)


def within(low: float, high: float, margin: float) -> str:
    """Equivalence of a ratio with 1: supported inside 1 +- margin, refuted entirely outside, else undecided."""
    return near(margin)(low, high)


def positive(low: float, high: float) -> str:
    """Sign of an effect: supported above 0, refuted below 0, else undecided."""
    return ABOVE_0(low, high)


def combine(outcomes: Iterable[str]) -> str:
    """All supported: supported. One refuted: refuted. Otherwise undecided."""
    found = list(outcomes)
    if REFUTED in found:
        return REFUTED
    return SUPPORTED if found and all(outcome == SUPPORTED for outcome in found) else UNDECIDED
