"""Every verdict of a reproduction once more, from its run.h5 files and reproduce.json, by the rules of docs/claims.md.

    python tests/python/recompute_verdicts.py DIR

An independent check of analysis/sharpseek/verdicts: NumPy, SciPy and h5py, and nothing of that package. Prints every
number of DIR/verdicts.json that comes out differently, and exits with status 1 if there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from recompute.ablations import FLATTER, RISES, SAME, c9, c9s
from recompute.beyond import b1, b2, b3, b3b, b4, b4b
from recompute.beyond_optimizers import b5, b5b, b5c
from recompute.circulation import c8
from recompute.claims import c1, c2, c3, c4, c5, c6a, c6b, c7
from recompute.estimates import (
    LEAST,
    LEVEL,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Piece,
    missing,
)
from recompute.files import (
    Experiment,
    read_experiment,
)
from recompute.paper import p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12
from recompute.paths import c7b, c10

TOLERANCE = 1e-6, 2e-3
"""Relative, of estimates and intervals in units of the interval's width, and of p values."""
ROTATION = 1e-3
"""The same of the rotation, whose prediction is a flow that has almost settled, followed from another start here."""

CLAIMS: dict[str, Callable[[Experiment], list[Piece]]] = {
    "C1": c1, "C2": c2, "C3": c3, "C4": c4, "C5": c5, "C6a": c6a, "C6b": c6b, "C7": c7, "C7b": c7b, "C8": c8,
    **{name: c9(name) for name in (*SAME, *FLATTER, *RISES, "C9i", "C9j", "C9k")}, "C9s": c9s, "C10": c10,
    "P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P9": p9, "P10": p10, "P11": p11,
    "P12": p12,
    "B1": b1, "B2": b2, "B3": b3, "B3b": b3b, "B4": b4, "B4b": b4b, "B5": b5, "B5b": b5b, "B5c": b5c,
}  # fmt: skip
NEEDS = {"C1": ["trace_mean", "sharpness_mean"], "C5": ["trace_mean", "trace", "excess_risk"], "C7b": [],
         "C6a": ["gradient_fluctuation", "gradient_fluctuation_mean", "layer_fluctuation", "excess_risk"],
         "C6b": ["balance_difference", "balance_sum"], "C7": ["trace_mean", "sharpness_mean"], "C10": ["trace"],
         "C9i": ["trace_mean", "trace", "excess_risk"], "C9j": ["trace_mean", "trace", "excess_risk"],
         "C9s": ["sharpness", "gradient_fluctuation"], "P5": ["sharpness_mean"], "P6": ["parameters", "trace"],
         "P8": ["parameters"], "P12": ["trace"], "B1": ["trace"], "B2": ["trace"], "B3": ["parameters"],
         "B3b": ["trace"],
         "B4": ["trace", "small_lr_limit_trace"],
         "B4b": ["batch_sharpness_ratio_of_means", "small_lr_limit_trace"], "B5": ["trace"],
         "B5b": ["batch_sharpness_ratio_of_means"], "B5c": ["parameters"]}  # fmt: skip


def holm(levels: list[float]) -> list[float]:
    counted = sorted(p for p in levels if not np.isnan(p))
    steps = np.maximum.accumulate([min(1.0, p * (len(counted) - i)) for i, p in enumerate(counted)])
    table = {p: float(step) for p, step in zip(reversed(counted), reversed(list(steps)), strict=True)}
    return [table.get(p, np.nan) for p in levels]


