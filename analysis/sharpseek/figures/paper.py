"""The figures of arXiv:2602.05065 in its axes and units: T is half of our trace, lambda_max half of our sharpness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import DASHES, SYMBOLS, readable, source, thinned, value_text
from sharpseek.files import Experiment
from sharpseek.groups import group_axes, smallest_rate_runs
from sharpseek.linear_weights import layer_conditions
from sharpseek.paper_figures import PAPER, PaperFigure, figures_of
from sharpseek.summaries import last_half, points, swept
from sharpseek.verdicts import Verdict
from sharpseek.verdicts.effect import student_interval
from sharpseek.verdicts.paper_labels import expected_trace
from sharpseek.verdicts.paper_networks import loss_of
from sharpseek.verdicts.paper_plateau import HORIZONS, horizon_heights, orientations
from sharpseek.verdicts.rules import LEVEL

STEPS = "steps"
NAMES = {"trace": "T", "sharpness": "λ_max"}
SAME = 0.01
"""Relative distance below which the limit of small rates is not drawn beside Theorem 1."""


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis and its 95 % interval (Student t); no interval of one seed."""
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(mean.shape, np.nan)
    low, high = student_interval(mean, error, len(values))(LEVEL)  # type: ignore[arg-type]
    return mean, np.asarray(low), np.asarray(high)


def words_of(run: xr.Dataset, here: np.ndarray) -> str:
    """What tells these replicas from others, in words."""
    first = int(np.argmax(here))
    return ", ".join(value_text(axis, run[axis].values[first]) for axis in swept(run) if axis != "learning_rate")


def over_steps(run: xr.Dataset, values: np.ndarray, *, first: int = 0, group: str = "") -> list[Series]:
    """Means over finished seeds of values [replica, time], a series for each sweep point."""
    records = thinned(run, first)
    steps = run["step"].values.astype(float)
    steps = steps[records] if steps.ndim == 1 else steps[0][records]
    found = []
    for colour, here in enumerate(points(run)):
        good = here & (run["status"].values == 0)
        if not good.any():
            continue
        mean, low, high = spread(values[good][:, records])
        text = ", ".join(filter(None, (group, words_of(run, here)))) or "all seeds"
        found.append(Series(text, steps, mean, "line", colour, low=low, high=high, tags={"point": text}))
    return found


def references(run: xr.Dataset, name: str, ends: tuple[float, float]) -> list[Series]:
    """Dashed: T_min; dotted: Theorem 1; long line: the limit of small rates where it is another one."""
    x = np.array(ends)
    found: list[Series] = []

    def line(label: str, value: float, colour: int | None, dash: str) -> None:
        found.append(Series(label, x, np.full(2, value / 2), "reference", colour, dash=dash))

    flattest = f"closed_form_flattest_{name}"
    if name == "trace" and flattest in run:
        line("T_min", float(run[flattest].values[0]), None, "dash")
    closed, limit = f"closed_form_{name}", f"small_lr_limit_{name}"
    seen: set[float] = set()
    for colour, here in enumerate(points(run)):
        if closed not in run or not np.isfinite(run[closed].values[here]).all():
            continue
        value = float(run[closed].values[here].mean())
        if round(value, 9) not in seen:
            seen.add(round(value, 9))
            line(f"Theorem 1, {words_of(run, here) or 'all'}", value, colour, "dot")
        if limit in run and (other := float(run[limit].values[here].mean())) and abs(other / value - 1) > SAME:
            line(f"limit of small rates, {words_of(run, here) or 'all'}", other, colour, "solid")
    return found


def steps_panel(run: xr.Dataset, name: str, group: str = "") -> Panel:
    """T or lambda_max over steps with its theory."""
    series = over_steps(run, run[name].values / 2, first=1)
    steps = np.asarray(run["step"].values, dtype=float).ravel()
    lines = references(run, name, (float(steps.min()), float(steps.max())))
    title = ", ".join(filter(None, (NAMES[name], group)))
    return Panel(title, STEPS, NAMES[name], (*series, *lines), y_log=True)


def runs_of(experiment: Experiment) -> Iterator[tuple[str, xr.Dataset]]:
    """The runs at the smallest rate, with what tells them apart in words."""
    for name, run in smallest_rate_runs(experiment).items():
        axes = group_axes(name, run)
        axes.pop("learning_rate", None)
        words = [f"{readable(k)} {v}" for k, v in axes.items()]
        yield ", ".join(w if len(w) < 60 else f"{w[:57]}..." for w in words), run


def trajectories(experiment: Experiment, names: tuple[str, ...] = ("trace", "sharpness")) -> list[Panel]:
    return [steps_panel(run, name, group) for name in names for group, run in runs_of(experiment) if name in run]


def layer_panels(experiment: Experiment) -> list[Panel]:
    """Condition numbers of W_1 .. W_D over steps (figure 6)."""
    found = []
    for group, run in runs_of(experiment):
        if "parameters" not in run or "teacher" not in run:
            continue
        values = layer_conditions(run)
        for i, layer in enumerate(run["layer"].values):
            series = over_steps(run, values[..., i], group=group)
            found.append(Panel(f"condition number of {layer}", STEPS, "condition number", tuple(series), y_log=True))
    return found


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
    return [_chart(figure, experiments, tuple(drawn), verdicts, "trace")] if drawn else []


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
    return [_chart(figure, experiments, tuple(panels), verdicts, "trace", "sharpness")] if panels else []


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
    return [_chart(figure, experiments, (panel,), verdicts, "trace")] if series else []


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
    return [_chart(figure, experiments, tuple(panels), verdicts, "trace")] if panels else []


def _chart(
    figure: PaperFigure, experiments: list[Experiment], panels: tuple[Panel, ...], verdicts: list[Verdict], *names: str
) -> Chart:
    mine = [v for v in verdicts if v.claim in figure.claims and v.subject in {e.name for e in experiments}]
    said = "; ".join(f"{v.claim} {v.outcome} ({v.subject})" for v in mine) or "not judged here"
    caption = (
        f"The paper: {figure.says} Here: {said}. Given there: {figure.given} Chosen here: {figure.chosen} Means over "
        "seeds with 95 % intervals, T = trace / 2 as the paper defines it. Dashed: T_min; dotted: Theorem 1; a solid "
        "line without marks: the limit of small rates, where it is another one."
    )
    return Chart(
        f"paper-{figure.name}", f"{figure.name} of the paper", caption,
        "; ".join(source(e, *names) for e in experiments), panels, columns=min(3, max(1, len(panels))), row_height=3.2,
    )  # fmt: skip


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    """A chart for every figure of the paper that these experiments redraw."""
    mine: dict[str, tuple[PaperFigure, list[Experiment]]] = {}
    for experiment in experiments:
        if not any(claim.startswith("P") for claim in experiment.claims) and "theorem-1" not in experiment.name:
            continue
        for figure in figures_of(experiment.name):
            mine.setdefault(figure.name, (figure, []))[1].append(experiment)
    special = {
        "Figure 3": relative_chart,
        "Figure 7": depth_chart,
        "Corollary 4": power_chart,
        "Proposition 1": label_chart,
    }
    found: list[Chart] = []
    for name, (figure, members) in mine.items():
        if name in special:
            found += special[name](members, figure, verdicts)
            continue
        panels = [p for e in members for p in (layer_panels(e) if name == "Figure 6" else trajectories(e))]
        if panels:
            found.append(_chart(figure, members, tuple(panels), verdicts, "trace", "sharpness"))
    order = [figure.name for figure in PAPER]
    return sorted(found, key=lambda chart: order.index(chart.title.removesuffix(" of the paper")))
