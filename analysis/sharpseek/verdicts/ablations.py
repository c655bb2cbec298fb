"""C9a, C9b, ...: one thing changed at a time. An ablation is one experiment, one expectation, one rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import asked, start_axis
from sharpseek.verdicts.rules import ABOVE_0, BELOW_1, NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import (
    Effect,
    at,
    conditions,
    evidence_of,
    label,
    quotient_effect,
    ratio_evidence,
    slope_effect,
)


@dataclass(frozen=True)
class Rule:
    """How an ablation is judged: the function, what it measures, and when it supports, in words."""

    judge: Callable[[Experiment, xr.Dataset], list[Evidence]]
    effect: str
    words: str
    reading: str
    """`Claim.reading`."""
    needs: tuple[str, ...] = ("trace_mean",)


FITTED = 0.01
"""Share of the initial excess risk at which descent without noise counts as having fitted the data."""

OTHER = "{} times the end without the change"
INSIDE = "Supported if every interval lies within {:.0%} of 1; refuted if one lies entirely outside."


def same(axis: str, margin: float) -> Rule:
    """Traces at all values of an axis agree with that at the first one, at every condition (TOST)."""

    def judge(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
        return [
            evidence_of(effect, subject, near(margin)) if effect else missing(subject)
            for subject, effect in _quotients(asked(run, margin, "trace"), axis)
        ]

    return Rule(judge, f"trace / trace at the first {axis}", INSIDE.format(margin), OTHER)


def flatter(axis: str) -> Rule:
    """Traces at later values of an axis are below that at the first one, at the largest condition."""

    def judge(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
        run = asked(run, NETWORK_MARGIN, "trace")
        chosen = run.isel(replica=np.flatnonzero(at(run, conditions(run)[-1])))
        return [
            evidence_of(effect, subject, BELOW_1) if effect else missing(subject)
            for subject, effect in _quotients(chosen, axis)
        ]

    words = "Supported if every interval is below 1; refuted if one is above."
    return Rule(judge, f"trace / trace at the first {axis}, largest kappa", words, OTHER)


def stays(margin: float) -> Rule:
    """The trace at the end is that where the weights first fit the data, from every start."""

    def judge(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
        axis = start_axis(run)
        if axis is None:
            return [missing("all replicas have one start: init_imbalance and init_scale were not swept")]
        run = asked(run, margin, "trace")
        # Without noise the excess risk falls to rounding: a share of the initial one tells when the data are fitted.
        excess = run["excess_risk"].values
        first = np.argmax(excess <= FITTED * excess[:, :1], axis=1)
        change = run["trace_mean"].values / run["trace"].values[np.arange(len(first)), first]
        return [ratio_evidence(run, chosen, change, start, near(margin)) for start, chosen in _values(run, axis)]

    effect = "trace at the end / trace where the weights first fit the data"
    reading = "{} times as sharp as when the data were first fitted"
    return Rule(judge, effect, INSIDE.format(margin), reading, ("trace_mean", "trace", "excess_risk"))


def rises(axis: str | None = None) -> Rule:
    """The trace rises with kappa at every value of an axis (or, without one, in the experiment)."""

    def judge(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
        if len(conditions(run)) < 2:
            return [missing("a slope needs two kappas or more")]
        run = asked(run, NETWORK_MARGIN, "trace")
        parts = _values(run, axis) if axis else [("", np.ones(run.sizes["replica"], dtype=bool))]
        found = [
            evidence_of(slope_effect(run.isel(replica=np.flatnonzero(chosen)), "trace_mean"), subject, ABOVE_0)
            for subject, chosen in parts
        ]
        return found if axis is None or len(parts) > 1 else [*found, missing(_unswept(axis))]

    words = "Supported if every interval is above 0; refuted if one is below."
    return Rule(judge, "slope of log trace over log kappa", words, "slope {} on logarithmic axes")


def as_predicted(margin: float) -> Rule:
    """The trace is the closed form's, at every condition."""

    def judge(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
        if "closed_form_trace" not in run:
            return [missing("the files hold no closed form")]
        run = asked(run, margin, "trace")
        ratio = run["trace_mean"].values / run["closed_form_trace"].values
        return [
            ratio_evidence(run, at(run, condition), ratio, label(condition), near(margin))
            for condition in conditions(run)
        ]

    return Rule(judge, "trace / predicted trace", INSIDE.format(margin), "{} times the prediction")


def _values(run: xr.Dataset, axis: str) -> list[tuple[str, np.ndarray]]:
    """Replicas at each value of an axis, in the order of the configuration, with the value's name; all of them where it
    was not swept."""
    if axis not in run.coords:
        return [("", np.ones(run.sizes["replica"], dtype=bool))]
    values = run[axis].values
    order = dict.fromkeys(values.tolist())
    return [
        (f"{axis} {value:g}" if isinstance(value, float) else f"{axis} {value}", values == value) for value in order
    ]


def _unswept(axis: str) -> str:
    return f"{axis} was not swept: there is nothing to compare with"


def _quotients(run: xr.Dataset, axis: str) -> list[tuple[str, Effect | None]]:
    """Trace at each later value of an axis over trace at the first one, at every condition; where the axis was not
    swept, a line that says so."""
    (_, first), *others = _values(run, axis)
    if not others:
        return [(_unswept(axis), None)]
    return [
        (
            f"{name}, {label(condition)}".rstrip(", "),
            quotient_effect(run, "trace_mean", chosen & at(run, condition), first & at(run, condition)),
        )
        for name, chosen in others
        for condition in conditions(run)
    ]


# Name, the expectation, and the rule that tests it. The experiments are ablation-*.ini of the preset.
_TABLE: dict[str, tuple[str, Rule]] = {
    "C9a": ("The batch size does not change the end.", same("batch", 0.05)),
    "C9b": ("The learning rate changes the end by less than a twentieth.", same("learning_rate", 0.05)),
    "C9c": ("Momentum does not change the end.", same("momentum", 0.05)),
    "C9d": ("With Adam, too, imbalance of the noise sharpens the end.", rises()),
    "C9e": ("Weight decay flattens the end.", flatter("weight_decay")),
    "C9f": ("SAM flattens the end.", flatter("optimizer")),
    "C9g": ("Sampling a finite set with or without replacement leads to the same end.", same("replacement", 0.05)),
    "C9h": ("Label noise that is drawn once leads to the same end as fresh noise.", same("redraw", 0.10)),
    "C9i": ("Gradient descent without noise stays where it first fits the data.", stays(0.02)),
    "C9j": ("Gradient flow (descent at a tiny rate) stays where it first fits the data.", stays(0.02)),
    "C9k": ("With anisotropic inputs a linear network ends as the closed form says.", as_predicted(0.02)),
    "C9l": ("Noise that is large where the signal is large leads to a flatter end.", flatter("rotation")),
    "C9m": ("Rademacher noise of equal covariance leads to the same end.", same("distribution", 0.03)),
    "C9n": ("The total of the noise does not change the end.", same("total", 0.05)),
    "C9o": ("Imbalance of the noise sharpens the end at every width.", rises("width")),
    "C9p": ("Imbalance of the noise sharpens the end at every depth.", rises("depth")),
    "C9q": ("Imbalance of the noise sharpens the end at every sequence length.", rises("sequence")),
    "C9r": ("Where the noise covariance depends on the input, its average decides.", same("heteroscedastic", 0.05)),
}

ABLATIONS = [
    Claim(
        name,
        statement,
        rule.effect,
        "Welch or Student t intervals over seeds of the log ratio; studentised bootstrap for slopes",
        rule.words,
        rule.judge,
        every_rate=True,
        pooled=True,
        needs=rule.needs,
        reading=rule.reading,
    )
    for name, (statement, rule) in _TABLE.items()
]
