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


SETS = ("scalar", "sse42", "avx2", "avx512")


def lane_sets(wanted: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "sets.cmake"
    lines = ["cmake_minimum_required(VERSION 3.25)", f'include("{ROOT}/cmake/LaneSets.cmake")']
    script.write_text("\n".join([*lines, "sharpseek_lane_sets(sets)", 'message("sets=${sets}")']))
    command = ["cmake", f"-DSHARPSEEK_LANE_SETS={wanted}", "-P", str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("wanted", "sets"),
    [("all", set(SETS)), ("scalar;avx2", {"scalar", "avx2"}), ("native", None), ("avx2", ()), ("scalar;mmx", ())],
)
def test_instruction_sets_are_all_this_machine_s_or_listed(wanted: str, sets: object, tmp_path: Path):
    done = lane_sets(wanted, tmp_path)
    if sets == ():
        assert done.returncode != 0
        assert f"SHARPSEEK_LANE_SETS={wanted}: must be all, native, or" in " ".join(done.stderr.split())
        return
    assert done.returncode == 0, done.stderr
    found = set(done.stderr.partition("sets=")[2].strip().split(";"))
    if wanted == "native":
        # What the kernel says of this processor.
        flags = set(next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "flags" in line).split())
        sets = {"scalar"} | {s for s, flag in (("avx2", "avx2"), ("avx512", "avx512bw")) if flag in flags}
        sets |= {"sse42"} if "sse4_2" in flags and "avx2" not in flags else set()
    assert found == sets


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
