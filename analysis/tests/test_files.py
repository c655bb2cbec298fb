"""Opening files: what is found, and one clear line when something is wrong."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek
import xarray as xr
from sharpseek.backend import RunFile
from synthetic import Make, make_dataset, make_run


def test_run_opens_by_file_and_by_folder(tmp_path: Path) -> None:
    make_run(tmp_path)
    by_folder = sharpseek.open_run(tmp_path)
    by_file = sharpseek.open_run(tmp_path / "run.h5")
    assert by_folder.sizes == by_file.sizes
    assert sharpseek.configuration(by_folder)["noise"]["condition"] == [1.0, 10.0, 100.0]
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
    write_index(tmp_path, "depth=2", "depth=3")
    sweep = sharpseek.open_sweep(tmp_path)
    assert list(sweep) == ["depth=2", "depth=3"]
    xr.testing.assert_identical(sweep["depth=3"].to_dataset(), sharpseek.open_run(tmp_path / "depth=3"))
    with pytest.raises(sharpseek.SharpseekFileError, match="several runs"):
        sharpseek.open_run(tmp_path)


def write_index(directory: Path, *groups: str) -> None:
    entries = [{"name": name, "path": f"{name}/run.h5"} for name in groups]
    (directory / "index.json").write_text(json.dumps({"schema_version": 1, "groups": entries}))


def test_a_single_run_is_the_root_of_a_tree(tmp_path: Path) -> None:
    make_run(tmp_path / "alone")
    sweep = sharpseek.open_sweep(tmp_path / "alone")
    assert (sweep.name, list(sweep.children)) == ("alone", [])
    np.testing.assert_array_equal(sweep["trace"], sharpseek.open_run(tmp_path / "alone")["trace"])


def test_a_sweep_over_shapes_opens_as_one_dataset(tmp_path: Path) -> None:
    """Rates of equal time: every run has its own steps, and its own bins of a density that only one has."""
    runs = {rate: make_dataset(seeds=2, noise=0.01 * rate, generator_seed=rate) for rate in (1, 2)}
    for rate, run in runs.items():
        (tmp_path / f"learning_rate={rate}").mkdir()
        run = run.assign_coords(step=run["step"] * rate)
        run["parameters"] = (("replica", "parameter"), np.zeros((run.sizes["replica"], 3 * rate)))
        run.to_netcdf(tmp_path / f"learning_rate={rate}" / "run.h5", engine="h5netcdf")
    write_index(tmp_path, "learning_rate=1", "learning_rate=2")
    joined = sharpseek.open_joined(tmp_path)
    assert joined.sizes["replica"] == 24
    np.testing.assert_array_equal(joined["learning_rate"], [1] * 12 + [2] * 12)
    np.testing.assert_array_equal(joined["step"][:, 3], [30] * 12 + [60] * 12)
    np.testing.assert_array_equal(joined["trace"][12:], runs[2]["trace"])
    assert joined.attrs["left_out"] == "parameters"
    table = sharpseek.summarise(joined, "trace_mean", ["learning_rate"])
    assert list(table["learning_rate"]) == [1, 2]
    assert list(table["replicas"]) == [12, 12]


def test_groups_with_other_records_are_not_joined(tmp_path: Path) -> None:
    make_run(tmp_path / "depth=2")
    (tmp_path / "depth=3").mkdir()
    make_dataset().isel(time=slice(0, 50)).to_netcdf(tmp_path / "depth=3" / "run.h5", engine="h5netcdf")
    write_index(tmp_path, "depth=2", "depth=3")
    with pytest.raises(sharpseek.SharpseekFileError, match=r"depth=2: 60, depth=3: 50"):
        sharpseek.open_joined(tmp_path)


CHANGED: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "whole": lambda run: run,
    "selection": lambda run: run[["trace"]].isel(replica=slice(2, 5), time=-1),
    "arithmetic": lambda run: run[["trace", "trace_mean"]] / 2 + 1,
    "mean": lambda run: run[["trace", "status"]].mean("replica", keep_attrs=True),
    "groups": lambda run: run[["trace_mean"]].groupby("condition").mean(),
    "in memory": lambda run: pickle.loads(pickle.dumps(run.load().copy(deep=True))),
}
"""What users do to a run before they save it."""


@pytest.mark.parametrize("change", CHANGED)
def test_what_was_made_of_a_run_is_saved_and_opens_again(tmp_path: Path, change: str) -> None:
    run = sharpseek.open_run(make_run(tmp_path))
    made = CHANGED[change](run)
    made.to_netcdf(tmp_path / "copy.nc", engine="h5netcdf")
    found = sharpseek.open_run(tmp_path / "copy.nc")
    assert set(found.variables) == set(made.variables)
    for name, values in made.variables.items():
        np.testing.assert_array_equal(found[name].values, values.values, err_msg=str(name))
    assert sharpseek.configuration(found) == {"noise": {"condition": [1.0, 10.0, 100.0]}}
    assert found.attrs["file"] == str(tmp_path / "copy.nc")
    with h5py.File(tmp_path / "copy.nc") as file:
        assert file.attrs["config"] == run.attrs["config"]


def test_a_run_is_not_saved_over_itself(tmp_path: Path) -> None:
    path = make_run(tmp_path) / "run.h5"
    before = path.read_bytes()
    with pytest.raises(OSError, match="already open"):
        sharpseek.open_run(path).to_netcdf(path, engine="h5netcdf")
    assert path.read_bytes() == before


@pytest.mark.parametrize("attributes", [{}, {"config": '{"noise": {}}'}])
def test_what_measure_writes_opens(tmp_path: Path, attributes: dict[str, str]) -> None:
    trace = ("replica", "time"), np.array([[3.0, 4.0]])
    attributes |= {"measure_version": "0.1.0"}
    run = xr.Dataset({"trace": trace}, coords={"step": ("time", [0, 5])}, attrs={"schema_version": 1} | attributes)
    run.to_netcdf(tmp_path / "measure.h5", engine="h5netcdf")
    opened = sharpseek.open_run(tmp_path / "measure.h5")
    np.testing.assert_array_equal(opened["trace"], [[3, 4]])
    assert sharpseek.configuration(opened) == ({"noise": {}} if "config" in attributes else {})


def _merged(directory: Path, shards: int = 3, attributes: dict[str, int] | None = None) -> Path:
    """A file whose variables over replicas lie in shards, as `sharpseek merge` writes it."""
    parts = [make_run(directory / f"shard-{i}-of-{shards}", seeds=2, generator_seed=i) for i in range(shards)]
    with h5py.File(parts[0] / "run.h5") as first, h5py.File(directory / "run.h5", "w") as merged:
        merged.attrs.update(first.attrs)
        merged.attrs.update({"shards": shards} if attributes is None else attributes)
        for name, variable in first.items():
            if variable.ndim and "stationary" in first and variable.shape[0] == first["stationary"].shape[0]:
                rows = variable.shape[0]
                layout = h5py.VirtualLayout((rows * shards, *variable.shape[1:]), variable.dtype)
                for i in range(shards):
                    source = h5py.VirtualSource(f"shard-{i}-of-{shards}/run.h5", name, variable.shape)
                    layout[i * rows : (i + 1) * rows] = source
                merged.create_virtual_dataset(name, layout, fillvalue=-7)
            elif "CLASS" not in variable.attrs:
                merged[name] = variable[()]
    return directory


def test_a_merged_file_needs_its_shards(tmp_path: Path) -> None:
    whole = _merged(tmp_path / "whole")
    parts = [sharpseek.open_run(whole / f"shard-{i}-of-3")["trace_mean"].values for i in range(3)]
    np.testing.assert_array_equal(sharpseek.open_run(whole)["trace_mean"], np.concatenate(parts))
    (tmp_path / "far").mkdir()
    (tmp_path / "far/run.h5").write_bytes((whole / "run.h5").read_bytes())
    for opened in (sharpseek.open_run, sharpseek.open_sweep):
        with pytest.raises(sharpseek.SharpseekFileError) as error:
            opened(tmp_path / "far")
        assert str(error.value).startswith(f"{tmp_path / 'far/run.h5'}: its values are in shard-0-of-3/run.h5, shard-1")
        assert str(error.value).endswith("sharpseek merge DIR --copy")
    (whole / "shard-1-of-3").rename(tmp_path / "shard-1-of-3")
    with pytest.raises(sharpseek.SharpseekFileError, match=r"in shard-1-of-3/run\.h5, which is missing"):
        sharpseek.open_run(whole)


@pytest.mark.parametrize("fault", ["shorter", "without the variable", "cut off", "removed"])
def test_a_shard_that_changes_after_opening_is_no_fill_value(tmp_path: Path, fault: str) -> None:
    run = sharpseek.open_run(_merged(tmp_path))
    shard = tmp_path / "shard-1-of-3/run.h5"
    if fault in ("shorter", "without the variable"):
        with h5py.File(shard, "a") as file:
            values = file["trace"][:-1]
            del file["trace"]
            if fault == "shorter":
                file["trace"] = values
    elif fault == "cut off":
        shard.write_bytes(shard.read_bytes()[:3000])
    else:
        shard.unlink()
    with pytest.raises(OSError) as error:
        run["trace"].load()
    assert error.value.filename == str(tmp_path / "run.h5")


def _limited(files: int, statement: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs a statement in a process that may open so many files."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
    script = f"import sharpseek\n{limit}\n{statement}"
    return subprocess.run([sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, timeout=300)


def test_a_sweep_of_any_size_opens_few_files(tmp_path: Path) -> None:
    make_run(tmp_path / "0", seeds=1)
    text = (tmp_path / "0/run.h5").read_bytes()
    for i in range(1, 30):
        (tmp_path / f"{i}").mkdir()
        (tmp_path / f"{i}/run.h5").write_bytes(text)
    groups = [{"name": f"width={i}", "path": f"{i}/run.h5"} for i in range(30)]
    (tmp_path / "index.json").write_text(json.dumps({"schema_version": 1, "groups": groups}))
    reading = "runs = sharpseek.open_sweep('.')\nprint(sum(float(r['trace'].sum()) for r in [*runs.values()] * 2))"
    result = _limited(20, reading, tmp_path)
    assert result.returncode == 0, result.stderr
    one = float(sharpseek.open_run(tmp_path / "0")["trace"].sum())
    np.testing.assert_allclose(float(result.stdout), 60 * one)


def test_too_many_shards_are_an_error_and_no_fill_values(tmp_path: Path) -> None:
    _merged(tmp_path, shards=12)
    assert float(sharpseek.open_run(tmp_path)["trace"].min()) > 0
    result = _limited(10, "sharpseek.open_run('.')['trace'].load()", tmp_path)
    assert result.returncode != 0
    assert "Too many open files" in result.stderr


def _classic(path: Path) -> None:
    xr.Dataset({"x": ("t", np.zeros(3))}).to_netcdf(path, engine="scipy")


def _checkpoint(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["checkpoint_schema"] = 1


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
        (_classic, "netCDF-3"),
        (_checkpoint, "checkpoint of a run"),
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
        ('{"schema_version": 1, "experiments": []}', "not finished; continue with: sharpseek resume "),
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
