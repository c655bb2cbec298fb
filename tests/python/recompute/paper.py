"""P1 to P12: the statements of arXiv:2602.05065."""

from __future__ import annotations

import numpy as np
from recompute.claims import c2, slope_over_theory
from recompute.estimates import (
    INFINITE,
    LEVEL,
    NOTHING,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    Piece,
    error_of,
    fit_of,
    judged,
    mean_ratio,
    missing,
    near,
    of_log,
    slope,
    student,
    two_rates,
)
from recompute.files import (
    Experiment,
    Run,
    half,
    joined,
    points_of,
    rates_of,
    settings_of,
    smallest,
    usable,
)
from recompute.slow_flow import traces_of_flow
from scipy import stats

p3 = c2


def several(run: Run) -> bool:
    return len(run.distinct("learning_rate")) > 1


def commuting(experiment: Experiment, name: str) -> list[Run]:
    return [r for r in experiment.runs if f"closed_form_{name}" in r and (r["commutes"] == 1).all()]


def theorem(runs: list[Run], name: str, margin: float) -> list[Piece]:
    if not runs:
        return [missing()]
    settings = settings_of(runs)
    if len(rates_of(settings)) >= 4:
        fits = [(fit_of(rows, name), rows[f"closed_form_{name}"][0]) for rows in settings.values()]
        return [near(fit.over(closed), margin) if fit else missing() for fit, closed in fits]
    pieces = []
    for run in runs:
        ratio, use = run[f"{name}_mean"] / run[f"closed_form_{name}"], usable(run, margin, name)
        for kappa in run.kappas:
            if several(run):
                pieces.append(near(two_rates(run, use, run.at(kappa), ratio), margin))
            else:
                estimate = mean_ratio(run, use, run.at(kappa), ratio)
                pieces.append(judged(estimate, 1 - margin, 1 + margin, (-INFINITE, INFINITE)))
    return pieces


def p1(experiment: Experiment) -> list[Piece]:
    return theorem(commuting(experiment, "trace"), "trace", 0.02)


def p5(experiment: Experiment) -> list[Piece]:
    """Where the two largest eigenvalues in closed form are equal nothing is asked."""
    kept = [(run, np.array([simple(run, e) for e in range(run.size)])) for run in commuting(experiment, "sharpness")]
    return theorem([run.rows(rows) for run, rows in kept if rows.any()], "sharpness", 0.04)


def simple(run: Run, e: int) -> bool:
    """Whether the largest eigenvalue is a simple one, by equation 72's terms along the axes that all matrices share."""
    noise, teacher, inputs = run["noise_covariance"][e], run.shared["teacher"], run.shared["input_covariance"]
    root = np.diag(np.sqrt(np.diag(inputs)))
    for matrix in (noise, teacher, inputs):
        if not np.allclose(matrix, np.diag(np.diag(matrix))):
            raise NotImplementedError("P5 with matrices that are not diagonal")
    s, variance, depth = np.diag(teacher @ root), np.diag(noise), len(run.shared["layer"])
    joint = np.sqrt(variance) * s
    # |A_i|^2 weighted by the noise, times |B_i|^2 weighted by the inputs, is the same for every layer.
    share = (variance.sum() * np.trace(inputs)) ** (1 / depth) * joint.sum() ** (2 - 2 / depth)
    terms = np.zeros((len(variance), len(s)))
    for i in range(1, depth + 1):
        above = np.ones_like(variance) / variance.sum() if i == depth else s / np.sqrt(variance) / joint.sum()
        below = np.diag(inputs) / np.trace(inputs) if i == 1 else joint / joint.sum()
        terms += share * np.outer(above, below)
    first, second = np.sort(terms.ravel())[[-1, -2]]
    return bool(second < (1 - 1e-6) * first)


