"""C1: the end of linear networks against the prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.files import Experiment
from sharpseek.summaries import smallest_rate, summarise
from sharpseek.verdicts.rules import (
    REFUTED,
    SHARPNESS_MARGIN,
    TRACE_MARGIN,
    UNDECIDED,
    Claim,
    Evidence,
    within,
)
from sharpseek.verdicts.statistics import at, conditions, evidence_of, label, rate_effect, ratio_evidence


def judge_value(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C1: measured over predicted trace and sharpness at each condition where noise and signal commute."""
    if "closed_form_trace" not in run:
        return []
    evidence = []
    several_rates = "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1
    commutes = run["commutes"].values == 1
    for name, margin in (("trace", TRACE_MARGIN), ("sharpness", SHARPNESS_MARGIN)):
        ratio = run[f"{name}_mean"].values / run[f"closed_form_{name}"].values
        for condition in conditions(run):
            select = at(run, condition) & commutes
            if not select.any():
                continue
            if several_rates:
                effect = rate_effect(run, select, ratio)
                subject = f"{name}, {label(condition)}, rate to 0"
                evidence.append(
                    evidence_of(effect, subject, lambda low, high, margin=margin: within(low, high, margin))
                )
                continue

            def rule(low: float, high: float, margin: float = margin) -> str:
                # The theory is the limit of small rates. One rate can agree with it but not refute it.
                outcome = within(low, high, margin)
                return UNDECIDED if outcome == REFUTED else outcome

            evidence.append(ratio_evidence(run, select, ratio, f"{name}, {label(condition)}", rule))
    return evidence


VALUE = Claim(
    "C1",
    "A linear network ends at the trace and sharpness that the closed form predicts.",
    "measured / predicted",
    "Student t interval over seeds; with several learning rates, of the straight line through the two smallest",
    f"Supported if every interval lies within {TRACE_MARGIN:.0%} (trace) or {SHARPNESS_MARGIN:.0%} (sharpness) of "
    "1; refuted entirely outside, but only by two rates: the prediction is the limit of small rates, and one rate "
    "cannot refute it.",
    judge_value,
    every_rate=True,
)


def prediction_table(experiment: Experiment) -> pd.DataFrame:
    """Predicted, measured and interval of trace, sharpness and fluctuation at each condition of a linear network."""
    tables = []
    for run in map(smallest_rate, experiment.runs.values()):
        if "closed_form_trace" not in run:
            continue
        by = ["condition"] if "condition" in run.coords else []
        for name in ("trace", "sharpness", "gradient_fluctuation"):
            table = summarise(run, f"{name}_mean", by)
            predicted = [
                float(run[f"closed_form_{name}"].values[at(run, condition)][0]) for condition in conditions(run)
            ]
            table.insert(0, "quantity", name.replace("_", " "))
            table.insert(1, "predicted", predicted)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
