"""`sharpseek measure --data` on files as h5py and xarray write them: read, or refused in one line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from program import Run

GENERATOR = np.random.default_rng(6)
X = GENERATOR.normal(size=(12, 3))
Y = GENERATOR.normal(size=(12, 2))

NO_LOCKS = """#include <errno.h>
#include <fcntl.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""
"""A file system without locks, to be preloaded."""


MODULE = str(Path(__file__).with_name("linear.pt"))
"""torch.jit.script(torch.nn.Linear(3, 2, dtype=torch.float64)), saved."""


def refusal(sharpseek: Run) -> str:
    result = sharpseek("measure", "--module", MODULE, "--data", "data.h5", "--out", "refused.h5")
    assert result.returncode == 2, result.stdout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("sharpseek: data.h5: ")
    return result.stderr


def accepted(sharpseek: Run) -> bool:
    result = sharpseek("measure", "--module", MODULE, "--data", "data.h5", "--out", "accepted.h5", "--quiet")
    return result.returncode == 0


def write(path: Path, inputs: np.ndarray = X, targets: np.ndarray = Y, **options: object) -> None:
    with h5py.File(path, "w") as file:
        file["inputs"] = inputs
        file.create_dataset("targets", data=targets, **options)


@pytest.mark.parametrize(
    "encoding", [{"_FillValue": -1e3}, {"missing_value": 9.9e9}, {"dtype": "int8", "_FillValue": 7}]
)
def test_a_sample_without_a_value_is_refused(sharpseek: Run, tmp_path: Path, encoding: dict) -> None:
    holes = np.where(np.arange(24).reshape(12, 2) == 9, np.nan, 3)
    data = xr.Dataset({"inputs": (("sample", "input"), X), "targets": (("sample", "output"), holes)})
    data.to_netcdf(tmp_path / "data.h5", engine="h5netcdf", encoding={"targets": encoding})
    key = next(name for name in encoding if name != "dtype")
    assert f"targets[4, 1] is {encoding[key]:g}, its {key}" in refusal(sharpseek).replace("9900000000", "9.9e+09")


def _lzf(path: Path) -> None:
    write(path, np.zeros((500, 3)), np.zeros((500, 2)), compression="lzf")


def _in_a_group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["train/inputs"], file["train/targets"] = X, Y


def _pickled(path: Path) -> None:
    np.save(path.with_suffix(".npy"), X)
    path.with_suffix(".npy").rename(path)


def _classic(path: Path) -> None:
    xr.Dataset({"inputs": ("sample", X[:, 0])}).to_netcdf(path, engine="scipy")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_lzf, "targets: needs the HDF5 filter lzf (32000), which is not installed; write it with gzip"),
        (lambda path: write(path, targets=Y.astype(complex)), "targets: holds complex numbers"),
        (lambda path: write(path, targets=np.array([b"cat"] * 12)), "targets: holds strings"),
        (lambda path: write(path, targets=np.zeros(12, dtype="f4,i4")), "targets: holds records"),
        (lambda path: write(path, targets=np.where(X > 1.5, np.inf, X)), "is inf"),
        (_in_a_group, "has no data set inputs; it has train/inputs, train/targets"),
        (_pickled, "is no HDF5 file"),
        (_classic, "netCDF-3"),
    ],
)
def test_what_cannot_be_read_is_named(
    sharpseek: Run, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "data.h5")
    assert message in refusal(sharpseek)


def test_a_virtual_data_set_needs_its_sources(sharpseek: Run, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout(X.shape, "f8")
    for i in range(3):
        write(tmp_path / f"part{i}.h5", X[4 * i : 4 * i + 4])
        layout[4 * i : 4 * i + 4] = h5py.VirtualSource(f"part{i}.h5", "inputs", (4, 3))
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_virtual_dataset("inputs", layout)
        file["targets"] = Y
    assert accepted(sharpseek)
    (tmp_path / "part1.h5").unlink()
    assert "its values are in part1.h5, which is missing" in refusal(sharpseek)
    write(tmp_path / "part1.h5", X[:2])
    assert "shows other values of inputs in" in refusal(sharpseek)


def test_files_are_read_where_nothing_can_be_locked(binary: Path, sharpseek: Run, config: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "no_locks.c").write_text(NO_LOCKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "no_locks.so", "no_locks.c"], cwd=tmp_path, check=True)
    write(tmp_path / "data.h5")
    for i in range(2):
        steps = "--set=training.steps=20"
        assert sharpseek("run", "small.ini", "--quiet", "--out", "parts", "--shard", f"{i}/2", steps).returncode == 0
    assert sharpseek("merge", "parts", "--quiet").returncode == 0

    def unlocked(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"LD_PRELOAD": str(tmp_path / "no_locks.so")} | environment
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    arguments = ("measure", "--module", MODULE, "--data", "data.h5", "--out")
    result = unlocked(binary, *arguments, "unlocked.h5")
    assert result.returncode == 0, result.stderr
    # The shards that a merged file shows are opened by HDF5 itself, in the program and in Python.
    assert unlocked(binary, "verify", "parts").returncode == 0
    script = "import sharpseek; assert sharpseek.open_run('parts')['trace'].notnull().all()"
    result = unlocked(sys.executable, "-c", script)
    assert result.returncode == 0, result.stderr
    result = unlocked(binary, *arguments, "locked.h5", HDF5_USE_FILE_LOCKING="TRUE")
    assert result.returncode == 2
    assert "data.h5: cannot be opened: No locks available; HDF5_USE_FILE_LOCKING=FALSE" in result.stderr
