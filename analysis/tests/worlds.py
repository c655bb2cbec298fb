"""Worlds on the border of each claim, where a wrong verdict is most frequent.

A claim is just not true in a world that counts "supported": one piece of its evidence lies on the border of what the
claim allows, all others well inside. It is just true in a world that counts "refuted": every piece lies on that border.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import xarray as xr
from scipy.linalg import expm
from sharpseek.circulation import _limit as limit_of
from sharpseek.files import Experiment
from sharpseek.theory_limit import Limit
from sharpseek.verdicts import REFUTED, SUPPORTED, judge, overall
from synthetic import make_dataset
from test_rivals import ends
from test_sharpening import experiment as sharpening
from worlds_beyond import BORDERS as BEYOND
from worlds_paper import BORDERS

Make = Callable[[int], list[Experiment]]
NETWORK = {"linear": False, "noise": 0.02}


@dataclass(frozen=True)
class World:
    """A border: the claim, what is so in the world, the wrong verdict, and the experiments of a trial."""

    claim: str
    words: str
    wrong: str
    make: Make

    @property
    def name(self) -> str:
        """One line that no other world has."""
        return f"{self.claim} {self.wrong}: {self.words}"

    def is_wrong(self, trial: int) -> bool:
        """Whether a trial ends in the wrong verdict; of a world of several claims, whether any does."""
        outcomes = overall(judge(self.make(1000 + trial)))
        return self.wrong in (outcomes.values() if self.claim == "any" else [outcomes.get(self.claim)])


def single(run: xr.Dataset, claims: str, architecture: str = "linear") -> list[Experiment]:
    """One experiment of one run."""
    return [Experiment("only", "only", architecture, claims.split(), {"": run})]


def bumped(run: xr.Dataset, variable: str, factor: float, **where: float) -> xr.Dataset:
    """A variable times a factor for the replicas at these coordinates."""
    here = np.all([run[axis].values == value for axis, value in where.items()], axis=0)
    return run.assign({variable: run[variable] * xr.DataArray(np.where(here, factor, 1.0), dims="replica")})


def value(seed: int, *, everywhere: bool, **options: object) -> list[Experiment]:
    """C1: the trace 2 % beyond theory, everywhere or at kappa 10; noise of single replicas in `options`."""
    run = make_dataset(generator_seed=seed, bias=1.02 if everywhere else 1.0, **options)
    run = run if everywhere else bumped(run, "trace_mean", 1.02, condition=10.0)
    return single(run, "C1")


def starts(seed: int, *, everywhere: bool, claim: str = "C2", axis: str = "init_imbalance", gap: float = 1.05,
           **options: object) -> list[Experiment]:  # fmt: skip
    """Ends that differ by the margin, everywhere or at kappa 10; `axis` instead of the start for ablations."""
    run = make_dataset(generator_seed=seed, start_gap=gap if everywhere else 1.0, **{**NETWORK, **options})
    run = run if everywhere else bumped(run, "trace_mean", gap, condition=10.0, init_imbalance=3.0)
    return single(run.rename({"init_imbalance": axis}), claim, "tanh mlp")


def flattest(seed: int, *, at: tuple[float, ...], claim: str = "C3", noise: float = 0.01,
             **options: object) -> list[Experiment]:  # fmt: skip
    """C3: the trace 2 % above the flattest minimum at these kappas, and well on its side at the others."""
    run = make_dataset(generator_seed=seed, slope=0.1, noise=noise, **options)
    for condition in at:
        run = bumped(run, "trace_mean", 1.02 * condition**-0.1, condition=condition)
    return single(run, claim)


def as_predicted(seed: int, *, everywhere: bool) -> list[Experiment]:
    """C9k: the trace 2 % beyond the closed form."""
    (one,) = value(seed, everywhere=everywhere, noise=0.01)
    return single(one.run, "C9k")


def imbalance(seed: int, *, slope: float, **options: object) -> list[Experiment]:
    """C4: a slope where theory says .2."""
    return single(make_dataset(generator_seed=seed, slope=slope, predicted_slope=0.2, noise=0.02, **options), "C4")


def both_ways(seed: int, *, begins: tuple[float, float], claim: str = "C5", noise: float = 0.05) -> list[Experiment]:
    """C5: all ends at 40; `begins` at 40 is a start that does not change."""
    return single(make_dataset(generator_seed=seed, slope=0.0, begins=begins, noise=noise), claim)


def fluctuation(seed: int, *, fall: float, share: float, noise: float = 0.05) -> list[Experiment]:
    """C6a: the fluctuation from the sharp start ends at `fall` times that at the arrival (at kappa 10; well below at
    others unless it is 1 everywhere), where the first layer has `share` of the geometric mean."""
    run = make_dataset(generator_seed=seed)
    generator = np.random.default_rng(seed)
    replicas = run.sizes["replica"]
    arrival = run["gradient_fluctuation"].values[:, 8]  # the first record that fits the data
    here = (run["condition"].values == 10) | (fall == 1.0)
    mean = arrival * np.where(here, abs(fall), 0.7) * np.exp(noise * generator.normal(size=replicas))
    shares = np.where(here[:, None], [share, 1 / share], 1.0)
    layers = run["layer_fluctuation"] * xr.DataArray(shares, dims=("replica", "layer"))
    wobble = xr.DataArray(np.exp(noise * generator.normal(size=(replicas, 2))), dims=("replica", "layer"))
    return single(run.assign(gradient_fluctuation_mean=("replica", mean), layer_fluctuation=layers * wobble), "C6a")


def balance(seed: int) -> list[Experiment]:
    """C6b: squared gradients 10 % apart."""
    run = make_dataset(generator_seed=seed, imbalance=0.1)
    generator = np.random.default_rng(seed)
    own = xr.DataArray(np.exp(0.1 * generator.normal(size=run.sizes["replica"])), dims="replica")
    return single(run.assign(balance_difference=run["balance_difference"] * own), "C6b")


def trend(
    seed: int, *, sharpness: float, claim: str = "C7", axis: str = "init_imbalance", seeds: int = 8
) -> list[Experiment]:
    """C7: a trace that does not rise and a sharpness that rises as kappa^sharpness."""
    run = make_dataset(generator_seed=seed, slope=0.0, seeds=seeds, **{**NETWORK, "noise": 0.05})
    run = run.assign(sharpness_mean=run["sharpness_mean"] * run["condition"] ** sharpness)
    if axis != "init_imbalance":  # C9o: of two widths, the larger one rises with this slope
        rise = xr.where(run["init_imbalance"] == 3, run["condition"] ** sharpness, 1.0)
        run = run.assign(trace_mean=run["trace_mean"] * rise).rename({"init_imbalance": axis})
    return single(run, claim, "tanh mlp")


def halfway(seed: int, *, seeds: int) -> list[Experiment]:
    """C7b: as far from one predictor as from the other, at every setting."""
    return [ends(0.5, seeds=seeds, noise=0.05, seed=seed)]


RATES = (0.001, 0.002, 0.004, 0.008)


def flow(seed: int, *, everywhere: bool, seeds: int, noise: float = 0.02, rival: bool = False,
         rates: tuple[float, ...] = RATES) -> list[Experiment]:  # fmt: skip
    """C10: trajectories 5 % above the flow, everywhere or at kappa 100 and the last time, a file for each rate. With
    `rival`, C7b: halfway, in the logarithm, between the flow and the flow of isotropic noise, 20 % below it."""
    generator = np.random.default_rng(seed)
    condition, number = (a.ravel() for a in np.meshgrid((1.0, 10.0, 100.0), np.arange(seeds), indexing="ij"))
    time = np.linspace(0, 0.4, 9)
    path = 20 + 20 * np.exp(-5 * time) * np.sqrt(condition)[:, None]
    beyond = np.ones(path.shape)
    if rival:
        beyond *= 0.8**0.5
    elif everywhere:
        beyond *= 1.05
    else:
        beyond[condition == 100, -1] = 1.05
    runs = {}
    for rate in rates:
        trace = path * beyond * (1 - 10 * rate) * (1 + noise * generator.normal(size=path.shape))
        series = {"trace": trace, "flow_trace": path}
        if rival:
            other = trace * (1 + noise * generator.normal(size=path.shape))
            series |= {"sharpness": other, "flow_sharpness": path, "descent_flow_trace": path}
            series |= {"descent_flow_sharpness": path, "isotropic_flow_trace": 0.8 * path}
            series |= {"isotropic_flow_sharpness": 0.8 * path}
        runs[f"learning_rate={rate}"] = xr.Dataset(
            {name: (("replica", "time"), values) for name, values in series.items()}
            | {name: ("replica", np.zeros(condition.size, dtype=np.int64)) for name in ("status", "stationary")},
            coords={
                "condition": ("replica", condition),
                "seed": ("replica", number),
                "step": ("time", np.round(time / rate**2).astype(np.int64)),
                "rescaled_time": (("replica", "time"), np.tile(time, (condition.size, 1))),
            },
            attrs={"config": '{"training": {"batch": 1}}', "group": f"learning_rate={rate}"},
        )
    return [Experiment("flow", "flow", "tanh mlp", ["C7b" if rival else "C10"], runs)]


@lru_cache(maxsize=1)
def _circulating() -> tuple[np.ndarray, np.ndarray, np.ndarray, Limit]:
    """A teacher [2, 2], inputs and a noise that do not commute, and their limit."""
    teacher = np.array([[1.5, 0.4], [-0.2, 0.8]])
    covariance, noise = np.eye(2), np.diag([2.9, 0.1])
    return teacher, covariance, noise, limit_of(*(tuple(map(tuple, m.tolist())) for m in (teacher, covariance, noise)))


def circulation(seed: int, *, trace: float = 1.0, rotation: float = 1.0, seeds: int = 8) -> list[Experiment]:
    """C8: a trace and a rotation of so many times the limit's, four rates in one file."""
    generator = np.random.default_rng(seed)
    teacher, covariance, noise, limit = _circulating()
    rate, number = (a.ravel() for a in np.meshgrid((0.001, 0.002, 0.003, 0.004), np.arange(seeds), indexing="ij"))
    replicas = rate.size
    time = np.linspace(0, 1.0, 5)
    speed = rotation * (1 - 10 * rate) * (1 + 0.015 * generator.normal(size=replicas))
    turned = np.array([[expm(c * limit.rotation[0] * t) for t in time] for c in speed])  # [replica, time, 2, 2]
    w1 = turned @ limit.weights[0]
    w2 = limit.weights[1] @ np.swapaxes(turned, -1, -2)
    parameters = np.concatenate([w1.reshape(replicas, time.size, -1), w2.reshape(replicas, time.size, -1)], axis=2)
    measured = 40 * trace * (1 - 10 * rate) * (1 + 0.002 * generator.normal(size=replicas))
    per_replica = {"status": np.zeros(replicas, dtype=np.int64), "stationary": np.ones(replicas, dtype=np.int64)}
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        per_replica |= {f"{name}_mean": measured, f"small_lr_limit_{name}": np.full(replicas, 40.0)}
        per_replica[f"closed_form_{name}"] = np.full(replicas, 50.0)
    per_replica["commutes"] = np.zeros(replicas, dtype=np.int64)
    run = xr.Dataset(
        {name: ("replica", values) for name, values in per_replica.items()}
        | {
            "parameters": (("replica", "time", "parameter"), parameters),
            "teacher": (("output", "input"), teacher),
            "input_covariance": (("input", "input_b"), covariance),
            "noise_covariance": (("replica", "output", "output_b"), np.tile(noise, (replicas, 1, 1))),
        },
        coords={
            "learning_rate": ("replica", rate),
            "seed": ("replica", number),
            "layer": ["W_1", "W_2"],
            "rescaled_time": (("replica", "time"), np.tile(time, (replicas, 1))),
            "step": ("time", np.arange(time.size) * 1000),
        },
        attrs={"config": "{}"},
    )
    return single(run, "C8")


