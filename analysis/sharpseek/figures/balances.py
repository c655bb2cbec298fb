"""Balance of squared gradients by kind of symmetry; units without the symmetry are the control."""

from __future__ import annotations

import numpy as np

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import single_runs, source
from sharpseek.files import Experiment
from sharpseek.verdicts import Verdict, balance_table


def balance_panel(experiments: list[Experiment]) -> Panel:
    """Relative imbalance of every kind of balance in every experiment, with 95 % intervals."""
    rows = [(f"{e.name}: {row.kind}", row) for e in experiments for row in balance_table(e.run).itertuples()]
    series = []
    for label, conserved, colour in (("symmetry: must be 0", True, 2), ("control: no symmetry", False, 1)):
        chosen = [(i, row) for i, (_, row) in enumerate(rows) if row.conserved == conserved]
        if not chosen:
            continue
        series.append(
            Series(
                label,
                np.array([row.mean for _, row in chosen], dtype=float),
                np.array([i for i, _ in chosen], dtype=float),
                "mark",
                colour,
                low=np.array([row.low for _, row in chosen], dtype=float),
                high=np.array([row.high for _, row in chosen], dtype=float),
                firm=np.array([2 * row.usable >= row.replicas for _, row in chosen]),
                tags={"kind": label},
                notes=[f"{row.usable} of {row.replicas} replicas usable" for _, row in chosen],
            )
        )
    return Panel(
        "relative imbalance", "squared gradients: in − out over in + out", "", tuple(series),
        rows=tuple(name for name, _ in rows), line_at=0.0,
    )  # fmt: skip


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    chosen = list(single_runs(experiments, "balance_difference"))
    if not chosen:
        return []
    panel = balance_panel(chosen)
    return [
        Chart(
            "balances",
            "Squared gradients balance where two factors can be rescaled against each other",
            "Over the last half of the records and usable replicas, with 95 % intervals. Green must be 0 at every "
            "learning rate; orange has no symmetry and is the control.",
            "; ".join(source(e, "balance_difference", "balance_sum") for e in chosen),
            (panel,),
            columns=1,
            row_height=max(1.8, 0.2 * len(panel.rows) + 0.9),
        )
    ]
