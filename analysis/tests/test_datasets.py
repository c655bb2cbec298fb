"""A table with known noise: what is estimated, refused and written."""

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
