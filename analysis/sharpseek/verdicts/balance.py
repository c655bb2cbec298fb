"""C6b: squared gradients balance wherever two factors can be rescaled against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.confidence import student_quantile
from sharpseek.files import Experiment
from sharpseek.summaries import usable
from sharpseek.verdicts.effect import (
    Effect,
    evidence_of,
    no_effect,
    standard_error,
    student_interval,
)
from sharpseek.verdicts.rules import LEVEL, Claim, Evidence, near
from sharpseek.verdicts.statistics import enough

CONSERVED = ("linear", "relu", "attention-qk", "attention-vp")
"""Kinds of balances that hold at every learning rate. The others are the control."""
BALANCE_MARGIN = 0.10
"""Largest imbalance relative to the squared gradients that counts as balanced."""
BALANCE_BATCHES = 10
"""Batches of records from which the imbalance's error in time is estimated."""


def balance_effects(run: xr.Dataset) -> dict[str, Effect]:
    """Mean relative imbalance of each kind of balance over usable replicas and the last half of the records.

    Relative imbalance: sum of balance_difference over the kind's balances over the replica's mean in time of the same
    sum of balance_sum. The law is about the mean difference; a record's own sum is correlated with its difference, and
    the mean of their ratio is not 0.

    Replicas are independent but see the same inputs at a record; records are independent in their inputs but not in
    their weights. So the squared error is the sum of two: between replicas (means over records), and between
    batches of records (means over replicas).
    """
    if "balance_difference" not in run:
        return {}
    window = {"time": slice(run.sizes["time"] - run.sizes["time"] // 2, None)}
    difference = run["balance_difference"].isel(window).values
    total = run["balance_sum"].isel(window).values
    use = usable(run, BALANCE_MARGIN, ["trace"])
    sound = enough(run, np.ones(use.size, dtype=bool), use)
    kinds = run["balance_kind"].values.astype(str)
    names = run["balance"].values.astype(str)
    # The balance of a whole layer is the sum of its units' and would be counted twice.
    single = np.array([not any(other.startswith(f"{name}[") for other in names) for name in names])
    effects = {}
    for kind in dict.fromkeys(str(k) for k in kinds):
        chosen = (kinds == kind) & single
        size = total[use][..., chosen].sum(axis=2).mean(axis=1, keepdims=True)  # [replica, 1]
        share = difference[use][..., chosen].sum(axis=2) / size  # [replica, time]
        if len(share) < 2:
            effects[kind] = no_effect(len(share), use.size)
            continue
        batches = [batch.mean() for batch in np.array_split(share.mean(axis=0), BALANCE_BATCHES)]
        error = float(np.hypot(standard_error(share.mean(axis=1)), standard_error(np.array(batches))))
        mean, fewest = float(share.mean()), min(len(share), BALANCE_BATCHES)
        effects[kind] = Effect(mean, student_interval(mean, error, fewest), len(share), use.size, sound)
    return effects


def balance_table(run: xr.Dataset) -> pd.DataFrame:
    """`balance_effects` as a table: kind, conserved, mean, low, high (95 % interval), errors (mean in standard errors),
    usable, replicas."""
    rows = []
    for kind, effect in balance_effects(run).items():
        low, high = effect.interval(LEVEL)
        freedom = min(effect.usable, BALANCE_BATCHES) - 1
        error = (high - low) / 2 / student_quantile(LEVEL, freedom) if freedom > 0 else np.nan
        rows.append(
            {
                "kind": kind,
                "conserved": kind in CONSERVED,
                "mean": effect.estimate,
                "low": low,
                "high": high,
                "errors": effect.estimate / error if error > 0 else np.nan,
                "usable": effect.usable,
                "replicas": effect.replicas,
            }
        )
    return pd.DataFrame(rows)


def judge_balance(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6b: relative imbalance of squared gradients for each kind of symmetry."""
    return [
        evidence_of(effect, kind, near(BALANCE_MARGIN, 0))
        for kind, effect in balance_effects(run).items()
        if kind in CONSERVED
    ]


BALANCE = Claim(
    "C6b",
    "Squared gradients balance wherever two factors can be rescaled against each other, at every learning rate.",
    "mean difference / sum of squared gradients, per kind of symmetry",
    "mean over replicas and records against its standard error between replicas and between batches of records",
    f"Supported if the interval lies within {BALANCE_MARGIN:.0%} of 0; refuted if it lies entirely outside. Tanh units "
    "are the control.",
    judge_balance,
    every_rate=True,
    needs=("balance_difference", "balance_sum"),
    plain="Gradients are balanced wherever two factors can be rescaled against each other.",
    reading="imbalance {} (0: none, 1: full)",
)
