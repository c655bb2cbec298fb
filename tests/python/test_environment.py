"""The program on machines that are not the developer's: other locales, odd paths, one core, another user."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest


def run_small(
    binary: Path, folder: Path, config: Path, out: str = "out", **options
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary, "run", config, "--out", folder / out, "--quiet"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def traces(folder: Path, out: str = "out") -> np.ndarray:
    with h5py.File(folder / out / "run.h5") as file:
        return file["trace"][:]


@pytest.fixture
def reference(binary: Path, config: Path, tmp_path: Path) -> np.ndarray:
    assert run_small(binary, tmp_path, config, "reference").returncode == 0
    return traces(tmp_path, "reference")


def test_paths_may_hold_spaces_and_any_letters(binary: Path, config: Path, reference: np.ndarray, tmp_path: Path):
    folder = tmp_path / "ein Ordner mit Ümläuten und 空白"
    folder.mkdir()
    moved = folder / "meine Größe.ini"
    moved.write_text(config.read_text())
    done = run_small(binary, folder, moved)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(traces(folder), reference)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_numbers_and_messages_do_not_depend_on_the_locale(
    binary: Path, config: Path, reference: np.ndarray, tmp_path: Path, locale: str
):
    environment = os.environ | {"LC_ALL": locale, "LANG": locale}
    done = run_small(binary, tmp_path, config, "again", env=environment)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(traces(tmp_path, "again"), reference)
    printed = subprocess.run(
        [binary, "theory", config, "--format", "json"], capture_output=True, text=True, env=environment, check=True
    )
    assert json.loads(printed.stdout)


def test_one_core_gives_the_same_bits(binary: Path, config: Path, reference: np.ndarray, tmp_path: Path):
    core = {min(os.sched_getaffinity(0))}
    done = run_small(binary, tmp_path, config, "again", preexec_fn=lambda: os.sched_setaffinity(0, core))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(traces(tmp_path, "again"), reference)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_any_user_can_run_it(binary: Path, config: Path, reference: np.ndarray):
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory() as name:
        own = Path(name)
        os.chown(own, 65534, 65534)
        readable = own / "small.ini"
        readable.write_text(config.read_text())
        try:
            subprocess.run([binary, "--version"], cwd=own, check=True, capture_output=True, **nobody)
        except (PermissionError, subprocess.CalledProcessError):
            pytest.skip("this tree is closed to other users")
        done = run_small(binary, own, readable, env={"PATH": os.environ["PATH"], "HOME": name}, **nobody)
        assert done.returncode == 0, done.stderr
        assert np.array_equal(traces(own), reference)


def test_a_folder_that_cannot_be_written_is_named(binary: Path, config: Path, tmp_path: Path):
    done = run_small(binary, tmp_path, config, "/proc/nowhere")
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
