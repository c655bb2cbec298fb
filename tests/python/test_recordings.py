"""`sharpseek watch` and `verify` on files that sharpseek.curvature.Recorder keeps along other people's training."""

import json
import os
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from program import Run
from sharpseek import open_run


def recording(path: Path, **attributes: object) -> None:
    """Such a file, written without the Recorder: three records of one training."""
    values = {
        "sharpness": (("replica", "time"), np.array([[1.5, 2.5, 4.0]])),
        "trace": (("replica", "time"), np.array([[3.0, 5.0, 7.25]])),
        "eigenvalues": (("replica", "time", "eigen"), np.arange(6.0).reshape(1, 3, 2)),
    }
    coordinates = {"step": ("time", np.array([100, 200, 300])), "layer": ("layer", np.array(["0.weight", "bias é"]))}
    host = attributes.pop("recorder_host", socket.gethostname())
    file = xr.Dataset(values, coordinates, {"schema_version": np.int64(1), "recorder_host": np.bytes_(str(host))})
    file.attrs |= {"recorder_process": np.int64(os.getpid()), **attributes}
    for name, variable in file.variables.items():
        if name == "layer":
            texts = [text.encode() for text in variable.values]
            content = b"".join(len(text).to_bytes(8, "little") + text for text in texts)
        else:
            content = variable.values.tobytes()
        variable.attrs["crc32"] = np.int64(zlib.crc32(content))
    path.parent.mkdir(exist_ok=True, parents=True)
    file.to_netcdf(path, engine="h5netcdf")


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_recording_is_verified_alone_and_in_its_folder(sharpseek: Run, tmp_path: Path) -> None:
    recording(tmp_path / "deep/mine.h5", recorder_finished="2026-11-28T10:00:00Z")
    (tmp_path / "deep/other.h5").write_bytes(b"no HDF5")
    result = sharpseek("verify", "deep", "--format", "json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["files"]
    assert found == {"file": "deep/mine.h5", "finished": True, "replicas": 1, "records": 3, "variables": 5}
    for name, place in (("trace", (0, 2)), ("eigenvalues", (0, 1, 1)), ("step", (1,))):
        recording(tmp_path / f"{name}.h5")
        with h5py.File(tmp_path / f"{name}.h5", "r+") as file:
            file[name][place] += 1
        result = sharpseek("verify", f"{name}.h5")
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert result.stderr.startswith(f"sharpseek: {name}.h5: {name} is damaged: its checksum is ")
    with h5py.File(tmp_path / "trace.h5", "r+") as file:
        del file["trace"].attrs["crc32"]
    assert "attribute" in sharpseek("verify", "trace.h5").stderr


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({}, "running"),
        ({"recorder_finished": "2026-11-28T10:00:00Z"}, "finished"),
        ({"recorder_process": None}, "stopped"),
        ({"recorder_process": None, "recorder_host": "elsewhere"}, "running"),
    ],
)
def test_watch_tells_a_recording_from_its_process(
    attributes: dict[str, object], state: str, sharpseek: Run, tmp_path: Path
) -> None:
    if "recorder_process" in attributes:
        attributes = attributes | {"recorder_process": np.int64(dead_process())}
    recording(tmp_path / "runs/mine.h5", steps=np.int64(400), **attributes)
    result = sharpseek("watch", "runs", "--once", "--format", "json")
    assert result.returncode == 0, result.stderr
    (run,) = json.loads(result.stdout)["runs"]
    assert (run["state"], run["step"], run["steps"], run["records"]) == (state, 300, 400, 3)
    assert (run["trace"], run["sharpness"], run["sharpness_history"]) == (7.25, 4.0, [1.5, 2.5, 4.0])
    assert bool(run["holder"]) == (state == "running")


def test_a_recording_of_unknown_length_has_no_percentage(sharpseek: Run, tmp_path: Path) -> None:
    recording(tmp_path / "runs/mine.h5", recorder_finished="2026-11-28T10:00:00Z")
    result = sharpseek("watch", "runs", "--once")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].split()[:8] == ["runs/mine.h5", "finished", "1", "0", "300", "-", "-", "-"]
    (tmp_path / "empty").mkdir()
    for command in (("watch", "empty", "--once"), ("verify", "empty")):
        result = sharpseek(*command)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "holds no run.h5 and no recording" in result.stderr


def test_a_selection_saved_from_a_recording_is_none(sharpseek: Run, tmp_path: Path) -> None:
    recording(tmp_path / "runs/mine.h5", measure_version=np.int64(1))
    run = open_run(tmp_path / "runs/mine.h5")
    run.isel(time=slice(0, 2)).to_netcdf(tmp_path / "runs/part.h5", engine="h5netcdf")
    result = sharpseek("verify", "runs", "--format", "json")
    assert result.returncode == 0, result.stderr
    assert [file["file"] for file in json.loads(result.stdout)["files"]] == ["runs/mine.h5"]


def test_a_report_of_a_recording_is_refused_with_what_draws_it(sharpseek: Run, tmp_path: Path) -> None:
    for name in ("mine.h5", "mine.nc"):
        recording(tmp_path / name)
        result = sharpseek("report", name)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert result.stderr.startswith(f"sharpseek: {name}: is a recording of sharpseek.curvature")
        assert "sharpseek.plot" in result.stderr


def test_a_recording_that_claims_more_than_it_stores_is_refused(sharpseek: Run, tmp_path: Path) -> None:
    recording(tmp_path / "mine.h5")
    with h5py.File(tmp_path / "mine.h5", "r+") as file:
        file.create_dataset("huge", (1, 1 << 40), "f8", chunks=(1, 1024)).attrs["crc32"] = 0
    result = sharpseek("verify", "mine.h5")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("sharpseek: mine.h5: huge: ")
