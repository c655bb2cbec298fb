"""The HTML report of a reproduction: `python -m sharpseek.report DIR` writes DIR/report.html, one file, no requests."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib.figure import Figure

from sharpseek import figures
from sharpseek.files import Experiment, SharpseekFileError, open_reproduction
from sharpseek.verdicts import CLAIMS, REFUTED, SUPPORTED, judge, overall, prediction_table

PROVENANCE = (
    "version",
    "git_state",
    "compiler",
    "torch_version",
    "hdf5_version",
    "engine",
    "cpu",
    "cores",
    "threads",
    "host",
    "started",
    "finished",
    "command_line",
)


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and what it was drawn from."""

    caption: str
    source: str
    svg: Markup


def to_svg(figure: Figure, name: str) -> Markup:
    """Inline SVG that takes the page's text colour; `name` keeps its ids apart from other figures'."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**figures.STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(figures.INK, "currentColor")
    return Markup(text.replace('id="', f'id="{name}-').replace('"#', f'"#{name}-').replace("url(#", f"url(#{name}-"))


def _picture(
    name: str, draw: Callable[[], Figure], caption: str, experiments: list[Experiment], variables: str
) -> Picture:
    files = ", ".join(f"{e.name}/run.h5" for e in experiments)
    return Picture(caption, f"{files}: {variables}", to_svg(draw(), name))


def pictures(experiments: list[Experiment]) -> list[Picture]:
    """Every figure that the experiments have data for."""
    single = [e for e in experiments if len(e.runs) == 1 and "condition" in e.run.coords]
    linear = [e for e in single if "closed_form_trace" in e.run and "trace_mean" in e.run]
    others = [e for e in single if e.architecture != "linear" and "trace_mean" in e.run]
    shown = []
    for e in linear:
        shown.append(
            _picture(
                f"theory-{e.name}",
                lambda e=e: figures.theory_over_condition(e),
                f"{e.title}: where SGD ends, against theory. Means over seeds with 95 % intervals; open marks: fewer "
                "than half of the replicas stationary.",
                [e],
                "trace_mean, sharpness_mean, gradient_fluctuation_mean, closed_form_*",
            )
        )
    for e in [x for x in single if "trace" in x.run and "gradient_fluctuation" in x.run]:
        shown.append(
            _picture(
                f"way-{e.name}",
                lambda e=e: figures.trajectories(e),
                f"{e.title}: the way from a flat and a sharp start at the largest condition.",
                [e],
                "trace, gradient_fluctuation over rescaled_time",
            )
        )
    if others:
        shown.append(
            _picture(
                "trend",
                lambda: figures.trend(others),
                "Trace and sharpness over the condition of the noise, for each architecture.",
                others,
                "trace_mean, sharpness_mean",
            )
        )
    spectral = [e for e in single if "eigenvalues" in e.run]
    if spectral:
        shown.append(
            _picture(
                "spectra",
                lambda: figures.spectra(spectral),
                "Largest Hessian eigenvalues at the last record.",
                spectral,
                "eigenvalues",
            )
        )
    balanced = [e for e in single if "balance_difference" in e.run]
    if balanced:
        shown.append(
            _picture(
                "balances",
                lambda: figures.balances(balanced),
                "Balance of squared gradients over the last half of the records, stationary replicas, 95 % intervals.",
                balanced,
                "balance_difference, balance_sum",
            )
        )
    return shown


def _number(value: float) -> str:
    return "not measured" if not np.isfinite(value) else f"{value:.4g}"


def _predictions(experiments: list[Experiment]) -> list[tuple[str, pd.DataFrame]]:
    tables = [(e.title, prediction_table(e)) for e in experiments]
    return [(title, table) for title, table in tables if len(table)]


def _counts(experiments: list[Experiment]) -> list[dict[str, object]]:
    rows = []
    for e in experiments:
        for group, run in e.runs.items():
            rows.append(
                {
                    "name": f"{e.name} {group}".strip(),
                    "title": e.title,
                    "replicas": run.sizes["replica"],
                    "stationary": int((run["stationary"].values == 1).sum()),
                    "diverged": int((run["status"].values != 0).sum()),
                    "steps": int(run["step"].values[-1]),
                    "time": float(np.nanmax(run["rescaled_time"].values)),
                }
            )
    return rows


def _answer(outcomes: dict[str, str]) -> str:
    """The question's answer as far as these data go."""
    if outcomes.get("C2") == SUPPORTED and outcomes.get("C5") == SUPPORTED:
        return (
            "Neither: the data decide. Flat and sharp starts end at the same curvature, one rising, the other falling."
        )
    if REFUTED in (outcomes.get("C2"), outcomes.get("C5")):
        return "These data contradict the claim that the data alone decide: see C2 and C5."
    return "Not decided by these data alone: see which claims need longer runs."


def render(directory: Path) -> str:
    """The report's HTML. Raises SharpseekFileError."""
    index, experiments = open_reproduction(directory)
    verdicts = judge(experiments)
    outcomes = overall(verdicts)
    claims = [
        (claim, outcomes[claim.name], [v for v in verdicts if v.claim == claim.name])
        for claim in CLAIMS
        if claim.name in outcomes
    ]
    settings = [
        (f"{e.name} {group}".strip(), json.dumps(run.attrs["config"], indent=1, sort_keys=True))
        for e in experiments
        for group, run in e.runs.items()
    ]
    provenance = [
        (e.name, [(key, run.attrs[key]) for key in PROVENANCE if key in run.attrs])
        for e in experiments
        for run in e.runs.values()
    ]
    environment = Environment(loader=PackageLoader("sharpseek"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.get_template("report.html.j2").render(
        index=index,
        answer=_answer(outcomes),
        claims=claims,
        pictures=pictures(experiments),
        predictions=_predictions(experiments),
        counts=_counts(experiments),
        settings=settings,
        provenance=provenance,
    )


def write_report(directory: Path) -> Path:
    """Writes DIR/report.html whole or not at all; returns its path. Raises SharpseekFileError."""
    html = render(directory)
    target = directory / "report.html"
    partial = directory / "report.html.partial"
    partial.write_text(html, encoding="utf-8")
    os.replace(partial, target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sharpseek.report", description=__doc__)
    parser.add_argument("directory", type=Path, help="the folder that `sharpseek reproduce` wrote")
    try:
        write_report(parser.parse_args().directory)
    except SharpseekFileError as error:
        print(f"sharpseek.report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
