"""C7b: which predictor says where SGD goes: the slow-manifold flow, minimal fluctuation or minimal trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.config import configuration
from sharpseek.extrapolation import FEWEST_RATES, extrapolate
from sharpseek.files import Experiment
from sharpseek.linear_settings import by_rate, replica_frame
from sharpseek.summaries import smallest_rate, usable
from sharpseek.verdicts.effect import Effect, Interval, evidence_of, standard_error, student_interval
from sharpseek.verdicts.flow import flow_table
from sharpseek.verdicts.rules import (
    ABOVE_0,
    LEVEL,
    NETWORK_MARGIN,
    NOT_BELOW_0,
    USABLE_SHARE,
    Claim,
    Evidence,
)
from sharpseek.verdicts.statistics import at, conditions, label, sufficient

FLOW, CALM, FLAT = "slow flow", "minimal fluctuation", "minimal trace"
"""The predictors, in the order in which the claim prefers them."""
QUANTITIES = ("trace", "sharpness")
PATHS = {FLOW: "flow", CALM: "descent_flow", FLAT: "isotropic_flow"}
"""Prefixes of the predictors' paths, where runs start on the manifold."""
THEORY = {FLOW: "limit", CALM: "closed", FLAT: "flattest"}
"""Their prefixes in `replica_frame`, where the network is linear."""
ENDS = {CALM: "minimal_fluctuation", FLAT: "minimal_trace"}
"""Their prefixes where end points were computed from trained weights."""
SAME_END = float(np.log1p(NETWORK_MARGIN))
"""Predictors, or distances from them, that differ by less in the logarithm cannot be told apart."""


@dataclass(frozen=True)
class Outcome:
    """Where SGD went in one setting, and where each predictor would have it go; all as logarithms."""

    subject: str
    quantity: str
    condition: float
    measured: float
    interval: Interval
    """(low, high) of `measured`, each missed with at most this probability."""
    predicted: dict[str, float]
    usable: int
    replicas: int
    enough: bool


def _paths(experiment: Experiment) -> Iterator[Outcome]:
    """Runs that start on the manifold, at their last time and extrapolated to rate 0."""
    if not any("descent_flow_trace" in run for run in experiment.runs.values()):
        return
    for quantity in (name for name in QUANTITIES if all(name in run for run in experiment.runs.values())):
        tables = {name: flow_table(experiment, quantity, prefix) for name, prefix in PATHS.items()}
        truth = tables[FLOW]
        for row in truth[truth["time"] == truth["time"].max()].itertuples():
            predicted = {}
            for name, table in tables.items():
                same = (table["time"] == row.time) & (
                    (table["condition"] == row.condition) | (len(table["condition"].unique()) == 1)
                )
                predicted[name] = float(np.log(table.loc[same, "predicted"].iloc[0]))
            measured = float(np.log(row.ratio)) + predicted[FLOW]
            interval = student_interval(measured, row.error / row.ratio, row.seeds)
            subject = ", ".join(filter(None, (label(row.condition), f"time {row.time:.3g}")))
            yield Outcome(subject, quantity, row.condition, measured, interval, predicted, row.usable, row.replicas,
                          bool(np.isfinite(row.z)))  # fmt: skip


def _theory(experiment: Experiment) -> Iterator[Outcome]:
    """Linear networks: rate 0 from four rates or more, else the smallest rate as it is."""
    frame = replica_frame(experiment)
    if frame.empty or "flattest_trace" not in frame:
        return
    few = frame["rate"].nunique() < FEWEST_RATES
    if few:
        frame = frame[frame["rate"] == frame["rate"].min()]
    for setting, part in frame.groupby("setting", sort=False):
        for quantity in (name for name in QUANTITIES if f"{THEORY[FLAT]}_{name}" in frame):
            samples, replicas = by_rate(part, quantity)
            values = np.concatenate(list(samples.values()))
            found = None if few else extrapolate(samples, replicas)
            if found:
                value, error, seeds = found.value, found.error, found.seeds
            elif few and len(values) > 1:
                value, error, seeds = float(values.mean()), standard_error(values), len(values)
            else:
                value = error = np.nan
                seeds = 0
            predicted = {name: float(np.log(part[f"{prefix}_{quantity}"].iloc[0])) for name, prefix in THEORY.items()}
            if not np.isfinite(list(predicted.values())).all():
                continue
            enough = np.isfinite(value) and sufficient(len(values), len(part))
            log = float(np.log(value))
            condition = float(part["condition"].iloc[0]) if "condition" in part else np.nan
            interval = student_interval(log, error / value, seeds)
            yield Outcome(str(setting), quantity, condition, log, interval, predicted, len(values), len(part),
                          bool(enough))  # fmt: skip


