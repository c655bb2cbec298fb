"""Whether two reproductions of one preset agree: made on two machines, in a container, on two instruction sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from sharpseek.files import SharpseekFileError
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED

OUTCOMES = (SUPPORTED, UNDECIDED, REFUTED)
NUMBERS = ("estimate", "low", "high")
ALLOWED = 1.0
"""How far two estimates may lie apart, in units of the larger half-width of their 95 % intervals."""
LEAST_HALF_WIDTH = 1e-6
"""Half-width that every interval counts as, at least. Where a measured value lies beyond two rivals its distances to
them differ by their own distance, an interval without width; rivals come from a minimiser that stops at a tolerance."""


@dataclass(frozen=True)
class Comparison:
    """What two reproductions agree in, and every point in which they do not."""

    claims: int
    """Claims that both judge."""
    equal: int
    """Estimates with the same value to the last digit that verdicts.json holds."""
    estimates: int
    """Estimates with an interval in both."""
    largest: float
    """Largest distance of two estimates, in half-widths of the 95 % interval."""
    where: str
    """Which estimate that is."""
    disagreements: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    """Evidence that is undecided in one of them only: an estimate near the edge of its rule. No disagreement."""


def read_verdicts(path: Path) -> dict:
    """A verdicts.json, given itself or by the folder of its report. Raises SharpseekFileError."""
    file = path / "verdicts.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        finished, _ = found["finished"], found["preset"]
        for number, claim in enumerate(found["claims"]):
            _check(claim, f"claims[{number}]", ("claim",))
            for place, evidence in enumerate(claim["evidence"]):
                _check(evidence, f"claims[{number}].evidence[{place}]", ("experiment", "at"), NUMBERS)
    except OSError as error:
        raise SharpseekFileError(f"{file}: not the verdicts of a report: {error.strerror}") from None
    except KeyError as error:
        raise SharpseekFileError(f"{file}: not the verdicts of a report: {error} is missing") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise SharpseekFileError(f"{file}: not the verdicts of a report: {error}") from None
    if finished is None:
        raise SharpseekFileError(f"{file}: not the verdicts of a finished reproduction")
    return found


def _check(entry: dict, where: str, texts: tuple[str, ...], numbers: tuple[str, ...] = ()) -> None:
    """A claim or a piece of evidence. Raises ValueError, and TypeError if it is neither."""
    for name in (*texts, *numbers, "outcome"):
        if name not in entry:
            raise ValueError(f"{where}: {name} is missing")
    for name in texts:
        if not isinstance(entry[name], str):
            raise ValueError(f"{where}: {name} = {entry[name]!r}: must be a text")
    for name in numbers:
        if not isinstance(entry[name], float | int | None):
            raise ValueError(f"{where}: {name} = {entry[name]!r}: must be a number or null")
    if entry["outcome"] not in OUTCOMES:
        raise ValueError(f"{where}: outcome = {entry['outcome']!r}: must be one of {', '.join(OUTCOMES)}")


def compare(one: Path, other: Path, allowed: float = ALLOWED) -> Comparison:
    """Compares words of verdicts, which must be equal, estimates, which must be near, and outcomes of evidence, which
    must not be opposite."""
    a, b = read_verdicts(one), read_verdicts(other)
    if a["preset"] != b["preset"]:
        raise SharpseekFileError(f"{one}, {other}: presets {a['preset']} and {b['preset']} cannot be compared")
    problems: list[str] = []
    crossed: list[str] = []
    words_a, words_b = ({c["claim"]: c["outcome"] for c in v["claims"]} for v in (a, b))
    for claim in sorted(words_a.keys() | words_b.keys()):
        if words_a.get(claim) != words_b.get(claim):
            problems.append(f"{claim}: {words_a.get(claim)} against {words_b.get(claim)}")
    evidence_a, evidence_b = (
        {
            (c["claim"], e["experiment"], e["at"], number): e
            for c in v["claims"]
            for number, e in enumerate(c["evidence"])
        }
        for v in (a, b)
    )
    for key in sorted(evidence_a.keys() ^ evidence_b.keys()):
        problems.append(f"{': '.join(map(str, key[:3]))}: only in one")
    equal = count = 0
    largest, where = 0.0, ""
    for key in sorted(evidence_a.keys() & evidence_b.keys()):
        x, y = evidence_a[key], evidence_b[key]
        name = ": ".join(map(str, key[:3]))
        if x["outcome"] != y["outcome"]:
            opposite = {x["outcome"], y["outcome"]} == {SUPPORTED, REFUTED}
            (problems if opposite else crossed).append(f"{name}: {x['outcome']} against {y['outcome']}")
        numbers = [e[part] for e in (x, y) for part in NUMBERS]
        if any(number is None for number in numbers):
            continue
        count += 1
        equal += x["estimate"] == y["estimate"]
        width = max(LEAST_HALF_WIDTH, *((e["high"] - e["low"]) / 2 for e in (x, y)))
        distance = abs(x["estimate"] - y["estimate"]) / width
        if distance > largest:
            largest, where = distance, name
        if distance > allowed:
            problems.append(f"{name}: {x['estimate']} against {y['estimate']}, {distance:.2g} half-widths apart")
    return Comparison(len(words_a.keys() & words_b.keys()), equal, count, largest, where, problems, crossed)
