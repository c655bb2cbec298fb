"""Beyond the paper: where sharpening saturates, by angle and condition number; networks; large learning rates."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sharpseek.config import configuration
from sharpseek.figures.beyond_flow import entropy_charts
from sharpseek.figures.beyond_maps import Row, limit, phase_map, saturation_map, theorem_1
from sharpseek.figures.chart import Chart, Panel, Series
from sharpseek.figures.common import source
from sharpseek.figures.paper_trends import relative
from sharpseek.files import Experiment
from sharpseek.rates import join_rates
from sharpseek.summaries import last_half
from sharpseek.verdicts import Verdict
from sharpseek.verdicts.beyond_edge import BATCH_SHARPNESS
from sharpseek.verdicts.beyond_networks import late_trace
from sharpseek.verdicts.beyond_saturation import angle, reached, settings, starts_at_theorem_1
from sharpseek.verdicts.paper_plateau import orientations
from sharpseek.verdicts.rules import LEVEL
from sharpseek.verdicts.statistics import log_mean_effect, rate_effect

CLAIM = {"saturation": "B1", "networks": "B2", "entropy": "B3b", "rates": "B4"}
KAPPAS = np.logspace(0, 7, 15)
ANGLES = np.array([1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 89.0])


def charts(experiments: list[Experiment], verdicts: list[Verdict]) -> list[Chart]:
    """The charts that these experiments have data for."""

    def asked(claim: str) -> list[Experiment]:
        return [e for e in experiments if claim in e.claims]

    return [
        *saturation_charts(asked(CLAIM["saturation"])),
        *network_charts(asked(CLAIM["networks"])),
        *entropy_charts(asked(CLAIM["entropy"])),
        *rate_charts(asked(CLAIM["rates"])),
        *phase_map(asked(CLAIM["rates"])),
    ]


def measured(run: xr.Dataset) -> list[Row]:
    """(angle, kappa, T / T_min at rate 0, low, high, whether theory says that the run arrives) of every setting; at the
    only rate where there is one."""
    ratio = late_trace(run) / run["closed_form_flattest_trace"].values
    run = run.assign(usable=("replica", np.isfinite(ratio)))
    several = "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1
    rows = []
    for _, here in settings(run):
        first = int(np.argmax(here))
        degrees = angle(str(run["rotation"].values[first])) if "rotation" in run.coords else np.nan
        good = here & np.isfinite(ratio)
        effect = rate_effect(run, here, ratio) if several else log_mean_effect(ratio[good], int(here.sum()))
        kappa = float(run["condition"].values[first])
        rows.append((degrees, kappa, effect.estimate, *effect.interval(LEVEL), bool(reached(run)[here].all())))
    return rows


def _fixed_angle(run: xr.Dataset) -> float:
    """The angle of a run that swept none, from its configuration."""
    return angle(str(configuration(run).get("noise", {}).get("rotation", "axes")))


def saturation_rows(experiments: list[Experiment]) -> tuple[np.ndarray | None, list[Row], list[Experiment]]:
    """`measured` of all two-layer runs with the first 2 x 2 teacher: that teacher, the rows and their experiments."""
    rows: list[Row] = []
    teacher, used = None, []
    for experiment in experiments:
        for run in join_rates(experiment).runs.values():
            plain = "closed_form_flattest_trace" in run and "condition" in run.coords and run.sizes.get("layer") == 2
            if not plain or "teacher" not in run or starts_at_theorem_1(run) or run["teacher"].shape != (2, 2):
                continue
            if teacher is None:
                teacher = run["teacher"].values
            elif not np.allclose(teacher, run["teacher"].values):
                continue
            found = [(_fixed_angle(run) if np.isnan(a) else a, *rest) for a, *rest in measured(run)]
            rows += [row for row in found if np.isfinite(row[0])]  # type: ignore[misc]
            used.append(experiment)
    return teacher, rows, list({e.name: e for e in used}.values())


def saturation_charts(experiments: list[Experiment]) -> list[Chart]:
    """T / T_min over kappa and over the angle: the limit's curves, Theorem 1's, and SGD's points."""
    teacher, rows, used = saturation_rows(experiments)
    if teacher is None or not rows:
        return []
    kappas, angles = sorted({r[1] for r in rows}), sorted({r[0] for r in rows})
    panels = (_over(rows, teacher, angles, by_angle=False), _over(rows, teacher, kappas, by_angle=True))
    caption = (
        "T over the flattest minimum's, two layers. Lines: the limit of small rates. Dotted: Theorem 1, which the "
        "limit leaves where noise and signal do not commute. Points: SGD at rate 0 with 95 % intervals (at its only "
        "rate where there is one); open where the run is too short to arrive, by theory's relaxation time."
    )
    sources = "; ".join(source(e, "trace") for e in used)
    return [
        saturation_map(rows, teacher, sources),
        Chart("saturation", "Where sharpening saturates", caption, sources, panels, columns=2, row_height=4.2),
    ]


