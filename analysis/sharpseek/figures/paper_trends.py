"""The paper's figures over the condition number, the horizon, the dimension and the size of the labels."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import DASHES, SYMBOLS
from sharpseek.figures.paper_common import NAMES, STEPS, chart_of, over_steps, references, runs_of, spread
from sharpseek.files import Experiment
from sharpseek.paper_figures import PaperFigure
from sharpseek.summaries import last_half, points
from sharpseek.verdicts import Verdict
from sharpseek.verdicts.effect import student_interval
from sharpseek.verdicts.paper_labels import expected_trace
from sharpseek.verdicts.paper_networks import loss_of
from sharpseek.verdicts.paper_plateau import HORIZONS, horizon_heights, orientations
from sharpseek.verdicts.rules import LEVEL


def relative(run: xr.Dataset, here: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Of replicas that differ in kappa and seed: kappa, T late in the run over that at kappa 1, low, high."""
    late = np.log(last_half(run, "trace").values)
    good = here & (run["status"].values == 0) & np.isfinite(late)
    kappas = np.unique(run["condition"].values[good])
    groups = [late[good & (run["condition"].values == k)] for k in kappas]
    if len(kappas) < 2 or kappas[0] != 1 or min(map(len, groups)) < 2:
        return None
    base = groups[0]
    rows = []
    for group in groups:
        shift = float(group.mean() - base.mean())
        own = [float(np.var(g, ddof=1) / len(g)) for g in ((group, base) if group is not base else ())]
        half = student_interval(0.0, float(np.sqrt(sum(own))), min(len(group), len(base)))(LEVEL)[1] if own else 0.0
        rows.append(np.exp([shift, shift - half, shift + half]))
    y, low, high = np.array(rows).T
    return kappas, y, low, high


def relative_chart(experiments: list[Experiment], figure: PaperFigure, verdicts: list[Verdict]) -> list[Chart]:
    """Figure 3: relative sharpness over the condition number, by loss; and the plateau over the horizon."""
    panels: dict[str, list[Series]] = {}
    heights: list[Series] = []
    for place, experiment in enumerate(experiments):
        for group, run in runs_of(experiment):
            if "condition" not in run.coords or "trace" not in run:
                continue
            for number, (words, here) in enumerate(orientations(run)):
                label = ", ".join(filter(None, (experiment.name.removeprefix("figure-3-"), group, words)))
                if found := relative(run, here):
                    x, y, low, high = found
                    panels.setdefault(loss_of(run), []).append(
                        Series(label, x, y, "points", place, low, high, dash=DASHES[number % 3],
                               symbol=SYMBOLS[number % 4], tags={"network": label})
                    )  # fmt: skip
                if (plateau := _plateau(run, here)) is not None:
                    y, low, high = plateau
                    x = run["step"].values[-1] * np.array(HORIZONS) / HORIZONS[-1]
                    heights.append(Series(label, x, y, "points", place, low, high, dash=DASHES[number % 3],
                                          symbol=SYMBOLS[number % 4], tags={"network": label}))  # fmt: skip
    drawn = [
        Panel(f"relative sharpness, {loss} error" if loss == "squared" else f"relative sharpness, {loss}",
              "condition number", "T / T at condition 1", tuple(series), x_log=True, y_log=True, line_at=1.0)
        for loss, series in panels.items()
    ]  # fmt: skip
    if heights:
        drawn.append(
            Panel("its height at the largest condition", "horizon in steps", "T / T at condition 1", tuple(heights),
                  x_log=True, y_log=True, line_at=1.0)
        )  # fmt: skip
    return [chart_of(figure, experiments, tuple(drawn), verdicts, "trace")] if drawn else []


