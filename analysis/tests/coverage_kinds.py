"""Every kind of interval that a verdict uses: one draw of its effect, from data whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from sharpseek.extrapolation import extrapolate
from sharpseek.verdicts.balance import balance_effects
from sharpseek.verdicts.effect import Effect, student_interval
from sharpseek.verdicts.flow import flow_at_rate_zero
from sharpseek.verdicts.fluctuation import layer_effects
from sharpseek.verdicts.rivals import _average
from sharpseek.verdicts.slopes import cluster_slope
from sharpseek.verdicts.statistics import line_to_zero, log_mean_effect, quotient_effect, rate_effect

Draw = Callable[[np.random.Generator, int], tuple[Effect, float]]
"""An effect of data drawn anew, and its truth."""
FOUR = np.array([0.001, 0.002, 0.003, 0.004])
KAPPAS = np.log([1.0, 10.0, 100.0])


def _run(coords: dict[str, np.ndarray], **variables: np.ndarray) -> xr.Dataset:
    replicas = len(next(iter(coords.values())))
    fixed = {"status": np.zeros(replicas, dtype=int), "stationary": np.ones(replicas, dtype=int)}
    return xr.Dataset(
        {name: ("replica", values) for name, values in (fixed | variables).items()},
        coords={name: ("replica", values) for name, values in coords.items()},
    )


def mean_ratio(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    return log_mean_effect(np.exp(0.05 * rng.normal(size=seeds)), seeds), 1.0


def quotient(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    above = np.repeat([True, False], seeds)
    spread = np.where(above, 0.06, 0.03)
    run = _run({"start": above.astype(float)}, value=np.exp(spread * rng.normal(size=2 * seeds)))
    return quotient_effect(run, "value", above, ~above), 1.0


def two_rates(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    rate = np.repeat([0.001, 0.002], seeds)
    ratio = 1 - 20 * rate + 0.02 * rng.normal(size=2 * seeds)
    return rate_effect(_run({"learning_rate": rate}), np.ones(2 * seeds, dtype=bool), ratio), 1.0


def four_rates(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    found = extrapolate({r: 1 - 9 * r + 300 * r * r + 0.02 * rng.normal(size=seeds) for r in FOUR})
    assert found is not None
    return Effect(found.value, student_interval(found.value, found.error, found.seeds), seeds, seeds, True), 1.0


def _path(rng: np.random.Generator, seeds: int, rates: np.ndarray) -> tuple[Effect, float]:
    samples = [1 - 10 * rate + 0.02 * rng.normal(size=seeds) for rate in rates]
    means, errors = (np.array([f(s) for s in samples]) for f in (np.mean, lambda s: np.std(s, ddof=1) / seeds**0.5))
    value, error = flow_at_rate_zero(rates, means, errors)
    return Effect(value, student_interval(value, error, seeds), seeds, seeds, True), 1.0


def path_four(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    return _path(rng, seeds, np.array([0.0005, 0.001, 0.002, 0.004]))


def path_three(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    return _path(rng, seeds, np.array([0.001, 0.002, 0.004]))


def slope(rng: np.random.Generator, seeds: int, missing: float = 0.0) -> tuple[Effect, float]:
    """Two starts at three kappas for each seed; seeds have slopes of their own."""
    cluster = np.tile(np.repeat(np.arange(seeds), 2), 3)
    x = np.repeat(KAPPAS, 2 * seeds)
    y = (0.1 + 0.02 * rng.normal(size=seeds)[cluster]) * x + 0.05 * rng.normal(size=x.size)
    kept = rng.random(x.size) >= missing
    estimate, interval, least = cluster_slope(x[kept], y[kept], cluster[kept])
    return Effect(estimate, interval, seeds, seeds, True, least), 0.1


def slope_uneven(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    return slope(rng, seeds, 0.2)


def slope_at_zero(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    return line_to_zero(0.001, 0.002, slope(rng, seeds)[0], slope(rng, seeds)[0]), 0.1


def balance(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    """Replicas see the same inputs at a record, which moves all of them."""
    records = 60
    difference = (
        0.05 * rng.normal(size=(seeds, 1)) + 0.2 * rng.normal(size=records) + 0.1 * rng.normal(size=(seeds, records))
    )
    run = _run({"seed": np.arange(seeds)}).assign(
        balance_difference=(("replica", "time", "balance"), difference[..., None]),
        balance_sum=(("replica", "time", "balance"), np.full((seeds, records, 1), 2.0)),
    )
    run = run.assign_coords(balance=["W_1|W_2"], balance_kind=("balance", ["linear"]))
    return balance_effects(run)["linear"], 0.0


def layers(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    """Three layers whose means are equal, one of them noisier."""
    noise = np.exp(np.array([0.1, 0.1, 0.2]) * rng.normal(size=(seeds, 3)) - np.array([0.1, 0.1, 0.2]) ** 2 / 2)
    run = _run({"seed": np.arange(seeds)}).assign(layer_fluctuation=(("replica", "time", "layer"), noise[:, None, :]))
    run = xr.concat([run, run], "time", data_vars=["layer_fluctuation"], coords="minimal", compat="override")
    return layer_effects(run.assign_coords(layer=["a", "b", "c"]), np.ones(seeds, dtype=bool))["c"], 1.0


def rivals(rng: np.random.Generator, seeds: int) -> tuple[Effect, float]:
    """Four settings, two quantities of the same replicas each."""
    effects = []
    for _ in range(4):
        values = 0.05 * rng.normal(size=seeds)
        for sample in (values, values + 0.02 * rng.normal(size=seeds)):
            around = student_interval(float(sample.mean()), float(sample.std(ddof=1) / seeds**0.5), seeds)
            effects.append(Effect(float(sample.mean()), around, seeds, seeds, True))
    return _average(effects), 0.0


KINDS: dict[str, tuple[str, Draw]] = {
    "mean ratio (C3, C5, C6a, C9i to C9k, C9s; C1 at one rate)": ("Student t of the logarithm", mean_ratio),
    "quotient of two means (C2, C9)": ("Welch", quotient),
    "ratio at rate 0, two rates (C1)": ("straight line, Student t", two_rates),
    "ratio at rate 0, four rates (C1, C8, C7b)": ("quadratic, Student t", four_rates),
    "path at rate 0, four rates (C10, C7b)": ("quadratic, Student t", path_four),
    "path at rate 0, three rates (C10, C7b)": ("straight line, Student t", path_three),
    "slope over kappa (C4, C7, C9)": ("bootstrap and Student t over seeds", slope),
    "the same, a fifth of the replicas unusable": ("bootstrap and Student t over seeds", slope_uneven),
    "slope at rate 0, two rates (C4)": ("straight line through two of them", slope_at_zero),
    "imbalance of squared gradients (C6b)": ("replicas and batches of records", balance),
    "share of a layer (C6a)": ("Student t of a ratio of means", layers),
    "mean advantage over settings (C7b)": ("mean of intervals", rivals),
}
