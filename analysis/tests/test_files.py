"""Opening files: what is found, and one clear line when something is wrong."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek
import xarray as xr
from sharpseek.backend import RunFile
from synthetic import Make, make_run


def test_run_opens_by_file_and_by_folder(tmp_path: Path) -> None:
    make_run(tmp_path)
    by_folder = sharpseek.open_run(tmp_path)
    by_file = sharpseek.open_run(tmp_path / "run.h5")
    assert by_folder.sizes == by_file.sizes
    assert by_folder.attrs["config"]["noise"]["condition"] == [1.0, 10.0, 100.0]
    assert "condition" in by_folder.coords


def test_a_run_is_what_xarray_reads(tmp_path: Path) -> None:
    path = make_run(tmp_path) / "run.h5"
    with h5py.File(path, "a") as file:
        file.create_group("checkpoint")["parameters"] = np.zeros(3)
        file["trace"].attrs["long_name"] = "a text"
    ours, theirs = (xr.open_dataset(path, engine=engine) for engine in (RunFile, "h5netcdf"))
    xr.testing.assert_identical(ours, theirs)
    assert {n: v.dtype for n, v in ours.variables.items()} == {n: v.dtype for n, v in theirs.variables.items()}
    np.testing.assert_array_equal(ours["trace"][::-2, [3, 1]], theirs["trace"].values[::-2, [3, 1]])


def test_values_are_read_when_asked_for(tmp_path: Path) -> None:
    run = sharpseek.open_run(make_run(tmp_path))
    assert not run["trace"].variable._in_memory
    restored = pickle.loads(pickle.dumps(run))
    np.testing.assert_array_equal(restored["trace"], run["trace"])


def test_sweep_opens_its_groups(tmp_path: Path) -> None:
    make_run(tmp_path / "depth=2")
    make_run(tmp_path / "depth=3")
    groups = [{"name": f"depth={d}", "path": f"depth={d}/run.h5"} for d in (2, 3)]
    (tmp_path / "index.json").write_text(json.dumps({"schema_version": 1, "groups": groups}))
    assert list(sharpseek.open_sweep(tmp_path)) == ["depth=2", "depth=3"]
    with pytest.raises(sharpseek.SharpseekFileError, match="several runs"):
        sharpseek.open_run(tmp_path)


def _foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)


def _newer(path: Path) -> None:
    make_run(path.parent)
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99


def _incomplete(path: Path) -> None:
    make_run(path.parent)
    with h5py.File(path, "a") as file:
        del file["stationary"]


def _without_config(path: Path) -> None:
    make_run(path.parent)
    with h5py.File(path, "a") as file:
        del file.attrs["config"]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"not hdf5"), "not a readable"),
        (_foreign, "not a run file"),
        (_newer, "schema version 99 is newer"),
        (_incomplete, "stationary is missing"),
        (_without_config, "config is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, spoil, expected: str) -> None:
    path = tmp_path / "run.h5"
    spoil(path)
    with pytest.raises(sharpseek.SharpseekFileError, match=expected) as error:
        sharpseek.open_run(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_reproduction_says_what_is_missing(tmp_path: Path, reproduction: Make) -> None:
    with pytest.raises(sharpseek.SharpseekFileError, match=r"reproduce\.json: no such file"):
        sharpseek.open_reproduction(tmp_path)
    (tmp_path / "reproduce.json").write_text("{")
    with pytest.raises(sharpseek.SharpseekFileError, match="not valid JSON"):
        sharpseek.open_reproduction(tmp_path)
    (tmp_path / "reproduce.json").write_text('{"schema_version": 1, "finished": "b", "experiments": [{"name": "a"}]}')
    with pytest.raises(sharpseek.SharpseekFileError, match=r"reproduce\.json: 'title' is missing"):
        sharpseek.open_reproduction(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", "schema_version is missing"),
        ('{"schema_version": "x"}', "schema_version = 'x': must be a whole number"),
        ('{"schema_version": 1, "experiments": []}', "not finished; sharpseek resume .* goes on with it"),
        ('{"schema_version": 1, "finished": "b", "experiments": 5}', "not written by sharpseek"),
        (None, "Is a directory"),
    ],
)
def test_a_reproduction_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "reproduce.json"
    if text is None:
        file.mkdir()
    else:
        file.write_text(text)
    with pytest.raises(sharpseek.SharpseekFileError, match=expected) as error:
        sharpseek.open_reproduction(tmp_path)
    assert str(error.value).startswith(f"{file}: ")


def _unfinished(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs["finished"]


def test_a_run_that_is_not_finished_opens_but_is_no_part_of_a_reproduction(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    _unfinished(directory / "linear-2/run.h5")
    assert sharpseek.open_run(directory / "linear-2").sizes["time"] == 60
    with pytest.raises(sharpseek.SharpseekFileError, match=r"linear-2/run\.h5: the run is not finished"):
        sharpseek.open_reproduction(directory)


def test_values_that_cannot_be_read_name_their_file(tmp_path: Path) -> None:
    path = make_run(tmp_path) / "run.h5"
    run = sharpseek.open_run(path)
    run.close()
    path.unlink()
    with pytest.raises(OSError, match="cannot be read") as error:
        run["trace"].load()
    assert error.value.filename == str(path)


def test_sweep_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"schema_version": 1}')
    with pytest.raises(sharpseek.SharpseekFileError, match=r"index\.json: 'groups' is missing"):
        sharpseek.open_sweep(tmp_path)
