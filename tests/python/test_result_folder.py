"""Where a result may be written: what is in the folder already, and what stays there."""

from pathlib import Path

import pytest
from program import Run

SHORT = ["--quiet", "--set=training.steps=5", "--set=noise.condition=1"]
LOGS = ["slurm-12_3.out", "job.err", "sweep.log", "sweep.o4711", "sweep.e4711", "sweep.o4711.2"]


@pytest.mark.parametrize("shard", [[], ["--shard=0/2"]])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_that_is_empty_but_for_logs_is_filled(
    sharpseek: Run, config: Path, tmp_path: Path, shard: list[str], resume: list[str]
) -> None:
    folder = tmp_path / "A" / "shard-0-of-2" if shard else tmp_path / "A"
    folder.mkdir(parents=True)
    assert sharpseek("run", "small.ini", "--out", "A", *SHORT, *shard, *resume).returncode == 0
    assert sorted(p.name for p in folder.iterdir()) == ["index.json", "run.h5"]

    logs = tmp_path / "B" / "shard-0-of-2" if shard else tmp_path / "B"
    logs.mkdir(parents=True)
    for name in LOGS:
        (logs / name).write_text("begun\n")
    assert sharpseek("run", "small.ini", "--out", "B", *SHORT, *shard, *resume).returncode == 0
    assert {p.name for p in logs.iterdir()} == {"index.json", "run.h5", *LOGS}


@pytest.mark.parametrize("name", ["notes.txt", "run.h5", "model.o", "old.out/x"])
def test_a_folder_that_holds_anything_else_is_refused(sharpseek: Run, config: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "A" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    result = sharpseek("run", "small.ini", "--out", "A", *SHORT)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"A: exists already (it holds {name.split('/')[0]})" in result.stderr
    assert path.read_text() == "mine"
    assert [p for p in (tmp_path / "A").rglob("*") if p.is_file()] == [path]


def test_a_file_in_place_of_the_folder_is_refused(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "A").write_text("mine")
    result = sharpseek("run", "small.ini", "--out", "A", *SHORT)
    assert result.returncode == 2
    assert "A: exists already and is no folder" in result.stderr


@pytest.mark.parametrize("there", [True, False])
def test_what_fails_leaves_the_folder_and_its_logs(
    sharpseek_without_room: Run, config: Path, tmp_path: Path, there: bool
) -> None:
    """There is room for the index, not for the run: it fails when the folder is its own."""
    if there:
        (tmp_path / "A").mkdir()
        (tmp_path / "A" / "job.log").write_text("begun\n")
    result = sharpseek_without_room("run", "small.ini", "--out", "A", "--quiet")
    assert result.returncode == 2
    assert "File too large" in result.stderr
    assert (tmp_path / "A").exists() == there
    if there:
        assert [p.name for p in (tmp_path / "A").iterdir()] == ["job.log"]
        assert (tmp_path / "A" / "job.log").read_text() == "begun\n"


def test_a_reproduction_fills_an_empty_folder(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "notes.txt").write_text("mine")
    only = ["--only=nothing-like-this", "--quiet"]
    assert "exists already (it holds notes.txt)" in sharpseek("reproduce", "--out", "B", *only).stderr
    result = sharpseek("reproduce", "--out", "A", *only)
    assert result.returncode == 2
    assert "--only nothing-like-this" in result.stderr
    assert list((tmp_path / "A").iterdir()) == []