def _plateau(run: xr.Dataset, here: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    heights = horizon_heights(run)
    levels = np.unique(run["condition"].values)
    parts = [heights[:, here & (run["condition"].values == k)] for k in (levels[-1], levels[0])]
    parts = [p[:, np.isfinite(p).all(axis=0)] for p in parts]
    if levels[0] != 1 or len(levels) < 2 or min(p.shape[1] for p in parts) < 2:
        return None
    shift = parts[0].mean(axis=1) - parts[1].mean(axis=1)
    error = np.sqrt(sum(p.var(axis=1, ddof=1) / p.shape[1] for p in parts))
    half = student_interval(0.0, 1.0, min(p.shape[1] for p in parts))(LEVEL)[1] * error
    return np.exp(shift), np.exp(shift - half), np.exp(shift + half)


def depth_chart(experiments: list[Experiment], figure: PaperFigure, verdicts: list[Verdict]) -> list[Chart]:
    """Figure 7: T / D and lambda_max over the condition number, a series for each depth, with Theorem 1."""
    panels = []
    for name in ("trace", "sharpness"):
        series: list[Series] = []
        for experiment in experiments:
            for colour, (_, run) in enumerate(runs_of(experiment)):
                if name in run and "condition" in run.coords:
                    series += _depth_series(run, name, colour)
        y = "T / D" if name == "trace" else NAMES[name]
        if series:
            panels.append(Panel(y, "condition number", y, tuple(series), x_log=True, y_log=True))
    return [chart_of(figure, experiments, tuple(panels), verdicts, "trace", "sharpness")] if panels else []


def _depth_series(run: xr.Dataset, name: str, colour: int) -> list[Series]:
    depth = run.sizes["layer"]
    scale = 2 * depth if name == "trace" else 2
    x, rows = [], []
    for kappa in np.unique(run["condition"].values):
        good = (run["condition"].values == kappa) & (run["status"].values == 0)
        if good.sum() > 1:
            x.append(float(kappa))
            rows.append(spread(last_half(run, name).values[good] / scale))
    if not rows:
        return []
    y, low, high = np.array(rows).T
    tags = {"depth": f"D = {depth}"}
    found = [Series(f"D = {depth}", np.array(x), y, "points", colour, low, high, tags=tags)]
    if f"closed_form_{name}" in run:
        closed = [run[f"closed_form_{name}"].values[run["condition"].values == k].mean() / scale for k in x]
        found.append(
            Series(f"Theorem 1, D = {depth}", np.array(x), np.array(closed), "reference", colour, dash="dot", tags=tags)
        )
    return found


def power_chart(experiments: list[Experiment], figure: PaperFigure, verdicts: list[Verdict]) -> list[Chart]:
    """Corollary 4: T over the dimension, a series for each law, with Theorem 1."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for experiment in experiments:
        for _, run in runs_of(experiment):
            if "closed_form_trace" not in run or "trace" not in run:
                continue
            for here in points(run):
                good = here & (run["status"].values == 0)
                if good.sum() < 2:
                    continue
                y, low, high = spread(last_half(run, "trace").values[good] / 2)
                closed = float(run["closed_form_trace"].values[here].mean()) / 2
                found.setdefault(_law(run, here), []).append(
                    (float(run.sizes["output"]), float(y), float(low), float(high), closed)
                )
    series: list[Series] = []
    for colour, (law, rows) in enumerate(found.items()):
        x, y, low, high, closed = np.array(sorted(rows)).T
        tags = {"law": law}
        series.append(Series(law, x, y, "points", colour, low, high, tags=tags))
        series.append(Series(f"Theorem 1, {law}", x, closed, "reference", colour, dash="dot", tags=tags))
    panel = Panel("T over the dimension", "dimension d", "T", tuple(series), x_log=True, y_log=True)
    return [chart_of(figure, experiments, (panel,), verdicts, "trace")] if series else []


def _law(run: xr.Dataset, here: np.ndarray) -> str:
    """Exponents of the power laws, from the first and the second largest value of each."""
    first = int(np.argmax(here))
    matrices = (run["noise_covariance"].values[first], run["input_covariance"].values, run["teacher"].values)
    exponents = []
    for matrix in matrices:
        values = np.linalg.svd(matrix, compute_uv=False)
        exponents.append(round(float(np.log2(values[0] / values[1])), 2) + 0.0)
    return "noise {:g}, inputs {:g}, teacher {:g}".format(*exponents)


def label_chart(experiments: list[Experiment], figure: PaperFigure, verdicts: list[Verdict]) -> list[Chart]:
    """Proposition 1: T over steps for each size of the labels, with the mean T of the initial weights."""
    panels = []
    for experiment in experiments:
        for group, run in runs_of(experiment):
            if "trace" not in run or "teacher" not in run:
                continue
            series = over_steps(run, run["trace"].values / 2)
            ends = run["step"].values[[0, -1]].astype(float)
            start = Series("Proposition 1, start", ends, np.full(2, expected_trace(run) / 2), "reference", dash="solid")
            lines = references(run, "trace", (ends[0], ends[1]))
            panels.append(Panel(f"T, {group}" if group else "T", STEPS, "T", (*series, start, *lines), y_log=True))
    return [chart_of(figure, experiments, tuple(panels), verdicts, "trace")] if panels else []
