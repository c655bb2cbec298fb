"""The report of a reproduction that is still running: of what has finished, and says so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sharpseek.files import SharpseekFileError
from sharpseek.report import write_interim_report, write_report
from synthetic import write_reproduction


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """One experiment of three has finished."""
    directory = write_reproduction(tmp_path, **{"linear-2": {"seeds": 3}})
    index = json.loads((directory / "reproduce.json").read_text())
    del index["finished"]
    index["planned"] = 3
    (directory / "reproduce.json").write_text(json.dumps(index))
    return directory


def test_an_interim_report_says_that_it_is_one(unfinished: Path) -> None:
    page = write_interim_report(unfinished).read_text(encoding="utf-8")
    assert "Interim report: 1 of 3 experiments have finished" in page
    assert '<meta http-equiv="refresh"' in page
    assert 'class="card ' in page
    assert not (unfinished / "verdicts.json").exists()
    assert not (unfinished / "figures").exists()


def test_a_finished_report_says_nothing_of_it(unfinished: Path) -> None:
    index = json.loads((unfinished / "reproduce.json").read_text())
    (unfinished / "reproduce.json").write_text(json.dumps(index | {"finished": "now"}))
    page = write_report(unfinished, figures=False).read_text(encoding="utf-8")
    assert "Interim report" not in page
    assert 'http-equiv="refresh"' not in page


def test_without_the_switch_what_is_unfinished_is_refused(unfinished: Path) -> None:
    with pytest.raises(SharpseekFileError, match="not finished"):
        write_report(unfinished, figures=False)
    assert not (unfinished / "report.html").exists()


def test_the_switch_works_on_the_command_line_before_anything_has_finished(unfinished: Path) -> None:
    index = json.loads((unfinished / "reproduce.json").read_text())
    (unfinished / "reproduce.json").write_text(json.dumps(index | {"experiments": []}))
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek.report", unfinished, "--interim"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "0 of 3 experiments" in (unfinished / "report.html").read_text(encoding="utf-8")
