"""Charts as plotly figures (plain dicts in plotly's JSON schema), for the report."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from sharpseek.figures.chart import NOTHING, Chart, Field, Panel, Series, colour_of

INK = "ink"
"""Stands for the page's text colour, which the report's script fills in for light and dark."""
ROW_PIXELS = 24


def packed(values: np.ndarray) -> dict[str, str] | list[float | None]:
    """Numbers as plotly's base64 typed array: float32, whose seven digits are more than a screen or a hover shows."""
    array = np.asarray(values, dtype="<f4")
    if len(array) < 8:
        return [None if not np.isfinite(v) else float(f"{v:.7g}") for v in np.asarray(values, dtype=float)]
    return {"dtype": "f4", "bdata": base64.b64encode(array.tobytes()).decode()}


def escaped(text: str) -> str:
    """Text that plotly shows as it is: not as its tags, nor as places for numbers."""
    found = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return found.replace("%{", "%&#123;").replace("\n", " ")


def _error_bars(series: Series, value: np.ndarray, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": packed(np.asarray(series.high) - value),
        "arrayminus": packed(value - np.asarray(series.low)),
        "color": colour,
        "thickness": 1.3,
        "width": 3,
    }


def _scatter(series: Series, axis: str, visible: bool) -> dict[str, Any]:
    """What every plotly trace of a series has."""
    return {
        "type": "scatter",
        "name": series.label,
        "x": packed(series.x),
        "y": packed(series.y),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "visible": visible,
        "meta": dict(series.tags),
        "showlegend": False,
    }


def trace_of(series: Series, panel: Panel, axis: str, visible: bool) -> list[dict[str, Any]]:
    """The plotly traces of one series: one, or two where a line has a band."""
    colour = INK if series.colour is None else colour_of(series.colour)
    trace = _scatter(series, axis, visible)
    if series.style in ("line", "reference", "thin"):
        width = {"line": 2, "reference": 1.3, "thin": 0.7}[series.style]
        trace |= {"mode": "lines", "line": {"color": colour, "width": width, "dash": series.dash}}
        trace["opacity"] = 0.45 if series.style == "thin" else 1
        trace["hovertemplate"] = f"{escaped(series.label)}<br>%{{x:.4g}}, <b>%{{y:.5g}}</b><extra></extra>"
        if series.low is None:
            return [trace]
        band = dict(trace)
        band |= {
            "x": packed(np.concatenate([series.x, series.x[::-1]])),
            "y": packed(np.concatenate([series.high, series.low[::-1]])),
            "fill": "toself",
            "fillcolor": colour,
            "opacity": 0.18,
            "line": {"width": 0},
            "hoverinfo": "skip",
        }
        del band["hovertemplate"]
        return [band, trace]
    firm = np.ones(len(series.x), dtype=bool) if series.firm is None else np.asarray(series.firm, dtype=bool)
    symbols = {"circle": "circle", "square": "square", "diamond": "diamond", "triangle": "triangle-up"}
    mark = symbols[series.symbol]
    trace["mode"] = "lines+markers" if series.style == "points" else "markers"
    trace["marker"] = {"color": colour, "size": 8, "symbol": [mark if f else f"{mark}-open" for f in firm]}
    trace["line"] = {"color": colour, "width": 1, "dash": series.dash}
    value, key = (series.x, "error_x") if series.style == "mark" else (series.y, "error_y")
    interval = [""] * len(series.x)
    if series.low is not None and series.high is not None:
        trace[key] = _error_bars(series, value, colour)
        interval = [
            f"<br>95 % interval {lo:.5g} to {hi:.5g}" if np.isfinite(lo) else "<br>no interval"
            for lo, hi in zip(series.low, series.high, strict=True)
        ]
    notes = list(series.notes) or [""] * len(series.x)
    trace["text"] = [
        span + (f"<br>{escaped(note)}" if note else "") for span, note in zip(interval, notes, strict=True)
    ]
    where = "" if series.style == "mark" else f"{escaped(panel.x_label)} %{{x:.4g}}<br>"
    number = "%{x:.5g}" if series.style == "mark" else "%{y:.5g}"
    trace["hovertemplate"] = f"{escaped(series.label)}<br>{where}<b>{number}</b>%{{text}}<extra></extra>"
    return [trace]


