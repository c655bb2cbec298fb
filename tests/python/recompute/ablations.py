"""C9a to C9s: one thing changed at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from recompute.estimates import (
    INFINITE,
    Estimate,
    Piece,
    judged,
    mean_ratio,
    missing,
    near,
    quotient,
    slope,
)
from recompute.files import (
    Experiment,
    Run,
    joined,
    start_of,
    usable,
)

SAME = {"C9a": ("batch", 0.05), "C9b": ("learning_rate", 0.05), "C9c": ("momentum", 0.05),
        "C9g": ("replacement", 0.05), "C9h": ("redraw", 0.10), "C9m": ("distribution", 0.03), "C9n": ("total", 0.05),
        "C9r": ("heteroscedastic", 0.05)}  # fmt: skip
FLATTER = {"C9e": "weight_decay", "C9f": "optimizer", "C9l": "rotation"}
RISES = {"C9d": None, "C9o": "width", "C9p": "depth", "C9q": "sequence"}
SIGN = 0.05
"""The margin of arrival where the rule is about a sign."""


def c9(claim: str) -> Callable[[Experiment], list[Piece]]:
    """An ablation: one thing is changed at a time."""

    def pieces(experiment: Experiment) -> list[Piece]:
        run = joined(experiment.runs) if len(experiment.runs) > 1 else experiment.runs[0]
        if claim in SAME or claim in FLATTER:
            axis, margin = SAME.get(claim) or (FLATTER[claim], None)
            values = run.distinct(axis)
            if len(values) < 2:
                return [missing()]
            if margin is None:
                run = run.rows(run.at(run.kappas[-1]))
            use = usable(run, margin or SIGN, "trace")
            found = []
            for value in values[1:]:
                for kappa in run.kappas:
                    here = run.at(kappa)
                    ratio = quotient(run, use, here & (run[axis] == value), here & (run[axis] == values[0]))
                    found.append(judged(ratio, -INFINITE, 1.0) if margin is None else near(ratio, margin))
            return found
        if claim in RISES:
            axis = RISES[claim]
            if len(run.kappas) < 2:
                return [missing()]
            values = run.distinct(axis) if axis else []
            parts = [run.rows(run[axis] == v) for v in values] if values else [run]
            found = [
                judged(slope(part, usable(part, SIGN, "trace"), part["trace_mean"]), 0.0, INFINITE) for part in parts
            ]
            return found if axis is None or len(values) > 1 else [*found, missing()]
        use = usable(run, 0.02, "trace")
        if claim == "C9k":
            ratio = run["trace_mean"] / run["closed_form_trace"]
            return [near(mean_ratio(run, use, run.at(kappa), ratio), 0.02) for kappa in run.kappas]
        axis = start_of(run)  # C9i, C9j
        if axis is None:
            return [missing()]
        return [near(mean_ratio(run, use, run[axis] == v, run["trace/fitted"]), 0.02) for v in run.distinct(axis)]

    return pieces


def c9s(experiment: Experiment) -> list[Piece]:
    by_optimizer = {run.group.get("optimizer"): run for run in experiment.runs}
    full, small = by_optimizer.get("gd"), by_optimizer.get("sgd")
    if full is None or small is None or "learning_rate" not in full:
        return []
    axis = start_of(full)
    start = full[axis] if axis else np.zeros(full.size)

    def late(run: Run, name: str) -> np.ndarray:
        return np.where(run["status"] == 0, run[f"{name}/late"].mean(axis=1), np.nan)

    def ratio_of(values: np.ndarray) -> Estimate:
        good = np.isfinite(values)
        free = Run({"status": np.zeros(len(values))}, {}, [], {})
        return mean_ratio(free, good, np.ones(len(values), bool), values)

    edges, rest = [], []
    for value in np.unique(start):
        rates = sorted(full.distinct("learning_rate"))
        rows = {rate: (start == value) & (full["learning_rate"] == rate) for rate in rates}
        natural = late(full, "sharpness")[rows[rates[0]]]
        for rate in rates:
            sharp, soft = (late(run, "sharpness")[rows[rate]] for run in (full, small))
            loud, calm = (late(run, "gradient_fluctuation")[rows[rate]] for run in (full, small))
            if rate > rates[0] and np.isfinite(natural).any() and np.nanmean(natural) > 1.1 * 2 / rate:
                edges.append(near(ratio_of(sharp * rate / 2), 0.1))
            rest += [judged(ratio_of(x), -INFINITE, 1.0) for x in (soft * rate / 2, soft / sharp, calm / loud)]
    return [*edges, *rest] if edges else [*rest, missing()]
