"""Commands: `summary DIR`, means over seeds of a run, a sweep or a reproduction; `predictions DIR`, theory against SGD
for every linear setting of a reproduction; `rivals DIR`, rival predictors against SGD; `verdicts DIR`, the evidence of
a reproduction; `agreement DIR...`, how often reproductions with other seeds reach the same verdict; `compare DIR DIR`,
whether two reproductions with the same seed agree; `gains DIR`, what antithetic pairs save; `dataset TABLE`, the test
on a table of one's own; `stream DIR`, records to TensorBoard, MLflow or Weights & Biases, live or afterwards."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from io import TextIOWrapper
from pathlib import Path

import pandas as pd
import xarray as xr

from sharpseek.agreement import agreement_table, verdict_words
from sharpseek.comparison import ALLOWED, compare
from sharpseek.datasets import describe, make_problem, write_problem
from sharpseek.files import (
    SharpseekFileError,
    exit_status,
    open_groups,
    open_reproduction,
    open_run,
    require_finished,
    run_folders,
)
from sharpseek.linear_settings import settings_table, to_markdown
from sharpseek.pairs import SIGN, gains
from sharpseek.stream import SINKS, stream
from sharpseek.summaries import cure, diverged, summarise, swept, usable, with_what_is_left
from sharpseek.tables import DECIMALS, SEPARATORS, parse_indices, parse_names, read_table
from sharpseek.verdicts import CLAIMS, adjusted_against, adjusted_p, judge, overall, p_text
from sharpseek.verdicts.rivals import outcomes, rivals_markdown
from sharpseek.verdicts.sharpening import pairs, sharpening_markdown

LONGER = "sharpseek resume DIR --set training.steps=N"


def print_summary(directory: Path) -> None:
    """Prints trace, sharpness and fluctuation of every run found. Raises SharpseekFileError."""
    if (directory / "reproduce.json").exists():
        runs = {
            f"{e.name} {group}".strip(): run for e in open_reproduction(directory)[1] for group, run in e.runs.items()
        }
    else:
        runs = open_groups(directory)
        for run in runs.values():
            require_finished(run)
    for name, run in runs.items():
        print(f"# {name or directory}")
        for variable in ("trace", "sharpness", "gradient_fluctuation"):
            if f"{variable}_mean" in run:
                table = with_what_is_left(summarise(run, f"{variable}_mean"), run, variable)
                with pd.option_context("display.width", 200, "display.max_columns", None):
                    print(f"{variable}\n{table.to_string(index=False, float_format=lambda x: f'{x:.5g}')}")
        if remark := _too_few(run):
            print(remark)
        run.close()


def _too_few(run: xr.Dataset) -> str:
    """Which sweep points have fewer than half of their replicas usable, in a line; empty where all have enough."""
    good = pd.DataFrame(
        {"usable": usable(run), "lost": diverged(run), **{axis: run[axis].values for axis in swept(run)}}
    )
    found = []
    lost = short = 0
    for point, here in good.groupby(swept(run)) if swept(run) else [((), good)]:
        if 2 * here["usable"].sum() < len(here):
            where = (
                ", ".join(f"{axis} {value}" for axis, value in zip(swept(run), point, strict=True)) or "the only point"
            )
            found.append(f"{where} ({here['usable'].sum()} of {len(here)})")
            lost += int(here["lost"].sum())
            short += int((~here["usable"] & ~here["lost"]).sum())
    what = cure(lost, short, f"train longer: {LONGER}")
    return f"too few usable replicas: {'; '.join(found)}; {what}" if found else ""


def print_predictions(directory: Path) -> None:
    """Prints `linear_settings.settings_table`. Raises SharpseekFileError."""
    table = settings_table(open_reproduction(directory)[1])
    print(to_markdown(table) if len(table) else "no linear setting was run at four learning rates")


def print_rivals(directory: Path) -> None:
    """Prints `rivals_markdown` and, where full batches were run as well as small ones, `sharpening_markdown`."""
    experiments = open_reproduction(directory)[1]
    found = [experiment for experiment in experiments if outcomes(experiment)]
    print(rivals_markdown(found) if found else "no experiment here has rival predictors")
    for experiment in experiments:
        if pairs(experiment):
            print(f"\n{experiment.title}\n\n{sharpening_markdown(experiment)}")


def print_verdicts(directory: Path) -> None:
    """Prints every piece of evidence of a reproduction: run file, test, numbers, and the code that judged it."""
    _, experiments = open_reproduction(directory)
    verdicts = judge(experiments)
    adjusted, refuted = adjusted_p(verdicts), adjusted_against(verdicts)
    whole = overall(verdicts)
    for claim in CLAIMS:
        if claim.name not in whole:
            continue
        p, corrected = adjusted[claim.name]
        against, both = refuted[claim.name]
        least = max(v.least for v in verdicts if v.claim == claim.name)
        print(
            f"# {claim.name} {whole[claim.name]} (supported: p {p_text(p, least)}, after Holm {corrected:.2g}; "
            f"refuted: p {p_text(against, least)}, after Holm {both:.2g}): {claim.statement}"
        )
        print(f"  measured: {claim.effect}; test: {claim.test}; code: {claim.code}")
        for verdict in (v for v in verdicts if v.claim == claim.name):
            print(f"  {verdict.subject}: {verdict.outcome}; {', '.join(verdict.files)}")
            for e in verdict.evidence:
                print(
                    f"    {e.text}: {e.estimate:.4g} [{e.low:.4g}, {e.high:.4g}], p {e.p_text}, "
                    f"{e.usable} of {e.replicas}: {e.outcome}"
                )


def print_agreement(reproductions: list[Path]) -> None:
    """Prints `agreement.agreement_table`. Raises SharpseekFileError."""
    table = agreement_table([verdict_words(reproduction) for reproduction in reproductions])
    if table.empty:
        print("no claim is judged here")
        return
    table["agree"] = table["agree"].map("{:.0%}".format)
    table["flips"] = table["flips"].map({True: "yes", False: "no"})
    print(table.to_string(index=False))


def print_comparison(one: Path, other: Path) -> int:
    """Prints how two reproductions agree; 1 if they do not. Raises SharpseekFileError."""
    found = compare(one, other)
    print(
        f"{one}, {other}: {found.claims} claims; {found.equal} of {found.estimates} estimates equal, "
        f"the others at most {found.largest:.3g} half-widths of their 95 % intervals apart ({found.where or 'none'}); "
        f"{ALLOWED:g} allowed"
    )
    for near in found.crossed:
        print(f"  at the edge of its rule: {near}")
    for problem in found.disagreements:
        print(f"  differs: {problem}")
    return 1 if found.disagreements else 0


def print_gains(directory: Path, variable: str) -> None:
    """Prints `pairs.gains` of a variable's last record, or of one per replica, for every run with antithetic pairs.
    Raises SharpseekFileError."""
    found = False
    for name, folder in run_folders(directory).items():
        run = open_run(folder, members=True)
        if SIGN not in run.coords:
            continue
        if variable not in run or run[variable].dims not in (("replica",), ("replica", "time")):
            raise SharpseekFileError(f"{folder}: has no variable {variable} of replicas, or of replicas and time")
        values = run[variable].isel(time=-1) if "time" in run[variable].dims else run[variable]
        table = gains(run.assign(value=("replica", values.values)), "value")
        print(f"# {name or directory}\n{table.to_string(index=False, float_format=lambda x: f'{x:.4g}')}")
        found = True
    if not found:
        raise SharpseekFileError(f"{directory}: no run with noise.antithetic = true")


def prepare_dataset(options: argparse.Namespace) -> None:
    """Writes the test on a table and prints what it found. Raises SharpseekFileError."""
    targets = parse_names(options.targets, "--targets")
    inputs = parse_names(options.inputs, "--inputs") if options.inputs else None
    columns = list(dict.fromkeys([*inputs, *targets])) if inputs else None
    problem = make_problem(read_table(options.table, columns, options.separator, options.decimal), targets, inputs)
    found = describe(problem)
    directory = write_problem(problem, options.out)
    print(f"{found}\nnext: sharpseek run {shlex.quote(f'{directory}/test.ini')}")


def send(options: argparse.Namespace) -> None:
    """Streams a folder and prints how much it sent. Raises SharpseekFileError."""
    variables = parse_names(options.variables, "--variables") if options.variables else []
    replicas = parse_indices(options.replicas, "--replicas") if options.replicas else []
    count = stream(
        options.directory, options.to, options.out, variables, replicas, follow=options.follow, every=options.every
    )
    print(f"{options.directory}: {count} records sent to {options.to}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sharpseek", description=__doc__)
    commands = parser.add_subparsers(required=True)
    summary = commands.add_parser("summary", help="means over seeds")
    summary.add_argument("directory", type=Path, help="a run, sweep or reproduction, finished")
    summary.set_defaults(run=lambda options: print_summary(options.directory))
    predictions = commands.add_parser("predictions", help="theory against SGD for every linear setting")
    predictions.add_argument("directory", type=Path, help="a reproduction or run, finished")
    predictions.set_defaults(run=lambda options: print_predictions(options.directory))
    rivals = commands.add_parser("rivals", help="rival predictors against SGD, full batches against small ones")
    rivals.add_argument("directory", type=Path, help="a reproduction or run, finished")
    rivals.set_defaults(run=lambda options: print_rivals(options.directory))
    verdicts = commands.add_parser("verdicts", help="the evidence for each verdict of a reproduction")
    verdicts.add_argument("directory", type=Path, help="a reproduction or run, finished")
    verdicts.set_defaults(run=lambda options: print_verdicts(options.directory))
    agreement = commands.add_parser("agreement", help="how often reproductions with other seeds agree")
    agreement.add_argument("reproductions", type=Path, nargs="+", help="folders, or the verdicts.json of their reports")
    agreement.set_defaults(run=lambda options: print_agreement(options.reproductions))
    both = commands.add_parser("compare", help="whether two reproductions agree: words equal, estimates near")
    both.add_argument("one", type=Path, help="a folder with a report, or its verdicts.json")
    both.add_argument("other", type=Path, help="another of the same preset and seed")
    both.set_defaults(run=lambda options: print_comparison(options.one, options.other))
    saved = commands.add_parser("gains", help="how many independent replicas a replica of an antithetic pair is worth")
    saved.add_argument("directory", type=Path, help="a run, sweep or reproduction with noise.antithetic = true")
    saved.add_argument(
        "--variable", default="trace", help="a variable of replicas, at the last record (default: trace)"
    )
    saved.set_defaults(run=lambda options: print_gains(options.directory, options.variable))
    dataset = commands.add_parser("dataset", help="make the test on a regression table with several targets")
    dataset.add_argument("table", type=Path, help="CSV with a header, or Parquet")
    dataset.add_argument("--targets", required=True, help="comma-separated columns")
    dataset.add_argument("--inputs", help="comma-separated columns (default: all others)")
    dataset.add_argument("--separator", help=f"{' | '.join(SEPARATORS)} (default: the one in the header)")
    dataset.add_argument("--decimal", help=f"decimal sign: {' | '.join(DECIMALS)} (default: what the numbers have)")
    dataset.add_argument("--out", type=Path, required=True, help="folder to write, must not exist")
    dataset.set_defaults(run=prepare_dataset)
    sending = commands.add_parser("stream", help="records to TensorBoard, MLflow or Weights & Biases")
    sending.add_argument("directory", type=Path, help="a run, sweep or reproduction, finished or not")
    sending.add_argument("--to", required=True, choices=SINKS)
    sending.add_argument("--out", help="log folder, tracking URI or project (default: named after the folder)")
    sending.add_argument("--variables", help="comma-separated (default: trace, sharpness, fluctuation, losses)")
    sending.add_argument("--replicas", help="comma-separated indices of replicas to send one by one, too")
    sending.add_argument("--follow", action="store_true", help="send what is added until every run is finished")
    sending.add_argument("--every", type=float, default=2.0, help="seconds between updates with --follow (default: 2)")
    sending.set_defaults(run=send)
    options = parser.parse_args()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the locale cannot print
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough is no error
    return exit_status(lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
