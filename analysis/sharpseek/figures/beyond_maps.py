"""Maps beyond the paper: T over angle and condition number, and T over noise and learning rate with SGD's edge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

from sharpseek.config import configuration
from sharpseek.figures.chart import Chart, Field, Panel, Series
from sharpseek.figures.common import source
from sharpseek.files import Experiment
from sharpseek.groups import group_values
from sharpseek.rates import join_rates
from sharpseek.saturation import settle
from sharpseek.theory import closed_form
from sharpseek.verdicts.beyond_edge import BATCH_SHARPNESS, border, kappas
from sharpseek.verdicts.beyond_networks import late_trace
from sharpseek.verdicts.beyond_saturation import settings
from sharpseek.verdicts.rules import LEVEL
from sharpseek.verdicts.statistics import log_mean_effect

GRID_ANGLES = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70)
GRID_KAPPAS = tuple(10.0**k for k in range(8))
FINE = 57
"""Places of the background along each axis."""
Row = tuple[float, float, float, float, float, bool]


def noise_at(teacher: np.ndarray, degrees: float, kappa: float) -> np.ndarray:
    """Noise of variances 1 / kappa and 1, the quiet direction at an angle from the teacher's larger one."""
    u = np.linalg.svd(teacher)[0]
    a = np.deg2rad(degrees)
    quiet, loud = np.cos(a) * u[:, 0] + np.sin(a) * u[:, 1], np.cos(a) * u[:, 1] - np.sin(a) * u[:, 0]
    return np.outer(quiet, quiet) / kappa + np.outer(loud, loud)


def theorem_1(teacher: np.ndarray, degrees: float, kappa: float) -> float:
    """T / T_min by Theorem 1."""
    form = closed_form(2, teacher, np.eye(teacher.shape[1]), noise_at(teacher, degrees, kappa))
    return form.trace / form.flattest_trace


def limit(teacher: np.ndarray, degrees: float, kappa: float) -> float:
    """T / T_min of the small-rate limit of two layers; Theorem 1's where noise and signal commute."""
    if degrees % 90 == 0 or kappa == 1:
        return theorem_1(teacher, degrees, kappa)
    return _settled(tuple(map(tuple, teacher.tolist())), degrees, kappa)


@lru_cache(maxsize=4096)
def _settled(teacher: tuple[tuple[float, ...], ...], degrees: float, kappa: float) -> float:
    matrix = np.array(teacher)
    return settle(matrix, noise_at(matrix, degrees, kappa)).relative_trace


def theory_field(teacher: np.ndarray) -> Field:
    """The limit over log10 kappa and the square root of the angle, which shows small angles."""
    v, u = np.log10(GRID_KAPPAS), np.sqrt(GRID_ANGLES)
    logs = np.log([[limit(teacher, a, k) for k in GRID_KAPPAS] for a in GRID_ANGLES])
    x, y = np.linspace(v[0], v[-1], FINE), np.linspace(u[0], u[-1], FINE)
    between = RegularGridInterpolator((u, v), logs)
    z = np.exp(between(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)))
    return Field("T / T_min", 1.0, 100.0, (1, 2, 5, 10, 20, 50, 100), x, y, z, log=True)


def saturation_map(rows: list[Row], teacher: np.ndarray, sources: str) -> Chart:
    """T / T_min of (angle, kappa, value, low, high, arrives): theory behind, SGD in front."""
    angle, kappa, value, low, high = (np.array([row[i] for row in rows], dtype=float) for i in range(5))
    firm = np.array([row[5] for row in rows])
    texts = [
        f"{v:.3g}±{(hi - lo) / 2:.1g}" if ok and np.isfinite(hi) else ""
        for v, lo, hi, ok in zip(value, low, high, firm, strict=True)
    ]
    notes = [
        f"{a:g} degrees, kappa {k:g}; limit {limit(teacher, a, k):.4g}, Theorem 1 {theorem_1(teacher, a, k):.4g}"
        + ("" if ok else "; too short to arrive")
        for a, k, ok in zip(angle, kappa, firm, strict=True)
    ]
    series = Series("SGD", np.log10(kappa), np.sqrt(angle), "cells", None, low, high, firm, notes=notes, values=value,
                    texts=texts)  # fmt: skip
    ticks = (0, 1, 2, 5, 10, 15, 30, 45, 60)
    panel = Panel(
        "", "condition number", "angle between noise and signal in degrees", (series,),
        x_ticks=tuple(float(k) for k in range(8)), x_names=("1", "10", "10²", "10³", "10⁴", "10⁵", "10⁶", "10⁷"),
        y_ticks=tuple(float(np.sqrt(t)) for t in ticks), y_names=tuple(map(str, ticks)), field=theory_field(teacher),
    )  # fmt: skip
    caption = (
        "T over the flattest minimum's, two layers. Background: the limit of small rates. Circles: SGD at rate 0 (at "
        "its only rate where there is one) in the colour of what was measured, with half of the 95 % interval; they "
        "vanish in the background where SGD agrees with theory. Hollow: too short a run to arrive, by theory's "
        "relaxation time. Only at angle 0, where noise and signal commute, does T grow without bound; colours end at "
        "100."
    )
    return Chart("saturation-map", "Sharpening over angle and condition number", caption, sources, (panel,), columns=1,
                 row_height=4.6, panel_width=6.4)  # fmt: skip