def _ends(experiment: Experiment) -> Iterator[Outcome]:
    """End points next to trained weights."""
    for group, whole in experiment.runs.items():
        if "minimal_trace_trace" not in whole:
            continue
        run = smallest_rate(whole)
        # A rescaling of hidden units is judged weights by weights, at the last record: it does not undo where else the
        # weights happen to be. A minimum over all weights does: every stationary seed's mean is compared with it.
        rescaled = configuration(run).get("model", {}).get("activation") == "relu"
        for condition in conditions(run):
            here = at(run, condition)
            for quantity in (name for name in QUANTITIES if (name if rescaled else f"{name}_mean") in run):
                ends = {name: np.log(run[f"{prefix}_{quantity}"].values) for name, prefix in ENDS.items()}
                found = here & np.isfinite(list(ends.values())).all(axis=0)
                if not found.any():
                    continue
                if rescaled:
                    here = found
                    good = found & usable(run, NETWORK_MARGIN, [quantity])
                    logs = np.log(run[quantity].values[good, -1])
                    error = standard_error(logs - ends[CALM][good]) if len(logs) > 1 else np.nan
                    predicted = {name: float(values[good].mean()) for name, values in ends.items() if good.any()}
                else:
                    logs = np.log(run[f"{quantity}_mean"].values[here & usable(run, NETWORK_MARGIN, [quantity])])
                    predicted = {name: float(values[found].mean()) for name, values in ends.items()}
                    # Starts may end in different minima: nothing is known better than where the rivals end.
                    spread = max(standard_error(v[found]) for v in ends.values()) if found.sum() > 1 else 0.0
                    error = float(np.hypot(standard_error(logs), spread)) if len(logs) > 1 else np.nan
                if not predicted:
                    continue
                log = float(logs.mean()) if len(logs) > 1 else np.nan
                subject = ", ".join(filter(None, (group, label(condition))))
                enough = sufficient(len(logs), int(here.sum()))
                interval = student_interval(log, error, len(logs))
                yield Outcome(subject, quantity, float(condition), log, interval, predicted, len(logs),
                              int(here.sum()), bool(enough))  # fmt: skip


def outcomes(experiment: Experiment) -> list[Outcome]:
    """Every setting of an experiment that rival predictors speak to."""
    return [*_paths(experiment), *_theory(experiment), *_ends(experiment)]


def rival_table(experiment: Experiment) -> pd.DataFrame:
    """Measured over predicted for every predictor.

    Columns: experiment, setting, quantity, condition, predictor, predicted, measured, ratio, low, high (95 %), factor
    (how far off, 1 = exact), best (whether no other is nearer by more than the margin), usable, replicas.
    """
    rows = []
    for found in outcomes(experiment):
        low, high = found.interval(LEVEL)
        nearest = min(abs(found.measured - predicted) for predicted in found.predicted.values())
        for name, predicted in found.predicted.items():
            off = found.measured - predicted
            rows.append(
                {
                    "experiment": experiment.name,
                    "setting": found.subject,
                    "quantity": found.quantity,
                    "condition": found.condition,
                    "predictor": name,
                    "predicted": np.exp(predicted),
                    "measured": np.exp(found.measured),
                    "ratio": np.exp(off),
                    "low": np.exp(low - predicted),
                    "high": np.exp(high - predicted),
                    "factor": np.exp(abs(off)),
                    "best": abs(off) <= nearest + SAME_END,
                    "usable": found.usable,
                    "replicas": found.replicas,
                }
            )
    return pd.DataFrame(rows)