def _over(rows: list, teacher: np.ndarray, levels: list[float], by_angle: bool) -> Panel:
    """One panel: a colour for every angle over kappa, or for every kappa over the angle."""
    series = []
    for colour, level in enumerate(levels):
        name = f"κ = {level:g}" if by_angle else f"{level:g} degrees"
        x = ANGLES if by_angle else KAPPAS
        points = [(a, level) for a in x] if by_angle else [(level, k) for k in x]
        tags = {"noise": name}
        series.append(
            Series(f"limit, {name}", x, np.array([limit(teacher, a, k) for a, k in points]), "line", colour, tags=tags)
        )
        if level in (levels[0], levels[-1]):
            y = np.array([theorem_1(teacher, a, k) for a, k in points])
            series.append(Series(f"Theorem 1, {name}", x, y, "reference", colour, dash="dot", tags=tags))
        mine = [r for r in rows if r[1 if by_angle else 0] == level]
        at = np.array([r[0 if by_angle else 1] for r in mine])
        value, low, high = (np.array([r[i] for r in mine]) for i in (2, 3, 4))
        firm = np.array([r[5] for r in mine])
        series.append(Series(f"SGD, {name}", at, value, "marks", colour, low, high, firm, tags=tags))
    if by_angle:
        return Panel(
            "over the angle", "angle between noise and signal in degrees", "T / T_min", tuple(series), y_log=True
        )
    return Panel("over the condition number", "condition number", "T / T_min", tuple(series), x_log=True, y_log=True)


def network_charts(experiments: list[Experiment]) -> list[Chart]:
    """Relative sharpness of nonlinear networks over kappa, noise on the teacher's axes and turned."""
    series, used = [], []
    for colour, experiment in enumerate(experiments):
        for run in experiment.runs.values():
            if "condition" not in run.coords or "trace" not in run:
                continue
            for number, (_, here) in enumerate(orientations(run)):
                first = int(np.argmax(here))
                degrees = angle(str(run["rotation"].values[first])) if "rotation" in run.coords else np.nan
                words = "own axes" if degrees == 0 else f"turned by {degrees:g} degrees"
                if found := relative(run, here):
                    label = f"{experiment.name.removeprefix('axes-')}, {words}"
                    x, y, low, high = found
                    series.append(
                        Series(label, x, y, "points", colour, low, high, dash=("solid", "dash")[number % 2],
                               symbol=("circle", "square")[number % 2], tags={"noise": words})
                    )  # fmt: skip
                    used.append(experiment)
    if not series:
        return []
    panel = Panel("", "condition number", "T / T at condition 1", tuple(series), x_log=True, y_log=True, line_at=1.0)
    caption = (
        "T late in the run over that at kappa 1, of networks that learn a linear teacher, noise on the axes of the "
        "teacher's output and turned by 45 degrees. Means over finished seeds with 95 % intervals."
    )
    sources = "; ".join(source(e, "trace") for e in {e.name: e for e in used}.values())
    return [Chart("axes", "Nonlinear networks: own axes and turned noise", caption, sources, (panel,), columns=1,
                  row_height=4.2)]  # fmt: skip


def rate_charts(experiments: list[Experiment]) -> list[Chart]:
    """T over the limit by the learning rate in units of the predicted edge, a panel for each experiment."""
    panels = []
    for experiment in experiments:
        for run in join_rates(experiment).runs.values():
            if BATCH_SHARPNESS not in run or "learning_rate" not in run.coords or "small_lr_limit_trace" not in run:
                continue
            ratio = last_half(run, "trace").values / run["small_lr_limit_trace"].values
            good = (run["status"].values == 0) & np.isfinite(ratio)
            series = []
            for colour, (words, here) in enumerate(settings(run)):
                at_limit = float(np.nanmean(run[BATCH_SHARPNESS].values[here, 0]))
                rows = []
                for rate in np.unique(run["learning_rate"].values[here]):
                    mine = here & (run["learning_rate"].values == rate)
                    if (mine & good).sum() >= 2:
                        effect = log_mean_effect(ratio[mine & good], int(mine.sum()))
                        rows.append((rate * at_limit / 2, effect.estimate, *effect.interval(LEVEL), effect.enough))
                if rows:
                    x, y, low, high, firm = (np.array(column) for column in zip(*rows, strict=True))
                    series.append(Series(words, x, y, "points", colour, low, high, firm, tags={"noise": words}))
            panels.append(
                Panel(experiment.title, "learning rate x batch sharpness of the limit / 2", "T / limit of small rates",
                      tuple(series), x_log=True, line_at=1.0)
            )  # fmt: skip
    if not panels:
        return []
    caption = (
        "Means over finished seeds with 95 % intervals; open where half of the seeds or more diverged, and nothing "
        "beyond the last rate at which two finished. 1 on the horizontal axis is the predicted edge."
    )
    return [Chart("rates", "Large learning rates", caption, "; ".join(source(e, "trace") for e in experiments),
                  tuple(panels), columns=2, row_height=4.2)]  # fmt: skip
