"""B1 to B4b: what lies beyond the paper. beyond_optimizers.py has B5."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from recompute.estimates import (
    INFINITE,
    NOTHING,
    Estimate,
    Piece,
    judged,
    missing,
    near,
    of_log,
    slope,
    student,
    two_rates,
)
from recompute.files import Experiment, Run, half, points_of, smallest
from recompute.paper import matrices, seeds_of
from recompute.slow_flow import traces_of_flow
from scipy import optimize

STARTS = ("init_imbalance", "init_scale")


def settings(run: Run, *beyond: str) -> Iterator[np.ndarray]:
    """Masks of the replicas that differ in seed, start, rate and the axes `beyond` only."""
    axes = [a for a in run.axes if a not in (*STARTS, "learning_rate", *beyond)]
    names = [tuple(run[a][i] for a in axes) for i in range(run.size)]
    for name in dict.fromkeys(names):
        yield np.array([other == name for other in names])


def late(run: Run, name: str) -> np.ndarray:
    """Mean over the last half of the records; NaN where a replica diverged."""
    values = run[name][:, run[name].shape[1] - run[name].shape[1] // 2 :].mean(axis=1)
    return np.where(run["status"] == 0, values, np.nan)


def combined(samples: list[np.ndarray], signs: list[float]) -> Estimate:
    """exp of a signed sum of mean logarithms, by Satterthwaite."""
    logs = [np.log(s[np.isfinite(s)]) for s in samples]
    if min(map(len, logs)) < 2:
        return NOTHING
    squares = [sign**2 * x.var(ddof=1) / len(x) for x, sign in zip(logs, signs, strict=True)]
    free = sum(squares) ** 2 / sum(q**2 / (len(x) - 1) for q, x in zip(squares, logs, strict=True))
    value = float(np.dot(signs, [x.mean() for x in logs]))
    sound = all(half(len(x), len(s)) for x, s in zip(logs, samples, strict=True))
    return Estimate(float(np.exp(value)), of_log(student(value, float(np.sqrt(sum(squares))), free)), sound)


def b1(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "small_lr_limit_trace" not in run or "trace" not in run:
            pieces.append(missing())
        elif run.config.get("model", {}).get("init") == "closed-form":
            pieces += leaving(run)
        else:
            pieces += arrived(run)
    return pieces


def arrived(run: Run) -> list[Piece]:
    clock = run["rescaled_time"]
    reached = (np.nanmax(clock, axis=1) - clock[:, 0]) * run["small_lr_limit_relaxation_rate"] >= 8
    if not reached.any():
        return []
    use, trace = run["status"] == 0, late(run, "trace")
    ratio = trace / run["small_lr_limit_trace"]
    if len(run.distinct("learning_rate")) < 2:
        pieces = [missing()]
    else:
        pieces = [near(two_rates(run, use, here, ratio), 0.05) for here in settings(run) if reached[here].all()]
    if run.kappas[0] is None:
        return pieces
    lowest = run["learning_rate"] == run["learning_rate"].min()
    for here in settings(run, "condition"):
        rows = here & lowest & reached
        part = run.rows(rows)
        if part.size == 0 or len(part.kappas) < 2:
            continue
        centre = 0.0
        if part.kappas[0] < 1e4 or part["commutes"].any():
            x = np.log(part.kappas)
            y = np.log([part["small_lr_limit_trace"][part.at(k)].mean() for k in part.kappas])
            centre = float(((x - x.mean()) @ y) / ((x - x.mean()) @ x))
        found = slope(part, use[rows], trace[rows] * np.exp(-centre * np.log(part["condition"])))
        pieces.append(near(found, 0.05, 0.0))
    return pieces


def leaving(run: Run) -> list[Piece]:
    records = run["trace"].shape[1] - 1
    width = max(1, round(0.05 * records))
    windows = [slice(1 + records * q // 4 - width, 1 + records * q // 4) for q in (1, 2, 3, 4)]
    clock = run["rescaled_time"][0]
    times = [float(clock[w].mean() - clock[0]) for w in windows]
    weights = [w[:, 0] for w in matrices(run)]
    shared = run.shared["teacher"], run.shared["input_covariance"]
    path = np.array(
        [traces_of_flow([w[e] for w in weights], *shared, run["noise_covariance"][e], times) for e in range(run.size)]
    )
    measured = np.stack([run["trace"][:, w].mean(axis=1) for w in windows], axis=1)
    whole = np.isfinite(measured).all(axis=1)
    ratio = np.where(whole[:, None], measured / path[:, 1:], np.nan)
    return [near(seeds_of(run, here, ratio[:, q]), 0.10) for here in settings(run) for q in range(4)]


def degrees(word: str) -> float:
    return 0.0 if word == "teacher" else float(word.removeprefix("teacher:")) if word.startswith("teacher:") else np.nan


def b2(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if "rotation" not in run.axes or run.kappas[0] != 1 or len(run.kappas) < 3:
            pieces.append(missing())
            continue
        trace, angles = late(run, "trace"), np.array([degrees(w) for w in run["rotation"]])
        first, before, last = run.kappas[0], run.kappas[-2], run.kappas[-1]
        others = sorted({a for a in angles.tolist() if np.isfinite(a) and a != 0})
        for angle in others:
            own, turned = ({k: trace[run.at(k) & (angles == a)] for k in run.kappas} for a in (0.0, angle))
            found = combined([own[last], own[first], turned[last], turned[first]], [1, -1, -1, 1])
            pieces.append(judged(found, 1.25, INFINITE))
            share = 1 / np.log(last / before)
            pieces.append(near(combined([turned[last], turned[before]], [share, -share]), 0.05))
        if not others:
            pieces.append(missing())
    return pieces


class Softmax:
    """Sums over x ~ N(0, I) for a linear network with softmax outputs and class weights."""

    def __init__(self, inputs: int, class_weights: np.ndarray, nodes: int = 20):
        """Nodes of every input."""
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        places = np.indices((nodes,) * inputs).reshape(inputs, -1).T
        self.x, self.chance = points[places], (weights / weights.sum())[places].prod(axis=1)
        self.w = class_weights

    def hessian(self, logits: np.ndarray) -> np.ndarray:
        """s (diag q - q q') at every node."""
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        s = 1 / (q / self.w).sum(axis=1)
        return s[:, None, None] * (np.einsum("kc,cd->kcd", q, np.eye(q.shape[1])) - np.einsum("kc,kd->kcd", q, q))

    def trace(self, weights: list[np.ndarray]) -> float:
        """Of J' H J: for every layer and node |B x|^2 Tr(A' H A)."""
        product = np.linalg.multi_dot([np.eye(len(weights[-1])), *weights[::-1]])
        h, total = self.hessian(self.x @ product.T), 0.0
        for i in range(len(weights)):
            below = self.x
            for w in weights[:i]:
                below = below @ w.T
            above = np.eye(len(product))
            for w in weights[:i:-1]:
                above = above @ w
            total += float(self.chance @ (np.einsum("ia,kij,ja->k", above, h, above) * (below**2).sum(axis=1)))
        return total

    def least(self, depth: int, product: np.ndarray) -> float:
        """The least trace with these outputs."""
        h = self.hessian(self.x @ product.T)
        if depth == 2:
            a = (self.x * (self.chance * np.trace(h, axis1=1, axis2=2))[:, None]).T @ self.x
            b = np.tensordot(self.chance * (self.x**2).sum(axis=1), h, 1)
            squares = np.linalg.eigvals(a @ product.T @ b @ product).real
            return 2 * float(np.sqrt(squares.clip(0)).sum())
        n = product.shape[1]

        def trace(z: np.ndarray) -> float:
            hidden, below = z[: (depth - 1) * n * n].reshape(depth - 1, n, n), np.eye(n)
            for w in hidden:
                below = w @ below
            try:
                last = np.linalg.solve(below.T, (product + z[-n:]).T).T
            except np.linalg.LinAlgError:
                return 1e12
            return min(self.trace([*hidden, last]), 1e12)

        u = np.tile(np.eye(n) * np.linalg.norm(product) ** (1 / depth), (depth - 1, 1, 1))
        start = np.concatenate([u.ravel(), -product.mean(axis=0)])
        return float(optimize.minimize(trace, start, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-7}).fun)


