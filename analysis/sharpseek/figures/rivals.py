"""Where SGD ends, against where rival predictors would have it end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import readable
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict, rival_table
from sharpseek.verdicts.rivals import CALM, FLAT, FLOW
from sharpseek.verdicts.rules import USABLE_SHARE

COLOURS = {FLOW: 0, CALM: 2, FLAT: 1}
SYMBOLS = {FLOW: "circle", CALM: "square", FLAT: "diamond"}


def _panel(table: pd.DataFrame, quantity: str) -> Panel:
    part = table[table["quantity"] == quantity]
    keys = list(dict.fromkeys(zip(part["experiment"], part["setting"], strict=True)))
    rows = tuple(", ".join(filter(None, key)) for key in keys)
    series = []
    for name in (FLOW, CALM, FLAT):
        mine = part[part["predictor"] == name]
        if not len(mine):
            continue
        place = [keys.index(key) for key in zip(mine["experiment"], mine["setting"], strict=True)]
        series.append(
            Series(
                f"measured / {name}", mine["ratio"].to_numpy(), np.array(place, dtype=float), "mark", COLOURS[name],
                low=mine["low"].to_numpy(), high=mine["high"].to_numpy(),
                firm=(mine["usable"] >= USABLE_SHARE * mine["replicas"]).to_numpy(), symbol=SYMBOLS[name],
                tags={"predictor": name},
                notes=[f"predicted {row.predicted:.4g}, measured {row.measured:.4g}" for row in mine.itertuples()],
            )
        )  # fmt: skip
    return Panel(readable(quantity), "measured / predicted", "", tuple(series), rows=rows, line_at=1.0)


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    tables = [table for experiment in experiments if len(table := rival_table(experiment))]
    if not tables:
        return []
    table = pd.concat(tables, ignore_index=True)
    if not np.isfinite(table["measured"]).any():
        return []
    panels = tuple(_panel(table, quantity) for quantity in dict.fromkeys(table["quantity"]))
    height = max(1.6, 0.19 * max(len(panel.rows) for panel in panels) + 0.9)
    return [
        Chart(
            "rivals",
            "Which predictor says where SGD ends?",
            "Measured over predicted, 1 where a predictor is right. Minimal fluctuation and minimal trace: the minimum "
            "of either next to the path. The slow flow exists for linear networks and where a network fits its data. "
            "95 % intervals over seeds; open marks: too few usable replicas.",
            "all runs with measure.rivals or closed_form_*",
            panels,
            columns=1,
            row_height=height,
        )
    ]
