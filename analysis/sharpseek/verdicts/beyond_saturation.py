"""B1: sharpening saturates where noise and signal do not commute."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.files import Experiment
from sharpseek.summaries import START_AXES, last_half, swept
from sharpseek.verdicts.effect import evidence_of
from sharpseek.verdicts.paper_forks import FLOW_MARGIN, QUARTERS, predicted, quarters
from sharpseek.verdicts.rules import NETWORK_MARGIN, Claim, Evidence, missing, near
from sharpseek.verdicts.statistics import log_mean_effect, rate_effect, slope_effect

REACH = 8.0
"""Relaxation times of the slowest mode that a run must hold for its end to be asked for."""
LARGE = 1e4
"""Smallest kappa beyond which the trace of what does not commute is asked to stay where it is."""
SLOPE = 0.05
"""Largest distance of a slope of log T over log kappa from the expected one."""


def duration(run: xr.Dataset) -> np.ndarray:
    """[replica] rescaled time from the first record to the last."""
    time = run["rescaled_time"].values
    return np.nanmax(time, axis=1) - time[:, 0]


def reached(run: xr.Dataset) -> np.ndarray:
    """[replica] whether theory says that the run is long enough to end: its length times the slowest rate."""
    with np.errstate(invalid="ignore"):
        return duration(run) * run["small_lr_limit_relaxation_rate"].values >= REACH


def angle(text: str) -> float:
    """Degrees of a noise.rotation by the teacher's axes; NaN for another one."""
    if text == "teacher":
        return 0.0
    name, _, degrees = text.partition(":")
    try:
        return float(degrees) if name == "teacher" else np.nan
    except ValueError:
        return np.nan


def settings(run: xr.Dataset, *beyond: str) -> Iterator[tuple[str, np.ndarray]]:
    """What differs between settings in words, and its replicas; starts, rates and the axes `beyond` do not count."""
    axes = [axis for axis in swept(run) if axis not in (*START_AXES, "learning_rate", *beyond)]
    names = list(zip(*[run[axis].values.tolist() for axis in axes], strict=True)) or [()] * run.sizes["replica"]
    for name in dict.fromkeys(names):
        yield ", ".join(map(_words, axes, name)), np.array([other == name for other in names])


def _words(axis: str, value: object) -> str:
    if axis == "condition":
        return f"kappa {value:g}"
    degrees = angle(str(value)) if axis == "rotation" else np.nan
    return f"{degrees:g} degrees" if np.isfinite(degrees) else f"{axis} {value}"


def starts_at_theorem_1(run: xr.Dataset) -> bool:
    return configuration(run).get("model", {}).get("init") == "closed-form"


def judge_saturation(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """B1: T at rate 0 over the limit, slopes, and from Theorem 1's weights T over the slow flow."""
    if "small_lr_limit_trace" not in run or "trace" not in run:
        return [missing("theory says nothing of these networks")]
    if starts_at_theorem_1(run):
        return _leaving(run)
    # Theory says which points arrive, and starts come from both sides: every finished replica counts.
    finished = run["status"].values == 0
    run = run.assign(
        reached=("replica", reached(run)),
        usable=("replica", finished),
        late_trace=("replica", np.where(finished, last_half(run, "trace").values, np.nan)),
    )
    if not run["reached"].values.any():
        return []  # nothing here is asked for
    return [*_ends(run), *_slopes(run)]


def _ends(run: xr.Dataset) -> list[Evidence]:
    if "learning_rate" not in run.coords or len(np.unique(run["learning_rate"])) < 2:
        return [missing("rate 0 needs two learning rates")]
    ratio = run["late_trace"].values / run["small_lr_limit_trace"].values
    return [
        evidence_of(
            rate_effect(run, here, ratio),
            ", ".join(filter(None, (_limit_words(run, here), words))),
            near(NETWORK_MARGIN),
        )
        for words, here in settings(run)
        if run["reached"].values[here].all()
    ]


def _limit_words(run: xr.Dataset, here: np.ndarray) -> str:
    """What the limit is, in units of T_min, and what Theorem 1 says."""
    flattest, first = run.get("closed_form_flattest_trace"), int(np.argmax(here))
    if flattest is None:
        return "T / limit"
    units = [float(run[f"{name}_trace"].values[first] / flattest.values[first]) for name in _PREDICTIONS]
    return f"T / limit ({units[0]:.4g} T_min; Theorem 1: {units[1]:.4g})"


_PREDICTIONS = ("small_lr_limit", "closed_form")


def _slopes(run: xr.Dataset) -> list[Evidence]:
    """Slopes over the kappas that are reached: the limit's, and 0 from LARGE on where noise and signal do not
    commute."""
    if "condition" not in run.coords:
        return []
    smallest = run["learning_rate"].values == run["learning_rate"].values.min()
    evidence = []
    for words, here in settings(run, "condition"):
        rows = np.flatnonzero(here & smallest & run["reached"].values)
        part = run.isel(replica=rows)
        kappas = np.unique(part["condition"])
        if len(kappas) < 2:
            continue
        saturated = kappas[0] >= LARGE and (part["commutes"].values == 0).all()
        logs = [np.log(part["small_lr_limit_trace"].values[part["condition"].values == k].mean()) for k in kappas]
        expected = 0.0 if saturated else float(np.polyfit(np.log(kappas), logs, 1)[0])
        word = "slope" if saturated else "slope less the limit's"
        effect = slope_effect(part.assign(late_trace=part["late_trace"] / part["condition"] ** expected), "late_trace")
        evidence.append(evidence_of(effect, ", ".join(filter(None, (word, words))), near(SLOPE, 0.0)))
    return evidence


def _leaving(run: xr.Dataset) -> list[Evidence]:
    """T over the slow flow from Theorem 1's weights after each quarter of the run."""
    if "parameters" not in run:
        return [missing("parameters were not kept (measure.keep_parameters)")]
    measured, times = quarters(run)
    path = predicted(run, times, moving=True)
    finished = (run["status"].values == 0) & np.isfinite(measured).all(axis=1)
    return [
        evidence_of(
            log_mean_effect((measured[:, q] / path[:, 1 + q])[here & finished], int(here.sum())),
            f"T / slow flow from Theorem 1, time {times[q]:.3g}, {words}",
            near(FLOW_MARGIN),
        )
        for words, here in settings(run)
        for q in range(QUARTERS)
    ]


SATURATION = Claim(
    "B1",
    "Where noise and signal do not commute SGD ends at the limit of small rates, whose trace stays finite as kappa "
    "grows; it leaves Theorem 1's minimum as fast as the slow flow says.",
    "T at rate 0 / limit; slope of log T over log kappa; T / slow flow",
    "a straight line through the two smallest rates; studentised bootstrap over seeds; Student t interval of the log "
    "ratio; last half of the records, finished replicas",
    f"Asked where the run is {REACH:g} of the predicted relaxation times long or longer. Supported if every ratio to "
    f"the limit lies within {NETWORK_MARGIN:.0%} of 1, every slope within {SLOPE:g} of the limit's (of 0 for kappas of "
    f"{LARGE:g} and more that do not commute), and from Theorem 1's weights T within {FLOW_MARGIN:.0%} of the slow "
    "flow after each quarter; refuted if an interval lies entirely outside.",
    judge_saturation,
    every_rate=True,
    needs=("trace",),
    plain="Where noise is turned against the signal, sharpening stops at a value that theory gives.",
    reading="least certain number: {}",
)
