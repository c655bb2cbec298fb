"""C6b: squared gradients balance wherever two factors can be rescaled against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.files import Experiment
from sharpseek.summaries import usable
from sharpseek.verdicts.rules import LEVEL, UNDECIDED, USABLE_SHARE, Claim, Evidence, within
from sharpseek.verdicts.statistics import standard_error

CONSERVED = ("linear", "relu", "attention-qk", "attention-vp")
"""Kinds of balances that hold at every learning rate. The others are the control."""
BALANCE_MARGIN = 0.10
"""Largest imbalance relative to the squared gradients that counts as balanced."""
BALANCE_BATCHES = 10
"""Batches of records from which the imbalance's error in time is estimated."""


def balance_table(run: xr.Dataset) -> pd.DataFrame:
    """Mean relative imbalance of each kind of balance over usable replicas and the last half of the records.

    Relative imbalance: sum of balance_difference over the kind's balances over the replica's mean in time of the same
    sum of balance_sum. The law is about the mean difference; a record's own sum is correlated with its difference, and
    the mean of their ratio is not 0. Columns kind, conserved, mean, low, high (95 % interval), errors (mean in standard
    errors), p (two one-sided tests of the margin), usable, replicas.

    Replicas are independent but see the same inputs at a record; records are independent in their inputs but not in
    their weights. So the squared error is the sum of two: between replicas (means over records), and between
    batches of records (means over replicas).
    """
    if "balance_difference" not in run:
        return pd.DataFrame()
    window = {"time": slice(run.sizes["time"] - run.sizes["time"] // 2, None)}
    difference = run["balance_difference"].isel(window).values
    total = run["balance_sum"].isel(window).values
    use = usable(run)
    kinds = run["balance_kind"].values.astype(str)
    names = run["balance"].values.astype(str)
    # The balance of a whole layer is the sum of its units' and would be counted twice.
    single = np.array([not any(other.startswith(f"{name}[") for other in names) for name in names])
    rows = []
    for kind in dict.fromkeys(str(k) for k in kinds):
        chosen = (kinds == kind) & single
        size = total[use][..., chosen].sum(axis=2).mean(axis=1, keepdims=True)  # [replica, 1]
        share = difference[use][..., chosen].sum(axis=2) / size  # [replica, time]
        mean = error = half = p = np.nan
        if len(share) > 1:
            mean = float(share.mean())
            batches = [batch.mean() for batch in np.array_split(share.mean(axis=0), BALANCE_BATCHES)]
            error = float(np.hypot(standard_error(share.mean(axis=1)), standard_error(np.array(batches))))
            freedom = min(len(share), BALANCE_BATCHES) - 1
            half = float(stats.t.ppf(1 - LEVEL, freedom)) * error
            p = float(stats.t.sf((BALANCE_MARGIN - abs(mean)) / error, freedom)) if error > 0 else np.nan
        rows.append(
            {
                "kind": kind,
                "conserved": kind in CONSERVED,
                "mean": mean,
                "low": mean - half,
                "high": mean + half,
                "errors": mean / error if error > 0 else np.nan,
                "p": p,
                "usable": int(use.sum()),
                "replicas": run.sizes["replica"],
            }
        )
    return pd.DataFrame(rows)


def judge_balance(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6b: relative imbalance of squared gradients for each kind of symmetry."""
    evidence = []
    for row in balance_table(run).itertuples():
        if not row.conserved:
            continue
        enough = row.usable >= max(2, USABLE_SHARE * row.replicas)
        outcome = within(1 + row.low, 1 + row.high, BALANCE_MARGIN) if enough else UNDECIDED
        evidence.append(Evidence(row.kind, row.mean, row.low, row.high, outcome, row.usable, row.replicas, row.p))
    return evidence


BALANCE = Claim(
    "C6b",
    "Squared gradients balance wherever two factors can be rescaled against each other, at every learning rate.",
    "mean difference / sum of squared gradients, per kind of symmetry",
    "mean over replicas and records against its standard error between replicas and between batches of records",
    f"Supported if the interval lies within {BALANCE_MARGIN:.0%} of 0; refuted if it lies entirely outside. Tanh units "
    "are the control.",
    judge_balance,
    every_rate=True,
)
