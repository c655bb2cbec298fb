"""Streams: what TensorBoard and MLflow read back is what the file holds, sent once, live and afterwards."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from mlflow import MlflowClient
from scipy import stats
from sharpseek.files import SharpseekFileError, exit_status
from sharpseek.stream import stream
from synthetic import make_dataset, make_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars(place: Path, tag: str) -> tuple[list[int], list[float]]:
    """Steps and values of a tag as TensorBoard reads them."""
    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    found = events.Scalars(tag)
    return [event.step for event in found], [event.value for event in found]


def write_live(folder: Path, records: int) -> None:
    """The run of make_dataset as its file looks after so many records."""
    run = make_dataset(seeds=4)
    late = xr.DataArray(np.arange(run.sizes["time"]), dims="time") >= records
    run = run.assign(trace=run["trace"].where(~late)).assign_coords(step=run["step"].where(~late, -1))
    del run.attrs["finished"]
    folder.mkdir(exist_ok=True)
    run.to_netcdf(folder / "new.h5", engine="h5netcdf")
    (folder / "new.h5").rename(folder / "run.h5")


def test_tensorboard_reads_means_and_bands_of_every_point(tmp_path: Path) -> None:
    run = make_dataset(seeds=5)
    make_run(tmp_path / "run", seeds=5)
    assert stream(tmp_path / "run", "tensorboard", str(tmp_path / "logs"), replicas=[7]) == 6 * 60
    assert len(list((tmp_path / "logs").iterdir())) == 6
    here = (run["condition"] == 10).values & (run["init_imbalance"] == 1).values
    place = tmp_path / "logs" / "condition=10.0,init_imbalance=1.0"
    values = run["trace"].values[here]
    half = stats.t.ppf(0.975, 4) * values.std(axis=0, ddof=1) / np.sqrt(5)
    for tag, right in (("mean", values.mean(axis=0)), ("low", values.mean(axis=0) - half)):
        steps, found = scalars(place, f"trace/{tag}")
        assert steps == list(range(0, 600, 10))
        np.testing.assert_allclose(found, right, rtol=1e-6)
    at = np.flatnonzero(here).tolist().index(7) if here[7] else -1
    holder = next(p for p in (tmp_path / "logs").iterdir() if "trace/replica_7" in tags(p))
    assert (holder == place) == (at >= 0)
    np.testing.assert_allclose(scalars(holder, "trace/replica_7")[1], run["trace"].values[7], rtol=1e-6)


def tags(place: Path) -> list[str]:
    events = EventAccumulator(str(place))
    events.Reload()
    return events.Tags()["scalars"]


def test_a_replica_that_diverged_is_counted_and_left_out(tmp_path: Path) -> None:
    run = make_dataset(seeds=4)
    trace = run["trace"].values.copy()
    trace[0, 30:] = np.inf
    make_run(tmp_path)
    run.assign(trace=(("replica", "time"), trace)).to_netcdf(tmp_path / "run.h5", engine="h5netcdf")
    stream(tmp_path, "tensorboard", str(tmp_path / "logs"), ["trace"])
    place = tmp_path / "logs" / "condition=1.0,init_imbalance=1.0"
    assert scalars(place, "replicas/not_finite")[1] == [0.0] * 30 + [1.0] * 30
    np.testing.assert_allclose(scalars(place, "trace/mean")[1][30:], trace[1:4, 30:].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("to", ["tensorboard", "mlflow"])
def test_a_stream_continues_and_sends_nothing_twice(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    out = str(tmp_path / "logs") if to == "tensorboard" else f"file:{tmp_path / 'logs'}"
    sent = []
    for records in (0, 20, 20, 45):
        write_live(tmp_path / "run", records)
        sent.append(stream(tmp_path / "run", to, out, ["trace"]))
    make_run(tmp_path / "run", seeds=4)
    sent.append(stream(tmp_path / "run", to, out, ["trace"]))
    assert sent == [0, 6 * 20, 0, 6 * 25, 6 * 15]
    if to == "tensorboard":
        steps, values = scalars(tmp_path / "logs" / "condition=1.0,init_imbalance=1.0", "trace/mean")
    else:
        client = MlflowClient(out)
        (experiment,) = (e for e in client.search_experiments() if e.name == "run")
        runs = client.search_runs([experiment.experiment_id])
        assert len(runs) == 6
        (run,) = (r for r in runs if r.info.run_name == "condition=1.0,init_imbalance=1.0")
        assert run.data.params["noise.condition"] == "1.0"
        history = sorted(client.get_metric_history(run.info.run_id, "trace/mean"), key=lambda m: m.step)
        steps, values = [m.step for m in history], [m.value for m in history]
    assert steps == list(range(0, 600, 10))
    np.testing.assert_allclose(values, make_dataset(seeds=4)["trace"].values[:4].mean(axis=0), rtol=1e-6)


def test_following_ends_when_the_run_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_live(tmp_path / "run", 10)
    pauses: list[float] = []

    def write_the_next(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            write_live(tmp_path / "run", 30)
        else:
            make_run(tmp_path / "run", seeds=4)

    monkeypatch.setattr("sharpseek.stream.time", SimpleNamespace(sleep=write_the_next))
    assert stream(tmp_path / "run", "tensorboard", str(tmp_path / "l"), ["trace"], follow=True, every=7) == 6 * 60
    assert pauses == [7, 7]


def test_ctrl_c_is_one_line_and_status_75_and_the_stream_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_live(tmp_path / "run", 10)
    logs = str(tmp_path / "logs")

    def press(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sharpseek.stream.time", SimpleNamespace(sleep=press))
    assert exit_status(lambda: stream(tmp_path / "run", "tensorboard", logs, follow=True)) == 75
    said = f"sharpseek: stopped; the same command sends what is missing in {logs}\n"
    assert capsys.readouterr().err == said
    make_run(tmp_path / "run", seeds=4)
    assert stream(tmp_path / "run", "tensorboard", logs) == 6 * 50  # the ten that were sent are there


@pytest.mark.parametrize("to", ["tensorboard", "mlflow"])
def test_a_full_disk_is_one_line_that_names_the_place(to: str, tmp_path: Path) -> None:
    """As the system sees it: no file may become longer than 1000 bytes."""
    make_run(tmp_path / "run", seeds=4)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    command = [sys.executable, "-m", "sharpseek", "stream", "run", "--to", to, "--out", "logs"]
    environment = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith(f"sharpseek: --to {to}: logs")
    assert "File too large" in result.stderr


def test_another_run_in_the_same_place_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "one")
    stream(tmp_path / "one", "tensorboard", str(tmp_path / "logs"))
    run = make_dataset().assign_attrs(config='{"noise": {"condition": [1.0, 10.0, 100.0]}, "model": {"depth": 3}}')
    (tmp_path / "two").mkdir()
    run.to_netcdf(tmp_path / "two" / "run.h5", engine="h5netcdf")
    with pytest.raises(SharpseekFileError, match="holds another run; choose another --out"):
        stream(tmp_path / "two", "tensorboard", str(tmp_path / "logs"))


def test_weights_and_biases_gets_each_point_as_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for its library, which needs a server to read back from."""
    started: list[dict] = []
    logged: list[tuple[int, float]] = []

    def init(**options: object) -> SimpleNamespace:
        started.append(options)
        return SimpleNamespace(
            step=0 if len(started) > 1 else 301,  # the server has the first run up to step 300
            log=lambda values, step: logged.append((step, values["trace/mean"])),
            finish=lambda: None,
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Run=object))
    monkeypatch.delitem(sys.modules, "sharpseek.stream.to_wandb", raising=False)
    make_run(tmp_path)
    assert stream(tmp_path, "wandb", "project", ["trace"]) == 29 + 5 * 60
    assert [options["name"] for options in started][:2] == [
        "condition=1.0,init_imbalance=1.0",
        "condition=1.0,init_imbalance=3.0",
    ]
    assert len({options["id"] for options in started}) == 6
    assert logged[0][0] == 310


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variables", "trac"], "--variables trac: not in"),
        (["--replicas", "48"], "--replicas 48: RUN has replicas 0 to 47"),
        (["--replicas", "-1"], "--replicas -1: must be whole numbers from 0"),
        (["--every", "0"], "--every 0: must be above 0 seconds"),
    ],
)
def test_bad_options_are_one_line_and_touch_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    command = [sys.executable, "-m", "sharpseek", "stream", str(tmp_path / "run"), "--to", "tensorboard"]
    joined = [f"{arguments[0]}={arguments[1]}"]
    result = subprocess.run([*command, *joined], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("sharpseek: " + message.replace("RUN", str(tmp_path / "run")))
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_library_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "sharpseek.stream.to_wandb", raising=False)
    with pytest.raises(SharpseekFileError, match="--to wandb: wandb is not installed; pip install wandb"):
        stream(tmp_path / "run", "wandb")
