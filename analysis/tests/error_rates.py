"""Counts wrong verdicts in worlds on the border of each claim, and how often intervals hold the truth.

    python analysis/tests/error_rates.py [--missing | --part I/N | --merge FILE ...]

writes error_rates.json next to this file, from which docs/generate.py makes tables of docs/claims.md. About ten minutes
of one core; --part counts the I-th of every N entries only, --merge joins the files of the parts;
--missing counts the worlds that the recorded file lacks.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from coverage_kinds import KINDS
from sharpseek.verdicts.rules import LEVEL
from worlds import WORLDS

RECORDED = Path(__file__).with_name("error_rates.json")
TRIALS = 500
DRAWS = 1000
SEEDS = (3, 4, 8, 16)


def coverage(kind: str, seeds: int, draws: int = DRAWS) -> float:
    """Share of 95 % intervals that hold the truth."""
    held = 0
    rng = np.random.default_rng([seeds, sorted(KINDS).index(kind)])
    for _ in range(draws):
        effect, truth = KINDS[kind][1](rng, seeds)
        low, high = effect.interval(LEVEL)
        held += low <= truth <= high
    return held / draws


def counted(part: int, parts: int) -> dict[str, Any]:
    """The table's entries that belong to a part."""
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {"trials": TRIALS, "draws": DRAWS, "wrong": {}, "coverage": {}, "intervals": {}}
    for world in WORLDS[part::parts]:
        found["wrong"][world.name] = sum(world.is_wrong(trial) for trial in range(TRIALS))
        print(f"{world.name}: {found['wrong'][world.name]}", flush=True)
    for kind in list(KINDS)[part::parts]:
        found["intervals"][kind] = KINDS[kind][0]
        found["coverage"][kind] = {str(seeds): coverage(kind, seeds) for seeds in SEEDS}
        print(f"{kind}: {found['coverage'][kind]}", flush=True)
    return found


def fill(file: Path) -> None:
    """Counts the worlds that a recorded file lacks and forgets those that are gone."""
    warnings.simplefilter("ignore")
    found = json.loads(file.read_text(encoding="utf-8"))
    for world in (w for w in WORLDS if w.name not in found["wrong"]):
        found["wrong"][world.name] = sum(world.is_wrong(trial) for trial in range(TRIALS))
        print(f"{world.name}: {found['wrong'][world.name]}", flush=True)
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    found["wrong"] = {w.name: found["wrong"][w.name] for w in WORLDS}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--merge", type=Path, nargs="*")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--out", type=Path, default=RECORDED)
    arguments = parser.parse_args()
    if arguments.missing:
        fill(arguments.out)
        return
    if arguments.merge:
        parts = [json.loads(file.read_text(encoding="utf-8")) for file in arguments.merge]
        found = parts[0]
        for key, names in (
            ("wrong", [w.name for w in WORLDS]),
            ("coverage", list(KINDS)),
            ("intervals", list(KINDS)),
        ):
            everything = {name: count for one in parts for name, count in one[key].items()}
            found[key] = {name: everything[name] for name in names}
    else:
        part, parts_count = map(int, arguments.part.split("/"))
        found = counted(part - 1, parts_count)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
