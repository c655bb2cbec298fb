"""Worlds on the borders of B1 to B5c (see `worlds`)."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import xarray as xr
from sharpseek.files import Experiment
from sharpseek.verdicts.beyond_entropy import flatness
from worlds_paper import SEEDS, dataset, one, replicas, wobble

RECORDS = 40


def series(values: np.ndarray, seed: int) -> tuple[tuple[str, str], np.ndarray]:
    """[replica, time] around values [replica]."""
    return ("replica", "time"), values[:, None] * wobble(seed + 10**7, (values.size, RECORDS), 0.001)


def theory(limit: np.ndarray) -> dict[str, np.ndarray]:
    """What theory says of linear networks without commutation: limits [replica], and a closed form far above."""
    found = {"commutes": np.zeros(limit.size, dtype=np.int64), "closed_form_flattest_trace": np.full(limit.size, 20.0)}
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        found |= {f"small_lr_limit_{name}": limit, f"closed_form_{name}": 10 * limit}
    return found


def clock(size: int, length: float) -> tuple[tuple[str, str], np.ndarray]:
    return ("replica", "time"), np.tile(np.linspace(0, length, RECORDS), (size, 1))


def saturation(seed: int, *, factor: float = 1.0, everywhere: bool = False, slope: float = 0.0) -> list[Experiment]:
    """B1: T at rate 0 beyond the limit, at one angle or everywhere, and its slope beyond kappa 10,000."""
    coords = replicas(condition=(1e4, 1e6), rotation=("teacher:30", "teacher:60"), learning_rate=(0.001, 0.002))
    size = len(coords["seed"][1])
    here = np.ones(size, dtype=bool) if everywhere else coords["rotation"][1] == "teacher:30"
    rise = (coords["condition"][1] / 1e5) ** (slope * here)
    trace = 40 * np.where(here, factor, 1.0) * rise * (1 - 20 * coords["learning_rate"][1]) * wobble(seed, size, 0.01)
    per_replica = {
        "trace_mean": trace,
        "small_lr_limit_relaxation_rate": np.full(size, 20.0),
        **theory(40 * rise),
    }
    return one(dataset(coords, per_replica, {"trace": series(trace, seed), "rescaled_time": clock(size, 1.0)}), "B1")


def axes(seed: int, *, contrast: float = 2.0, slope: float = 0.0) -> list[Experiment]:
    """B2: relative sharpness on the axes over that of turned noise, and the slope of turned noise."""
    coords = replicas(condition=(1.0, 100.0, 1e4), rotation=("teacher", "teacher:45"))
    condition = coords["condition"][1]
    turned = np.where(condition == 1, 1.0, 1.5 * (condition / 1e4) ** slope)
    own = np.where(condition == 1, 1.0, 1.5 * contrast)
    trace = 20 * np.where(coords["rotation"][1] == "teacher", own, turned) * wobble(seed, condition.size, 0.05)
    return one(dataset(coords, {}, {"trace": series(trace, seed)}), "B2", "tanh mlp")


@lru_cache(maxsize=4)
def flattest_weights() -> tuple[np.ndarray, np.ndarray]:
    """Two layers of softmax(diag(2, 2) x) at their flattest, by descent on the imbalance of a start that has it but for
    the whitening: found numerically, with nothing of the closed form."""
    from scipy import optimize
    from sharpseek.softmax_theory import trace_at

    teacher = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])

    def weights(z: np.ndarray) -> list[np.ndarray]:
        first = z[:4].reshape(2, 2)
        return [first, (teacher + z[4:]) @ np.linalg.inv(first)]

    def trace(z: np.ndarray) -> float:
        return trace_at(weights(z), np.ones(3)) if abs(np.linalg.det(z[:4].reshape(2, 2))) > 1e-9 else 1e9

    found = optimize.minimize(trace, np.array([1.4, 0, 0, 1.4, -0.6, -0.6]), method="BFGS")
    first, last = weights(found.x)
    return first, last


def entropy(seed: int, *, ratio: float, labels: str = "sampled") -> list[Experiment]:
    """B3: T over the flattest by this factor, on labels whose whitened condition number is 1, or 14 (soft)."""
    coords = replicas(condition=(1.0,) if labels == "sampled" else (100.0,))
    first, last = flattest_weights()
    size = len(coords["seed"][1])
    # (r^2 + 1 / r^2) / 2 is the ratio.
    half = np.maximum(1.0, ratio * wobble(seed, size, 0.004))
    stretch = np.sqrt(half + np.sqrt(half**2 - 1))
    flat = np.concatenate([stretch[:, None] * first.ravel(), last.ravel() / stretch[:, None]], axis=1)
    noise = np.diag([0.04, 0.4, 4.0]) if labels == "soft" else np.full((3, 3), np.nan)
    more = {
        "parameters": (("replica", "time", "parameter"), np.repeat(flat[:, None, :], 2, axis=1)),
        "teacher": (("output", "input"), np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])),
        "noise_covariance": (("replica", "output", "output_b"), np.tile(noise, (size, 1, 1))),
        "layer": ("layer", ["W_1", "W_2"]),
    }
    run = dataset(coords, {}, more, {"data": {"labels": labels, "class_weights": ""}})
    assert np.allclose(flatness(run, np.ones(3)), half, rtol=1e-4)
    return one(run, "B3")


RATES = (0.1, 0.2, 0.4)


def suppression(seed: int, *, high: float, isotropic: float) -> list[Experiment]:
    """B4: T at the largest rate over the limit, at kappa 100 and at kappa 1."""
    coords = replicas(condition=(1.0, 100.0), learning_rate=RATES)
    size, rate = len(coords["seed"][1]), coords["learning_rate"][1]
    reached = np.where(coords["condition"][1] == 1, isotropic, high)
    trace = 30 * np.where(rate == 0.1, 1.0, reached) * wobble(seed, size, 0.03)
    per_replica = theory(np.full(size, 30.0)) | {"status": (rate == RATES[-1]).astype(np.int64)}
    return one(dataset(coords, per_replica, {"trace": series(trace, seed)}), "B4")


def divergence(seed: int, *, place: float, conditions: tuple[float, ...] = (1.0, 100.0)) -> list[Experiment]:
    """B4b: seeds that diverge around a rate whose product with half of the batch sharpness is `place` (of the first
    condition; 1 of the others)."""
    rates = tuple(0.1 * 1.1**k for k in range(9))
    coords = replicas(condition=conditions, learning_rate=rates)
    size, seeds = len(coords["seed"][1]), coords["seed"][1]
    generator = np.random.default_rng(seed)
    last = 3 + generator.integers(0, 3, size=(len(conditions), SEEDS))  # the largest finished rate: 3, 4 or 5
    which = np.searchsorted(conditions, coords["condition"][1])
    order = np.round(np.log(coords["learning_rate"][1] / 0.1) / np.log(1.1)).astype(int)
    diverged = order > last[which, seeds]
    middle = 0.1 * 1.1**4.5
    at_limit = 2 * np.where(which == 0, place, 1.0) / middle
    more = {"batch_sharpness_ratio_of_means": series(at_limit, seed)}
    per_replica = theory(np.full(size, 30.0)) | {"status": diverged.astype(np.int64)}
    return one(dataset(coords, per_replica, more), "B4b")


def momentum(seed: int, *, factor: float, everywhere: bool) -> list[Experiment]:
    """B5: T with momentum beyond T without, at one rate or at both."""
    coords = replicas(momentum=(0.0, 0.5), learning_rate=(0.005, 0.01, 0.02))
    size, mu, rate = len(coords["seed"][1]), coords["momentum"][1], coords["learning_rate"][1]
    beyond = (mu > 0) & (everywhere | np.isclose(rate, 0.005))
    trace = 30 * np.where(beyond, factor, 1.0) * wobble(seed, size, 0.02)
    return one(dataset(coords, {}, {"trace": series(trace, seed)}), "B5")


def entropy_flow(seed: int, *, factor: float, everywhere: bool, smallest: float = 0.02) -> list[Experiment]:
    """B3b: T at rate 0 beyond the flow's, at one start or at both, on the second half of the way; the smallest
    eigenvalue from three fifths of it on."""
    coords = replicas(init_imbalance=(1.0, 3.0), learning_rate=(0.005, 0.01))
    size, rate = len(coords["seed"][1]), coords["learning_rate"][1]
    path = np.linspace(4, 2, RECORDS) * coords["init_imbalance"][1][:, None]
    beyond = (everywhere | (coords["init_imbalance"][1] == 3.0))[:, None] & (np.arange(RECORDS) > RECORDS // 2)
    trace = path * np.where(beyond, factor, 1.0) * ((1 - 8 * rate) * wobble(seed, size, 0.01))[:, None]
    more = {
        "trace": (("replica", "time"), trace),
        "flow_trace": (("replica", "time"), path),
        "flow_smallest_eigenvalue": (
            ("replica", "time"),
            np.where(np.arange(RECORDS) < 0.6 * RECORDS, 0.02, smallest) * np.ones((size, 1)),
        ),
        "rescaled_time": clock(size, 30.0),
    }
    return one(dataset(coords, {"flow_circulation": np.zeros(size)}, more), "B3b", "tanh mlp")


def plateaus(seed: int, *, factors: tuple[float, float], before: tuple[float, float] | None = None) -> list[Experiment]:
    """B5b: batch sharpness over its plateau at two momenta; in the first half of the run by the factors `before`."""
    coords = replicas(momentum=(0.3, 0.6))
    mu = coords["momentum"][1]
    way = 1 + mu
    height = 2 * way / 0.05 * np.where(mu == 0.3, *factors) * wobble(seed, mu.size, 0.05)
    config = {"training": {"optimizer": "gd", "learning_rate": 0.05}}
    axes, values = series(height, seed)
    if before is not None:
        first = slice(0, RECORDS - RECORDS // 2)
        values[:, first] = (2 * way / 0.05 * np.where(mu == 0.3, *before))[:, None]
    return one(dataset(coords, {}, {"batch_sharpness_ratio_of_means": (axes, values)}, config), "B5b")


def adaptive(seed: int) -> list[Experiment]:
    """B5c: at kappa 1 Adam and SGD have the same Tr Diag(H)^(1/2); at kappa 100 both are near the least fluctuation."""
    coords = replicas(condition=(1.0, 100.0))
    size = len(coords["seed"][1])
    isotropic = (coords["condition"][1] == 1)[:, None, None]

    def run(optimizer: str, own: int) -> xr.Dataset:
        stretch = np.exp(0.02 * np.random.default_rng([seed, own]).normal(size=(size, 1, 1)))
        least = np.diag((2 * np.array([4.0, 0.04]) / 4.04) ** 0.25)  # of the fluctuation, V = I
        first = stretch * np.where(isotropic, np.eye(2), least)
        last = np.where(isotropic, np.eye(2), np.linalg.inv(first))
        flat = np.concatenate([first.reshape(size, 4), last.reshape(size, 4)], axis=1)
        more = {
            "parameters": (("replica", "time", "parameter"), np.repeat(flat[:, None, :], 2, axis=1)),
            "teacher": (("output", "input"), np.eye(2)),
            "noise_covariance": (
                ("replica", "output", "output_b"),
                np.where(isotropic, 4 * np.eye(2), np.diag([4.0, 0.04])),
            ),
            "layer": ("layer", ["W_1", "W_2"]),
        }
        config = {"training": {"optimizer": ["adam", "sgd"], "learning_rate": 0.001}}
        return dataset(coords, {}, more, config).assign_attrs(group=f"optimizer={optimizer}")

    runs = {f"optimizer={name}": run(name, i) for i, name in enumerate(("adam", "sgd"))}
    return [Experiment("only", "only", "linear", ["B5c"], runs)]


S, R = "supported", "refuted"
BORDERS = [
    ("B1", "T 5 % beyond the limit at one angle", S, partial(saturation, factor=1.05)),
    ("B1", "a slope of 0.05 at one angle", S, partial(saturation, slope=0.05)),
    ("B1", "T 5 % beyond the limit everywhere", R, partial(saturation, factor=1.05, everywhere=True)),
    ("B1", "a slope of 0.05 at one angle", R, partial(saturation, slope=0.05)),
    ("B2", "own axes 1.25 times turned noise", S, partial(axes, contrast=1.25)),
    ("B2", "turned noise with exp of the slope 1.05", S, partial(axes, slope=float(np.log(1.05)), contrast=4.0)),
    ("B2", "both", R, partial(axes, slope=float(np.log(1.05)), contrast=1.25)),
    ("B3", "sampled labels 2 % above the flattest", S, partial(entropy, ratio=1.02)),
    ("B3", "soft labels 2 % above the flattest", S, partial(entropy, ratio=1.02, labels="soft")),
    ("B3", "sampled labels 2 % above the flattest", R, partial(entropy, ratio=1.02)),
    ("B3", "soft labels 2 % above the flattest", R, partial(entropy, ratio=1.02, labels="soft")),
    ("B3b", "T 5 % beyond the flow from one start, late", S, partial(entropy_flow, factor=1.05, everywhere=False)),
    ("B3b", "T 5 % beyond the flow from both starts, late", R, partial(entropy_flow, factor=1.05, everywhere=True)),
    ("B4", "T of 0.85 of the limit at kappa 100", S, partial(suppression, high=0.85, isotropic=1.0)),
    ("B4", "T 10 % above the limit at kappa 1", S, partial(suppression, high=0.6, isotropic=1.1)),
    ("B4", "both", R, partial(suppression, high=0.85, isotropic=1.1)),
    ("B4b", "a border of 1.5 times the predicted one at one kappa", S, partial(divergence, place=1.5)),
    ("B4b", "a border of 1.5 times the predicted one", R, partial(divergence, place=1.5, conditions=(1.0,))),
    ("B5", "T 5 % higher with momentum at one rate", S, partial(momentum, factor=1.05, everywhere=False)),
    ("B5", "T 5 % higher with momentum at both", R, partial(momentum, factor=1.05, everywhere=True)),
    ("B5b", "batch sharpness 15 % above the plateau at one momentum", S,
     partial(plateaus, factors=(1.15, 1.0))),
    ("B5b", "batch sharpness that falls 15 % below the plateau again at one momentum and never came to it at the other",
     S, partial(plateaus, factors=(0.85, 0.3), before=(1.0, 0.3))),
    ("B5b", "the same", R, partial(plateaus, factors=(0.85, 0.3), before=(1.0, 0.3))),
    ("B5b", "batch sharpness 15 % above the plateau at both", R,
     partial(plateaus, factors=(1.15, 1.15))),
    ("B5c", "Tr Diag(H)^(1/2) that is SGD's", S, adaptive),
    ("B5c", "Tr Diag(H)^(1/2) that is SGD's", R, adaptive),
]  # fmt: skip
