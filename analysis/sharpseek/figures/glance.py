"""The report's first picture: whether flat and sharp starts meet, and where they end as the noise becomes uneven."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sharpseek.figures.beyond import CLAIM, KAPPAS, limit, saturation_rows
from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import (
    CONDITION,
    Start,
    axis_of,
    conditions,
    mean_and_interval,
    means,
    points,
    source,
    starts,
    thinned,
)
from sharpseek.files import Experiment
from sharpseek.rates import join_rates
from sharpseek.summaries import smallest_rate, start_axis
from sharpseek.verdicts import Verdict

ABOUT_STARTS = ("C5", "C2", "P3")
"""Claims whose experiments show best that starts meet, best first."""
FEWEST = 3
"""Seeds that a band needs: that of two would hide everything else."""
MOST_NETWORKS = 4
"""Nonlinear networks drawn where no theory is at hand."""
LEGEND = (
    "Lines from the starts and points are SGD; the other lines are theory; bands and bars: 95 % over seeds; open "
    "points: too few usable runs."
)
"""The first sentence of the caption, which the report shows; the others fold out."""
TIME = "training time: rate² × steps / batch"
UNEVENNESS = "κ: largest / smallest variance of the noise"
RELATIVE = "times the flattest minimum"
THEORY = "theory for small rates"
FLATTEST = "closed_form_flattest_trace"


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    """One chart of the panels that these experiments have data for; none without any."""
    asked = [e for e in experiments if not e.claims or any(not name.startswith("C9") for name in e.claims)]
    found = [part for part in (_meeting(asked), _ends(asked)) if part is not None]
    if not found:
        return []
    panels, captions, sources = zip(*found, strict=True)
    caption = " ".join((LEGEND, *captions))
    title = "Do flat and sharp starts meet, and where?" if len(found) == 2 else panels[0].title
    return [Chart("glance", title, caption, "; ".join(sources), panels, columns=len(panels), row_height=2.5)]


# --- left: the way from each start ------------------------------------------------------------------------------------


def _meeting(experiments: list[Experiment]) -> tuple[Panel, str, str] | None:
    """Trace over time from each start, at the largest condition of the experiment that shows it best."""

    def rank(experiment: Experiment) -> int:
        return next((i for i, name in enumerate(ABOUT_STARTS) if name in experiment.claims), len(ABOUT_STARTS))

    for experiment in sorted(experiments, key=rank):
        for run in experiment.runs.values():
            if start_axis(run) is None or "trace" not in run or "rescaled_time" not in run:
                continue
            run = smallest_rate(run)
            words, here = points(run)[-1]  # conditions ascend
            ends = starts(run)[0], starts(run)[-1]
            series = [line for start in ends if (line := _way(run, here, start))]
            if len(series) > 1:
                panel = _way_panel(run, here, series)
                where = ", ".join(filter(None, (experiment.title, words if CONDITION in run.coords else "")))
                caption = f"{panel.title}: means over finished seeds at the smallest rate; {where}."
                return panel, caption, source(experiment, "trace", "rescaled_time")
    return None


def _way(run: xr.Dataset, here: np.ndarray, start: Start) -> Series | None:
    """Mean over the finished replicas of a start, over the flattest possible trace where theory knows that."""
    chosen = np.flatnonzero(here & start.of(run) & (run["status"].values == 0))
    if not chosen.size:
        return None
    records = thinned(run)
    values = run["trace"].values[chosen][:, records] / _scale(run, chosen)
    mean, low, high = mean_and_interval(values) if chosen.size >= FEWEST else (values.mean(axis=0), None, None)
    time = run["rescaled_time"].values[chosen][:, records].mean(axis=0)
    return Series(start.label, time, mean, "line", start.index, low, high, tags={"start": start.label})


def _way_panel(run: xr.Dataset, here: np.ndarray, series: list[Series]) -> Panel:
    chosen = np.flatnonzero(here)
    found = series
    for name in ("small_lr_limit_trace", "closed_form_trace"):
        if name in run and np.isfinite(run[name].values[chosen]).any():
            end = float(np.nanmean(run[name].values[chosen] / _scale(run, chosen)))
            time = np.array([0.0, max(float(one.x[-1]) for one in series)])
            theory = Series(THEORY, time, np.full(2, end), "reference", dash="dash", tags={"start": THEORY})
            found = [*series, theory]
            break
    label = RELATIVE if _has_flattest(run, chosen) else "trace"
    heights = np.concatenate([one.y for one in series])
    log = bool((heights > 0).all() and heights.max() > 3 * heights.min())
    return Panel("Flat and sharp starts over time", TIME, label, tuple(found), y_log=log,
                 y_ticks=_ticks(found) if log else ())  # fmt: skip


def _ticks(series: list[Series]) -> tuple[float, ...]:
    """Few round places on a logarithmic axis over all of the series."""
    heights = np.concatenate([one.y for one in series])
    low, high = np.nanmin(heights), np.nanmax(heights)
    for steps, every in (((1, 1.5, 2, 3, 5, 7), 1), ((1, 2, 5), 1), ((1,), 1), ((1,), 3)):
        decades = range(int(np.floor(np.log10(low))), int(np.floor(np.log10(high))) + 1, every)
        found = tuple(s * 10.0**d for d in decades for s in steps if low / 1.1 <= s * 10.0**d <= high * 1.1)
        if len(found) <= 8:
            return found
    return found


def _has_flattest(run: xr.Dataset, chosen: np.ndarray) -> bool:
    return FLATTEST in run and bool(np.isfinite(run[FLATTEST].values[chosen]).all())


def _scale(run: xr.Dataset, chosen: np.ndarray) -> np.ndarray:
    """[replica, 1] the flattest possible trace, or 1 where theory does not know it."""
    known = run[FLATTEST].values[chosen] if _has_flattest(run, chosen) else np.ones(chosen.size)
    return known[:, None]


# --- right: the end over the condition of the noise -------------------------------------------------------------------


def _ends(experiments: list[Experiment]) -> tuple[Panel, str, str] | None:
    """The end over kappa with theory, for noise along the signal and turned; without theory that of other networks."""
    return _saturation(experiments) or _linear(experiments) or _networks(experiments)


def _saturation(experiments: list[Experiment]) -> tuple[Panel, str, str] | None:
    """From the experiments of B1: three of their angles at most, with the limit's curves."""
    teacher, rows, used = saturation_rows([e for e in experiments if CLAIM["saturation"] in e.claims])
    if teacher is None or not any(np.isfinite(row[2]) for row in rows):
        return None
    angles = sorted({row[0] for row in rows})
    series = []
    for colour, degrees in enumerate(sorted({angles[0], angles[len(angles) // 2], angles[-1]})):
        name = "noise along the signal" if degrees == 0 else f"turned by {degrees:g} degrees"
        tags = {"noise": name}
        kappas = KAPPAS[KAPPAS <= max(row[1] for row in rows)]
        theory = np.array([limit(teacher, degrees, kappa) for kappa in kappas])
        series.append(Series(f"theory, {name}", kappas, theory, "line", 2 + colour, tags=tags))
        mine = sorted(row for row in rows if row[0] == degrees)
        kappa, value, low, high, firm = (np.array([row[i] for row in mine]) for i in (1, 2, 3, 4, 5))
        series.append(
            Series(f"SGD, {name}", kappa, value, "marks", 2 + colour, low, high, firm.astype(bool), tags=tags)
        )
    panel = Panel("Where it ends as noise grows uneven", UNEVENNESS, RELATIVE, tuple(series), True, True, line_at=1.0,
                  y_ticks=_ticks(series))  # fmt: skip
    where = "; ".join(e.title for e in used)
    caption = f"{panel.title}: SGD at rate 0, open where theory says that the run is too short to arrive; {where}."
    return panel, caption, "; ".join(source(e, "trace") for e in used)


def _linear(experiments: list[Experiment]) -> tuple[Panel, str, str] | None:
    """Of linear networks: the run with most conditions whose noise commutes with the signal, and that of the others."""
    best: dict[bool, tuple[int, Experiment, xr.Dataset]] = {}
    for experiment in experiments:
        for run in join_rates(experiment).runs.values():
            count = len(conditions(run))
            every = np.arange(run.sizes["replica"])
            if count < 2 or "trace_mean" not in run or "commutes" not in run or not _has_flattest(run, every):
                continue
            along = bool((run["commutes"].values == 1).all())
            if along not in best or count > best[along][0]:
                best[along] = (count, experiment, smallest_rate(run))
    series: list[Series] = []
    for along, (_, _, run) in sorted(best.items(), reverse=True):
        series += _against_theory(run, "noise along the signal" if along else "turned noise", 2 if along else 3)
    if not any(one.style == "marks" and np.isfinite(one.y).any() for one in series):
        return None
    kappas = np.unique(np.concatenate([conditions(run) for _, _, run in best.values()]))
    panel = Panel("Where it ends as noise grows uneven", UNEVENNESS, RELATIVE, tuple(series), True, True,
                  x_ticks=tuple(kappas), line_at=1.0, y_ticks=_ticks(series))  # fmt: skip
    titles = "; ".join(experiment.title for _, experiment, _ in best.values())
    caption = f"{panel.title}: means over usable seeds and starts at the smallest rate; {titles}."
    return panel, caption, "; ".join(source(e, "trace_mean", FLATTEST) for _, e, _ in best.values())


def _against_theory(run: xr.Dataset, name: str, colour: int) -> Iterator[Series]:
    """Means over usable seeds and starts, and the limit of small rates, over the flattest possible trace."""
    axis = axis_of(run, CONDITION)
    assert axis is not None  # it has several conditions

    def over_flattest(variable: str) -> np.ndarray:
        ratio = run[variable].values / run[FLATTEST].values
        return np.array([np.nanmean(ratio[axis.at(run, value)]) for value in axis.values])

    tags = {"noise": name}
    for variable in ("small_lr_limit_trace", "closed_form_trace"):
        if variable in run and np.isfinite(run[variable].values).all():
            yield Series(f"theory, {name}", axis.values, over_flattest(variable), "line", colour, tags=tags)
            break
    relative = run.assign(relative_mean=("replica", run["trace_mean"].values / run[FLATTEST].values))
    every = Start("all starts", None, 0)
    ends = means(relative, "relative_mean", every, axis, label=f"SGD, {name}", colour=colour, tags=tags)
    yield Series(
        ends.label, ends.x, ends.y, "marks", colour, ends.low, ends.high, ends.firm, tags=tags, notes=ends.notes
    )


def _networks(experiments: list[Experiment]) -> tuple[Panel, str, str] | None:
    """Of networks that theory does not solve: the trace over that at the smallest condition."""
    series: list[Series] = []
    used: list[Experiment] = []
    for experiment in experiments:
        for run in join_rates(experiment).runs.values():
            if len(conditions(run)) < 2 or "trace_mean" not in run or len(used) == MOST_NETWORKS:
                continue
            run = smallest_rate(run)
            axis = axis_of(run, CONDITION)
            assert axis is not None
            every = Start("all starts", None, 0)
            tags = {"network": experiment.name}
            plain = means(run, "trace_mean", every, axis, label=experiment.name, colour=2 + len(used), tags=tags)
            if not np.isfinite(plain.y[0]):
                continue
            series.append(
                means(run, "trace_mean", every, axis, label=experiment.name, colour=2 + len(used), tags=tags,
                      scale=float(plain.y[0]))
            )  # fmt: skip
            used.append(experiment)
            break
    if not series:
        return None
    panel = Panel("Where it ends as noise grows uneven", UNEVENNESS, "trace / trace at the smallest κ", tuple(series),
                  True, True, line_at=1.0, y_ticks=_ticks(series))  # fmt: skip
    caption = f"{panel.title}: means over usable seeds, of each network over its first."
    return panel, caption, "; ".join(source(e, "trace_mean") for e in used)
