"""What the charts share: which replicas make a series, and their means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sharpseek.confidence import student_quantile
from sharpseek.figures.chart import Series
from sharpseek.files import Experiment
from sharpseek.summaries import START_AXES, cure, diverged, smallest_rate, start_axis, summarise, swept, usable
from sharpseek.verdicts.rules import LEVEL

CONDITION = "condition"
CONDITION_LABEL = "condition κ of the noise"
TIME_LABEL = "rescaled time η² · steps / batch"
SYMBOLS = ("circle", "square", "diamond", "triangle")
DASHES = ("solid", "dash", "dot")
MOST_RECORDS = 240
"""Records drawn of a time series; longer ones are thinned evenly."""
MOST_SETTINGS = 8
"""Settings of one experiment that get figures of their own."""
RATE = "learning_rate"
AVERAGED = (RATE, "seed", *START_AXES)
"""Axes that make no settings: starts are series of their own, and of several rates the smallest is drawn."""


def readable(variable: str) -> str:
    """A variable's name as text."""
    return variable.removesuffix("_mean").replace("_", " ")


def mean_and_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of values [replica, ...] over two replicas or more, and the ends of its 95 % interval by Student's t."""
    half = student_quantile(LEVEL, len(values) - 1) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    mean = values.mean(axis=0)
    return mean, mean - half, mean + half


def rate_line(run: xr.Dataset, rows: np.ndarray, rate: float, colour: int) -> Series | None:
    """The trace over time at a rate: mean over the replicas `rows` with its interval; None of fewer than two."""
    if rows.size < 2:
        return None
    mean, low, high = mean_and_interval(run["trace"].values[rows])
    return Series(f"rate {rate:g}", run["rescaled_time"].values[rows[0]], mean, "line", colour, low=low, high=high,
                  tags={"rate": f"{rate:g}"})  # fmt: skip


@dataclass
class Setting(Experiment):
    """The replicas of an experiment at one setting: they differ in condition, start, rate and seed only."""

    whole: str = ""
    """Name of the experiment."""


def source(experiment: Experiment, *variables: str) -> str:
    """The file and the variables that a figure was drawn from."""
    name = experiment.whole if isinstance(experiment, Setting) else experiment.name
    groups = [f"{name}/{group}/run.h5" if group else f"{name}/run.h5" for group in experiment.runs]
    return f"{', '.join(groups)}: {', '.join(variables)}"


def value_text(axis: str, value: object) -> str:
    """One value of an axis in words."""
    number = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    return f"κ = {number}" if axis == CONDITION else f"{readable(axis)} {number}"


def condition_text(condition: float) -> str:
    return value_text(CONDITION, float(condition))


def conditions(run: xr.Dataset) -> np.ndarray:
    """The swept conditions, ascending; empty where the condition was not swept."""
    return np.unique(run[CONDITION]) if CONDITION in run.coords else np.array([])


