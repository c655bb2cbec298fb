"""What people's editors and folders do to text: encodings, line ends, blanks in paths, and sweeps by the million."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from program import Run
from sharpseek import configuration, open_run

INI = """; a comment
[experiment]
name = small
replicas = 2
[noise]
condition = 1 10
[training]
learning_rate = 0.01
steps = 20
[measure]
every = 10
samples = 32
"""


def refused(run: Run, *arguments: str) -> str:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_marks_and_line_ends_change_nothing(sharpseek: Run, tmp_path: Path, mark: str, end: str) -> None:
    (tmp_path / "plain.ini").write_text(INI)
    (tmp_path / "saved.ini").write_bytes((mark + INI).replace("\n", end).encode())
    assert sharpseek("theory", "saved.ini").stdout == sharpseek("theory", "plain.ini").stdout
    assert "condition=10" in sharpseek("theory", "saved.ini").stdout


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-16-be-sig"])
def test_wider_encodings_are_refused_by_name(sharpseek: Run, tmp_path: Path, encoding: str) -> None:
    text = "\ufeff" + INI if encoding.endswith("sig") else INI
    (tmp_path / "wide.ini").write_bytes(text.encode(encoding.removesuffix("-sig")))
    name = "UTF-32" if encoding == "utf-32" else "UTF-16"
    assert refused(sharpseek, "theory", "wide.ini") == f"sharpseek: wide.ini: is {name} text; save it as UTF-8\n"


def test_messages_show_what_a_terminal_hides(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(INI.replace("1 10", "1\u00a010"), encoding="utf-8")
    assert "noise.condition = 1\\u00a010: must be" in refused(sharpseek, "theory", "x.ini")
    (tmp_path / "x.ini").write_text(INI.replace("condition", "condition\u200b"), encoding="utf-8")
    assert "unknown key noise.condition\\u200b" in refused(sharpseek, "theory", "x.ini")
    (tmp_path / "x.ini").write_bytes(INI.encode() + b"; caf\xe9\n")
    assert f"line 13: byte {len(INI) + 6} of the file, \\xE9, is not UTF-8 text" in refused(sharpseek, "run", "x.ini")
    (tmp_path / "x.ini").write_text("; [noise]\n")
    assert "x.ini: sets no key" in refused(sharpseek, "run", "x.ini", "--set", "training.steps=1")


def test_what_results_cannot_store_is_refused_first(sharpseek: Run, binary: Path, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(INI)
    assert "the argument caf\\xE9: is not UTF-8 text" in refused(
        sharpseek, "run", "x.ini", "--out", os.fsdecode(b"caf\xe9")
    )
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9"))
    folder.mkdir()
    done = subprocess.run([binary, "run", "../x.ini", "--out", "o"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "its name is not UTF-8 text" in done.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"d\xe9", b"x.ini"]
    assert list(folder.iterdir()) == []


def test_a_path_with_blanks_goes_through_every_command(sharpseek: Run, tmp_path: Path) -> None:
    matrices = {"V": np.eye(3, 4) * [1.5, 1, 0.5, 1], "S": np.diag([1.0, 2, 3])}
    for folder in ("plain", "my data #1"):
        (tmp_path / folder).mkdir()
        for name, matrix in matrices.items():
            np.savetxt(tmp_path / folder / f"{name}.csv", matrix, delimiter=",")

    def ini(folder: str) -> str:
        teacher, noise = (f'"file:{folder}/{name}.csv"' for name in "VS")
        return INI.replace("condition = 1 10", f'covariance = {noise} ""\n[data]\nteacher = {teacher} ; comment')

    for folder, out in (("plain", "a"), ("my data #1", "out b")):
        (tmp_path / f"{out}.ini").write_text(ini(folder))
        for shard in ("0/2", "1/2"):
            assert sharpseek("run", f"{out}.ini", "--out", out, "--shard", shard).returncode == 0
            part = f"{out}/shard-{shard[0]}-of-2"
            assert sharpseek("resume", part, "--set", "training.steps=40").returncode == 0
        assert sharpseek("merge", out).returncode == 0
        assert sharpseek("measure", f"{out}/run.h5", "--quantities", "spectrum").returncode == 0
    with open_run(tmp_path / "a") as a, open_run(tmp_path / "out b") as b:
        assert list(b["covariance"].values) == ["file:my data #1/S.csv"] * 2 + [""] * 2
        assert configuration(b)["data"]["teacher"] == "file:my data #1/V.csv"
        assert a["step"].values[-1] == 40
        # Other keys of random numbers, because these come from the text of the options; the same problem.
        np.testing.assert_array_equal(a["teacher"], b["teacher"])
        np.testing.assert_array_equal(a["noise_covariance"], b["noise_covariance"])
        np.testing.assert_allclose(b["noise_covariance"][0], matrices["S"], atol=1e-15)


def test_pieces_of_a_path_are_said_to_need_quotes(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(INI)
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "V.csv").write_text("1,0,0,0\n0,1,0,0\n0,0,1,0\n")
    path = "file:my data/V.csv"
    message = f'data.teacher = {path}: white space separates the values of a sweep; write "{path}"'
    assert message in refused(sharpseek, "run", "x.ini", "--set", f"data.teacher={path}")
    assert sharpseek("run", "x.ini", "--dry-run", "--set", f'data.teacher="{path}"').returncode == 0


def test_a_sweep_of_a_hundred_million_points_is_counted_first(sharpseek: Run, tmp_path: Path) -> None:
    axis = " ".join(str(1 + n) for n in range(10000))
    (tmp_path / "x.ini").write_text(INI.replace("condition = 1 10", f"condition = {axis}\ntotal = {axis}"))
    for command in (["theory"], ["theory", "--flow"], ["run"], ["run", "--dry-run"], ["run", "--shard", "3/1000"]):
        message = refused(sharpseek, command[0], "x.ini", *command[1:])
        assert "the sweep has 1e+08 points, 10000 of noise.total x 10000 of noise.condition" in message
    assert os.listdir(tmp_path) == ["x.ini"]
