"""B5 to B5c: what optimisers other than plain SGD do to the paper's statements."""

from __future__ import annotations

import numpy as np
from recompute.beyond import combined, late
from recompute.estimates import INFINITE, Piece, judged, missing, near
from recompute.files import Experiment, Run, half, rate_of
from recompute.paper import matrices, seeds_of
from scipy import optimize


def rates_in(run: Run) -> np.ndarray:
    return run["learning_rate"] if "learning_rate" in run else np.full(run.size, rate_of(run))


def b5(experiment: Experiment) -> list[Piece]:
    pieces: list[Piece] = []
    for run in experiment.runs:
        before = len(pieces)
        if "momentum" in run.axes and (run["momentum"] == 0).any():
            trace, mu = late(run, "trace"), run["momentum"]
            common = rates_in(run) / (1 - mu)
            for m in sorted({v for v in mu.tolist() if v > 0}):
                for rate in np.unique(common[mu == 0]):
                    pair = [np.isclose(common, rate, rtol=1e-6) & (mu == v) for v in (m, 0)]
                    if pair[0].any():
                        pieces.append(near(combined([trace[p] for p in pair], [1, -1]), 0.05))
        if len(pieces) == before:
            pieces.append(missing())
    return pieces


def b5b(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in (r for r in experiment.runs if optimizer(r) == "gd"):
        if "momentum" not in run.axes:
            pieces.append(missing())
            continue
        rates, mu = rates_in(run), run["momentum"]
        plateau = 2 * (1 + mu) / rates
        name = "batch_sharpness_ratio_of_means"
        ratio, early = late(run, name) / plateau, run[name][:, : (run[name].shape[1] + 1) // 2]
        came = np.nan_to_num(np.nanmax(early, axis=1, initial=-np.inf) / plateau) >= 0.85
        asked = []
        for m in np.unique(mu):
            for rate in np.unique(rates):
                here = (mu == m) & (rates == rate)
                if half((here & came).sum(), here.sum()):
                    asked.append(near(seeds_of(run, here & came, ratio), 0.15))
        pieces += asked or [missing()]
    return pieces


def optimizer(run: Run) -> str:
    return str(run.group.get("optimizer", run.config.get("training", {}).get("optimizer", "sgd")))


def of_units(first: np.ndarray, last: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """[.., 3] trace, fluctuation and Tr Diag(H)^(1/2) from the diagonals of Hessian and gradient covariance."""
    outputs, inputs = last.shape[-2], first.shape[-1]
    below, above = np.einsum("...hi,...hi->...h", first, first), np.einsum("...oh,...oh->...h", last, last)
    loud = np.einsum("...oh,op,...ph->...h", last, noise, last)
    diagonal = np.concatenate([np.repeat(2 * below, outputs, -1), np.repeat(2 * above, inputs, -1)], axis=-1)
    fluctuation = 4 * np.trace(noise) * below.sum(-1) + 4 * inputs * loud.sum(-1)
    return np.stack([diagonal.sum(-1), fluctuation, np.sqrt(diagonal).sum(-1)], axis=-1)


def least_of(teacher: np.ndarray, noise: np.ndarray) -> np.ndarray:
    def value(z: np.ndarray, k: int) -> float:
        first = z.reshape(teacher.shape)
        if abs(np.linalg.det(first)) < 1e-9:
            return 1e9
        return float(of_units(first, np.linalg.solve(first.T, teacher.T).T, noise)[k])

    starts = np.random.default_rng(11).normal(size=(12, teacher.size))
    return np.array([min(optimize.minimize(value, z, (k,)).fun for z in starts) for k in range(3)])


def b5c(experiment: Experiment) -> list[Piece]:
    pieces = []
    over: dict[int, np.ndarray] = {}

    def excess(run: Run) -> np.ndarray:
        if id(run) not in over:
            first, last = (m[:, m.shape[1] - m.shape[1] // 2 :] for m in matrices(run))
            noises, back = np.unique(run["noise_covariance"], axis=0, return_inverse=True)
            bottom = np.array([least_of(run.shared["teacher"], n) for n in noises])[np.ravel(back)]
            means = np.array(
                [of_units(first[e], last[e], run["noise_covariance"][e]).mean(axis=0) for e in range(run.size)]
            )
            over[id(run)] = np.where((run["status"] == 0)[:, None], means / bottom, np.nan)
        return over[id(run)]

    for run in experiment.runs:
        if optimizer(run) not in ("adam", "rmsprop"):
            continue
        rest = {k: v for k, v in run.group.items() if k != "optimizer"}
        plain = [
            r for r in experiment.runs
            if optimizer(r) == "sgd" and {k: v for k, v in r.group.items() if k != "optimizer"} == rest
        ]  # fmt: skip
        if not plain or run.kappas[0] is None:
            pieces.append(missing())
            continue
        mine, theirs = excess(run), excess(plain[0])
        for kappa in run.kappas:
            here = run.at(kappa)
            if kappa == 1:
                found = combined([mine[here, 2], theirs[plain[0].at(kappa), 2]], [1, -1])
                pieces.append(judged(found, -INFINITE, 1.0))
            else:
                pieces += [judged(seeds_of(run, here, mine[:, 1] / mine[:, k]), -INFINITE, 1.0) for k in (0, 2)]
    return pieces
