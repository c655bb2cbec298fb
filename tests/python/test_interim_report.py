"""What a reproduction shows before its last experiment has finished: short ones first, and a report of these."""

import json
import os
import subprocess
from pathlib import Path

import pytest

# A Python that says how it was called, and what reproduce.json had then, instead of writing a report.
RECORDER = """#!/bin/sh
echo "$*" >>"{calls}"
cp "$3/reproduce.json" "{calls}.$(wc -l <"{calls}" | tr -d ' ').json"
exit {status}
"""
SHORT = ["--set", "training.steps=400", "--set", "measure.records=4", "--set", "experiment.replicas=1"]


@pytest.fixture
def reproduce(binary: Path, tmp_path: Path):
    """Runs three experiments of the smoke preset with a Python that records; returns the process and the calls."""

    def run(status: int = 0, *more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        calls = tmp_path / "calls"
        python = tmp_path / "python"
        python.write_text(RECORDER.format(calls=calls, status=status))
        python.chmod(0o755)
        result = subprocess.run(
            [binary, "reproduce", "--preset", "smoke", *SHORT, "--only", "linear", "rnn", "--out", "out", *more],
            cwd=tmp_path,
            env=os.environ | {"SHARPSEEK_PYTHON": str(python)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return result, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_the_first_report_comes_with_the_first_experiment_and_the_last_is_whole(reproduce, tmp_path: Path) -> None:
    result, calls = reproduce()
    assert result.returncode == 0, result.stderr
    assert calls[0] == "-m sharpseek.report out --interim"
    assert calls[-1] == "-m sharpseek.report out"
    first = json.loads((tmp_path / "calls.1.json").read_text())
    assert (first["planned"], "finished" in first) == (3, False)
    assert 1 <= len(first["experiments"]) <= 2
    last = json.loads((tmp_path / "out" / "reproduce.json").read_text())
    assert [entry["name"] for entry in last["experiments"]] == ["linear-2", "linear-3", "rnn"]
    assert "finished" in last


def test_without_a_report_there_is_no_interim_one(reproduce) -> None:
    result, calls = reproduce(0, "--no-report")
    assert (result.returncode, calls) == (0, []), result.stderr


def test_an_interim_report_that_fails_is_not_tried_again_and_the_run_goes_to_its_end(reproduce, tmp_path: Path) -> None:
    result, calls = reproduce(5)
    assert result.returncode == 2
    assert "failed with status 5" in result.stderr
    assert calls[-1] == "-m sharpseek.report out"
    assert len(calls) <= 2
    assert "finished" in json.loads((tmp_path / "out" / "reproduce.json").read_text())
