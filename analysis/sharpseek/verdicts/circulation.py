"""C8: where noise and signal do not commute, SGD follows the limit of small rates and circulates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from sharpseek.circulation import measured_circulation
from sharpseek.extrapolation import extrapolate
from sharpseek.files import Experiment
from sharpseek.linear_settings import replica_frame, settings_table
from sharpseek.summaries import usable
from sharpseek.verdicts.effect import Effect, evidence_of, student_interval
from sharpseek.verdicts.rules import (
    LEAST_P,
    LEVEL,
    SUPPORTED,
    TRACE_MARGIN,
    UNDECIDED,
    Claim,
    Evidence,
    missing,
    near,
)
from sharpseek.verdicts.value import setting_effect

REJECTION_ERRORS = 10.0
"""Standard errors from the closed form beyond which it is rejected."""
ROTATION_MARGIN = 0.10
"""Largest relative difference of the measured from the predicted rotation that counts as agreement."""


def judge_circulation(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """C8: trace over the limit and over the closed form, and the measured over the predicted rotation, at rate 0.

    All three are needed at every setting where noise and signal do not commute.
    """
    frame = replica_frame(experiment)
    if frame.empty or frame["commutes"].all():
        return []
    table = settings_table([experiment], ["trace"])
    if table.empty:
        return [missing("fewer than four learning rates: no extrapolation to rate 0")]
    rotation = _rotation(experiment)
    evidence = []
    for _, row in table[~table["commutes"]].iterrows():
        evidence.append(
            evidence_of(setting_effect(row, row.predicted), f"trace / limit, {row.setting}", near(TRACE_MARGIN))
        )
        evidence.append(_rejection(row))
        subject = f"circulation / limit, {row.setting}"
        turned = rotation.get(str(row.setting))
        if isinstance(turned, Effect):
            evidence.append(evidence_of(turned, subject, near(ROTATION_MARGIN)))
        else:
            evidence.append(missing(f"{subject}: {turned or NO_WEIGHTS}"))
    return evidence


NO_WEIGHTS = "no weights were kept (measure.keep_parameters)"


def _rejection(row: pd.Series) -> Evidence:
    """The closed form is rejected far away from it; being near it is no evidence against the claim."""
    closed = setting_effect(row, row.closed_form)
    errors = abs(row.measured - row.closed_form) / row.error
    p = 1.0
    if closed.enough:
        p = float(np.clip(2 * special.stdtr(row.seeds - 1, -errors), LEAST_P, 1))
    low, high = closed.interval(LEVEL)
    return Evidence(
        f"trace / closed form, {row.setting}",
        closed.estimate,
        low,
        high,
        SUPPORTED if closed.enough and errors > REJECTION_ERRORS else UNDECIDED,
        closed.usable,
        closed.replicas,
        p,
        detail=f"{errors:.1f} standard errors from 1",
    )


def _rotation(experiment: Experiment) -> dict[str, Effect | str]:
    """Measured over predicted rotation of the hidden frame of each setting at rate 0, or why there is none."""
    samples: dict[str, dict[float, np.ndarray]] = {}
    replicas: dict[str, dict[float, int]] = {}
    frame = replica_frame(experiment)
    offset = 0
    found: dict[str, Effect | str] = {}
    for run in experiment.runs.values():
        if "small_lr_limit_trace" not in run:
            continue
        here = frame.iloc[offset : offset + run.sizes["replica"]].reset_index(drop=True)
        offset += run.sizes["replica"]
        if "parameters" not in run:
            continue
        if run.sizes["layer"] != 2:
            found |= dict.fromkeys(map(str, here["setting"]), "only two-layer networks have a hidden frame")
            continue
        good = usable(run, TRACE_MARGIN, ["trace"]) & (run["commutes"].values == 0)
        for (setting, rate), part in here.groupby(["setting", "rate"], sort=False):
            counts = replicas.setdefault(str(setting), {})
            counts[float(rate)] = counts.get(float(rate), 0) + len(part)
            chosen = part.index.to_numpy()[good[part.index]]
            values = measured_circulation(run, chosen)[0] if len(chosen) else np.empty(0)
            mine = samples.setdefault(str(setting), {})
            mine[float(rate)] = np.append(mine.get(float(rate), np.empty(0)), values[np.isfinite(values)])
    for setting, rates in samples.items():
        fit = extrapolate(rates, replicas[setting])
        if fit is None:
            found[setting] = "too few usable replicas at a rate, or fewer than four rates with weights"
            continue
        interval = student_interval(fit.value, fit.error, fit.seeds)
        used, every = sum(map(len, rates.values())), sum(replicas[setting].values())
        found[setting] = Effect(fit.value, interval, used, every, True)
    return found


CIRCULATION = Claim(
    "C8",
    "Where noise and signal do not commute, SGD settles at the limit of small rates, not at the minimum of the "
    "gradient fluctuation, and its weights circulate at the predicted rate.",
    "measured at rate 0 / predicted",
    "extrapolation from four or more learning rates at equal rescaled time, errors over seeds",
    f"Supported if the trace's interval lies within {TRACE_MARGIN:.0%} of the limit, the circulation's within "
    f"{ROTATION_MARGIN:.0%} of the prediction, and the trace is more than {REJECTION_ERRORS:g} standard errors from "
    "the closed form; refuted if one of the first two lies entirely outside; undecided where no weights were kept.",
    judge_circulation,
    every_rate=True,
    pooled=True,
    needs=("trace_mean",),
    plain="Where noise is turned against the signal, SGD settles where theory says and its weights keep circulating.",
    reading="{} times the prediction",
)
