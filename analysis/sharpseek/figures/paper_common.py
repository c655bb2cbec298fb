"""What the figures of the paper share: means over seeds in its units, lines of its theory, and what a caption says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import readable, source, thinned, value_text
from sharpseek.files import Experiment
from sharpseek.groups import group_axes, smallest_rate_runs
from sharpseek.paper_figures import PaperFigure
from sharpseek.summaries import points, swept
from sharpseek.verdicts import Verdict
from sharpseek.verdicts.effect import student_interval
from sharpseek.verdicts.paper_networks import loss_of
from sharpseek.verdicts.rules import LEVEL

STEPS = "steps"
NAMES = {"trace": "T", "sharpness": "λ_max"}
SAME = 0.01
"""Relative distance below which the limit of small rates is not drawn next to Theorem 1."""


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis and its 95 % interval (Student t); no interval of one seed."""
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(mean.shape, np.nan)
    low, high = student_interval(mean, error, len(values))(LEVEL)  # type: ignore[arg-type]
    return mean, np.asarray(low), np.asarray(high)


def scale_of(run: xr.Dataset) -> float:
    """Our curvature over theirs: their squared error has a factor 1/2, their cross-entropy none."""
    return 2.0 if loss_of(run) == "squared" else 1.0


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
    seen: set[tuple[str, float]] = set()
    for colour, here in enumerate(points(run)):
        if closed not in run or not np.isfinite(run[closed].values[here]).all():
            continue
        value = float(run[closed].values[here].mean())
        other = float(run[limit].values[here].mean()) if limit in run else np.nan
        lines = [("Theorem 1", value, "dot")]
        if abs(other / value - 1) > SAME:
            lines.append(("limit of small rates", other, "solid"))
        # Starts do not change them.
        kappa = value_text("condition", run["condition"].values[np.argmax(here)]) if "condition" in run.coords else ""
        for label, height, dash in lines:
            if (label, round(height, 9)) not in seen:
                seen.add((label, round(height, 9)))
                line(", ".join(filter(None, (label, kappa))), height, colour, dash)
    return found


def steps_panel(run: xr.Dataset, name: str, group: str = "") -> Panel:
    """T or lambda_max over steps with its theory."""
    series = over_steps(run, run[name].values / scale_of(run), first=1)
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


def chart_of(
    figure: PaperFigure, experiments: list[Experiment], panels: tuple[Panel, ...], verdicts: list[Verdict], *names: str
) -> Chart:
    mine = [v for v in verdicts if v.claim in figure.claims and v.subject in {e.name for e in experiments}]
    said = "; ".join(f"{v.claim} {v.outcome} ({v.subject})" for v in mine) or "drawn, not judged"
    caption = (
        f"The paper: {figure.says} Here: {said}. Given there: {figure.given} Chosen here: {figure.chosen} Means over "
        "seeds with 95 % intervals, T = trace / 2 as the paper defines it. Dashed: T_min; dotted: Theorem 1; a solid "
        "line without marks: the limit of small rates, where it is another one."
    )
    return Chart(
        f"paper-{figure.name}", f"{figure.name} of the paper", caption,
        "; ".join(source(e, *names) for e in experiments), panels, columns=min(3, max(1, len(panels))), row_height=3.2,
    )  # fmt: skip
