"""The program under test: SHARPSEEK_BINARY, or the release build of this tree."""

import os
import subprocess
from pathlib import Path

import pytest
from program import Run

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """[experiment]
name = small
seed = 1
replicas = 2
[data]
inputs = 4
outputs = 3
teacher = aligned
[noise]
total = 3
condition = 1 10
[model]
kind = linear
width = 5
depth = 2
[training]
learning_rate = 0.01
batch = 2
steps = 200
[measure]
every = 5
samples = 32
quantities = excess_risk,spectrum,gradient,balance
"""


@pytest.fixture(scope="session")
def binary() -> Path:
    path = Path(os.environ.get("SHARPSEEK_BINARY", ROOT / "build" / "release" / "sharpseek"))
    assert path.exists(), f"{path} is missing: build first, or set SHARPSEEK_BINARY"
    return path


@pytest.fixture
def sharpseek(binary: Path, tmp_path: Path) -> Run:
    """Runs the program in an empty folder; returns the completed process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([binary, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def sharpseek_without_room(binary: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """As sharpseek, on what is like a full disk: no file can grow beyond 8 KiB (EFBIG).

    A coverage build writes its counts at exit, which are longer. They go elsewhere, so that no others are cut off.
    """
    environment = {**os.environ, "GCOV_PREFIX": str(tmp_path_factory.mktemp("counts"))}
    script = 'trap "" XFSZ; ulimit -f 8; exec "$0" "$@"'

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", script, binary, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.ini"
    path.write_text(CONFIG)
    return path