def whitened(teacher: np.ndarray, sampled: bool, noise: np.ndarray, w: np.ndarray) -> float:
    """Geometric mean over inputs of the condition number of H^(-1/2) Sigma H^(-1/2) on what softmax sees."""
    over = Softmax(teacher.shape[1], w, 12)
    logs, kept, classes = 0.0, 0.0, len(teacher)
    z = Softmax(classes, w, 12)
    basis = np.linalg.svd(np.ones((1, classes)))[2][1:]
    root = np.zeros((classes, classes)) if sampled else np.linalg.cholesky(noise)
    for x, chance in zip(over.x, over.chance, strict=True):
        logits = np.atleast_2d(teacher @ x) if sampled else teacher @ x + z.x @ root.T
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        labels, odds = (np.eye(classes), q[0]) if sampled else (q, z.chance)
        labels = labels * w
        mean = odds @ labels
        q = mean / mean.sum()
        full = mean.sum() * (np.diag(q) - np.outer(q, q))
        seen = np.linalg.eigvalsh(full)
        if seen[1] < 1e-9 * seen[-1]:
            continue
        gradient = labels.sum(axis=1)[:, None] * q - labels
        sigma = (gradient * odds[:, None]).T @ gradient
        spectrum = np.linalg.eigvals(np.linalg.solve(basis @ full @ basis.T, basis @ sigma @ basis.T)).real
        logs, kept = logs + chance * np.log(spectrum.max() / spectrum.min()), kept + chance
    return float(np.exp(logs / kept))


