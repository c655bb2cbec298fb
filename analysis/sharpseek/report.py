"""The report of a reproduction or a run: `python -m sharpseek.report DIR` writes it, verdicts.json and figures/ in DIR.

report.html is one file that works offline: figures are interactive by plotly.js, which is inside.
figures/ holds each figure as PDF, SVG and CSV.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sharpseek.config import configuration
from sharpseek.figures import GLANCE, Chart, sections
from sharpseek.figures.forest import no_effect
from sharpseek.figures.glance import LEGEND
from sharpseek.figures.interactive import plotly_figure
from sharpseek.figures.static import saving_charts
from sharpseek.files import Experiment, SharpseekFileError, exit_status, open_reproduction
from sharpseek.findings import Finding, answer, as_json, findings, headline, not_asked
from sharpseek.paper_figures import paper_table
from sharpseek.summaries import summarise, swept, usable, with_what_is_left
from sharpseek.verdicts import Verdict, judge, prediction_table

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
SUMMARISED = ("trace", "sharpness", "gradient_fluctuation", "excess_risk")


def _number(value: float) -> str:
    if np.isnan(value):
        return "not measured"
    return f"{value:.4g}" if np.isfinite(value) else "∞" if value > 0 else "−∞"


def _interval(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}" if not np.isnan([low, high]).any() else "none"


def _exact(value: float) -> str:
    """A number as the CSV of a table has it: empty where it was not measured."""
    return "" if np.isnan(value) else f"{float(value):.8g}"


def _glyph(finding: Finding) -> Markup:
    """A small picture of the interval next to the value of no effect."""
    e = finding.shown
    if e is None or not np.isfinite([e.low, e.high]).all():
        return Markup("")
    null = no_effect(finding.claim.effect, [v.estimate for v in (e,)])
    low, high = min(e.low, null), max(e.high, null)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(6 + 76 * (value - low) / span, 1)

    return Markup(
        f'<svg class="glyph" viewBox="0 0 88 14" aria-hidden="true"><path d="M{at(null)} 1v12" class="null"/>'
        f'<path d="M{at(e.low)} 7H{at(e.high)}" class="span"/><circle cx="{at(e.estimate)}" cy="7" r="3.2"/></svg>'
    )


def summary_table(experiments: list[Experiment]) -> pd.DataFrame:
    """Mean over usable seeds with 95 % interval of every summarised quantity at every sweep point of every run, what it
    has left to go and its relaxation time (NaN where a line fits as well)."""
    tables = []
    for experiment in experiments:
        for group, run in experiment.runs.items():
            for name in SUMMARISED:
                if f"{name}_mean" not in run:
                    continue
                table = summarise(run, f"{name}_mean")
                table = with_what_is_left(table, run, name)
                table.insert(0, "experiment", f"{experiment.name} {group}".strip())
                table.insert(1, "quantity", name)
                tables.append(table)
    if not tables:
        return pd.DataFrame()
    everything = pd.concat(tables, ignore_index=True).replace(np.inf, np.nan)
    # Of runs that measured something of this: the others have no rows.
    axes = [a for e in experiments for run in e.runs.values() for a in swept(run) if a in everything]
    counts = ["replicas", "stationary", "usable", "diverged"]
    last = [*counts, "mean", "low", "high", "left_low", "left_high", "relaxation_time"]
    return everything[["experiment", "quantity", *dict.fromkeys(axes), *last]]


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
                    "usable": int(usable(run).sum()),
                    "diverged": int((run["status"].values != 0).sum()),
                    "steps": int(run["step"].values[-1]),
                    "time": float(np.nanmax(run["rescaled_time"].values)),
                    "seconds": _seconds(run.attrs.get("started"), run.attrs.get("finished")),
                }
            )
    return rows


def _seconds(started: object, finished: object) -> float | None:
    """Between two times as files have them; None where these are none."""
    try:
        return (datetime.fromisoformat(str(finished)) - datetime.fromisoformat(str(started))).total_seconds()
    except ValueError:
        return None


def _script(text: str) -> Markup:
    """Text that is safe inside a script element."""
    return Markup(text.replace("</", "<\\/"))


def _packed(text: str) -> str:
    """Base64 of gzip, the same bytes every time: a third of plotly.js and of the figures."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files("sharpseek") / "templates" / name).read_text(encoding="utf-8")


