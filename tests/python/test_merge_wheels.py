"""Wheels for several minor versions of torch become one that pip installs."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout
SCRIPT = Path(__file__).resolve().parents[2] / "tools/merge_wheels.py"


def wheel(folder: Path, torch: str, text: str = "x = 1\n") -> Path:
    path = folder / torch / "sharpseek-0.1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sharpseek/__init__.py", text)
        archive.writestr(f"sharpseek/native/torch_{torch}/part.so", torch)
        info = "sharpseek-0.1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sharpseek\nVersion: 0.1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_the_merged_wheel_has_every_library_and_installs(tmp_path: Path) -> None:
    out = tmp_path / "sharpseek-0.1.0-py3-none-any.whl"
    said = subprocess.run(
        [sys.executable, SCRIPT, out, wheel(tmp_path, "2_11"), wheel(tmp_path, "2_12")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "torch 2.11, 2.12\n"
    if importlib.util.find_spec("pip") is None:
        pytest.skip("no pip here")
    place = tmp_path / "place"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", place, out]
    subprocess.run(command, check=True, capture_output=True)
    assert [p.parent.name for p in sorted(place.rglob("part.so"))] == ["torch_2_11", "torch_2_12"]


def test_wheels_of_different_sources_are_refused(tmp_path: Path) -> None:
    one, other = wheel(tmp_path, "2_11"), wheel(tmp_path, "2_12", "x = 2\n")
    said = subprocess.run([sys.executable, SCRIPT, tmp_path / "out.whl", one, other], capture_output=True, text=True)
    assert said.returncode != 0 and "sharpseek/__init__.py differs" in said.stderr
