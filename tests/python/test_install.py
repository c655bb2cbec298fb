"""The installed program runs from anywhere, and a program of one's own can embed the sharpness library."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(binary: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", binary.parent, "--prefix", folder)
    return folder


def test_the_installed_program_runs_when_moved(prefix: Path, tmp_path: Path):
    moved = tmp_path / "moved here"
    moved.mkdir()
    os.link(prefix / "bin" / "sharpseek", moved / "sharpseek")
    assert run(moved / "sharpseek", "--version", cwd=tmp_path).startswith("sharpseek ")


def test_the_sharpness_library_can_be_embedded(prefix: Path, tmp_path: Path):
    run("cmake", "-S", ROOT / "examples" / "embed", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    lines = run(tmp_path / "embed").splitlines()
    assert len(lines) == 3
    values = [float(line.split()[1].rstrip(",")) for line in lines]
    residuals = [float(line.split()[-1]) for line in lines]
    assert values == sorted(values, reverse=True)
    assert max(residuals) <= 1e-7 * values[0]
