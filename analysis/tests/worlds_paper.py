"""Worlds on the borders of P1 to P12 (see `worlds`)."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import xarray as xr
from sharpseek.files import Experiment
from sharpseek.verdicts.paper_plateau import HORIZONS
from synthetic import make_dataset

SEEDS = 8


def one(run: xr.Dataset, claim: str, architecture: str = "linear") -> list[Experiment]:
    """One experiment of one run that speaks to one claim."""
    return [Experiment("only", "only", architecture, [claim], {"": run})]


def replicas(seeds: int = SEEDS, **axes: tuple) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates of a full sweep over these axes and seeds."""
    grids = np.meshgrid(*[np.array(values) for values in axes.values()], np.arange(seeds), indexing="ij")
    return {name: ("replica", grid.ravel()) for name, grid in zip([*axes, "seed"], grids, strict=True)}


def dataset(
    coords: dict, per_replica: dict[str, np.ndarray], more: dict | None = None, config: dict | None = None
) -> xr.Dataset:
    """A finished run whose replicas are all stationary."""
    size = len(coords["seed"][1])
    flags = {"status": np.zeros(size, dtype=np.int64), "stationary": np.ones(size, dtype=np.int64)}
    variables = {name: ("replica", values) for name, values in (flags | per_replica).items()}
    return xr.Dataset(variables | (more or {}), coords=coords, attrs={"config": json.dumps(config or {})})


def wobble(seed: int, size: int | tuple[int, ...], noise: float) -> np.ndarray:
    """Factors of mean log 0."""
    return np.exp(noise * np.random.default_rng(seed).normal(size=size))


def theorem(seed: int, *, claim: str, factor: float, everywhere: bool, **options: object) -> list[Experiment]:
    """P1, P5: trace (P1) or sharpness (P5) beyond the closed form, everywhere or at kappa 10."""
    run = make_dataset(generator_seed=seed, **options)
    name = "trace_mean" if claim == "P1" else "sharpness_mean"
    here = np.ones(run.sizes["replica"], dtype=bool) if everywhere else run["condition"].values == 10.0
    run = run.assign(setting(run["condition"].values))
    return one(run.assign({name: run[name] * xr.DataArray(np.where(here, factor, 1.0), dims="replica")}), claim)


def setting(condition: np.ndarray) -> dict[str, tuple]:
    """Two matrices whose noise and signal commute, with a simple largest eigenvalue."""
    noise = np.array([np.diag([1.0, 1 / kappa]) for kappa in condition])
    return {
        "teacher": (("output", "input"), np.diag([1.5, 1.0])),
        "input_covariance": (("input", "input_b"), np.eye(2)),
        "noise_covariance": (("replica", "output", "output_b"), noise),
        "layer": ("layer", ["W_1", "W_2"]),
    }


def depths(
    seed: int, *, of_depth: tuple[float, ...] = (1.0, 1.0), slope: float = 1.0, steep: float | None = None
) -> list[Experiment]:
    """P4: T / D of each depth, and its slope over Theorem 1's at rate 0; `steep` is the first depth's own."""
    coords = replicas(
        depth=tuple(2.0 + i for i in range(len(of_depth))), condition=(1.0, 100.0, 1000.0), learning_rate=(0.001, 0.002)
    )
    depth, condition, rate = (coords[name][1] for name in ("depth", "condition", "learning_rate"))
    closed = depth * np.where(condition > 1, (condition / 100) ** 0.45, 0.2)
    own = np.where(depth == 2, slope if steep is None else steep, slope)
    # The slope approaches its own at rate 0 along a straight line.
    excess = np.where(condition > 1, (condition / 100) ** (0.45 * (own - 1) - 20 * rate), 1.0)
    trace = closed * excess * np.array(of_depth)[depth.astype(int) - 2] * wobble(seed, depth.size, 0.01)
    return one(dataset(coords, {"trace_mean": trace, "closed_form_trace": closed}), "P4")