def _on_scale(what: Field, values: np.ndarray) -> np.ndarray:
    """Values as the scale counts them: logarithms, or themselves."""
    return np.log10(values) if what.log else np.asarray(values, dtype=float)


def _scale(what: Field) -> dict[str, Any]:
    """The ends of a scale of colours."""
    low, high = _on_scale(what, np.array([what.low, what.high]))
    return {"colorscale": "Viridis", "cmin": float(low), "cmax": float(high)}


def _bar(what: Field) -> dict[str, Any]:
    return {
        "title": {"text": escaped(what.label), "side": "right"},
        "tickvals": _on_scale(what, np.array(what.ticks)).tolist(),
        "ticktext": [f"{tick:g}" for tick in what.ticks],
        "thickness": 12,
        "outlinewidth": 0,
    }


def background(what: Field, axis: str, bar: bool) -> dict[str, Any]:
    """The field as a plotly trace; where it is a scale alone, without anything to see but its bar."""
    scale = _scale(what)
    z = np.round(_on_scale(what, np.clip(what.z, what.low, what.high)), 4)
    return {
        "type": "heatmap",
        "name": what.label,
        "x": what.x.tolist() or [0.0],
        "y": what.y.tolist() or [0.0],
        "z": z.tolist() or [[None]],
        "zsmooth": "best" if what.z.size else False,
        "colorscale": scale["colorscale"],
        "zmin": scale["cmin"],
        "zmax": scale["cmax"],
        "showscale": bar,
        "colorbar": _bar(what),
        "hoverinfo": "skip",
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "meta": {},
    }


def cells(series: Series, panel: Panel, axis: str, visible: bool) -> dict[str, Any]:
    """Marks in the colours of their values; hollow where not firm or without a value."""
    assert series.values is not None and panel.field is not None
    none = np.full(len(series.x), np.nan)
    low, high = (none if end is None else np.asarray(end) for end in (series.low, series.high))
    firm = np.isfinite(series.values)
    if series.firm is not None:
        firm &= np.asarray(series.firm, dtype=bool)
    mark = {"circle": "circle", "square": "square", "diamond": "diamond", "triangle": "triangle-up"}[series.symbol]
    rows = np.stack([series.values, low, high], axis=1)
    said = [
        f"<b>{value:.5g}</b>, 95 % interval {lo:.5g} to {hi:.5g}" if np.isfinite(value) else "no value"
        for value, lo, hi in rows
    ]
    notes = list(series.notes) or [""] * len(said)
    floor = panel.field.low
    colours = _on_scale(panel.field, np.where(firm, series.values, floor))
    return _scatter(series, axis, visible) | {
        "mode": "markers",
        "customdata": [[None if not np.isfinite(v) else float(f"{v:.7g}") for v in row] for row in rows],
        "marker": {
            "color": colours.tolist(),
            "symbol": [mark if f else f"{mark}-open" for f in firm],
            "size": 11,
            "line": {"color": "white", "width": 1},
            **_scale(panel.field),
        },
        "text": [text + (f"<br>{escaped(note)}" if note else "") for text, note in zip(said, notes, strict=True)],
        "hovertemplate": f"{escaped(series.label)}<br>%{{text}}<extra></extra>",
    }