def edge(
    seed: int, *, sharp: float = 1.0, calm: float = 1.0, everywhere: bool = False, **options: object
) -> list[Experiment]:
    """C9s: small batches at rate .2 (or everywhere) with so many times their sharpness and fluctuation."""
    one = sharpening(noise=0.05, seed=seed, **options)
    run = one.runs["optimizer=sgd"]
    for name, factor in (("sharpness", sharp), ("gradient_fluctuation", calm)):
        for rate in np.unique(run["learning_rate"]) if everywhere else (0.2,):
            run = bumped(run, name, factor, learning_rate=rate)
    one.runs["optimizer=sgd"] = run
    return [one]


def nothing_true(seed: int) -> list[Experiment]:
    """A report of three claims on their borders."""
    options = {"slope": 0.0, "start_gap": 1.05, "begins": (40.0, 42.0), "noise": 0.03, "linear": False}
    return single(make_dataset(generator_seed=seed, **options), "C2 C5 C7", "rnn")


def _pairs() -> list[World]:
    four = (0.001, 0.002, 0.003, 0.004)
    worlds = [
        ("C1", "trace 2 % beyond theory, one rate", value, {"noise": 0.005}, "S"),
        ("C1", "trace 2 % beyond theory at rate 0, two rates", value,
         {"noise": 0.003, "rates": (0.001, 0.002), "deficit": 0.05}, "SR"),
        ("C1", "trace 2 % beyond theory at rate 0, four rates", value, {"noise": 0.003, "rates": four}, "SR"),
        ("C2", "starts that end 5 % apart", starts, {}, "SR"),
        ("C2", "the same, 3 seeds", starts, {"seeds": 3, "noise": 0.01}, "SR"),
        ("C9a", "ends of an ablation 5 % apart", starts, {"claim": "C9a", "axis": "batch"}, "SR"),
        ("C9k", "trace 2 % beyond the closed form", as_predicted, {}, "SR"),
    ]  # fmt: skip
    found = []
    for claim, words, make, options, sides in worlds:
        for side in sides:
            everywhere = side == "R"
            place = "everywhere" if everywhere else "at one kappa"
            found.append(
                World(claim, f"{words}, {place}", REFUTED if everywhere else SUPPORTED,
                      partial(make, everywhere=everywhere, **options))
            )  # fmt: skip
    return found


