"""C10 and C7b: trajectories, and where rival predictors would have SGD go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from recompute.estimates import (
    INFINITE,
    NOTHING,
    Estimate,
    Fit,
    Piece,
    entering,
    error_of,
    extrapolated,
    judged,
    missing,
    near,
    polynomial,
    student,
    widening,
)
from recompute.files import (
    Experiment,
    Run,
    half,
    rates_of,
    samples_of,
    settings_of,
    smallest,
    usable,
)


def by_rate(runs: list[Run]) -> list[tuple[float, Run]]:
    """The replicas of runs with a flow, a part for each learning rate, smallest first."""
    found = []
    for run in (r for r in runs if "flow_trace" in r):
        if "learning_rate" in run:
            found += [(rate, run.rows(run["learning_rate"] == rate)) for rate in sorted(run.distinct("learning_rate"))]
        else:
            found.append((float(run.group.get("learning_rate", run.config["training"]["learning_rate"])), run))
    return sorted(found, key=lambda pair: pair[0])


def path_points(runs: list[Run], quantity: str, path: str) -> list[tuple[float | None, float, float, Fit | None]]:
    """(kappa, time, predicted, ratio at rate 0) at four times of each kappa."""
    parts = by_rate(runs)
    end = min(part["rescaled_time"][:, -1].min() for _, part in parts) if parts else 0
    found = []
    for kappa in parts[0][1].kappas if parts else []:
        for time in end * np.arange(1, 5) / 4:
            samples: dict[float, np.ndarray] = {}
            replicas: dict[float, int] = {}
            predicted = np.nan
            for rate, part in parts:
                here = part.rows(part.at(kappa))
                record = int(np.abs(here["rescaled_time"][0] - time).argmin()) if here.size else 0
                if here.size == 0 or abs(here["rescaled_time"][0, record] - time) > 0.01 * end:
                    continue
                ratio = here[quantity][:, record] / here[f"{path}_{quantity}"][:, record]
                good = (here["status"] == 0) & np.isfinite(ratio)
                samples[rate], replicas[rate] = ratio[good], here.size
                if good.any():
                    predicted = float(here[f"{path}_{quantity}"][good, record][0])
            rates = entering(samples, replicas, 3)
            fit = None
            if rates and min(error_of(samples[r]) for r in rates) > 0:
                degree = min(2, len(rates) - 2)
                value, error, chi2 = polynomial(rates, samples, degree)
                error *= widening(chi2, len(rates) - degree - 1, 0.001)
                fit = Fit(value, error, min(len(samples[r]) for r in rates))
            found.append((kappa, time, predicted, fit))
    return found


def c10(experiment: Experiment) -> list[Piece]:
    points = path_points(experiment.runs, "trace", "flow")
    margin = 0.02 if experiment.architecture == "linear" and all(r.in_pairs for r in experiment.runs) else 0.05
    return [near(fit.over(1.0), margin) if fit else missing() for _, _, _, fit in points]


@dataclass
class Place:
    """Where SGD went, and where each predictor, the claimed one first, would have it go: logarithms."""

    quantity: str
    estimate: Estimate
    predicted: dict[str, float]


FLOW, CALM, FLAT = "flow", "calm", "flat"


def places(experiment: Experiment) -> list[Place]:
    return [*_paths(experiment.runs), *_linear(experiment.runs), *_ends(experiment.runs)]


def _paths(runs: list[Run]) -> list[Place]:
    if not any("descent_flow_trace" in run for run in runs):
        return []
    found = []
    for quantity in (q for q in ("trace", "sharpness") if all(q in run for run in runs)):
        tables = {
            name: path_points(runs, quantity, prefix)
            for name, prefix in ((FLOW, "flow"), (CALM, "descent_flow"), (FLAT, "isotropic_flow"))
        }
        for i, (_, time, predicted, fit) in enumerate(tables[FLOW]):
            if time != max(row[1] for row in tables[FLOW]):
                continue
            ends = {name: float(np.log(table[i][2])) for name, table in tables.items()}
            estimate = NOTHING
            if fit:
                log = float(np.log(fit.value) + np.log(predicted))
                estimate = Estimate(log, student(log, fit.error / fit.value, fit.seeds - 1), True)
            found.append(Place(quantity, estimate, ends))
    return found


def _linear(runs: list[Run]) -> list[Place]:
    settings = settings_of(runs)
    if not settings or not all("closed_form_flattest_trace" in rows for rows in settings.values()):
        return []
    rates = rates_of(settings)
    found = []
    for rows in settings.values():
        for quantity in (q for q in ("trace", "sharpness") if f"closed_form_flattest_{q}" in rows):
            predictors = ((FLOW, "small_lr_limit"), (CALM, "closed_form"), (FLAT, "closed_form_flattest"))
            ends = {name: float(np.log(rows[f"{prefix}_{quantity}"][0])) for name, prefix in predictors}
            if not np.isfinite(list(ends.values())).all():
                continue
            samples, replicas = samples_of(rows, quantity)
            estimate = NOTHING
            if len(rates) >= 4:
                fit = extrapolated(samples, replicas)
                value, error, seeds = (fit.value, fit.error, fit.seeds) if fit else (np.nan, np.nan, 0)
                sound = fit is not None and half(sum(map(len, samples.values())), sum(replicas.values()))
            else:
                x = samples.get(rates[0], np.empty(0))
                seeds, sound = len(x), half(len(x), replicas.get(rates[0], 0))
                value, error = (float(x.mean()), error_of(x)) if seeds > 1 else (np.nan, np.nan)
            if np.isfinite(value):
                log = float(np.log(value))
                estimate = Estimate(log, student(log, error / value, seeds - 1), sound)
            found.append(Place(quantity, estimate, ends))
    return found


def _ends(runs: list[Run]) -> list[Place]:
    found = []
    for run in (smallest(r) for r in runs if "minimal_trace_trace" in r):
        rescaled = run.config.get("model", {}).get("activation") == "relu"
        for kappa in run.kappas:
            here = run.at(kappa)
            for quantity in ("trace", "sharpness"):
                if (quantity if rescaled else f"{quantity}_mean") not in run:
                    continue
                calm = np.log(run[f"minimal_fluctuation_{quantity}"])
                flat = np.log(run[f"minimal_trace_{quantity}"])
                known = here & np.isfinite(calm) & np.isfinite(flat)
                if not known.any():
                    continue
                good = (known if rescaled else here) & usable(run, 0.05, quantity)
                if rescaled:
                    here = known
                    if not good.any():
                        continue
                    logs = np.log(run[quantity][good, -1])
                    error = error_of(logs - calm[good]) if len(logs) > 1 else np.nan
                    ends = {CALM: float(calm[good].mean()), FLAT: float(flat[good].mean())}
                else:
                    logs = np.log(run[f"{quantity}_mean"][good])
                    spread = max(error_of(calm[known]), error_of(flat[known])) if known.sum() > 1 else 0.0
                    error = float(np.hypot(error_of(logs), spread)) if len(logs) > 1 else np.nan
                    ends = {CALM: float(calm[known].mean()), FLAT: float(flat[known].mean())}
                value = float(logs.mean()) if len(logs) > 1 else np.nan
                around = student(value, error, len(logs) - 1)
                found.append(Place(quantity, Estimate(value, around, half(len(logs), int(here.sum()))), ends))
    return found


def c7b(experiment: Experiment) -> list[Piece]:
    pairs: dict[tuple[str, str], list[Estimate]] = {}
    for place in places(experiment):
        claimed, *rivals = place.predicted
        for rival in rivals:
            if abs(place.predicted[rival] - place.predicted[claimed]) >= np.log(1.05):
                found = _advantage(place.estimate, place.predicted[claimed], place.predicted[rival])
                pairs.setdefault((claimed, rival), []).append(found)
    pieces = []
    for settings in pairs.values():
        sound = [e for e in settings if e.enough]

        def mean(level: float, sound: list[Estimate] = sound) -> tuple[float, float]:
            low, high = np.mean([e.interval(level) for e in sound], axis=0) if sound else (np.nan, np.nan)
            return float(low), float(high)

        value = float(np.mean([e.value for e in sound])) if sound else np.nan
        pieces.append(judged(Estimate(value, mean, len(sound) >= max(1, len(settings) / 2)), 0.0, INFINITE))
        pieces += [judged(e, -INFINITE, INFINITE, (0.0, INFINITE), condition=True) for e in settings]
    return pieces


def _advantage(measured: Estimate, claimed: float, rival: float) -> Estimate:
    def nearer(x: float) -> float:
        return abs(x - rival) - abs(x - claimed)

    def interval(level: float) -> tuple[float, float]:
        ends = [nearer(x) for x in measured.interval(level)]
        return (ends[0], ends[1]) if claimed > rival else (ends[1], ends[0])

    return Estimate(nearer(measured.value), interval, measured.enough)