def rivals_markdown(experiments: list[Experiment]) -> str:
    """A row for each setting and quantity: measured / predicted with interval by each predictor, and the nearest."""
    lines = [
        f"| experiment | setting | quantity | measured | {' | '.join(f'/ {name}' for name in PATHS)} | nearest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for experiment in experiments:
        table = rival_table(experiment)
        if not len(table):
            continue
        for (setting, quantity), part in table.groupby(["setting", "quantity"], sort=False):
            rows = part.set_index("predictor")
            ratios = [
                f"{rows.loc[name, 'ratio']:.3f} [{rows.loc[name, 'low']:.3f}, {rows.loc[name, 'high']:.3f}]"
                if name in rows.index
                else "none"
                for name in PATHS
            ]
            best = part["predictor"][part["best"]]
            nearest = "not told apart" if len(best) == len(part) else " or ".join(best) or "undecided"
            measured = part["measured"].iloc[0]
            lines.append(
                f"| {experiment.name} | {setting} | {quantity} | {measured:.4g} | {' | '.join(ratios)} | {nearest} |"
            )
    return "\n".join(lines)


def _advantage(found: Outcome, claimed: str, rival: str) -> Effect:
    """|log measured / rival| - |log measured / claimed|: by how much the claimed predictor is nearer."""
    towards = np.sign(found.predicted[claimed] - found.predicted[rival])

    def nearer(measured: float) -> float:
        return float(abs(measured - found.predicted[rival]) - abs(measured - found.predicted[claimed]))

    def interval(level: float) -> tuple[float, float]:
        # Monotone in the measured value: rising towards the claimed predictor and constant beyond either.
        low, high = found.interval(level)
        return (nearer(low), nearer(high)) if towards > 0 else (nearer(high), nearer(low))

    return Effect(nearer(found.measured), interval, found.usable, found.replicas, found.enough)


def judge_rivals(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """C7b: the flow, where there is one, else minimal fluctuation, against every other predictor that differs.

    A rival must be beaten on average over the settings where it differs, and may be nearer at none of them.
    """
    advantages: dict[str, list[tuple[str, Effect]]] = {}
    for found in outcomes(experiment):
        claimed = next(iter(found.predicted))
        for rival in list(found.predicted)[1:]:
            # Predictors closer together than what counts as the same end cannot be told apart.
            if abs(found.predicted[rival] - found.predicted[claimed]) < SAME_END:
                continue
            subject = ", ".join(filter(None, (found.quantity, found.subject, f"{claimed} against {rival}")))
            advantages.setdefault(f"{claimed} against {rival}", []).append((subject, _advantage(found, claimed, rival)))
    evidence = []
    for pair, settings in advantages.items():
        evidence.append(evidence_of(_average([effect for _, effect in settings]), f"mean, {pair}", ABOVE_0))
        # The wider a setting's interval, the less it says against the claim: it can refute but not support.
        evidence += [evidence_of(effect, subject, NOT_BELOW_0, condition=True) for subject, effect in settings]
    return evidence


def _average(effects: list[Effect]) -> Effect:
    """Mean of the effects that can be judged. Trace and sharpness are of the same replicas: errors are added as they
    are, not in squares, which holds for any correlation."""
    sound = [effect for effect in effects if effect.enough]

    def interval(level: float) -> tuple[float, float]:
        ends = np.mean([effect.interval(level) for effect in sound], axis=0) if sound else (np.nan, np.nan)
        return float(ends[0]), float(ends[1])

    estimate = float(np.mean([effect.estimate for effect in sound])) if sound else np.nan
    enough = len(sound) >= max(1, USABLE_SHARE * len(effects))
    return Effect(estimate, interval, sum(e.usable for e in effects), sum(e.replicas for e in effects), enough)


RIVALS = Claim(
    "C7b",
    "SGD ends nearer to where the slow-manifold flow ends than to minimal fluctuation or minimal trace; where there is "
    "no flow, nearer to minimal fluctuation than to minimal trace.",
    "|log distance to the rival| - |log distance to the claimed predictor|",
    "interval over seeds of the measured trace and sharpness: at rate 0 where enough rates were run, else Student t at "
    "the smallest rate",
    f"Judged where two predictors differ by more than {NETWORK_MARGIN:.0%}. Supported if for each rival the mean over "
    "an experiment's settings has its interval above 0 and no setting's is below; refuted if one is below.",
    judge_rivals,
    every_rate=True,
    pooled=True,
    plain="The predicted slow drift ends nearer to the measured end than rival theories do.",
    reading="nearer by {} on a logarithmic scale",
)