@dataclass(frozen=True)
class Axis:
    """A swept axis as the horizontal one of a panel. Texts lie at 0, 1, ... in the order of the configuration."""

    name: str
    values: np.ndarray

    @property
    def text(self) -> bool:
        """Whether the values are texts."""
        return self.values.dtype.kind not in "fiu"

    @property
    def places(self) -> np.ndarray:
        """[value] where each value lies."""
        return np.arange(len(self.values), dtype=float) if self.text else self.values.astype(float)

    @property
    def log(self) -> bool:
        """Whether it is drawn logarithmically."""
        if self.text or self.values.min() <= 0:
            return False
        return self.name == CONDITION or self.values.max() >= 8 * self.values.min()

    @property
    def label(self) -> str:
        """Its name as text."""
        return CONDITION_LABEL if self.name == CONDITION else readable(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Text of each tick."""
        return tuple(f"{v:g}" if isinstance(v, float | np.floating) else str(v) for v in self.values)

    def shifted(self, percent: float) -> np.ndarray:
        """`places` moved sideways, so that series at the same value stay apart."""
        if self.log:
            return self.places * (1 + percent / 100)
        span = float(np.ptp(self.places)) or 1.0
        return self.places + span * percent / 100 / 3

    def at(self, run: xr.Dataset, value: object) -> np.ndarray:
        """[replica] which replicas have this value."""
        return run[self.name].values == value


def axis_of(run: xr.Dataset, name: str | None = None) -> Axis | None:
    """The axis to draw over: `name`, or the condition, or what else was swept but starts; None where nothing was.

    Raises ValueError if `name` was not swept.
    """
    axes = [a for a in swept(run) if a == name or len(np.unique(run[a])) > 1]
    if name is not None and name not in axes:
        raise ValueError(f"{name} was not swept: {', '.join(axes) or 'nothing was'}")
    order = [CONDITION, *[a for a in axes if a not in AVERAGED], RATE]
    chosen = name if name is not None else next((a for a in order if a in axes), None)
    if chosen is None:
        return None
    values = run[chosen].values
    return Axis(chosen, np.unique(values) if values.dtype.kind in "fiu" else np.array(list(dict.fromkeys(values))))


def settings(run: xr.Dataset, but: str | None = None) -> list[tuple[str, xr.Dataset]]:
    """The run by setting: each combination of what was swept, except `but` and AVERAGED, in words, with replicas."""
    axes = [a for a in swept(run) if a != but and a not in AVERAGED and len(np.unique(run[a])) > 1]
    if not axes:
        return [("", run)]
    frame = pd.DataFrame({axis: run[axis].values for axis in axes})
    return [
        (
            ", ".join(value_text(axis, value) for axis, value in zip(axes, point, strict=True)),
            run.isel(replica=group.index.to_numpy()),
        )
        for point, group in frame.groupby(axes, sort=False)
    ]


def points(run: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    """Each combination of what was swept except AVERAGED, in words, with [replica] a mask; conditions ascend."""
    place = xr.DataArray(np.arange(run.sizes["replica"]), dims="replica")
    found = []
    for text, part in settings(run.assign(place=place), CONDITION):
        for condition in conditions(part) if len(conditions(part)) else [np.nan]:
            here = part["place"].values
            here = here if np.isnan(condition) else here[part[CONDITION].values == condition]
            words = "" if np.isnan(condition) else condition_text(condition)
            found.append(
                (
                    ", ".join(filter(None, (words, text))) or "all replicas",
                    np.isin(np.arange(run.sizes["replica"]), here),
                )
            )
    return found


@dataclass(frozen=True)
class Start:
    """Replicas that started alike: all of them (value None) or those at one value of the start axis."""

    label: str
    value: float | None
    index: int

    def of(self, run: xr.Dataset) -> np.ndarray:
        """[replica] which replicas started so."""
        if self.value is None:
            return np.ones(run.sizes["replica"], dtype=bool)
        return run[start_axis(run)].values == self.value


def starts(run: xr.Dataset, but: str | None = None) -> list[Start]:
    """The starts, flattest first; one of all where the axis of the starts is `but`."""
    axis = start_axis(run)
    if axis is None or axis == but:
        return [Start("all starts", None, 0)]
    values = np.unique(run[axis])
    names = {0: "flat start", len(values) - 1: "sharp start"}
    return [Start(names.get(i, f"{axis} {v:g}"), float(v), i) for i, v in enumerate(values)]


def means(
    run: xr.Dataset, variable: str, start: Start, axis: Axis, *, label: str, colour: int | None, shift: float = 0.0,
    scale: np.ndarray | float = 1.0, tags: dict[str, str] | None = None,
) -> Series:  # fmt: skip
    """Mean and 95 % interval over the usable seeds of this start at each value of the axis, divided by `scale`.

    `shift` moves the points sideways by so many percent, so that starts at the same value stay apart.
    """
    part = run.isel(replica=np.flatnonzero(start.of(run)))
    table = summarise(part, variable, [axis.name]).set_index(axis.name).reindex(axis.values)
    table[["replicas", "stationary", "usable", "diverged"]] = (
        table[["replicas", "stationary", "usable", "diverged"]].fillna(0).astype(int)
    )
    return Series(
        label,
        axis.shifted(shift),
        table["mean"].to_numpy() / scale,
        "points",
        colour,
        low=table["low"].to_numpy() / scale,
        high=table["high"].to_numpy() / scale,
        firm=(table["usable"] * 2 >= table["replicas"]).to_numpy(),
        symbol=SYMBOLS[start.index % len(SYMBOLS)],
        dash=DASHES[start.index % len(DASHES)],
        tags={} if tags is None else tags,
        notes=[counts_text(row) for row in table.itertuples()],
    )


def counts_text(row: Any) -> str:
    """How many of the replicas of a row of `summarise` could be used."""
    text = f"{row.stationary} of {row.replicas} replicas stationary"
    if row.usable != row.stationary:
        text += f", {row.usable} usable: the others are of a point that drifts"
    return text + (f", {row.diverged} diverged" if row.diverged else "")


def thinned(run: xr.Dataset, first: int = 1) -> np.ndarray:
    """Indices of the records to draw: from `first`, at most MOST_RECORDS of them."""
    count = run.sizes["time"]
    return np.unique(np.linspace(min(first, count - 1), count - 1, min(MOST_RECORDS, count)).astype(int))


def mean_over(run: xr.Dataset, select: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Mean over the selected usable replicas ([replica, ...] -> [...]); over all selected if none is usable."""
    good = select & usable(run)
    chosen = good if good.any() else select
    return values[chosen].mean(axis=0), bool(good.any())


def single_runs(experiments: list[Experiment], *variables: str) -> Iterator[Experiment]:
    """Experiments of one run that have all these variables, setting by setting; ablations apart (see forest).

    A mean over rotations or totals would be the mean of nothing that theory speaks of.
    """
    for experiment in experiments:
        if experiment.claims and all(claim.startswith("C9") for claim in experiment.claims):
            continue
        if len(experiment.runs) != 1 or not all(variable in experiment.run for variable in variables):
            continue
        found = settings(experiment.run, CONDITION)
        for text, run in found[:MOST_SETTINGS]:
            if not text:
                yield experiment
                continue
            more = f" (of {len(found)} settings, the first {MOST_SETTINGS})" if len(found) > MOST_SETTINGS else ""
            yield Setting(
                f"{experiment.name}: {text}",
                f"{experiment.title}: {text}{more}",
                experiment.architecture,
                experiment.claims,
                dict.fromkeys(experiment.runs, run),
                experiment.name,
            )


def drawn_settings(run: xr.Dataset, axis: Axis) -> list[tuple[str, xr.Dataset]]:
    """The settings that are series over an axis: at the smallest rate, unless the axis is the rate."""
    return [(words, part if axis.name == RATE else smallest_rate(part)) for words, part in settings(run, axis.name)]


def mean_series(
    run: xr.Dataset, variable: str, axis: Axis, *, label: str = "", colour: int | None = None,
    tags: dict[str, str] | None = None, scale: Callable[[xr.Dataset], np.ndarray | float] | None = None,
) -> list[Series]:  # fmt: skip
    """Means over an axis: a series for each start and each setting of what else was swept.

    Colours tell starts, or settings where there are several, unless `colour` is given. `scale`: what the means of a
    setting are divided by.
    """
    series = []
    parts = drawn_settings(run, axis)
    for place, (words, part) in enumerate(parts):
        for start in starts(part, but=axis.name):
            series.append(
                means(
                    part, variable, start, axis,
                    label=", ".join(filter(None, (label, words, start.label))),
                    colour=colour if colour is not None else place if len(parts) > 1 else start.index,
                    shift=5 * (start.index + place), scale=1.0 if scale is None else scale(part),
                    tags={"start": start.label, **(tags or {}), **({"setting": words} if words else {})},
                )
            )  # fmt: skip
    return series


def too_few(run: xr.Dataset, axis: Axis) -> str:
    """Which points have fewer than half of their replicas usable, in a sentence; empty where all have enough."""
    found = []
    away = short = 0
    for words, part in drawn_settings(run, axis):
        good = usable(part)
        lost = diverged(part)
        for start in starts(part, but=axis.name):
            for value in axis.values:
                here = axis.at(part, value) & start.of(part)
                if 2 * good[here].sum() < here.sum():
                    text = [value_text(axis.name, value), words, start.label if start.value is not None else ""]
                    found.append(f"{', '.join(filter(None, text))} ({good[here].sum()} of {here.sum()})")
                    away += int(lost[here].sum())
                    short += int((~good & ~lost)[here].sum())
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return f"Too few usable replicas at {'; '.join(found[:6])}{more}: {cure(away, short)}." if found else ""


def axis_options(axis: Axis) -> dict[str, Any]:
    """Options of a Panel whose horizontal axis this is."""
    return {"x_log": axis.log, "x_ticks": tuple(axis.places), "x_names": axis.names}
