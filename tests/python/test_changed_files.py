"""A run and the files that its configuration names: edited, moved, and read from another folder."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from program import Run
from runs import assert_same

GENERATOR = np.random.default_rng(3)
TEACHER = GENERATOR.standard_normal((3, 4))
SAMPLES = GENERATOR.standard_normal((12, 4))
OUTPUTS = SAMPLES @ TEACHER.T + 0.3 * GENERATOR.standard_normal((12, 3))
OUTPUTS_CHANGED = OUTPUTS + np.where(np.arange(36).reshape(12, 3) == 7, 0.01, 0)
TURN = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
FACTOR = GENERATOR.standard_normal((4, 4))
COVARIANCE = FACTOR @ FACTOR.T + np.eye(4)

# What names the file, what it holds first and then, and the settings that it needs.
FILES: dict[str, tuple[str, np.ndarray, np.ndarray, list[str]]] = {
    "teacher": ("data.teacher", TEACHER, TEACHER + 1e-9, []),
    "inputs": ("data.input_covariance", COVARIANCE, COVARIANCE + 0.01 * np.eye(4), []),
    "inputs of samples": ("data.dataset", SAMPLES, SAMPLES[::-1], []),
    "measured outputs": (
        "data.dataset",
        np.hstack([SAMPLES, OUTPUTS]),
        np.hstack([SAMPLES, OUTPUTS_CHANGED]),
        ["noise.distribution=measured", "noise.condition=1"],
    ),
    # A mirrored axis is the same covariance of noise, but draws other noise.
    "rotation": ("noise.rotation", TURN, TURN * [1, 1, -1], ["noise.condition=10 100"]),
    "covariance": ("noise.covariance", np.diag([1.0, 2, 3]), np.diag([1.0, 2, 3.5]), ["noise.condition=1"]),
}
EVERY = pytest.mark.parametrize("case", list(FILES))


def write(path: Path, values: np.ndarray) -> None:
    np.savetxt(path, values, delimiter=",", fmt="%.17g")


def settings(case: str) -> list[str]:
    key, _, _, more = FILES[case]
    return [f"--set={s}" for s in (f"{key}=file:M.csv", "training.steps=20", *more)]


@pytest.fixture
def begun(sharpseek: Run, config: Path, tmp_path: Path, case: str) -> Path:
    """A finished run; its file is then edited."""
    write(tmp_path / "M.csv", FILES[case][1])
    result = sharpseek("run", "small.ini", "--quiet", "--out", "A", *settings(case))
    assert result.returncode == 0, result.stderr
    return tmp_path / "A"


def test_every_option_that_takes_a_file_is_tried_here(sharpseek: Run) -> None:
    options = json.loads(sharpseek("list", "--options", "--format", "json").stdout)
    named = {o["key"] for o in options["options"] if "file:" in o["help"]}
    assert named == {key for key, *_ in FILES.values()}


@EVERY
def test_an_edited_file_is_named_and_nothing_is_written(sharpseek: Run, begun: Path, tmp_path: Path, case: str) -> None:
    def state() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in begun.iterdir()}

    before = state()
    write(tmp_path / "M.csv", FILES[case][2])
    commands = [
        ["resume", "A"],
        ["resume", "A", "--set", "training.steps=40"],
        ["run", "small.ini", "--out", "A", "--resume", *settings(case)],
        ["measure", "A/run.h5", "--out", "m.h5"],
    ]
    for command in commands:
        result = sharpseek(*command)
        assert result.returncode == 2, command
        assert result.stderr.count("\n") == 1
        assert f"{FILES[case][0]} = file:M.csv have changed since the run began" in result.stderr
        assert state() == before
    assert not (tmp_path / "m.h5").exists()

    # With the file back in its place, written otherwise, the run continues to the bits of a longer one.
    np.savetxt(tmp_path / "M.csv", FILES[case][1], delimiter=" , ", fmt="%.20e")
    assert sharpseek("resume", "A", "--quiet", "--set", "training.steps=40").returncode == 0
    longer = ["--set=training.steps=40", "--set=measure.every=5"]
    assert sharpseek("run", "small.ini", "--quiet", "--out", "B", *settings(case), *longer).returncode == 0
    assert_same(begun / "run.h5", tmp_path / "B" / "run.h5")


@EVERY
def test_shards_of_different_files_are_not_merged(sharpseek: Run, config: Path, tmp_path: Path, case: str) -> None:
    for i, values in enumerate(FILES[case][1:3]):
        write(tmp_path / "M.csv", values)
        result = sharpseek("run", "small.ini", "--quiet", "--out", "P", f"--shard={i}/2", *settings(case))
        assert result.returncode == 0, result.stderr
    result = sharpseek("merge", "P")
    assert result.returncode == 2
    assert "shard-0-of-2" in result.stderr and "file:M.csv have changed" in result.stderr
    assert not (tmp_path / "P" / "run.h5").exists()


def test_a_group_that_had_not_begun_must_not_take_an_edited_file(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    write(tmp_path / "U.csv", TEACHER)
    write(tmp_path / "V.csv", -TEACHER)
    sets = ["--set=data.teacher=file:U.csv file:V.csv", "--set=training.steps=20"]
    assert sharpseek("run", "small.ini", "--quiet", "--out", "A", *sets).returncode == 0
    shutil.rmtree(tmp_path / "A" / "teacher=file:V.csv")
    write(tmp_path / "V.csv", 2 * TEACHER)
    result = sharpseek("resume", "A")
    assert result.returncode == 2
    assert "data.teacher = file:V.csv have changed" in result.stderr
    assert not (tmp_path / "A" / "teacher=file:V.csv").exists()


@pytest.fixture
def elsewhere(sharpseek: Run, config: Path, tmp_path: Path) -> Path:
    """A run in the folder `project`, measured later from another one."""
    project = tmp_path / "project"
    project.mkdir()
    config.rename(project / "small.ini")
    write(project / "V.csv", TEACHER)
    (tmp_path / "other").mkdir()
    return tmp_path / "other"


def call(binary: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def test_files_are_looked_for_where_the_run_began(binary: Path, elsewhere: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    sets = ["--set=data.teacher=file:V.csv", "--set=training.steps=20"]
    assert call(binary, project, "run", "small.ini", "--quiet", "--out", "A", *sets).returncode == 0
    measure = ["measure", "../project/A/run.h5", "--quantities=excess_risk", "--quiet"]

    def refused(*arguments: str) -> str:
        result = call(binary, elsewhere, *arguments)
        assert result.returncode == 2, result.stderr
        assert result.stderr.count("\n") == 1
        return result.stderr

    # From a folder without the file, and from one with a file of the same name but another teacher.
    assert call(binary, elsewhere, *measure, "--out=one.h5").returncode == 0
    write(elsewhere / "V.csv", 3 * TEACHER)
    assert call(binary, elsewhere, *measure, "--out=two.h5").returncode == 0
    with h5py.File(project / "A" / "run.h5") as run:
        risk = run["excess_risk"][:, -1]
        assert run.attrs["working_directory"].decode() == os.path.realpath(project)
    for name in ("one.h5", "two.h5"):
        with xr.open_dataset(elsewhere / name, engine="h5netcdf") as found:
            np.testing.assert_allclose(found.excess_risk.values[:, 0], risk, rtol=2e-5)

    # The project is gone: the file may lie in the current folder, if it is the one.
    (project / "A").rename(tmp_path / "moved")
    shutil.rmtree(project)
    measure[1] = "../moved/run.h5"
    assert "data.teacher = file:V.csv have changed" in refused(*measure, "--out=three.h5")
    assert "data.teacher = file:V.csv have changed" in refused("resume", "../moved")
    write(elsewhere / "V.csv", TEACHER)
    assert call(binary, elsewhere, *measure, "--out=three.h5").returncode == 0
    assert call(binary, elsewhere, "resume", "../moved", "--quiet", "--set=training.steps=30").returncode == 0
    (elsewhere / "V.csv").unlink()
    assert "V.csv: cannot be read" in refused(*measure, "--out=four.h5")


def test_runs_without_files_have_no_working_directory(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "A", "--set=training.steps=5").returncode == 0
    with h5py.File(tmp_path / "A" / "run.h5") as run:
        assert "working_directory" not in run.attrs
        assert json.loads(run.attrs["fingerprint"])["files"] == {}


def test_a_run_with_a_fingerprint_of_an_earlier_version(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    """Its number says nothing about files; without any, nothing can have changed."""
    write(tmp_path / "V.csv", TEACHER)
    for name, teacher in (("drawn", "generic"), ("read", "file:V.csv")):
        sets = [f"--set=data.teacher={teacher}", "--set=training.steps=5"]
        assert sharpseek("run", "small.ini", "--quiet", "--out", name, *sets).returncode == 0
        with h5py.File(tmp_path / name / "run.h5", "r+") as run:
            run.attrs["fingerprint"] = np.bytes_("123456789")
    assert sharpseek("measure", "drawn/run.h5", "--quiet").returncode == 0
    result = sharpseek("measure", "read/run.h5")
    assert result.returncode == 2
    assert "earlier version" in result.stderr
