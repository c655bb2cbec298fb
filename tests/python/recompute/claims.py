"""C1 to C7: the pieces of evidence of one experiment."""

from __future__ import annotations

import numpy as np
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
    line,
    mean_ratio,
    missing,
    near,
    of_log,
    quotient,
    slope,
    student,
    two_rates,
)
from recompute.files import (
    STARTS,
    Experiment,
    Run,
    enough,
    rates_of,
    settings_of,
    smallest,
    start_of,
    text,
    usable,
)
from scipy import stats


def c1(experiment: Experiment) -> list[Piece]:
    margins = {"trace": 0.01 if all(run.in_pairs for run in experiment.runs) else 0.02, "sharpness": 0.04}
    pieces, z = [], []
    settings = settings_of(experiment.runs)
    if len(rates_of(settings)) >= 4:
        for rows in settings.values():
            for name, margin in margins.items():
                fit, predicted = fit_of(rows, name), rows[f"small_lr_limit_{name}"][0]
                pieces.append(near(fit.over(predicted), margin) if fit else missing())
                if name == "trace" and fit:
                    z.append((fit.value - predicted) / fit.error)
        chi2 = float(np.square(z).sum())
        agrees = bool(z) and stats.chi2.sf(chi2, len(z)) > 0.01 and max(map(abs, z)) < 3.5
        outcome = SUPPORTED if agrees else UNDECIDED
        return [*pieces, Piece(np.nan, np.nan, np.nan, np.nan, np.nan, outcome, condition=True)]
    for run in experiment.runs:
        if "small_lr_limit_trace" not in run:
            continue
        for name, margin in margins.items():
            ratio, use = run[f"{name}_mean"] / run[f"small_lr_limit_{name}"], usable(run, margin, name)
            for kappa in run.kappas:
                if len(run.distinct("learning_rate")) > 1:
                    pieces.append(near(two_rates(run, use, run.at(kappa), ratio), margin))
                else:  # one rate cannot refute
                    estimate = mean_ratio(run, use, run.at(kappa), ratio)
                    pieces.append(judged(estimate, 1 - margin, 1 + margin, (-INFINITE, INFINITE)))
    return pieces


