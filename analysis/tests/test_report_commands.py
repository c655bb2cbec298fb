"""The commands that make reports and summaries: their exit status, one line for what is wrong, no half of a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from sharpseek.report import write_report
from synthetic import Make, make_run


def test_module_says_what_is_missing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek.report", tmp_path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "reproduce.json" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["sharpseek.report"],
        *(["sharpseek", name] for name in ("summary", "predictions", "rivals", "verdicts", "agreement")),
    ],
)
def test_a_reproduction_that_is_not_finished_is_no_result(tmp_path: Path, command: list[str]) -> None:
    index = tmp_path / "reproduce.json"
    index.write_text('{"schema_version": 1, "experiments": []}')
    result = subprocess.run([sys.executable, "-m", *command, tmp_path], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    expected = f"{index}: the reproduction is not finished; continue with: sharpseek resume {tmp_path}"
    assert result.stderr == f"sharpseek: {expected}\n"
    assert list(tmp_path.iterdir()) == [index]


def test_summary_of_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with h5py.File(make_run(tmp_path, seeds=2) / "run.h5", "a") as file:
        del file.attrs["finished"]
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek", "summary", tmp_path], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    expected = f"{tmp_path}/run.h5: the run is not finished; continue with: sharpseek resume {tmp_path}"
    assert result.stderr == f"sharpseek: {expected}\n"


def test_a_full_disk_leaves_no_half_of_a_report(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
    code += "import runpy; runpy.run_module('sharpseek.report', run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", code, directory, "--no-figures"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == f"sharpseek: {directory}/report.html: cannot be written (File too large)\n"
    assert sorted(p.name for p in directory.iterdir()) == ["linear-2", "reproduce.json"]


@pytest.mark.parametrize("room", [2000, 200_000])
def test_on_a_full_disk_the_old_report_stays_as_it_was(reproduction: Make, room: int) -> None:
    """Too little room for the figures, and for the page alone."""
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    (directory / "figures").mkdir()
    old = [directory / name for name in ("report.html", "verdicts.json", "figures/old.csv")]
    for path in old:
        path.write_text("old")
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}));"
    code += "import runpy; runpy.run_module('sharpseek.report', run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "File too large" in result.stderr and str(directory) in result.stderr
    assert [path.read_text() for path in old] == ["old"] * 3
    kept = ["figures", "linear-2", "report.html", "reproduce.json", "verdicts.json"]
    assert sorted(p.name for p in directory.iterdir()) == kept
    assert os.listdir(directory / "figures") == ["old.csv"]


def test_a_report_replaces_an_older_one_whole(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    (directory / "figures").mkdir()
    (directory / "figures" / "gone.csv").write_text("old")
    write_report(directory)
    names = os.listdir(directory / "figures")
    assert "gone.csv" not in names and len(names) >= 3
    assert not [p for p in directory.iterdir() if p.suffix in (".partial", ".old")]


def test_a_full_standard_output_is_one_line(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "sharpseek", "summary", directory], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (result.returncode, result.stderr) == (2, "sharpseek: standard output: No space left on device\n")


def test_summary_prints_every_point(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {}})
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek", "summary", directory], capture_output=True, text=True, check=True
    )
    assert result.stdout.count("\n") == 1 + 3 * (2 + 6)


def test_summary_names_the_points_with_too_few_usable_replicas(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"unusable": 10.0, "seeds": 2}})
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek", "summary", directory], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == (
        "too few usable replicas: condition 10.0, init_imbalance 1.0 (0 of 2); condition 10.0, init_imbalance 3.0 "
        "(0 of 2); train longer: sharpseek resume DIR --set training.steps=N"
    )


def test_summary_of_what_diverged_does_not_ask_for_more_steps(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    with h5py.File(directory / "linear-2" / "run.h5", "a") as file:
        file["status"][:], file["stationary"][:] = 1, 0
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek", "summary", directory], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1].endswith("(0 of 2); lower the learning rate")


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_title_beyond_ascii_is_read_in_any_locale(reproduction: Make, locale: dict[str, str]) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    index = json.loads((directory / "reproduce.json").read_text())
    index["experiments"][0] |= {"title": "Größe – κ", "name": "é"}
    (directory / "reproduce.json").write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
    environment = os.environ | locale
    for command in (["sharpseek.report", directory, "--no-figures"], ["sharpseek", "summary", directory]):
        subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, check=True)
    assert "Größe – κ" in (directory / "report.html").read_text(encoding="utf-8")
