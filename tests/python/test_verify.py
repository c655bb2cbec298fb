"""`sharpseek verify`: what is damaged is found and named."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run


@pytest.fixture
def run(sharpseek: Run, config: Path, tmp_path: Path) -> Path:
    assert sharpseek("run", "small.ini", "--quiet").returncode == 0
    return tmp_path / "out" / "small" / "run.h5"


def test_a_finished_file_passes_and_its_checksums_are_those_of_zlib(sharpseek: Run, run: Path) -> None:
    import zlib

    result = sharpseek("verify", "out", "--format", "json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["files"]
    assert found["finished"] and found["replicas"] == 4 and found["records"] == 41
    with h5py.File(run) as file:
        for name in ("trace", "eigenvalues", "status", "step", "checkpoint/parameters"):
            assert file[name].attrs["crc32"] == zlib.crc32(np.ascontiguousarray(file[name][()]).tobytes()), name


def test_a_flipped_bit_in_the_values_is_named(sharpseek: Run, run: Path) -> None:
    with h5py.File(run) as file:
        place = file["trace"].id.get_chunk_info(0).byte_offset
    data = bytearray(run.read_bytes())
    data[place + 10] ^= 4
    run.write_bytes(data)
    result = sharpseek("verify", "out/small/run.h5")
    assert result.returncode == 2
    assert "run.h5" in result.stderr and "trace" in result.stderr


def test_values_changed_through_hdf5_itself_are_named(sharpseek: Run, run: Path) -> None:
    with h5py.File(run, "a") as file:
        file["sharpness"][1, 3] += 1e-9
    result = sharpseek("verify", "out/small/run.h5")
    assert result.returncode == 2
    assert "sharpness is damaged" in result.stderr


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_named(sharpseek: Run, run: Path, share: float) -> None:
    data = run.read_bytes()
    run.write_bytes(data[: int(share * len(data))])
    result = sharpseek("verify", "out/small/run.h5")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "run.h5" in result.stderr


@pytest.mark.parametrize(("kind", "name"), [("attribute", "config"), ("variable", "stationary"), ("variable", "step")])
def test_what_is_missing_is_named(sharpseek: Run, run: Path, kind: str, name: str) -> None:
    with h5py.File(run, "a") as file:
        if kind == "attribute":
            del file.attrs[name]
        else:
            del file[name]
    result = sharpseek("verify", "out/small/run.h5")
    assert result.returncode == 2
    assert f"{kind} {name} is missing" in result.stderr


def test_more_values_than_what_is_stored_can_say_are_refused_and_not_read(sharpseek: Run, run: Path) -> None:
    with h5py.File(run, "a") as file:
        huge = file.create_dataset("huge", shape=(10**6, 10**6), dtype="f8", chunks=(100, 100))  # nothing is allocated
        for axis, name in enumerate(("rows", "columns")):
            file.create_dataset(name, shape=(10**6,), dtype="f8").make_scale(name)
            huge.dims[axis].attach_scale(file[name])
    begin = time.monotonic()
    result = sharpseek("verify", "out/small/run.h5")
    assert result.returncode == 2
    assert "huge: has 1e+12 values, of which only 0 bytes are stored (damaged?)" in result.stderr
    assert time.monotonic() - begin < 30


def test_every_tool_reads_the_file(run: Path) -> None:
    netcdf4 = pytest.importorskip("netCDF4")
    with netcdf4.Dataset(run) as file:
        assert file.dimensions["replica"].size == 4
        assert np.isfinite(file["trace"][:]).all()
    for tool, flags in (("h5dump", []), ("ncdump", [])):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
        subprocess.run([tool, *flags, run], stdout=subprocess.DEVNULL, check=True, timeout=120)