S, R = SUPPORTED, REFUTED
WORLDS: list[World] = [
    *_pairs(),
    World("C3", "isotropic noise 2 % above the flattest minimum", S, partial(flattest, at=(1.0,))),
    World("C3", "trace 2 % above the flattest at kappa 10", S, partial(flattest, at=(10.0,))),
    World("C3", "trace 2 % above the flattest everywhere", R, partial(flattest, at=(1.0, 10.0, 100.0))),
    World("C4", "a slope of nine tenths of theory's", S, partial(imbalance, slope=0.18)),
    World("C4", "the same at rate 0, two rates", S, partial(imbalance, slope=0.18, rates=(0.001, 0.002))),
    World("C4", "no slope", R, partial(imbalance, slope=0.0)),
    World("C5", "a flat start that does not change", S, partial(both_ways, begins=(40.0, 200.0))),
    World("C5", "two starts that do not change", R, partial(both_ways, begins=(40.0, 40.0))),
    World("C6a", "a fluctuation that does not fall at kappa 10", S, partial(fluctuation, fall=1.0 - 1e-9, share=1.0)),
    World("C6a", "a layer 4 % above the mean", S, partial(fluctuation, fall=0.7, share=1.04)),
    World("C6a", "the same, and no fluctuation falls", R, partial(fluctuation, fall=1.0, share=1.04)),
    World("C6a", "equal layers whose means wobble by 15 %", R, partial(fluctuation, fall=0.7, share=1.0, noise=0.15)),
    World("C6b", "squared gradients 10 % apart", S, balance),
    World("C6b", "squared gradients 10 % apart", R, balance),
    World("C7", "a trace that does not rise", S, partial(trend, sharpness=0.1)),
    World("C7", "the same with 4 seeds", S, partial(trend, sharpness=0.1, seeds=4)),
    World("C7", "neither trace nor sharpness rises", R, partial(trend, sharpness=0.0)),
    World("C7b", "halfway between two predictors, 8 seeds", S, partial(halfway, seeds=8)),
    World("C7b", "halfway between two predictors, 4 seeds", S, partial(halfway, seeds=4)),
    World("C7b", "halfway between two predictors, 8 seeds", R, partial(halfway, seeds=8)),
    World("C7b", "halfway between two predictors, 3 seeds", R, partial(halfway, seeds=3)),
    World("C7b", "halfway between two paths, 4 seeds", S, partial(flow, everywhere=True, seeds=4, rival=True)),
    World("C7b", "halfway between two paths, 4 seeds", R, partial(flow, everywhere=True, seeds=4, rival=True)),
    World("C8", "trace 2 % beyond the limit", S, partial(circulation, trace=1.02)),
    World("C8", "rotation 10 % too fast", S, partial(circulation, rotation=1.1)),
    World("C8", "both", R, partial(circulation, trace=1.02, rotation=1.1)),
    World("C10", "trace 5 % beyond the flow at one time, 8 seeds", S, partial(flow, everywhere=False, seeds=8)),
    World("C10", "the same with 3 seeds", S, partial(flow, everywhere=False, seeds=3, noise=0.004)),
    World("C10", "trace 5 % beyond the flow everywhere, 8 seeds", R, partial(flow, everywhere=True, seeds=8)),
    World("C10", "the same with 3 seeds and three rates", R,
          partial(flow, everywhere=True, seeds=3, rates=RATES[:3])),
    World("C9e", "an ablation that changes nothing, expected to flatten", S,
          partial(starts, everywhere=True, claim="C9e", axis="weight_decay", gap=1.0)),
    World("C9e", "an ablation that changes nothing, expected to flatten", R,
          partial(starts, everywhere=True, claim="C9e", axis="weight_decay", gap=1.0)),
    World("C9i", "a start that ends 2 % above its arrival", S,
          partial(both_ways, begins=(40 / 1.02, 40.0), claim="C9i", noise=0.02)),
    World("C9i", "two starts that end 2 % above their arrival", R,
          partial(both_ways, begins=(40 / 1.02, 40 / 1.02), claim="C9i", noise=0.02)),
    World("C9o", "a trace that does not rise at one width", S,
          partial(trend, sharpness=0.1, claim="C9o", axis="width")),
    World("C9o", "a trace that does not rise at two widths", R,
          partial(trend, sharpness=0.0, claim="C9o", axis="width")),
    World("C9s", "full batches at 0.9 of 2 / rate", S, partial(edge, natural=15.0, edge=0.9)),
    World("C9s", "full batches at 1.1 of 2 / rate", S, partial(edge, natural=15.0, edge=1.1)),
    World("C9s", "small batches as sharp as full ones at one rate", S,
          partial(edge, natural=15.0, edge=0.95, sharp=1 / 0.3)),
    World("C9s", "small batches that fluctuate as much at one rate", S, partial(edge, natural=15.0, calm=2.0)),
    World("C9s", "full batches at 1.1 of 2 / rate, small ones fluctuate as much", R,
          partial(edge, edge=1.1, calm=2.0, everywhere=True)),
    World("P2", "isotropic noise 2 % above the flattest minimum, one rate", S,
          partial(flattest, at=(1.0,), claim="P2")),
    World("P2", "T 2 % above the flattest at rate 0, everywhere", R,
          partial(flattest, at=(1.0, 10.0, 100.0), claim="P2", noise=0.003, rates=(0.001, 0.002), deficit=0.05)),
    World("P3", "starts that end 5 % apart, at one kappa", S, partial(starts, everywhere=False, claim="P3")),
    World("P3", "starts that end 5 % apart, everywhere", R, partial(starts, everywhere=True, claim="P3")),
    *[World(*border) for border in (*BORDERS, *BEYOND)],
    World("any", "a report of C2, C5 and C7, all on their borders", S, nothing_true),
    World("any", "a report of C2, C5 and C7, all on their borders", R, nothing_true),
]  # fmt: skip