def p2(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "closed_form_flattest_trace" not in run:
            continue
        if run.kappas[0] != 1 or len(run.kappas) < 2:
            pieces.append(missing())
            continue
        ratio, use = run["trace_mean"] / run["closed_form_flattest_trace"], usable(run, 0.02, "trace")
        for kappa in run.kappas:
            low, high = (0.98, 1.02) if kappa == 1 else (1.02, INFINITE)
            if several(run):
                pieces.append(judged(two_rates(run, use, run.at(kappa), ratio), low, high))
            else:
                everything = (-INFINITE, INFINITE)
                pieces.append(judged(mean_ratio(run, use, run.at(kappa), ratio), low, high, everything))
    return pieces


def welch(a: np.ndarray, b: np.ndarray, enough: bool) -> Estimate:
    """Mean of a less that of b."""
    if min(len(a), len(b)) < 2:
        return NOTHING
    free = float(stats.ttest_ind(a, b, equal_var=False).df)
    value, error = float(a.mean() - b.mean()), float(np.hypot(error_of(a), error_of(b)))
    return Estimate(value, student(value, error, free), enough)


def exponential(estimate: Estimate) -> Estimate:
    if not np.isfinite(estimate.value):
        return estimate
    return Estimate(float(np.exp(estimate.value)), of_log(estimate.interval), estimate.enough)


def p4(experiment: Experiment) -> list[Piece]:
    run = joined(experiment.runs) if len(experiment.runs) > 1 else experiment.runs[0]
    if len(run.distinct("depth")) < 2:
        return [missing()]
    return [*collapse(smallest(run)), *growth(run)]


def collapse(run: Run) -> list[Piece]:
    use = usable(run, 0.05, "trace")
    depth, values = np.asarray(run["depth"], dtype=float), np.log(run["trace_mean"])
    pieces = []
    for kappa in run.kappas:
        for d in sorted(set(depth.tolist())):
            mine, others = run.at(kappa) & (depth == d), run.at(kappa) & (depth != d)
            sound = half(int((use & mine).sum()), int(mine.sum())) and half(
                int((use & others).sum()), int(others.sum())
            )
            per_depth = values - np.log(depth)
            ratio = exponential(welch(per_depth[use & mine], per_depth[use & others], sound))
            pieces.append(judged(ratio, 1 / 1.5, 1.5))
    return pieces


def growth(run: Run) -> list[Piece]:
    if sum(k is not None and k >= 100 for k in run.kappas) < 2 or "closed_form_trace" not in run:
        return [missing()]
    use = usable(run, 0.05, "trace")
    depth = np.asarray(run["depth"], dtype=float)
    against = None if several(run) else (-INFINITE, INFINITE)
    pieces = []
    for d in sorted(set(depth.tolist())):
        rows = (run["condition"] >= 100) & (depth == d)
        estimate = slope_over_theory(run.rows(rows), use[rows])
        pieces.append(judged(estimate, 0.9, 1.1, against) if against else judged(estimate, 0.9, 1.1))
    return pieces


def seeds_of(run: Run, here: np.ndarray, ratio: np.ndarray) -> Estimate:
    """Geometric mean over the finished replicas of a point: half of them must have finished."""
    good = here & (run["status"] == 0) & np.isfinite(ratio)
    logs = np.log(ratio[good])
    if len(logs) < 2:
        return NOTHING
    value = float(logs.mean())
    around = student(value, error_of(logs), len(logs) - 1)
    return Estimate(float(np.exp(value)), of_log(around), half(len(logs), int(here.sum())))


def matrices(run: Run) -> list[np.ndarray]:
    """W_1 .. W_D, [replica, time, out, in] each, of a linear network whose hidden layers have one width."""
    outputs, inputs = run.shared["teacher"].shape
    depth, values = len(run.shared["layer"]), run["parameters"]
    a, b, c = depth - 2, inputs + outputs, -values.shape[-1]  # a w^2 + b w + c = 0
    width = round(-c / b if a == 0 else (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a))
    sizes = [inputs, *[width] * (depth - 1), outputs]
    found, at = [], 0
    for rows, columns in zip(sizes[1:], sizes[:-1], strict=True):
        found.append(values[..., at : at + rows * columns].reshape(*values.shape[:-1], rows, columns))
        at += rows * columns
    return found


def p6(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "teacher" not in run.shared or "trace" not in run:
            continue
        training = run.config.get("training", {})
        descent = run.group.get("optimizer", training.get("optimizer", "sgd")) == "gd"
        records = run["trace"].shape[1] - 1
        width = max(1, round(0.05 * records))
        windows = [slice(1 + records * q // 4 - width, 1 + records * q // 4) for q in (1, 2, 3, 4)]
        measured = np.stack([run["trace"][:, w].mean(axis=1) for w in windows], axis=1)
        clock = run["rescaled_time"][0]
        times = [] if descent else [float(clock[w].mean() - clock[0]) for w in windows]
        first = [w[:, 0] for w in matrices(run)]
        path = np.array(
            [
                traces_of_flow(
                    [w[e] for w in first], run.shared["teacher"], run.shared["input_covariance"],
                    run["noise_covariance"][e], times,
                )
                for e in range(run.size)
            ]
        )  # fmt: skip
        for kappa in run.kappas:
            here = run.at(kappa)
            if descent:
                pieces.append(near(seeds_of(run, here, measured[:, -1] / run["trace"][:, 0]), 0.05))
                continue
            pieces += [near(seeds_of(run, here, measured[:, q] / path[:, 1 + q]), 0.10) for q in range(4)]
            way = np.log(path[here, -1] / path[here, 0]).mean()
            if abs(way) > np.log(1.1):
                end = seeds_of(run, here, measured[:, -1] / path[:, 0])
                pieces.append(judged(end, 1.0, INFINITE) if way > 0 else judged(end, -INFINITE, 1.0))
    return pieces


def p7(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if "closed_form_trace" not in run or "trace" not in run:
            continue
        model = run.config.get("model", {})
        outputs, inputs = run.shared["teacher"].shape
        depth, width = len(run.shared["layer"]), int(run.group.get("width", model["width"]))
        scale = float(model.get("init_scale", 1))
        # Sum over layers of E|A_i|^2 E|B_i R|^2: each factor but the first layer's keeps the square norm.
        layers = np.array([1.0 if i == 1 else width / inputs for i in range(1, depth + 1)])
        expected = 2 * outputs * np.trace(run.shared["input_covariance"]) * scale ** (2 * (depth - 1)) * layers.sum()
        start = run["trace"][:, 0]
        relative = start / expected
        mean = float(relative.mean())
        pieces.append(
            near(Estimate(mean, student(mean, error_of(relative), len(start) - 1), len(start) >= 2), 0.10)
        )  # fmt: skip
        use = usable(run, 0.05, "trace")
        for kappa in run.kappas:
            here = run.at(kappa)
            predicted = run["closed_form_trace"][here].mean() / expected
            if abs(np.log(predicted)) < np.log(1.1):
                continue
            ratio = mean_ratio(run, use, here, run["trace_mean"] / start)
            pieces.append(judged(ratio, 1.0, INFINITE) if predicted > 1 else judged(ratio, -INFINITE, 1.0))
    return pieces


def p8(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        layers = len(run.shared["layer"])
        if run.kappas[0] != 1 or len(run.kappas) < 2 or layers < 3:
            pieces.append(missing())
            continue
        rank = np.linalg.matrix_rank(run.shared["teacher"])
        quarter = max(1, run["parameters"].shape[1] // 4)
        top, base = run.at(run.kappas[-1]), run.at(1.0)
        done = run["status"] == 0
        for i, w in enumerate(matrices(run)):
            singular = np.linalg.svd(w[:, -quarter:], compute_uv=False)
            late = np.log(singular[..., 0] / singular[..., rank - 1]).mean(axis=1)
            sound = all(half(int((done & h).sum()), int(h.sum())) for h in (top, base))
            ratio = exponential(welch(late[done & top], late[done & base], sound))
            outer = i in (0, layers - 1)
            pieces.append(judged(ratio, 1.25, INFINITE) if outer else judged(ratio, -INFINITE, 1.25))
    return pieces


def rising(experiment: Experiment, loss: str) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if run.config.get("training", {}).get("loss", "squared") != loss:
            continue
        if len(run.kappas) < 2:
            pieces.append(missing())
            continue
        logs = np.log(run["trace_mean"])
        ends = [logs[run.at(k) & np.isfinite(logs)] for k in (run.kappas[0], run.kappas[-1])]
        margin = min(abs(ends[1].mean() - ends[0].mean()), 0.3) if all(map(len, ends)) else 0.0
        use = usable(run, margin, "trace")
        piece = judged(slope(run, use, run["trace_mean"]), 0.0, INFINITE)
        x, y = run["condition"][use], run["trace_mean"][use]
        up, down = (
            (stats.kendalltau(x, y, alternative=side).pvalue if len(np.unique(x)) > 1 else np.nan)
            for side in ("greater", "less")
        )
        if (piece.outcome == SUPPORTED and not up < LEVEL) or (piece.outcome == REFUTED and not down < LEVEL):
            piece.outcome = UNDECIDED
        piece.p, piece.against = float(np.fmax(piece.p, up)), float(np.maximum(piece.against, down))
        pieces.append(piece)
    return pieces


def p9(experiment: Experiment) -> list[Piece]:
    return [] if experiment.architecture == "linear" else rising(experiment, "squared")


def p10(experiment: Experiment) -> list[Piece]:
    return rising(experiment, "cross-entropy")


def p11(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "closed_form_flattest_trace" not in run or (run["commutes"] != 1).any():
            continue
        if not several(run):
            pieces.append(missing())
            continue
        use = usable(run, 0.05, "trace")
        together: dict[str, np.ndarray] = {}
        for members in points_of(run):
            values = np.linalg.eigvalsh(run["noise_covariance"][members[0]])
            here = together.setdefault(f"{values[-1] / values[0]:.4g}", np.zeros(run.size, bool))
            here[members] = True
        trace, closed, flattest = (run[n] for n in ("trace_mean", "closed_form_trace", "closed_form_flattest_trace"))
        for here in together.values():
            pieces.append(near(two_rates(run, use, here, trace / closed), 0.05))
            above = two_rates(run, use, here, trace / flattest)
            isotropic = bool((closed[here] < (1 + 1e-6) * flattest[here]).all())
            pieces.append(near(above, 0.05) if isotropic else judged(above, 1.0, INFINITE))
    return pieces


def p12(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if run.kappas[0] != 1 or len(run.kappas) < 2:
            pieces.append(missing())
            continue
        trace = run["trace"]
        records = trace.shape[1] - 1
        ends = [1 + records // 16, 1 + records // 4, 1 + records]
        found = np.full(run.size, np.nan)
        if ends[0] >= 3:
            heights = [np.log(trace[:, 1 + (end - 1) // 2 : end].mean(axis=1)) for end in ends]
            found = (heights[2] - heights[0]) / np.log(16)  # least squares through three equally spaced points
        found = np.where(run["status"] == 0, found, np.nan)
        values = run.distinct("rotation")
        for here in [run["rotation"] == v for v in values] or [np.ones(run.size, bool)]:
            a, b = found[here & run.at(run.kappas[-1])], found[here & run.at(1.0)]
            good = [x[np.isfinite(x)] for x in (a, b)]
            sound = all(half(len(g), len(x)) for g, x in zip(good, (a, b), strict=True))
            pieces.append(judged(welch(*good, sound), 0.05, INFINITE))
    return pieces
