"""What a figure is, apart from how it is drawn: panels of series, with tags that a reader can switch on and off.

A chart is built once from data (the other modules of this package), then drawn by matplotlib (`static`) for print and
by plotly (`interactive`) for the report, so that the two cannot disagree; its table (`frame`) is what the CSV holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

PALETTE = ("#2a7fc9", "#d9722b", "#2f9e73", "#9a5fc0", "#b08a00", "#c2447e", "#5b7083", "#3aa6a6")
"""Colours of series: each has a contrast of at least 3 with white and with the report's dark page."""


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that spreadsheets evaluate."""
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def colour_of(index: int) -> str:
    """The index-th colour; colours repeat."""
    return PALETTE[index % len(PALETTE)]


@dataclass(frozen=True)
class Field:
    """The scale of colours of a panel, and what it shows behind its series.

    `z` [y, x] at the places `x` and `y`, evenly spaced and increasing; empty: the scale alone. `low` and `high` are its
    ends, `ticks` the values that are named next to it.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    x: np.ndarray = field(default_factory=lambda: np.zeros(0))
    y: np.ndarray = field(default_factory=lambda: np.zeros(0))
    z: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    log: bool = False


@dataclass(frozen=True)
class Series:
    """One mark type over x and y. Arrays are one-dimensional and of equal length; NaN is a gap.

    `style`: points (with intervals, joined), marks (not joined), line, thin (one replica), reference (theory), mark (a
    horizontal interval: y is the row, x the estimate), cells (in the colour of their `values` on the panel's field).
    `low` and `high` are ends of the 95 % interval of y (of x for mark, of `values` for cells). `firm` is False where
    fewer than half of the replicas are usable: drawn open. `tags` are the switches that the series answers to.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    style: str
    colour: int | None = None
    """Index of the palette; None = the colour of text."""
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    firm: np.ndarray | None = None
    dash: str = "solid"
    """solid, dash or dot."""
    symbol: str = "circle"
    """circle, square, diamond or triangle."""
    tags: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    """Text that hovering shows for each point."""
    values: np.ndarray | None = None
    """Of cells: what the colour means."""
    texts: Sequence[str] = ()
    """Text next to each of the cells."""

    @property
    def empty(self) -> bool:
        """Whether none of its points can be drawn."""
        return not np.isfinite(np.asarray([self.x, self.y], dtype=float)).all(axis=0).any()


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    x_ticks: tuple[float, ...] = ()
    """Ticks instead of automatic ones: the values that were run."""
    x_names: tuple[str, ...] = ()
    """Their names, if they are not the numbers."""
    rows: tuple[str, ...] = ()
    """Names of the rows of mark series, top first."""
    note: str = ""
    """What the panel cannot show, in words."""
    line_at: float | None = None
    """Horizontal line (vertical where there are rows): the value of no effect."""
    y_ticks: tuple[float, ...] = ()
    y_names: tuple[str, ...] = ()
    """Vertical ticks and their names, instead of automatic ones."""
    field: Field | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is there to be drawn: its axes say NOTHING."""
        return all(series.empty for series in self.series)


NOTHING = "nothing to draw"


@dataclass(frozen=True)
class Chart:
    """A figure: its panels, what it says, and the files and variables it was drawn from."""

    name: str
    """Unique, fit for a file name."""
    title: str
    caption: str
    source: str
    panels: tuple[Panel, ...]
    columns: int
    hidden: frozenset[tuple[str, str]] = frozenset()
    """(tag, value) that are off at first, in print too."""
    row_height: float = 2.6
    """Inches per row of panels."""
    panel_width: float = 3.0
    """Inches per column in print."""

    def switches(self) -> dict[str, list[str]]:
        """Values of each tag in order of appearance; a single value is no switch unless off at first."""
        found: dict[str, list[str]] = {}
        for panel in self.panels:
            for series in panel.series:
                for tag, value in series.tags.items():
                    if value not in found.setdefault(tag, []):
                        found[tag].append(value)
        off = {tag for tag, _ in self.hidden}
        return {tag: values for tag, values in found.items() if len(values) > 1 or tag in off}

    def shows(self, series: Series) -> bool:
        """Whether the series is visible at first."""
        return not any(pair in self.hidden for pair in series.tags.items())

    def notes(self) -> str:
        """What its panels cannot show."""
        return " ".join(dict.fromkeys(panel.note for panel in self.panels if panel.note))

    def alt(self) -> str:
        """The figure in words, with the ends of its main series, for those who do not see it."""
        parts = [f"{self.title}. {self.caption}"]
        for panel in self.panels:
            said: list[str] = []
            for series in panel.series:
                finite = np.flatnonzero(np.isfinite(series.y) & np.isfinite(series.x))
                if series.style == "thin" or not len(finite) or len(said) == 6:
                    continue
                first, last = finite[0], finite[-1]
                if series.values is not None:
                    shown = series.values[finite][np.isfinite(series.values[finite])]
                    if shown.size:
                        said.append(f"{series.label} between {shown.min():.3g} and {shown.max():.3g}")
                elif series.style == "mark":
                    said += [
                        f"{panel.rows[int(y)]} {x:.3g}" for x, y in zip(series.x[finite], series.y[finite], strict=True)
                    ][: 6 - len(said)]
                elif series.style != "reference" or first != last:
                    said.append(f"{series.label} from {series.y[first]:.3g} to {series.y[last]:.3g}")
            if said:
                parts.append(f"{panel.title}: {'; '.join(said)}.")
        return " ".join(parts)

    def frame(self) -> pd.DataFrame:
        """All points that the figure shows or can show, one row each."""
        # By columns: a frame for each of hundreds of series would take longer than to draw them.
        columns: dict[str, list[object]] = {}
        count = 0

        def put(name: str, values: Iterable[object]) -> None:
            column = columns.setdefault(name, [])
            column.extend([np.nan] * (count - len(column)))
            column.extend(values)

        for panel in self.panels:
            for series in panel.series:
                size = len(series.x)
                put("panel", [panel.title] * size)
                put("series", [series.label] * size)
                for name in ("x", "y", "low", "high", "firm"):
                    values = getattr(series, name)
                    put(name, [np.nan] * size if values is None else values)
                if series.values is not None:
                    put("value", series.values)
                for tag, value in series.tags.items():
                    put(tag, [value] * size)
                if panel.rows:
                    put("row", [panel.rows[int(y)] for y in series.y])
                count += size
        for name in columns:
            put(name, ())
        return pd.DataFrame(columns, dtype=object)


def harmless(value: object) -> object:
    """A cell of a CSV file: text that a spreadsheet would take for a formula begins with an apostrophe instead."""
    risky = isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value)
    return f"'{value}" if risky else value