def recompute(directory: Path) -> dict[str, dict]:
    """Outcome, p values and pieces by experiment of every claim."""
    index = json.loads((directory / "reproduce.json").read_text())
    experiments = [
        Experiment(e["name"], e["architecture"], e["claims"], read_experiment(directory / e["path"]))
        for e in index["experiments"]
    ]
    found: dict[str, dict] = {}
    for claim, rule in CLAIMS.items():
        pieces: list[tuple[str, Piece]] = []
        for experiment in (e for e in experiments if claim in e.claims):
            lacking = [n for n in NEEDS.get(claim, ["trace_mean"]) if any(n not in run for run in experiment.runs)]
            pieces += [(experiment.name, p) for p in ([missing()] if lacking else rule(experiment))]
        if not pieces:
            continue
        corrected = holm([p.against for _, p in pieces])
        for (_, piece), level in zip(pieces, corrected, strict=True):
            if piece.outcome == REFUTED and not level <= LEVEL:
                piece.outcome = UNDECIDED
        tests = [p.p for _, p in pieces if not p.condition]
        met = {name: True for name, _ in pieces}
        for name, piece in pieces:
            met[name] &= not piece.condition or piece.outcome == SUPPORTED
        measured = {name: [p.p for n, p in pieces if n == name and not p.condition] for name in met}
        p = max(tests) if tests and all(met.values()) and all(measured.values()) else 1.0
        outcomes = [p.outcome for _, p in pieces]
        word = REFUTED if REFUTED in outcomes else SUPPORTED if set(outcomes) == {SUPPORTED} else UNDECIDED
        levels = [level for level in corrected if not np.isnan(level)]
        against = min(levels) if levels else np.nan
        found[claim] = {"outcome": word, "p": p, "p_against": against, "pieces": pieces}
    for key, word in (("p", SUPPORTED), ("p_against", REFUTED)):
        for claim, level in zip(found.values(), holm([c[key] for c in found.values()]), strict=True):
            claim[f"{key}_holm"] = level
            if claim["outcome"] == word and not level <= LEVEL:
                claim["outcome"] = UNDECIDED
    return found


def differences(directory: Path) -> tuple[list[str], int]:
    """What verdicts.json has otherwise, and how many numbers were compared."""
    stored = {c["claim"]: c for c in json.loads((directory / "verdicts.json").read_text())["claims"]}
    mine = recompute(directory)
    problems = [f"{claim}: in one only" for claim in sorted(stored.keys() ^ mine.keys())]
    compared = 0

    def number(where: str, a: float | None, b: float, scale: float) -> None:
        nonlocal compared
        compared += 1
        a = np.nan if a is None else a
        b = b if np.isfinite(b) else np.nan
        if not (np.isnan(a) and np.isnan(b)) and not abs(a - b) <= scale:
            problems.append(f"{where}: {a:.8g} in verdicts.json, {b:.8g} here")

    def level(where: str, a: float | None, b: float, tolerance: float = TOLERANCE[1]) -> None:
        # Both look for p values to a tolerance, down to a smallest one.
        number(where, a, b, tolerance * max(abs(b), LEAST) if np.isfinite(b) else 0.0)

    for claim in sorted(stored.keys() & mine.keys()):
        there, here = stored[claim], mine[claim]
        if there["outcome"] != here["outcome"]:
            problems.append(f"{claim}: {there['outcome']} in verdicts.json, {here['outcome']} here")
        for key in ("p", "p_holm", "p_against", "p_against_holm"):
            level(f"{claim} {key}", there[key], here[key])
        if [e["experiment"] for e in there["evidence"]] != [name for name, _ in here["pieces"]]:
            problems.append(f"{claim}: other pieces of evidence")
            continue
        for e, (name, piece) in zip(there["evidence"], here["pieces"], strict=True):
            where = f"{claim}, {name}, {e['at']}"
            flows = e["at"].startswith("circulation") or "slow flow" in e["at"]
            tolerance = ROTATION if flows else TOLERANCE[0]
            width = piece.high - piece.low if np.isfinite(piece.high - piece.low) else abs(piece.estimate)
            for key in ("estimate", "low", "high"):
                value = getattr(piece, key)
                number(f"{where}: {key}", e[key], value, tolerance * max(width, abs(value)))
            level(f"{where}: p", e["p"], piece.p)
            level(f"{where}: p_against", e["p_against"], piece.against)
            if e["outcome"] != piece.outcome:
                problems.append(f"{where}: {e['outcome']} in verdicts.json, {piece.outcome} here")
    return problems, compared


def main() -> int:
    problems, compared = differences(Path(sys.argv[1]))
    print("\n".join([*problems, f"{compared} numbers compared, {len(problems)} differences"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