def fork(
    seed: int, *, factors: tuple[float, ...], descent: bool = False, noise: float = 0.03, turn: bool = False
) -> list[Experiment]:
    """P6: T beyond the slow flow by `factors` at the ends of the quarters; with `turn` it ends where it began."""
    from sharpseek.verdicts.paper_forks import predicted, quarters

    coords = replicas()
    records = 81
    time = np.linspace(0, 0.4, records)
    # The flattest minimum of two matrices, V = I, under anisotropic noise.
    parameters = np.tile(np.concatenate([np.eye(2).ravel()] * 2), (SEEDS, records, 1))
    optimizer = "gd" if descent else "sgd"
    more = {
        "parameters": (("replica", "time", "parameter"), parameters),
        "trace": (("replica", "time"), np.ones((SEEDS, records))),
        "teacher": (("output", "input"), np.eye(2)),
        "input_covariance": (("input", "input_b"), np.eye(2)),
        "noise_covariance": (("replica", "output", "output_b"), np.tile(np.diag([2.9, 0.1]), (SEEDS, 1, 1))),
        "rescaled_time": (("replica", "time"), np.tile(time, (SEEDS, 1))),
        "layer": ("layer", ["W_1", "W_2"]),
    }
    run = dataset(coords, {}, more, {"training": {"optimizer": optimizer}})
    path = predicted(run, quarters(run)[1], not descent)[0]
    height = np.repeat([path[0] if turn else f * p for f, p in zip(factors, path[1:], strict=True)], (records - 1) // 4)
    trace = np.concatenate([np.tile(path[:1], (SEEDS, 1)), height * wobble(seed, (SEEDS, 1), noise)], axis=1)
    return one(run.assign(trace=(("replica", "time"), trace)), "P6")


def labels(seed: int, *, start: float, change: float) -> list[Experiment]:
    """P7: T of the initial weights over Proposition 1's, and T at the end over that at the start, where Theorem 1 asks
    for a half."""
    coords = replicas(condition=(1.0, 10.0))
    size = len(coords["seed"][1])
    expected = 2 * 2 * 2 * 2.0  # D = 2, d = 2, unit variances; twice T
    begins = start * expected * (1 + 0.1 * np.random.default_rng(seed).normal(size=size))
    ends = begins * change * wobble(seed + 10**6, size, 0.05)
    more = {
        "trace": (("replica", "time"), np.stack([begins, ends, ends], axis=1)),
        "teacher": (("output", "input"), np.eye(2)),
        "input_covariance": (("input", "input_b"), np.eye(2)),
        "layer": ("layer", ["W_1", "W_2"]),
    }
    per_replica = {"trace_mean": ends, "closed_form_trace": np.full(size, expected / 2)}
    return one(dataset(coords, per_replica, more, {"model": {"width": 2, "init": "random"}}), "P7")


def layers(seed: int, *, ratios: tuple[float, float, float]) -> list[Experiment]:
    """P8: condition numbers of three layers under anisotropic noise over those under isotropic noise."""
    coords = replicas(condition=(1.0, 100.0))
    size, records = len(coords["seed"][1]), 8
    own = wobble(seed, (size, 3), 0.05)
    number = 1.5 * own * np.where(coords["condition"][1][:, None] > 1, ratios, 1.0)
    matrices = np.stack([np.ones_like(number), np.zeros_like(number), np.zeros_like(number), 1 / number], axis=-1)
    parameters = np.tile(matrices.reshape(size, 1, 12), (1, records, 1))
    more = {
        "parameters": (("replica", "time", "parameter"), parameters),
        "teacher": (("output", "input"), np.eye(2)),
        "layer": ("layer", ["W_1", "W_2", "W_3"]),
    }
    return one(dataset(coords, {}, more), "P8")


def rising(seed: int, *, claim: str, seeds: int = SEEDS) -> list[Experiment]:
    """P9, P10: a trace that does not rise."""
    run = make_dataset(generator_seed=seed, slope=0.0, seeds=seeds, linear=False, noise=0.05)
    if claim == "P10":
        run = run.assign_attrs(config=json.dumps({"training": {"loss": "cross-entropy"}}))
    return one(run, claim, "mlp")


def power(seed: int, *, factors: tuple[float, float], above: float = 1.3) -> list[Experiment]:
    """P11: T at rate 0 over Theorem 1's under isotropic noise and under anisotropic noise, where Theorem 1 is `above`
    times T_min."""
    coords = replicas(covariance=("one", "two"), learning_rate=(0.001, 0.002))
    size = len(coords["seed"][1])
    second, rate = coords["covariance"][1] == "two", coords["learning_rate"][1]
    closed = np.where(second, above, 1.0) * 40
    measured = closed * np.where(second, factors[1], factors[0]) * (1 - 20 * rate) * wobble(seed, size, 0.01)
    covariances = np.where(second[:, None, None], np.diag([1.0, 0.1]), np.eye(2))
    per_replica = {
        "trace_mean": measured,
        "closed_form_trace": closed,
        "closed_form_flattest_trace": np.full(size, 40.0),
        "commutes": np.ones(size, dtype=np.int64),
    }
    more = {"noise_covariance": (("replica", "output", "output_b"), covariances)}
    return one(dataset(coords, per_replica, more), "P11")


def plateau(seed: int, *, slopes: tuple[float, float]) -> list[Experiment]:
    """P12: slopes of log T over the log horizon at the largest kappa, for two orientations of the noise."""
    coords = replicas(rotation=("axes", "teacher"), condition=(1.0, 100.0))
    size, records = len(coords["seed"][1]), 8 * HORIZONS[-1]
    slope = np.where(coords["rotation"][1] == "axes", *slopes) * (coords["condition"][1] > 1)
    slope = slope + 0.03 * np.random.default_rng(seed).normal(size=size)
    horizon = np.ceil(np.log(np.arange(1, records + 1) / 8).clip(0) / np.log(4) - 1e-9)  # 0, 1, 2 by horizon
    trace = 20 * np.exp(slope[:, None] * np.log(4) * np.concatenate([[0.0], horizon]))
    return one(dataset(coords, {}, {"trace": (("replica", "time"), trace)}), "P12", "relu mlp")


S, R = "supported", "refuted"
TWO = {"noise": 0.003, "rates": (0.001, 0.002), "deficit": 0.05}
BORDERS = [
    ("P1", "T 2 % beyond Theorem 1, one rate, at one kappa", S,
     partial(theorem, claim="P1", factor=1.02, everywhere=False, noise=0.005)),
    ("P1", "T 2 % beyond Theorem 1 at rate 0, everywhere", R,
     partial(theorem, claim="P1", factor=1.02, everywhere=True, **TWO)),
    ("P4", "T / D of one depth 1.5 times that of the others", S, partial(depths, of_depth=(1.5, 1.0, 1.0))),
    ("P4", "a slope 10 % below Theorem 1's at one depth", S, partial(depths, steep=0.9)),
    ("P4", "both, at both depths", R, partial(depths, of_depth=(1.5, 1.0), slope=1.1)),
    ("P5", "lambda_max 4 % beyond the closed form, at one kappa", S,
     partial(theorem, claim="P5", factor=1.04, everywhere=False, noise=0.01)),
    ("P5", "lambda_max 4 % beyond the closed form at rate 0, everywhere", R,
     partial(theorem, claim="P5", factor=1.04, everywhere=True, **TWO)),
    ("P6", "T 10 % above the slow flow at the end", S, partial(fork, factors=(1.0, 1.0, 1.0, 1.1))),
    ("P6", "T 10 % above the slow flow throughout", R, partial(fork, factors=(1.1, 1.1, 1.1, 1.1))),
    ("P6", "T 5 % above that at the switch to descent", S, partial(fork, factors=(1.05,) * 4, descent=True)),
    ("P6", "T 5 % below that at the switch to descent", R, partial(fork, factors=(0.95,) * 4, descent=True)),
    ("P7", "T that stays where it should fall", S, partial(labels, start=1.0, change=1.0)),
    ("P7", "T at the start 10 % beyond Proposition 1", S, partial(labels, start=1.1, change=0.5)),
    ("P7", "both", R, partial(labels, start=1.1, change=1.0)),
    ("P8", "an inner layer 1.25 times as ill-conditioned", S, partial(layers, ratios=(2.0, 1.25, 2.0))),
    ("P8", "an outer layer 1.25 times as ill-conditioned", S, partial(layers, ratios=(1.25, 1.0, 2.0))),
    ("P8", "all layers 1.25 times as ill-conditioned", R, partial(layers, ratios=(1.25, 1.25, 1.25))),
    ("P9", "a trace that does not rise", S, partial(rising, claim="P9")),
    ("P9", "a trace that does not rise", R, partial(rising, claim="P9")),
    ("P9", "the same with 5 seeds", S, partial(rising, claim="P9", seeds=5)),
    ("P10", "a trace that does not rise", S, partial(rising, claim="P10")),
    ("P10", "a trace that does not rise", R, partial(rising, claim="P10")),
    ("P11", "T 5 % beyond Theorem 1 under anisotropic noise", S, partial(power, factors=(1.0, 1.05))),
    ("P11", "T_min under anisotropic noise", S, partial(power, factors=(1.0, 1 / 1.04), above=1.04)),
    ("P11", "T 5 % below Theorem 1 everywhere, T_min under anisotropic noise", R,
     partial(power, factors=(0.95, 0.95), above=1 / 0.95)),
    ("P12", "a plateau that rises by 0.05 with one orientation", S, partial(plateau, slopes=(0.05, 0.2))),
    ("P12", "a plateau that rises by 0.05 with both", R, partial(plateau, slopes=(0.05, 0.05))),
]  # fmt: skip
"""Claim, what is so, the wrong verdict, and the experiments of a trial. P2 and P3 stand with the rules they share."""
