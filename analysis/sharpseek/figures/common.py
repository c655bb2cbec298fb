"""What the charts share: which replicas make a series, and their means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Series
from sharpseek.files import Experiment
from sharpseek.summaries import start_axis, summarise, usable

CONDITION_LABEL = "condition κ of the noise"
TIME_LABEL = "rescaled time η² · steps / batch"
SYMBOLS = ("circle", "square", "diamond", "triangle")
DASHES = ("solid", "dash", "dot")
MOST_RECORDS = 240
"""Records drawn of a time series; longer ones are thinned evenly."""


def readable(variable: str) -> str:
    """A variable's name as text."""
    return variable.removesuffix("_mean").replace("_", " ")


def source(experiment: Experiment, *variables: str) -> str:
    """The file and the variables that a figure was drawn from."""
    groups = [
        f"{experiment.name}/{group}/run.h5" if group else f"{experiment.name}/run.h5" for group in experiment.runs
    ]
    return f"{', '.join(groups)}: {', '.join(variables)}"


def condition_text(condition: float) -> str:
    return f"κ = {condition:g}"


def conditions(run: xr.Dataset) -> np.ndarray:
    """The swept conditions, ascending; empty where the condition was not swept."""
    return np.unique(run["condition"]) if "condition" in run.coords else np.array([])


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


def starts(run: xr.Dataset) -> list[Start]:
    """The starts, flattest first."""
    axis = start_axis(run)
    if axis is None:
        return [Start("all starts", None, 0)]
    values = np.unique(run[axis])
    names = {0: "flat start", len(values) - 1: "sharp start"}
    return [Start(names.get(i, f"{axis} {v:g}"), float(v), i) for i, v in enumerate(values)]


def means(
    run: xr.Dataset, variable: str, start: Start, *, label: str, colour: int | None, shift: float = 0.0,
    scale: np.ndarray | float = 1.0, tags: dict[str, str] | None = None,
) -> Series:  # fmt: skip
    """Mean and 95 % interval over the usable seeds of this start at each condition, divided by `scale`.

    `shift` moves the points sideways by so many percent, so that starts at the same condition stay apart.
    """
    part = run.isel(replica=np.flatnonzero(start.of(run)))
    table = summarise(part, variable, ["condition"])
    notes = [
        f"{row.stationary} of {row.replicas} replicas stationary"
        + (f", {row.diverged} diverged" if row.diverged else "")
        for row in table.itertuples()
    ]
    return Series(
        label,
        table["condition"].to_numpy() * (1 + shift / 100),
        table["mean"].to_numpy() / scale,
        "points",
        colour,
        low=table["low"].to_numpy() / scale,
        high=table["high"].to_numpy() / scale,
        firm=(table["stationary"] * 2 >= table["replicas"]).to_numpy(),
        symbol=SYMBOLS[start.index % len(SYMBOLS)],
        dash=DASHES[start.index % len(DASHES)],
        tags={} if tags is None else tags,
        notes=notes,
    )


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
    """Experiments of one run that sweep the condition and have all these variables, ablations apart (see forest)."""
    for experiment in experiments:
        if experiment.claims and all(claim.startswith("C9") for claim in experiment.claims):
            continue
        if len(experiment.runs) != 1 or "condition" not in experiment.run.coords:
            continue
        if all(variable in experiment.run for variable in variables):
            yield experiment
