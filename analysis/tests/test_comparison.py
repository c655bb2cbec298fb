"""Two reproductions agree in words and, within intervals, in numbers; what differs is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sharpseek.comparison import compare
from sharpseek.files import SharpseekFileError

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "results" / "quick.json"


@pytest.fixture
def verdicts() -> dict:
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def write(folder: Path, verdicts: dict) -> Path:
    folder.mkdir()
    (folder / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")
    return folder


def first_number(verdicts: dict) -> dict:
    """The first piece of evidence with an interval."""
    return next(
        e for c in verdicts["claims"] for e in c["evidence"] if None not in (e["estimate"], e["low"], e["high"])
    )


def test_a_reproduction_agrees_with_itself(verdicts: dict, tmp_path: Path) -> None:
    found = compare(RECORDED, write(tmp_path / "a", verdicts))
    assert found.disagreements == []
    assert found.claims > 5
    assert found.equal == found.estimates > 20
    assert found.largest == 0


@pytest.mark.parametrize(("shift", "agrees"), [(0.5, True), (1.5, False)])
def test_estimates_may_differ_by_their_intervals_only(
    verdicts: dict, tmp_path: Path, shift: float, agrees: bool
) -> None:
    evidence = first_number(verdicts)
    moved = shift * (evidence["high"] - evidence["low"]) / 2
    for part in ("estimate", "low", "high"):
        evidence[part] += moved
    found = compare(RECORDED, write(tmp_path / "a", verdicts))
    assert found.largest == pytest.approx(shift, rel=1e-6)
    assert (found.disagreements == []) == agrees


@pytest.mark.parametrize(("moved", "agrees"), [(5e-8, True), (5e-6, False)])
def test_intervals_without_width_allow_for_a_minimisers_tolerance(
    verdicts: dict, tmp_path: Path, moved: float, agrees: bool
) -> None:
    evidence = first_number(verdicts)
    evidence["low"] = evidence["high"] = evidence["estimate"]
    one = write(tmp_path / "a", verdicts)
    for part in ("estimate", "low", "high"):
        evidence[part] += moved
    assert (compare(one, write(tmp_path / "b", verdicts)).disagreements == []) == agrees


def test_another_word_is_a_disagreement_and_status_1(verdicts: dict, tmp_path: Path) -> None:
    verdicts["claims"][0]["outcome"] = "refuted"
    other = write(tmp_path / "a", verdicts)
    command = [sys.executable, "-m", "sharpseek", "compare", RECORDED, other]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{verdicts['claims'][0]['claim']}: " in done.stdout.splitlines()[1]


@pytest.mark.parametrize(("outcome", "agrees"), [("undecided", True), ("refuted", False)])
def test_evidence_may_be_undecided_in_one_but_not_opposite(
    verdicts: dict, tmp_path: Path, outcome: str, agrees: bool
) -> None:
    evidence = first_number(verdicts)
    assert evidence["outcome"] == "supported"
    evidence["outcome"] = outcome
    found = compare(RECORDED, write(tmp_path / "a", verdicts))
    assert (found.disagreements == []) == agrees
    assert len(found.crossed) == agrees


def test_missing_evidence_is_a_disagreement(verdicts: dict, tmp_path: Path) -> None:
    verdicts["claims"][0]["evidence"].pop()
    assert len(compare(RECORDED, write(tmp_path / "a", verdicts)).disagreements) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v["claims"][1].pop("outcome"), r"claims\[1\]: outcome is missing"),
        (
            lambda v: v["claims"][0].update(outcome="yes"),
            "outcome = 'yes': must be one of supported, undecided, refuted",
        ),
        (lambda v: v["claims"][0]["evidence"][0].update(low="x"), r"evidence\[0\]: low = 'x': must be a number"),
        (lambda v: v["claims"].append(5), "not the verdicts"),
        (lambda v: v.update(finished=None), "not the verdicts of a finished reproduction"),
    ],
)
def test_verdicts_that_are_not_whole_are_refused(verdicts: dict, tmp_path: Path, change, expected: str) -> None:
    change(verdicts)
    other = write(tmp_path / "a", verdicts)
    with pytest.raises(SharpseekFileError, match=expected) as error:
        compare(RECORDED, other)
    assert str(error.value).startswith(f"{other / 'verdicts.json'}: ")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "verdicts.json").write_text("{}")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SharpseekFileError, match="not the verdicts"):
            compare(RECORDED, path)
