"""How the program starts the package that writes reports, and how it ends when that one is stopped or fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import Run

SMALL = ["--preset=smoke", "--only=linear-2", "--set=training.steps=60", "--set=measure.records=3", "--quiet"]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a shell script in the place of the Python that writes reports."""

    def write(script: str) -> None:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/bash\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setenv("SHARPSEEK_PYTHON", str(python))

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.json").touch()
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("exit 0", 0, ""),
        ("echo 'sharpseek: out/run.h5: no such file' >&2; exit 2", 2, "sharpseek: out/run.h5: no such file\n"),
        ("exit 75", 75, ""),
        ("kill -TERM $$", 75, ""),
        ("kill -KILL $$", 2, "was ended by signal 9 (Killed)\n"),
        ("exit 1", 2, "failed with status 1; the package is in analysis/"),
    ],
)
def test_a_reports_end_is_that_of_the_command(
    sharpseek: Run, folder: Path, pretend, script: str, status: int, words: str
) -> None:
    pretend(script)
    done = sharpseek("report", "out")
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == (1 if words else 0)


def test_ctrl_c_waits_for_the_package_to_clean_up(binary: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both get the signal, as from a terminal. The script stands for a package that takes a moment to clean up."""
    script = folder.parent / "slow"
    script.write_text(f"""#!{sys.executable}
import pathlib, signal, sys, time
def stop(number, frame):
    time.sleep(0.3)
    pathlib.Path({str(folder)!r}, "cleaned").touch()
    sys.exit(75)
signal.signal(signal.SIGINT, stop)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGINT}})
pathlib.Path({str(folder)!r}, "begun").touch()
time.sleep(60)
""")
    script.chmod(0o755)
    monkeypatch.setenv("SHARPSEEK_PYTHON", str(script))
    process = subprocess.Popen([binary, "report", folder], stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (folder / "begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 75
    assert (folder / "cleaned").exists()


def test_a_reproduction_whose_report_was_stopped_resumes_with_the_report(
    sharpseek: Run, tmp_path: Path, pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend("exit 75")
    stopped = sharpseek("reproduce", *SMALL, "--out", "out")
    assert (stopped.returncode, stopped.stdout) == (75, "")
    assert stopped.stderr == "sharpseek: interrupted; continue with: sharpseek resume out\n"
    pretend("exit 2")
    failed = sharpseek("resume", "out", "--quiet")
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert "write it with: sharpseek report out" in failed.stderr
    monkeypatch.setenv("SHARPSEEK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    assert sharpseek("report", "out").returncode == 0
    assert (tmp_path / "out/report.html").exists()
