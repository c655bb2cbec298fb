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
SHARPNESS_MARGIN = 0.04
"""The same for sharpness."""
NETWORK_MARGIN = 0.05
"""Largest relative difference of trace that counts as the same end for nonlinear networks."""
USABLE_SHARE = 0.5
"""Share of replicas at a point below which it decides nothing."""
LEVEL = 0.025
"""Largest probability, on each side, of an error of a single rule: intervals are 95 % intervals."""


@dataclass(frozen=True)
class Evidence:
    """One effect: an estimate with its 95 % interval, and what it says about the claim."""

    subject: str
    estimate: float
    low: float
    high: float
    outcome: str
    usable: int
    replicas: int
    p: float = np.nan
    """Smallest one-sided level at which the rule still supports the claim; NaN where the rule has none."""


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

    @property
    def usable_share(self) -> float:
        """Share of replicas that could be used."""
        replicas = sum(e.replicas for e in self.evidence)
        return sum(e.usable for e in self.evidence) / replicas if replicas else 0.0

    @property
    def p(self) -> float:
        """Every piece of evidence must support the claim, so that the largest p is the claim's; NaN if one has none."""
        return float(np.max([e.p for e in self.evidence])) if self.evidence else np.nan


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
    """Whether the replicas of all groups of a sweep over shapes are judged together; otherwise each group alone."""

    @property
    def code(self) -> str:
        """Where the judge is written: "verdicts/trend.py:20"."""
        code = self.judge.__code__
        return f"verdicts/{Path(code.co_filename).name}:{code.co_firstlineno}"


def within(low: float, high: float, margin: float) -> str:
    """Equivalence of a ratio with 1: supported inside 1 +- margin, refuted entirely outside, else undecided."""
    if not np.isfinite([low, high]).all():
        return UNDECIDED
    if low > 1 - margin and high < 1 + margin:
        return SUPPORTED
    return REFUTED if high < 1 - margin or low > 1 + margin else UNDECIDED


def positive(low: float, high: float) -> str:
    """Sign of an effect: supported above 0, refuted below 0, else undecided."""
    if not np.isfinite([low, high]).all():
        return UNDECIDED
    return SUPPORTED if low > 0 else REFUTED if high < 0 else UNDECIDED


def combine(outcomes: Iterable[str]) -> str:
    """All supported: supported. One refuted: refuted. Otherwise undecided."""
    found = list(outcomes)
    if REFUTED in found:
        return REFUTED
    return SUPPORTED if found and all(outcome == SUPPORTED for outcome in found) else UNDECIDED