def _data(charts: list[Chart]) -> str:
    figures: dict[str, Any] = {}
    for chart in charts:
        figure = plotly_figure(chart)
        figure["narrow"] = plotly_figure(replace(chart, columns=1))["layout"]
        figure["off"] = sorted(chart.hidden)
        figures[chart.name] = figure
    return json.dumps(figures, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def render(
    index: dict[str, Any],
    experiments: list[Experiment],
    verdicts: list[Verdict],
    found: list[tuple[str, list[Chart]]],
) -> str:
    """The report's HTML."""
    charts = [chart for _, group in found for chart in group]
    predictions = [(e.title, table) for e in experiments if len(table := prediction_table(e))]
    settings = [
        (f"{e.name} {group}".strip(), json.dumps(configuration(run), indent=1, sort_keys=True))
        for e in experiments
        for group, run in e.runs.items()
    ]
    provenance = [
        (f"{e.name} {group}".strip(), [(key, run.attrs[key]) for key in PROVENANCE if key in run.attrs])
        for e in experiments
        for group, run in e.runs.items()
    ]
    environment = Environment(loader=PackageLoader("sharpseek"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["glyph"] = _glyph
    environment.filters["exact"] = _exact
    environment.globals["interval"] = _interval
    return environment.get_template("report.html.j2").render(
        index=index,
        headline=headline(findings(verdicts)),
        answer=answer(findings(verdicts), not_asked(experiments)),
        findings=findings(verdicts),
        legend=LEGEND,
        glance=[chart for title, group in found if title == GLANCE for chart in group],
        sections=[(title, group) for title, group in found if title != GLANCE],
        predictions=predictions,
        table=summary_table(experiments),
        counts=_counts(experiments),
        paper=paper_table(experiments, verdicts),
        settings=settings,
        provenance=provenance,
        css=Markup(_asset("report.css")),
        script=_script(_asset("report.js")),
        plotly=_packed(get_plotlyjs()),
        data=_packed(_data(charts)),
    )


def write_interim_report(directory: Path) -> Path:
    """Writes report.html of those experiments of a reproduction that have finished, and returns it.

    Raises SharpseekFileError.
    """
    index, experiments = open_reproduction(directory, interim=True)
    verdicts = judge(experiments)
    target = directory / "report.html"
    with _written_beside({target: render(index, experiments, verdicts, sections(experiments, verdicts))}):
        pass
    return target


def write_report(directory: Path, figures: bool = True) -> Path:
    """Writes report.html, verdicts.json and (if `figures`) figures/, all of them or none; returns the first.

    Raises SharpseekFileError.
    """
    index, experiments = open_reproduction(directory)
    verdicts = judge(experiments)
    found = sections(experiments, verdicts)
    folder, partial = directory / "figures", directory / "figures.partial"
    shutil.rmtree(partial, ignore_errors=True)
    charts = [chart for _, group in found for chart in group]
    try:
        with saving_charts(charts, partial) if figures else nullcontext():
            page = render(index, experiments, verdicts, found)
        texts = {
            directory / "verdicts.json": _verdicts_json(index, experiments, verdicts),
            directory / "report.html": page,
        }
        # Nothing is replaced before all is written: on a full disk the old report stays, whole.
        with _written_beside(texts):
            if figures:
                _replace_folder(partial, folder)
    except OSError as error:
        raise SharpseekFileError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory / "report.html"


def _verdicts_json(index: dict[str, Any], experiments: list[Experiment], verdicts: list[Verdict]) -> str:
    """The text of verdicts.json."""
    summary = {
        "schema_version": 1,
        **{key: index.get(key) for key in ("preset", "version", "started", "finished")},
        "headline": headline(findings(verdicts)),
        "answer": answer(findings(verdicts), not_asked(experiments)),
        "claims": as_json(findings(verdicts)),
        "runs": _counts(experiments),
        "origin": {
            key: str(run.attrs[key])
            for e in experiments[:1]
            for run in e.runs.values()
            for key in PROVENANCE
            if key in run.attrs and key not in ("host", "command_line", "started", "finished")
        },
    }
    return json.dumps(summary, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _written_beside(texts: dict[Path, str]) -> Iterator[None]:
    """Each text in a file next to its place while the body of the `with` runs; then all of them in their places. Raises
    SharpseekFileError, and leaves nothing, if one of them cannot be written."""
    partial = {target: target.with_name(target.name + ".partial") for target in texts}
    try:
        for target, text in texts.items():
            try:
                partial[target].write_text(text, encoding="utf-8")
            except OSError as error:
                raise SharpseekFileError(f"{target}: cannot be written ({error.strerror or error})") from error
        yield
        for target in texts:
            os.replace(partial[target], target)
    finally:
        for path in partial.values():
            with suppress(OSError):
                path.unlink()


def _replace_folder(new: Path, old: Path) -> None:
    """Puts a folder in the place of another one."""
    aside = old.with_name(old.name + ".old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sharpseek.report", description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="a folder that `sharpseek reproduce` or `sharpseek run` wrote")
    parser.add_argument("--no-figures", action="store_true", help="only report.html and verdicts.json")
    parser.add_argument(
        "--interim", action="store_true", help="report.html of the experiments of a reproduction that have finished"
    )
    arguments = parser.parse_args()

    def write() -> None:
        if arguments.interim:
            write_interim_report(arguments.directory)
        else:
            write_report(arguments.directory, figures=not arguments.no_figures)

    return exit_status(write)


if __name__ == "__main__":
    sys.exit(main())