def _axes_of(panel: Panel, axis: str, x: list[float], y: list[float]) -> dict[str, Any]:
    horizontal: dict[str, Any] = {
        "domain": x,
        "anchor": f"y{axis}",
        "title": {"text": escaped(panel.x_label), "standoff": 8},
        "type": "log" if panel.x_log else "linear",
    }
    vertical: dict[str, Any] = {
        "domain": y,
        "anchor": f"x{axis}",
        "title": {"text": escaped(panel.y_label), "standoff": 6},
        "type": "log" if panel.y_log else "linear",
        "exponentformat": "power",
    }
    if panel.x_ticks:
        names = [escaped(name) for name in panel.x_names] or [f"{tick:g}" for tick in panel.x_ticks]
        horizontal |= {"tickvals": list(panel.x_ticks), "ticktext": names}
    if panel.y_ticks:
        names = [escaped(name) for name in panel.y_names] or [f"{tick:g}" for tick in panel.y_ticks]
        vertical |= {"tickvals": list(panel.y_ticks), "ticktext": names}
    if panel.rows:
        vertical |= {
            "tickvals": list(range(len(panel.rows))),
            "ticktext": [escaped(row) for row in panel.rows],
            "range": [len(panel.rows) - 0.4, -0.6],
            "automargin": True,
        }
    return {f"xaxis{axis}": horizontal, f"yaxis{axis}": vertical}


def plotly_figure(chart: Chart) -> dict[str, Any]:
    """{data, layout, titles, rows} of the chart: panels in a grid, tags of each trace in its `meta`.

    `titles` and `rows` (names of rows, empty without) are those of each panel as they are, for tables.
    """
    rows = -(-len(chart.panels) // chart.columns)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"annotations": [], "shapes": []}
    heights = [
        max(
            [chart.row_height * 96]
            + [ROW_PIXELS * len(p.rows) + 80 for p in chart.panels[row * chart.columns : (row + 1) * chart.columns]]
        )
        for row in range(rows)
    ]
    total = sum(heights)
    layout["height"] = int(total + 40)
    top = 1.0
    for index, panel in enumerate(chart.panels):
        row, column = divmod(index, chart.columns)
        if column == 0 and row > 0:
            top -= heights[row - 1] / total
        gap = 0.075 if chart.columns > 1 else 0.0
        width = (1 - gap * (chart.columns - 1)) / chart.columns
        left = column * (width + gap)
        below = 60 / total if rows > 1 or row + 1 < rows else 0.0
        axis = "" if index == 0 else str(index + 1)
        x = [left, left + width]
        y = [max(0.0, top - heights[row] / total + (below if row + 1 < rows else 0.0)), top - 24 / total]
        layout |= _axes_of(panel, axis, x, y)
        layout["annotations"].append(
            {"text": f"<b>{escaped(panel.title)}</b>", "xref": "paper", "yref": "paper", "x": left, "y": y[1],
             "xanchor": "left", "yanchor": "bottom", "showarrow": False}
        )  # fmt: skip
        if panel.empty:
            layout["annotations"].append(
                {"text": NOTHING, "xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 0.5,
                 "showarrow": False}
            )  # fmt: skip
        if panel.line_at is not None:
            along = {"x0": panel.line_at, "x1": panel.line_at, "y0": 0, "y1": 1}
            across = {"x0": 0, "x1": 1, "y0": panel.line_at, "y1": panel.line_at}
            refs = {"xref": f"x{axis}", "yref": f"y{axis} domain"}
            if not panel.rows:
                refs = {"xref": f"x{axis} domain", "yref": f"y{axis}"}
            layout["shapes"].append(
                {"type": "line", **(along if panel.rows else across), **refs,
                 "line": {"color": INK, "width": 1, "dash": "dot"}}
            )  # fmt: skip
        if panel.field:
            data.append(background(panel.field, axis, bar=index == 0))
        for series in panel.series:
            if series.style == "cells":
                data.append(cells(series, panel, axis, chart.shows(series)))
            else:
                data += trace_of(series, panel, axis, chart.shows(series))
    titles, names = [panel.title for panel in chart.panels], [list(panel.rows) for panel in chart.panels]
    return {"data": data, "layout": layout, "titles": titles, "rows": names}