def c2(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        axis = start_of(run)
        if axis is None:
            pieces.append(missing())
            continue
        margin = 0.02 if "closed_form_trace" in run else 0.05
        use = usable(run, margin, "trace")
        axes = [a for a in STARTS if a in run]
        every = sorted(set(zip(*(run[a].tolist() for a in axes), strict=True)))
        for kappa in run.kappas:
            here = run.at(kappa)
            if len(every) > 2:
                for start in every:
                    mine = np.all([run[a] == v for a, v in zip(axes, start, strict=True)], axis=0)
                    pieces.append(near(quotient(run, use, here & mine, here & ~mine), margin))
            else:
                top, bottom = run[axis].max(), run[axis].min()
                pieces.append(near(quotient(run, use, here & (run[axis] == top), here & (run[axis] == bottom)), margin))
    return pieces


def c3(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if "closed_form_flattest_trace" not in run:
            continue
        if "condition" not in run:
            pieces.append(missing())
            continue
        ratio = run["trace_mean"] / run["closed_form_flattest_trace"]
        use = usable(run, 0.02, "trace")
        first, larger = run.kappas[0] == 1, [k for k in run.kappas if k > 1]
        pieces.append(near(mean_ratio(run, use, run.at(1.0), ratio), 0.02) if first else missing())
        pieces += [judged(mean_ratio(run, use, run.at(k), ratio), 1.02, INFINITE) for k in larger] or [missing()]
    return pieces


def c4(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        if "closed_form_trace" not in run or (run["commutes"] != 1).any():
            continue
        if len(run.kappas) < 2:
            pieces.append(missing())
            continue
        pieces.append(judged(slope_over_theory(run, usable(run, 0.05, "trace")), 0.9, 1.1, (0.0, INFINITE)))
    return pieces


def slope_over_theory(run: Run, use: np.ndarray) -> Estimate:
    """Slope of log trace over log kappa / the closed form's, at rate 0 where there are several rates."""
    predicted = float(np.polyfit(np.log(run["condition"]), np.log(run["closed_form_trace"]), 1)[0])
    rates = sorted(run.distinct("learning_rate"))[:2]
    parts = [run["learning_rate"] == r for r in rates] if len(rates) == 2 else [np.ones(run.size, bool)]
    ratio = run["trace_mean"] / run["closed_form_trace"]
    slopes = [slope(run.rows(here), use[here], ratio[here]) for here in parts]
    excess = slopes[0] if len(slopes) == 1 else _line_of_slopes(rates, *slopes)
    return _over(excess, predicted)


def _line_of_slopes(rates: list[float], one: Estimate, two: Estimate) -> Estimate:
    value = line(rates, (one.value, two.value), (0, 0))[0]
    weight = rates[0] / (rates[1] - rates[0])

    def interval(level: float) -> tuple[float, float]:
        (a, b), (c, d) = one.interval(level), two.interval(level)
        down = np.hypot((1 + weight) * (one.value - a), weight * (d - two.value))
        up = np.hypot((1 + weight) * (b - one.value), weight * (two.value - c))
        return value - down, value + up

    return Estimate(value, interval, one.enough and two.enough, max(one.least, two.least))


def _over(excess: Estimate, predicted: float) -> Estimate:
    def interval(level: float) -> tuple[float, float]:
        low, high = sorted(1 + end / predicted for end in excess.interval(level))
        return low, high

    return Estimate(1 + excess.value / predicted, interval, excess.enough, excess.least)


def c5(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        axis = start_of(run)
        if axis is None or "condition" not in run:
            pieces.append(missing())
            continue
        here, change, use = run.at(run.kappas[-1]), run["trace/arrival"], usable(run, 0.05, "trace")
        flat, sharp = (here & (run[axis] == f(run[axis])) for f in (np.min, np.max))
        pieces.append(judged(mean_ratio(run, use, flat, change), 1.0, INFINITE))
        pieces.append(judged(mean_ratio(run, use, sharp, change), -INFINITE, 1.0))
    return pieces


def c6a(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if "closed_form_trace" not in run or (run["commutes"] != 1).any():
            continue
        axis = start_of(run)
        sharp = run[axis] == run[axis].max() if axis else np.ones(run.size, bool)
        change, use = run["gradient_fluctuation/arrival"], usable(run, 0.04, "gradient_fluctuation")
        pieces += [judged(mean_ratio(run, use, run.at(k) & sharp, change), -INFINITE, 1.0) for k in run.kappas]
        for kappa in run.kappas:
            pieces += [near(e, 0.04) for e in layers(run, use, run.at(kappa))]
    return pieces


def layers(run: Run, use: np.ndarray, point: np.ndarray) -> list[Estimate]:
    values = run["layer_fluctuation/late"].mean(axis=1)
    use = point & use & (np.isfinite(values) & (values > 0)).all(axis=1)
    count, number = int(use.sum()), values.shape[1]
    if count < 2:
        return [NOTHING] * number
    chosen = values[use]
    found = []
    for i in range(number):
        # log mean_i - mean over j of log mean_j, and its linearisation in the seeds.
        logs = np.log(chosen.mean(axis=0))
        parts = chosen / chosen.mean(axis=0)
        influence = parts[:, i] - parts.mean(axis=1)
        around = student(float(logs[i] - logs.mean()), error_of(influence), count - 1)
        found.append(Estimate(float(np.exp(logs[i] - logs.mean())), of_log(around), enough(run, point, use)))
    return found


def c6b(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in experiment.runs:
        use = usable(run, 0.1, "trace")
        kinds, names = text(run.shared["balance_kind"]), text(run.shared["balance"])
        single = [not any(other.startswith(f"{name}[") for other in names) for name in names]
        for kind in dict.fromkeys(kinds):
            if kind not in ("linear", "relu", "attention-qk", "attention-vp"):
                continue
            chosen = np.array([k == kind and s for k, s in zip(kinds, single, strict=True)])
            total = run["balance_sum/late"][use][:, :, chosen].sum(axis=2).mean(axis=1)
            share = run["balance_difference/late"][use][:, :, chosen].sum(axis=2) / total[:, None]
            if len(share) < 2:
                pieces.append(missing())
                continue
            batches = np.array([part.mean() for part in np.array_split(share.mean(axis=0), 10)])
            error = float(np.hypot(error_of(share.mean(axis=1)), error_of(batches)))
            around = student(float(share.mean()), error, min(len(share), 10) - 1)
            everywhere = np.ones(run.size, bool)
            pieces.append(near(Estimate(float(share.mean()), around, enough(run, everywhere, use)), 0.1, 0.0))
    return pieces


def c7(experiment: Experiment) -> list[Piece]:
    pieces = []
    for run in map(smallest, experiment.runs):
        if experiment.architecture == "linear":
            continue
        if len(run.kappas) < 2:
            pieces.append(missing())
            continue
        for quantity in ("trace", "sharpness"):
            name = f"{quantity}_mean"
            use = usable(run, _rise(run, name), quantity)
            found = judged(slope(run, use, run[name]), 0.0, INFINITE)
            rises, falls = np.nan, np.nan
            if len(np.unique(run["condition"][use])) > 1:
                test = stats.kendalltau(run["condition"][use], run[name][use], alternative="greater")
                rises = float(test.pvalue)
                falls = float(stats.kendalltau(run["condition"][use], run[name][use], alternative="less").pvalue)
            if (found.outcome == SUPPORTED and not rises < LEVEL) or (found.outcome == REFUTED and not falls < LEVEL):
                found.outcome = UNDECIDED
            found.p, found.against = float(np.fmax(found.p, rises)), float(np.maximum(found.against, falls))
            pieces.append(found)
    return pieces


def _rise(run: Run, name: str) -> float:
    """The margin of C7: the change of the mean logarithm from the smallest kappa to the largest, but at most 0.3."""
    ends = []
    for kappa in (run.kappas[0], run.kappas[-1]):
        values = run[name][run.at(kappa)]
        logs = np.log(values[np.isfinite(values) & (values > 0)])
        ends.append(logs.mean() if logs.size else np.nan)
    return float(min(abs(ends[1] - ends[0]), 0.3)) if np.isfinite(ends).all() else 0.0