def b3(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        data = {**run.config.get("data", {}), **run.group}
        if data.get("labels") not in ("sampled", "soft"):
            pieces.append(missing())
            continue
        teacher, words = run.shared["teacher"], str(data.get("class_weights", ""))
        w = np.array([float(v) for v in words.split(",")]) if words else np.ones(len(teacher))
        over = Softmax(teacher.shape[1], w)
        layers = [m[:, m.shape[1] - m.shape[1] // 2 :] for m in matrices(run)]
        ratio = np.full(run.size, np.nan)
        for e in np.flatnonzero(run["status"] == 0):
            records = [[m[e, t] for m in layers] for t in range(layers[0].shape[1])]
            products = np.array([np.linalg.multi_dot(r[::-1]) for r in records])
            traces = np.array([over.trace(r) for r in records])
            below = (
                [over.least(2, p) for p in products] if len(layers) == 2 else over.least(len(layers), products.mean(0))
            )
            ratio[e] = np.mean(traces / below)
        for members in points_of(run):
            here = np.zeros(run.size, bool)
            here[members] = True
            sampled = data["labels"] == "sampled"
            noise = np.eye(len(teacher)) if sampled else run["noise_covariance"][members[0]]
            number = whitened(teacher, sampled, noise, w)
            if number <= 1.5:
                pieces.append(near(seeds_of(run, here, ratio), 0.02))
            elif number >= 2:
                pieces.append(judged(seeds_of(run, here, ratio), 1.02, INFINITE))
    return pieces


def b3b(experiment: Experiment) -> list[Piece]:
    """The run's own path, at rate 0, for every start and quarter before whose end no eigenvalue falls to the rates."""
    pieces = []
    for run in experiment.runs:
        if (
            "flow_smallest_eigenvalue" not in run
            or "learning_rate" not in run.axes
            or len(run.distinct("learning_rate")) < 2
        ):
            pieces.append(missing())
            continue
        records = run["trace"].shape[1] - 1
        width = max(1, round(0.05 * records))
        over = run["trace"] / run["flow_trace"]
        ends = [1 + records * q // 4 for q in (1, 2, 3, 4)]
        ratio = np.stack([over[:, end - width : end].mean(axis=1) for end in ends], axis=1)
        use = (run["status"] == 0) & np.isfinite(ratio).all(axis=1)
        names = list(zip(*[run[a] for a in run.axes if a in STARTS], strict=True)) or [()] * run.size
        asked: list[Piece] = []
        for name in dict.fromkeys(names):
            here = np.array([other == name for other in names])
            least = np.minimum.accumulate(run["flow_smallest_eigenvalue"][here].min(axis=0))
            second = sorted(set(run["learning_rate"][here].tolist()))[1]
            asked += [
                near(two_rates(run, use, here, ratio[:, q]), 0.05) for q in range(4) if least[ends[q] - 1] > second
            ]
        pieces += asked or [missing()]
    return pieces


def b4(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        given = run.config.get("noise", {}).get("condition")
        if "learning_rate" not in run.axes or (run.kappas[0] is None and given is None):
            pieces.append(missing())
            continue
        ratio, rates = late(run, "trace") / run["small_lr_limit_trace"], run["learning_rate"]
        for here in settings(run):
            kappa = float(given) if run.kappas[0] is None else run["condition"][here][0]
            if 1 < kappa < 100:
                continue
            broken = rates[here & (run["status"] != 0)]
            below = rates[here & (rates < (broken.min() if broken.size else INFINITE))]
            found = seeds_of(run, here & (rates == (below.max() if below.size else np.nan)), ratio)
            pieces.append(near(found, 0.10) if kappa == 1 else judged(found, -INFINITE, 0.85))
    return pieces


def b4b(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "learning_rate" not in run.axes:
            pieces.append(missing())
            continue
        for here in settings(run):
            at_limit = run["batch_sharpness_ratio_of_means"][here, 0].mean()
            seeds = np.unique(run["seed"][here])
            logs = []
            for seed in seeds:
                mine = here & (run["seed"] == seed)
                order = np.argsort(run["learning_rate"][mine])
                rates, broken = run["learning_rate"][mine][order], (run["status"][mine] != 0)[order]
                if broken.any() and not broken[0]:
                    k = int(np.flatnonzero(broken)[0])
                    logs.append(np.log(rates[k] * rates[k - 1]) / 2 + np.log(at_limit / 2))
            x = np.array(logs)
            if len(x) < 2:
                pieces.append(judged(NOTHING, 1 / 1.5, 1.5))
                continue
            error = float(x.std(ddof=1) / np.sqrt(len(x)))
            around = of_log(student(float(x.mean()), error, len(x) - 1))
            pieces.append(judged(Estimate(float(np.exp(x.mean())), around, half(len(x), len(seeds))), 1 / 1.5, 1.5))
    return pieces
