"""Charts drawn by matplotlib: for print, and for the plotting functions of `sharpseek.plot`."""

from __future__ import annotations

import gc
import multiprocessing
import os
import textwrap
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from sharpseek.figures.chart import NOTHING, Chart, Field, Panel, Series, colour_of, harmless
from sharpseek.interrupts import leave_interrupts_to_the_parent

INK = "#1c2128"
DASHES = {"solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.5))}
SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^"}
COLUMN_WIDTH = 3.4
"""Inches: a column of a two-column page."""
LETTER_WIDTH = 0.06
"""Inches: a letter of a tick label or a legend, on average."""
HANDLE_WIDTH = 0.5
"""Inches: what a legend draws next to a label, with the space between columns."""
MARGIN = 0.5
"""Inches: next to the axes of a panel without names of rows, for ticks and a label."""
LINE_HEIGHT = 0.17
"""Inches: a line of a legend or a note."""

STYLE: dict[Any, Any] = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "font.size": 8,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


def draw_series(axes: Axes, series: Series) -> None:
    """Adds one series."""
    colour = INK if series.colour is None else colour_of(series.colour)
    line = DASHES[series.dash]
    if series.style == "thin":
        axes.plot(series.x, series.y, color=colour, linewidth=0.4, alpha=0.4, linestyle=line, rasterized=True)
        return
    if series.style in ("line", "reference"):
        width = 1.4 if series.style == "line" else 1.0
        axes.plot(series.x, series.y, color=colour, linewidth=width, linestyle=line, label=plain(series.label))
        if series.low is not None and series.high is not None:
            axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.18, linewidth=0)
        return
    value = series.x if series.style == "mark" else series.y
    finite = np.isfinite(series.x) & np.isfinite(series.y)
    firm = np.ones(len(value), dtype=bool) if series.firm is None else np.asarray(series.firm, dtype=bool)
    if series.low is not None:
        errors = np.nan_to_num(np.abs(np.array([series.low, series.high]) - value))[:, finite]
        bars = {"xerr": errors} if series.style == "mark" else {"yerr": errors}
        axes.errorbar(series.x[finite], series.y[finite], **bars, fmt="none", ecolor=colour, elinewidth=1.1, capsize=2)
    if series.style == "points":
        axes.plot(series.x[finite], series.y[finite], color=colour, linewidth=0.7, linestyle=line, alpha=0.6)
    marker = SYMBOLS[series.symbol]
    axes.scatter(
        series.x[finite & firm],
        series.y[finite & firm],
        s=16,
        color=colour,
        marker=marker,
        label=plain(series.label),
        zorder=3,
    )
    axes.scatter(
        series.x[finite & ~firm], series.y[finite & ~firm], s=16, facecolors="white", edgecolors=colour, marker=marker,
        zorder=3,
    )  # fmt: skip


