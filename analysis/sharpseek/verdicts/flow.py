"""C10: the slow-manifold flow predicts the trajectory of SGD, extrapolated to learning rate 0, at fixed times."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.config import configuration
from sharpseek.extrapolation import at_rate_zero, rates_that_enter, widening
from sharpseek.files import Experiment
from sharpseek.pairs import in_pairs
from sharpseek.verdicts.effect import Effect, evidence_of, student_interval
from sharpseek.verdicts.rules import LEVEL, NETWORK_MARGIN, PAIR_FLOW_MARGIN, Claim, Evidence, near
from sharpseek.verdicts.statistics import at, conditions, label

FLOW_TIMES = 4
"""Equally spaced rescaled times at which trajectories are compared; the last is the end of the runs."""
FLOW_RATES = 3
"""Learning rates that an extrapolation needs at least."""
FLOW_FIT_LEVEL = 0.001
"""The p value below which the polynomial does not describe the rates; small, because a claim has some fifty pieces."""


def flow_at_rate_zero(rates: np.ndarray, means: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Value and standard error; the polynomial leaves one degree of freedom or more, and is at most quadratic.

    Where it does not describe the rates (chi-squared of the residuals, `FLOW_FIT_LEVEL`), the error is multiplied by
    sqrt(chi-squared / degrees of freedom): the largest of them take another path, and nothing says from which rate on.
    """
    degree = min(2, len(rates) - 2)
    value, error, chi2 = at_rate_zero(rates, means, errors, degree)
    return value, error * widening(chi2, len(rates) - degree - 1, FLOW_FIT_LEVEL)[1]


def flow_table(experiment: Experiment, quantity: str = "trace", path: str = "flow") -> pd.DataFrame:
    """Measured over predicted trace at each condition and fixed time, extrapolated to rate 0 over all runs.

    `quantity` may be another one, and `path` a rival of the flow: descent_flow or isotropic_flow.

    Columns: condition, time, predicted (the path's value), ratio, error (standard error over seeds), z, low, high
    (95 %, Student t with the degrees of freedom of the rate that has the fewest seeds), rates, seeds (those fewest),
    usable, replicas. Replicas need not be stationary, but must be finished. Empty without a flow.
    """
    measured = runs_by_rate(experiment)
    if not measured:
        return pd.DataFrame()
    end = min(float(run["rescaled_time"].values[select, -1].min()) for _, run, select in measured)
    rows = []
    for condition in conditions(measured[0][1]):
        for time in end * np.arange(1, FLOW_TIMES + 1) / FLOW_TIMES:
            samples: dict[float, np.ndarray] = {}
            replicas: dict[float, int] = {}
            predicted = np.nan
            for rate, run, select in measured:
                here = np.flatnonzero(select & at(run, condition))
                if here.size == 0:
                    continue
                # Records lie at the same times for all replicas of one rate.
                times = run["rescaled_time"].values[here[0]]
                record = int(np.argmin(np.abs(times - time)))
                # Measured and predicted are of the same record, so that a small shift between rates does no harm.
                if abs(times[record] - time) > 1e-2 * end:
                    continue
                flow = run[f"{path}_{quantity}"].values[here, record]
                ratio = run[quantity].values[here, record] / flow
                good = (run["status"].values[here] == 0) & np.isfinite(ratio)
                samples[rate] = np.append(samples.get(rate, np.empty(0)), ratio[good])
                replicas[rate] = replicas.get(rate, 0) + here.size
                predicted = float(flow[good][0]) if good.any() else predicted
            usable = {rate: len(values) for rate, values in samples.items()}
            rates = rates_that_enter(usable, replicas, FLOW_RATES)
            means = np.array([samples[rate].mean() for rate in rates])
            errors = np.array([samples[rate].std(ddof=1) / np.sqrt(usable[rate]) for rate in rates])
            value = error = np.nan
            if rates and min(errors) > 0:
                value, error = flow_at_rate_zero(np.array(rates), means, errors)
            seeds = min((usable[rate] for rate in rates), default=0)
            low, high = student_interval(value, error, seeds)(LEVEL)
            rows.append(
                {
                    "condition": condition,
                    "time": time,
                    "predicted": predicted,
                    "ratio": value,
                    "error": error,
                    "z": (value - 1) / error,
                    "low": low,
                    "high": high,
                    "rates": len(rates),
                    "seeds": seeds,
                    "usable": sum(usable.values()),
                    "replicas": sum(replicas.values()),
                }
            )
    return pd.DataFrame(rows)


def circulation_table(experiment: Experiment) -> pd.DataFrame:
    """How far the flow is from descending the gradient fluctuation: condition, circulation (0 .. 1)."""
    run = next((run for run in experiment.runs.values() if "flow_circulation" in run), None)
    if run is None:
        return pd.DataFrame()
    values = [float(run["flow_circulation"].values[at(run, condition)][0]) for condition in conditions(run)]
    return pd.DataFrame({"condition": conditions(run), "circulation": values})


def runs_by_rate(experiment: Experiment) -> list[tuple[float, xr.Dataset, np.ndarray]]:
    """Each learning rate, smallest first, with the run that holds it and [replica] which of its replicas have it."""
    found = []
    for run in experiment.runs.values():
        if "flow_trace" not in run:
            continue
        if "learning_rate" in run.coords:
            rates = run["learning_rate"].values
        else:
            rates = np.full(run.sizes["replica"], _rate_of_times(run))
        found += [(float(rate), run, rates == rate) for rate in np.unique(rates)]
    return sorted(found, key=lambda entry: entry[0])


def _rate_of_times(run: xr.Dataset) -> float:
    """The rate of a run of one rate, from rescaled_time = rate^2 step / batch."""
    batch = float(configuration(run)["training"]["batch"])
    return float(np.sqrt(run["rescaled_time"].values[0, -1] * batch / run["step"].values[-1]))


def judge_flow(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C10: the table's rows as evidence."""
    evidence = []
    narrow = experiment.architecture == "linear" and all(map(in_pairs, experiment.runs.values()))
    region = near(PAIR_FLOW_MARGIN if narrow else NETWORK_MARGIN)
    for row in flow_table(experiment).itertuples():
        interval = student_interval(row.ratio, row.error, row.seeds)
        effect = Effect(row.ratio, interval, row.usable, row.replicas, bool(np.isfinite(row.z)))
        subject = ", ".join(filter(None, (label(row.condition), f"time {row.time:.3g}")))
        evidence.append(evidence_of(effect, subject, region))
    return evidence


FLOW = Claim(
    "C10",
    "The slow-manifold flow predicts the sharpness trajectory of a network before any step of SGD.",
    "measured / predicted trace at rate 0",
    f"polynomial in the rate through the means over seeds at {FLOW_RATES} or more rates, at {FLOW_TIMES} fixed times; "
    "Student t interval with the degrees of freedom of the rate that has the fewest seeds; wider by the root of "
    f"chi-squared over its degrees of freedom where that says that no such polynomial fits (p < {FLOW_FIT_LEVEL})",
    f"Supported if at every kappa and time the interval lies within {NETWORK_MARGIN:.0%} of 1, within "
    f"{PAIR_FLOW_MARGIN:.0%} for linear networks in antithetic pairs; refuted if one lies entirely outside. The "
    "polynomial leaves an error of a per cent or two that no standard error counts.",
    judge_flow,
    every_rate=True,
    pooled=True,
    needs=("trace",),
    plain="Theory predicts how sharpness changes during training before any training.",
    reading="{} times the prediction",
)
