"""C1: the end of linear networks against the prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.linear_settings import agreement, settings_table
from sharpseek.pairs import in_pairs
from sharpseek.summaries import asked
from sharpseek.verdicts.effect import Effect, evidence_of, student_interval
from sharpseek.verdicts.rules import (
    PAIR_TRACE_MARGIN,
    SHARPNESS_MARGIN,
    SUPPORTED,
    TRACE_MARGIN,
    UNDECIDED,
    Claim,
    Evidence,
    Region,
    near,
)
from sharpseek.verdicts.statistics import at, conditions, label, rate_effect, ratio_evidence, sufficient

AGREEMENT_ERRORS = 3.5
"""Largest distance from theory, in standard errors, that counts as agreement at one of many settings."""
AGREEMENT_LEVEL = 0.01
"""Chi-squared level of agreement over all settings of an experiment."""
MARGINS = {"trace": TRACE_MARGIN, "sharpness": SHARPNESS_MARGIN}


def judge_value(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """C1: measured over predicted trace and sharpness of every setting.

    With four learning rates or more by `extrapolation`; with two or three by the straight line through the two
    smallest; a single rate cannot refute.
    """
    table = settings_table([experiment], MARGINS)
    if len(table):
        return _judge_settings(table, _margins(*experiment.runs.values()))
    return [
        replace(e, subject=", ".join(filter(None, (group, e.subject))))
        for group, run in experiment.runs.items()
        for e in _judge_few_rates(run)
    ]


def _margins(*runs: xr.Dataset) -> dict[str, float]:
    return MARGINS | ({"trace": PAIR_TRACE_MARGIN} if all(map(in_pairs, runs)) else {})


def setting_effect(row: pd.Series, predicted: float) -> Effect:
    """Measured over predicted of a row of `settings_table`."""

    interval = student_interval(float(row.measured / predicted), float(row.error / predicted), int(row.seeds))
    enough = sufficient(row.usable, row.replicas) and np.isfinite(row.measured)
    return Effect(float(row.measured / predicted), interval, int(row.usable), int(row.replicas), bool(enough))


def _judge_settings(table: pd.DataFrame, margins: dict[str, float]) -> list[Evidence]:
    evidence = []
    for _, row in table.iterrows():
        subject = ", ".join(filter(None, (row.quantity, row.setting, "rate to 0")))
        evidence.append(evidence_of(setting_effect(row, row.predicted), subject, near(margins[row.quantity])))
    trace = table[table["quantity"] == "trace"]
    chi2, count, p = agreement(trace)
    z = float(trace["z"].abs().max())
    agrees = p > AGREEMENT_LEVEL and z < AGREEMENT_ERRORS
    # Chi-squared is no estimate of the effect, and is not drawn as one.
    evidence.append(
        Evidence(
            "trace of all settings",
            np.nan,
            np.nan,
            np.nan,
            SUPPORTED if agrees else UNDECIDED,
            count,
            len(trace),
            np.nan,
            condition=True,
            detail=f"chi-squared {chi2:.3g} over {count} settings (p {p:.2g}, largest |z| {z:.2f})",
        )
    )
    return evidence


def _judge_few_rates(run: xr.Dataset) -> list[Evidence]:
    if "small_lr_limit_trace" not in run:
        return []
    return [
        piece
        for name, margin in _margins(run).items()
        for piece in few_rates_evidence(run, name, f"small_lr_limit_{name}", margin)
    ]


def few_rates_evidence(run: xr.Dataset, name: str, predicted: str, margin: float) -> list[Evidence]:
    """Measured over predicted quantity at every condition: at rate 0 by the two smallest rates, or at the only one,
    which cannot refute a limit of small rates."""
    run = asked(run, margin, name)
    ratio = run[f"{name}_mean"].values / run[predicted].values
    several_rates = "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1
    evidence = []
    for condition in conditions(run):
        select = at(run, condition)
        if several_rates:
            subject = ", ".join(filter(None, (name, label(condition), "rate to 0")))
            evidence.append(evidence_of(rate_effect(run, select, ratio), subject, near(margin)))
            continue
        region = Region(1 - margin, 1 + margin, -np.inf, np.inf)
        subject = ", ".join(filter(None, (name, label(condition))))
        evidence.append(ratio_evidence(run, select, ratio, subject, region))
    return evidence


VALUE = Claim(
    "C1",
    "A linear network ends at the trace and sharpness that theory predicts for small learning rates.",
    "measured / predicted",
    "extrapolation to rate 0 from four or more rates with a test of the fit; a straight line through the two smallest "
    "where there are fewer; Student t interval over seeds where there is one",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} (trace; {PAIR_TRACE_MARGIN:.0%} where replicas are "
    f"antithetic pairs) or {SHARPNESS_MARGIN:.0%} (sharpness) of 1 and, with four rates, no trace is "
    f"{AGREEMENT_ERRORS:g} standard errors away and chi-squared over all settings has p above {AGREEMENT_LEVEL:g}; "
    "refuted if an interval lies entirely outside, but not by a single rate: the prediction is the limit of small "
    "rates.",
    judge_value,
    every_rate=True,
    pooled=True,
    needs=("trace_mean", "sharpness_mean"),
    plain="Linear networks end as sharp as theory predicts.",
    reading="{} times the prediction",
)
