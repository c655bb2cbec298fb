"""C8: where noise and signal do not commute, SGD follows the limit of small rates and circulates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.circulation import measured_circulation
from sharpseek.extrapolation import extrapolate
from sharpseek.files import Experiment
from sharpseek.linear_settings import replica_frame, settings_table
from sharpseek.summaries import usable
from sharpseek.verdicts.rules import REFUTED, SUPPORTED, UNDECIDED, Claim, Evidence
from sharpseek.verdicts.statistics import Effect
from sharpseek.verdicts.value import AGREEMENT_ERRORS, setting_effect

REJECTION_ERRORS = 10.0
"""Standard errors from the closed form beyond which it is rejected."""


def judge_circulation(experiment: Experiment, _: xr.Dataset) -> list[Evidence]:
    """C8: trace over the limit and over the closed form, and the measured over the predicted rotation, at rate 0."""
    table = settings_table([experiment], ["trace"])
    if table.empty:
        return []
    evidence = []
    for _, row in table[~table["commutes"]].iterrows():
        evidence.append(_agreement(setting_effect(row, row.predicted), row.error / row.predicted, "trace / limit", row))
        closed = setting_effect(row, row.closed_form)
        rejected = closed.enough and abs(row.measured - row.closed_form) > REJECTION_ERRORS * row.error
        low, high = closed.interval(0.025)
        errors = abs(row.measured - row.closed_form) / row.error
        evidence.append(
            Evidence(
                f"trace / closed form, {row.setting}: {errors:.1f} standard errors from 1",
                closed.estimate,
                low,
                high,
                SUPPORTED if rejected else UNDECIDED,
                closed.usable,
                closed.replicas,
                2 * float(stats.t.sf(errors, row.seeds - 1)) if row.seeds > 1 else np.nan,
            )
        )
    return evidence + _rotation(experiment)


def _agreement(effect: Effect, error: float, subject: str, row: pd.Series) -> Evidence:
    """Supported within AGREEMENT_ERRORS of 1 and as far above 0, refuted farther from 1."""
    z = (effect.estimate - 1) / error
    outcome = UNDECIDED
    if effect.enough and np.isfinite(z):
        outcome = REFUTED if abs(z) >= AGREEMENT_ERRORS else SUPPORTED
        if outcome == SUPPORTED and effect.estimate < AGREEMENT_ERRORS * error:
            outcome = UNDECIDED
    low, high = effect.interval(0.025)
    subject = f"{subject}, {row.setting}: z = {z:+.2f}"
    return Evidence(subject, effect.estimate, low, high, outcome, effect.usable, effect.replicas)


def _rotation(experiment: Experiment) -> list[Evidence]:
    """Measured over predicted rotation of the hidden frame of each setting, where weights were kept."""
    samples: dict[str, dict[float, list[np.ndarray]]] = {}
    replicas: dict[str, int] = {}
    frame = replica_frame(experiment)
    offset = 0
    for run in experiment.runs.values():
        if "small_lr_limit_trace" not in run:
            continue
        here = frame.iloc[offset : offset + run.sizes["replica"]].reset_index(drop=True)
        offset += run.sizes["replica"]
        if "parameters" not in run or run.sizes["layer"] != 2:
            continue
        good = usable(run) & (run["commutes"].values == 0)
        for (setting, rate), part in here.groupby(["setting", "rate"], sort=False):
            replicas[setting] = replicas.get(setting, 0) + len(part)
            chosen = part.index.to_numpy()[good[part.index]]
            if len(chosen):
                values, _ = measured_circulation(run, chosen)
                samples.setdefault(setting, {}).setdefault(rate, []).append(values[np.isfinite(values)])
    evidence = []
    for setting, rates in samples.items():
        joined = {rate: np.concatenate(parts) for rate, parts in rates.items()}
        found = extrapolate(joined)
        if found is None:
            continue
        used = sum(len(values) for values in joined.values())
        row = pd.Series(
            {
                "setting": setting,
                "measured": found.value,
                "error": found.error,
                "seeds": found.seeds,
                "usable": used,
                "replicas": replicas[setting],
            }
        )
        evidence.append(_agreement(setting_effect(row, 1.0), found.error, "circulation / limit", row))
    return evidence


CIRCULATION = Claim(
    "C8",
    "Where noise and signal do not commute, SGD settles at the limit of small rates, not at the minimum of the "
    "gradient fluctuation, and its weights circulate at the predicted rate.",
    "measured at rate 0 / predicted",
    "extrapolation from four or more learning rates at equal rescaled time, errors over seeds",
    f"Supported if trace and circulation are within {AGREEMENT_ERRORS:g} standard errors of the limit, circulation is "
    f"as far above 0, and the trace is more than {REJECTION_ERRORS:g} standard errors from the closed form; refuted if "
    "trace or circulation is farther from the limit.",
    judge_circulation,
    every_rate=True,
    pooled=True,
)