def phase_points(run: xr.Dataset) -> dict[float, list[tuple[float, float, float, float, float, bool]]]:
    """kappa -> (noise total, rate x batch sharpness of the limit / 2, T / limit, low, high, whether half finished)."""
    kappa, ratio = kappas(run), late_trace(run) / run["small_lr_limit_trace"].values
    found: dict[float, list[tuple[float, float, float, float, float, bool]]] = {}
    for _, here in settings(run):
        assert kappa is not None
        total = float(run["total"].values[here][0])
        at_limit = float(np.nanmean(run[BATCH_SHARPNESS].values[here, 0]))
        for rate in np.unique(run["learning_rate"].values[here]):
            mine = here & (run["learning_rate"].values == rate)
            good = mine & np.isfinite(ratio)
            effect = log_mean_effect(ratio[good], int(mine.sum()))
            row = (total, rate * at_limit / 2, effect.estimate, *effect.interval(LEVEL), effect.enough)
            found.setdefault(float(kappa[here][0]), []).append(row)
    return found


def borders(run: xr.Dataset) -> dict[float, list[tuple[float, float]]]:
    """kappa -> (noise total, the same product where SGD begins to diverge)."""
    kappa = kappas(run)
    found: dict[float, list[tuple[float, float]]] = {}
    for _, here in settings(run):
        assert kappa is not None
        place = border(run, here).estimate
        found.setdefault(float(kappa[here][0]), []).append((float(run["total"].values[here][0]), place))
    return found


def phase_map(experiments: list[Experiment]) -> list[Chart]:
    """T / limit over noise and learning rate, with the predicted edge and the measured one."""
    scale = Field("T / limit of small rates", 0.5, 1.05, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    panels = []
    for experiment in experiments:
        for run in join_rates(experiment).runs.values():
            needed = BATCH_SHARPNESS in run and "small_lr_limit_trace" in run and kappas(run) is not None
            if not needed or not {"learning_rate", "total"} <= set(run.coords):
                continue
            edge = borders(run)
            for kappa, rows in phase_points(run).items():
                panels.append(_phase_panel(_words_of(experiment, run), kappa, rows, edge[kappa], scale))
    if not panels:
        return []
    panels.sort(key=lambda panel: panel.title)
    caption = (
        "Each square is a noise and a learning rate, in the colour of T late in the run over the limit of small rates; "
        "hollow where half of the seeds or more diverged. Dotted: the predicted edge, rate x batch sharpness of the "
        "limit = 2. Line: where SGD begins to diverge. Far below the edge T is what the noise makes it "
        "(noise-limited); towards it the rate takes over and T falls (edge-limited)."
    )
    sources = "; ".join(source(e, "trace") for e in experiments)
    return [
        Chart("phase", "Noise-limited and edge-limited", caption, sources, tuple(panels), columns=3, row_height=3.2)
    ]


def _words_of(experiment: Experiment, run: xr.Dataset) -> str:
    """The batch, as the configuration has it."""
    batch = group_values(run).get("batch", configuration(run).get("training", {}).get("batch", ""))
    return f"batch {batch}" if batch else experiment.title


def _phase_panel(
    words: str,
    kappa: float,
    rows: list[tuple[float, float, float, float, float, bool]],
    edge: list[tuple[float, float]],
    scale: Field,
) -> Panel:
    total, place, value, low, high = (np.array([row[i] for row in rows], dtype=float) for i in range(5))
    firm = np.array([row[5] for row in rows])
    totals = np.unique(total)
    notes = [f"noise {t:g}, rate x batch sharpness / 2 = {p:.3g}" for t, p in zip(total, place, strict=True)]
    squares = Series("SGD", np.log10(total), np.log10(place), "cells", None, low, high, firm, symbol="square",
                     notes=notes, values=value)  # fmt: skip
    x, y = (np.array(column) for column in zip(*sorted(edge), strict=True))
    line = Series("SGD diverges", np.log10(x), np.log10(y), "line", 1)
    predicted = Series("predicted edge", np.log10(x[[0, -1]]), np.zeros(2), "reference", dash="dot")
    ticks = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)
    shown = [t for t in ticks if place.min() / 2 <= t <= place.max() * 2]
    return Panel(
        f"{words}, kappa {kappa:g}", "total noise", "rate x batch sharpness of the limit / 2",
        (squares, predicted, line),
        x_ticks=tuple(np.log10(totals).tolist()), x_names=tuple(f"{t:g}" for t in totals),
        y_ticks=tuple(float(np.log10(t)) for t in shown), y_names=tuple(f"{t:g}" for t in shown),
        field=scale,
    )  # fmt: skip
