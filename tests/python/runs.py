"""What tests of stopped, sharded and damaged runs share."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np

LONG = ["--set=training.steps=400000", "--set=measure.every=4000"]
"""Long enough to be stopped in the middle; 101 records."""


def contents(path: Path) -> dict[str, bytes]:
    """Every value of a file, bit by bit: what must not depend on how the run came about."""
    found: dict[str, bytes] = {}

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        values = item[()]
        if item.dtype.kind == "O":
            values = np.array([str(v) for v in np.ravel(values)])
        found[name] = str(item.shape).encode() + np.ascontiguousarray(values).tobytes()

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def assert_same(a: Path, b: Path) -> None:
    one, two = contents(a), contents(b)
    assert one.keys() == two.keys()
    differing = [name for name in one if one[name] != two[name]]
    assert differing == []


def watch(binary: Path, folder: Path) -> dict:
    """How the (only) run in a folder stands, as `sharpseek watch` says."""
    result = subprocess.run(
        [binary, "watch", folder, "--once", "--format", "json"], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["runs"][0]


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, f"ended with {process.returncode} before {path} was there"
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def wait_until_it_heeds(number: signal.Signals, process: subprocess.Popen, seconds: float = 120) -> None:
    """Until the process has its handler: before that, while its libraries load, a signal kills it."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        if caught and int(caught[1], 16) >> (number - 1) & 1:
            return
        assert time.monotonic() < deadline, number
        time.sleep(0.02)
