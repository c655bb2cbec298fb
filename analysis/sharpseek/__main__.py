"""`python -m sharpseek summary DIR`: means over seeds at every sweep point of a run, a sweep or a reproduction.

`python -m sharpseek predictions DIR`: theory against SGD for every linear setting of a reproduction, as Markdown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from sharpseek.files import SharpseekFileError, open_reproduction, open_sweep
from sharpseek.linear_settings import settings_table, to_markdown
from sharpseek.summaries import summarise


def print_summary(directory: Path) -> None:
    """Prints trace, sharpness and fluctuation of every run found. Raises SharpseekFileError."""
    if (directory / "reproduce.json").exists():
        runs = {
            f"{e.name} {group}".strip(): run for e in open_reproduction(directory)[1] for group, run in e.runs.items()
        }
    else:
        runs = open_sweep(directory)
    for name, run in runs.items():
        print(f"# {name or directory}")
        for variable in ("trace", "sharpness", "gradient_fluctuation"):
            if f"{variable}_mean" in run:
                table = summarise(run, f"{variable}_mean")
                with pd.option_context("display.width", 200, "display.max_columns", None):
                    print(f"{variable}\n{table.to_string(index=False, float_format=lambda x: f'{x:.5g}')}")
        run.close()


def print_predictions(directory: Path) -> None:
    """Prints `linear_settings.settings_table`. Raises SharpseekFileError."""
    table = settings_table(open_reproduction(directory)[1])
    print(to_markdown(table) if len(table) else "no linear setting was run at four learning rates")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sharpseek", description=__doc__)
    commands = parser.add_subparsers(required=True)
    summary = commands.add_parser("summary", help="means over seeds")
    summary.add_argument("directory", type=Path)
    summary.set_defaults(command=print_summary)
    predictions = commands.add_parser("predictions", help="theory against SGD for every linear setting")
    predictions.add_argument("directory", type=Path)
    predictions.set_defaults(command=print_predictions)
    arguments = parser.parse_args()
    try:
        arguments.command(arguments.directory)
    except SharpseekFileError as error:
        print(f"sharpseek: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