def draw_cells(axes: Axes, series: Series, scale: ScalarMappable) -> None:
    """Marks in the colours of their values; hollow where not firm or without a value."""
    assert series.values is not None
    firm = np.isfinite(series.values)
    if series.firm is not None:
        firm &= np.asarray(series.firm, dtype=bool)
    marker = SYMBOLS[series.symbol]
    lowest = scale.get_clim()[0]
    colours = scale.to_rgba(np.where(firm, series.values, 0.0 if lowest is None else lowest))
    size = 60 if series.symbol == "square" else 26
    axes.scatter(series.x[firm], series.y[firm], s=size, color=colours[firm], marker=marker, edgecolors="white",
                 linewidths=0.8, zorder=3, label=plain(series.label))  # fmt: skip
    axes.scatter(series.x[~firm], series.y[~firm], s=size, facecolors="none", marker=marker, edgecolors="#9aa4ae",
                 linewidths=0.8, zorder=3)  # fmt: skip
    for x, y, text in zip(series.x, series.y, series.texts, strict=False):
        axes.annotate(plain(text), (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=5.5,
                      color="white", path_effects=[withStroke(linewidth=1.1, foreground=INK)])  # fmt: skip


def scale_of(axes: Axes, what: Field) -> ScalarMappable:
    """Draws the background and the bar of its colours."""
    norm = (LogNorm if what.log else Normalize)(what.low, what.high)
    scale = ScalarMappable(norm, "viridis")
    if what.z.size:
        axes.pcolormesh(what.x, what.y, np.clip(what.z, what.low, what.high), norm=norm, cmap="viridis",
                        shading="gouraud", rasterized=True)  # fmt: skip
    bar = axes.figure.colorbar(scale, ax=axes, label=plain(what.label), fraction=0.06)
    bar.set_ticks(list(what.ticks), labels=[f"{tick:g}" for tick in what.ticks])
    bar.ax.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    return scale


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: a $ begins no formula."""
    return text.replace("$", r"\$")


def tick_names(panel: Panel) -> list[str]:
    """Text of the horizontal ticks."""
    return [plain(name) for name in panel.x_names] or [f"{tick:g}" for tick in panel.x_ticks]


def _folded(text: str, width: int = 64) -> str:
    """The text in lines of at most this many letters."""
    return "\n".join(textwrap.wrap(text, width))


def _any_positive(drawn: tuple[Series, ...], axis: str) -> bool:
    """Whether a logarithmic axis has anything to show: no point is drawn where nothing was usable."""
    return any((np.isfinite(one.x) & np.isfinite(one.y) & (getattr(one, axis) > 0)).any() for one in drawn)


def draw_panel(axes: Axes, panel: Panel, series: tuple[Series, ...] | None = None, legend: bool = True) -> Axes:
    """Draws the panel (or some of its series) on these axes and returns them."""
    with matplotlib.rc_context(STYLE):
        if panel.line_at is not None:
            line = axes.axvline if panel.rows else axes.axhline
            line(panel.line_at, color=INK, linewidth=0.7, linestyle=DASHES["dot"])
        drawn = panel.series if series is None else series
        scale = scale_of(axes, panel.field) if panel.field else None
        for one in drawn:
            if one.style != "cells":
                draw_series(axes, one)
            elif scale is not None:
                draw_cells(axes, one, scale)
        if panel.x_log and _any_positive(drawn, "x"):
            axes.set_xscale("log")
        if panel.y_log and _any_positive(drawn, "y"):
            axes.set_yscale("log")
            for locate in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                locate(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
        if panel.x_ticks:
            first, last = panel.x_ticks[0], panel.x_ticks[-1]
            room = 0.1 * (last - first) or 0.5
            axes.set_xlim(*((first / 1.4, last * 1.4) if panel.x_log else (first - room, last + room)))
            axes.set_xticks(panel.x_ticks, tick_names(panel))
            axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        if panel.field and panel.field.z.size:  # marks on its border are not cut
            for limits, places in ((axes.set_xlim, panel.field.x), (axes.set_ylim, panel.field.y)):
                room = 0.04 * (places[-1] - places[0])
                limits(places[0] - room, places[-1] + room)
        if panel.y_ticks:
            axes.set_yticks(panel.y_ticks, [plain(name) for name in panel.y_names] or None)
        if panel.rows:
            axes.set_yticks(range(len(panel.rows)), [plain(row) for row in panel.rows])
            axes.set_ylim(len(panel.rows) - 0.4, -0.6)
        if panel.empty:
            axes.text(0.5, 0.5, NOTHING, ha="center", va="center", transform=axes.transAxes)
            axes.set_yticks([])
        axes.set_title(plain(panel.title))
        axes.set_xlabel(plain(panel.x_label) + (f"\n{_folded(plain(panel.note))}" if panel.note else ""))
        axes.set_ylabel(plain(panel.y_label))
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        if legend and len(unique) > 1 and not panel.rows:
            axes.legend(unique.values(), unique.keys())
    return axes


def draw_chart(chart: Chart) -> Figure:
    """The whole chart with what is visible at first."""
    rows = -(-len(chart.panels) // chart.columns)
    with matplotlib.rc_context(STYLE):
        width = max(COLUMN_WIDTH, chart.panel_width * chart.columns)
        names = LETTER_WIDTH * max((len(row) for panel in chart.panels for row in panel.rows), default=0)
        if names > width - 1:
            width = names + 2  # long names of rows leave no room for what was measured
        # What stands over and under a panel is no wider than its axes, about.
        letters = max(20, int((width / chart.columns - (names or MARGIN)) / LETTER_WIDTH))
        figure = Figure(figsize=(width, chart.row_height * rows), layout="constrained")
        grid = figure.subplots(rows, chart.columns, squeeze=False).ravel()
        for axes in grid[len(chart.panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid, chart.panels, strict=False):
            shown = tuple(series for series in panel.series if chart.shows(series) and not series.empty)
            title, x_label = _folded(panel.title, letters), _folded(panel.x_label, letters)
            draw_panel(axes, replace(panel, title=title, x_label=x_label, note=""), shown, legend=False)
        entries = {
            label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if len(entries) < 2:
            entries = {}
        note = _folded(plain(chart.notes()), int(width / LETTER_WIDTH))
        if entries or note:
            # One legend under all panels: inside them it would cover data. So with the note: it may be wider than a
            # panel, and two panels may say the same.
            entry = max(1.5, LETTER_WIDTH * max(map(len, entries), default=0) + HANDLE_WIDTH)
            columns = max(1, int(width / entry))
            figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, title=note)
            lines = -(-len(entries) // columns) + len(note.splitlines())
            figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * lines)
    return figure


def save_chart(chart: Chart, directory: Path) -> list[Path]:
    """Writes directory/NAME.pdf, .svg (without dates, so that the same data give the same files) and .csv."""
    directory.mkdir(parents=True, exist_ok=True)
    figure = draw_chart(chart)
    written = []
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": chart.name}):
        layout = figure.get_layout_engine()
        assert layout is not None  # draw_chart asks for one
        layout.execute(figure)
        figure.set_layout_engine(None)  # laid out once for both files, which then need no drawing before they are drawn
        for ending, metadata in (("pdf", {"CreationDate": None}), ("svg", {"Date": None})):
            drawn = BytesIO()  # of a full disk matplotlib's writers say "AttributeError"
            figure.savefig(drawn, format=ending, metadata=metadata)
            written.append(directory / f"{chart.name}.{ending}")
            written[-1].write_bytes(drawn.getvalue())
    written.append(directory / f"{chart.name}.csv")
    table = chart.frame().map(harmless)
    table.rename(columns=lambda name: str(harmless(name))).to_csv(written[-1], index=False)
    return written


@contextmanager
def saving_charts(charts: Iterable[Chart], directory: Path) -> Iterator[None]:
    """save_chart for each, on all cores, while the body of the `with` runs; at its end all are written. After an error
    or Ctrl-C those that have not begun never do."""
    directory.mkdir(parents=True, exist_ok=True)
    workers = len(os.sched_getaffinity(0))
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=fork, initializer=_begin_to_draw) as pool:
        try:
            written = pool.map(partial(save_chart, directory=directory), charts)
            yield
            list(written)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_to_draw() -> None:
    """In each process of the pool."""
    leave_interrupts_to_the_parent()
    # What was there before the fork is no garbage, and a tenth of the time went into looking for it there.
    gc.freeze()
