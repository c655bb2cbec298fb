"""A table with known noise: what is estimated, refused and written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sharpseek.datasets import make_problem, read_table, write_problem
from sharpseek.files import SharpseekFileError

NOISE = np.array([[1.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 0.3]])
TEACHER = np.array([[1.0, 0.5], [-0.3, 0.8], [0.4, 0.0]])


def table(rows: int = 20000) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(rows, 2)) * [2.0, 0.5] + 3
    y = x @ TEACHER.T + generator.multivariate_normal(np.zeros(3), NOISE, size=rows)
    return pd.DataFrame(np.hstack([x, y]), columns=["a", "b", "u", "v", "w"])


def test_noise_and_teacher_are_found_in_standardised_units() -> None:
    problem = make_problem(table(), ["u", "v", "w"])
    assert problem.inputs == ["a", "b"]
    spread = np.sqrt(np.diag(TEACHER @ np.diag([4, 0.25]) @ TEACHER.T + NOISE))
    # Relative standard error of a covariance from 20,000 rows: 1 %.
    np.testing.assert_allclose(problem.noise, NOISE / np.outer(spread, spread), atol=0.02)
    np.testing.assert_allclose(problem.teacher, TEACHER * [2, 0.5] / spread[:, None], atol=0.02)
    np.testing.assert_allclose(problem.explained, 1 - np.diag(NOISE) / spread**2, atol=0.02)
    assert np.trace(problem.isotropic) == pytest.approx(problem.total)


def test_predictions_say_that_measured_noise_is_not_flattest() -> None:
    found = make_problem(table(), ["u", "v", "w"]).predictions()
    assert found["isotropic"].trace < found["measured"].trace


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    problem = make_problem(table(100), ["u", "v", "w"])
    directory = write_problem(problem, tmp_path / "p")
    np.testing.assert_array_equal(np.loadtxt(directory / "samples.csv", delimiter=","), problem.samples)
    np.testing.assert_array_equal(np.loadtxt(directory / "noise.csv", delimiter=","), problem.noise)
    assert f"dataset = file:{directory}/samples.csv" in (directory / "test.ini").read_text()


def test_a_table_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    good = table(50)
    for change, targets, message in (
        ({}, ["u"], "at least two"),
        ({}, ["u", "z"], "column z"),
        ({"v": 1.0}, ["u", "v"], "column v: is constant"),
    ):
        with pytest.raises(SharpseekFileError, match=message):
            make_problem(good.assign(**change), targets)
    with pytest.raises(SharpseekFileError, match="too few"):
        make_problem(good.head(4), ["u", "v", "w"])
    file = tmp_path / "t.csv"
    good.assign(name="x").to_csv(file, index=False)
    with pytest.raises(SharpseekFileError, match="column name"):
        read_table(file)
    with pytest.raises(SharpseekFileError, match="no such file"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("columns", "targets", "inputs", "message"),
    [
        ({}, ["u", "a"], ["a", "b"], "column a: is both an input and a target"),
        ({}, ["u", "v", "u"], None, "column u: is given twice among the targets"),
        ({}, ["u", "v"], ["a", "b", "a"], "column a: is given twice among the inputs"),
        ({}, ["a", "b", "u", "v", "w"], None, "no input is left"),
        ({"c": lambda t: 2 * t.a}, ["u", "v"], ["a", "b", "c"], "columns a, c: are linearly dependent"),
        ({"c": lambda t: t.a - t.b + 5}, ["u", "v"], ["a", "b", "c"], "columns a, b, c: are linearly dependent"),
        ({"u": lambda t: t.a + 2 * t.b}, ["u", "v"], ["a", "b"], "column u: the inputs explain this target exactly"),
        ({"u": lambda t: t.a, "v": lambda t: t.b}, ["u", "v"], ["a", "b"], "column u: the inputs explain"),
        ({"w": lambda t: t.u + t.a}, ["u", "v", "w"], ["a", "b"], "columns u, w: what the inputs leave"),
        ({"a": lambda t: t.a * 1e308}, ["u", "v"], ["a", "b"], "column a: its values are too large"),
    ],
)
def test_columns_that_make_no_problem_are_refused_by_name(
    columns: dict, targets: list[str], inputs: list[str] | None, message: str
) -> None:
    with np.errstate(over="ignore"), pytest.raises(SharpseekFileError, match=message):
        make_problem(table(50).assign(**columns).clip(-1.7e308, 1.7e308), targets, inputs)


def dataset(folder: Path, *options: str, size: int | None = None) -> subprocess.CompletedProcess:
    """The command, with files of at most `size` bytes: a disk that is full."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));" if size else ""
    code = f"import runpy, sys; {limit} runpy.run_module('sharpseek', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, "dataset", *options], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        (".", "out", ".: Is a directory"),
        ("t.csv/t.csv", "out", "t.csv/t.csv: Not a directory"),
        ("t.csv", "t.csv/x", "t.csv/x: cannot be written (Not a directory)"),
        ("t.csv", "/proc/x", "/proc/x: cannot be written (No such file or directory)"),
        ("t.csv", ".", ".: exists already; choose another --out"),
        (
            "t.csv",
            "a\tb",
            r"'a\tb': test.ini can name no file with control characters or bytes that are not UTF-8; "
            "choose another --out",
        ),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(tmp_path: Path, source: str, out: str, message: str) -> None:
    table(50).to_csv(tmp_path / "t.csv", index=False)
    done = dataset(tmp_path, source, "--targets", "u,v,w", "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"sharpseek: {message}\n")
    assert os.listdir(tmp_path) == ["t.csv"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    table(200).to_csv(tmp_path / "t.csv", index=False)
    done = dataset(tmp_path, "t.csv", "--targets", "u,v,w", "--out", "out", size=1024)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sharpseek: out: cannot be written (File too large)\n"
    assert os.listdir(tmp_path) == ["t.csv"]
    done = dataset(tmp_path, "t.csv", "--targets", "u,v,w", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("next: sharpseek run out/test.ini\n")
    assert sorted(os.listdir(tmp_path)) == ["out", "t.csv"]


def test_the_experiment_names_files_with_blanks_in_quotes(tmp_path: Path) -> None:
    directory = write_problem(make_problem(table(100), ["u", "v", "w"]), tmp_path / 'my "data" #1')
    named = str(directory).replace('"', '""')
    assert f'dataset = "file:{named}/samples.csv"\n' in (directory / "test.ini").read_text()
    assert (
        f'covariance = "file:{named}/isotropic.csv" "file:{named}/noise.csv"\n' in (directory / "test.ini").read_text()
    )
