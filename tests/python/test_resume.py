"""Stopping and resuming: same bits, nothing lost, and messages that name what is wrong."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek as package
from program import Run
from runs import LONG, assert_same, wait_for, watch


@pytest.fixture
def stopped(binary: Path, config: Path, tmp_path: Path) -> Path:
    """A run that a scheduler's warning stopped after its first checkpoint."""
    process = start(binary, tmp_path)
    wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=120) == 75
    return tmp_path / "stopped"


def start(binary: Path, folder: Path, *extra: str) -> subprocess.Popen:
    return subprocess.Popen(
        [binary, "run", "small.ini", "--quiet", "--out", "stopped", "--checkpoint-every", "0", *LONG, *extra],
        cwd=folder,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_leaves_a_checkpoint_within_ten_seconds_and_status_75(
    binary: Path, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(binary, tmp_path)
    wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75
    assert b"interrupted; continue with: sharpseek resume stopped" in stderr
    assert watch(binary, tmp_path / "stopped")["state"] == "stopped"


def test_measure_takes_the_records_that_a_stopped_run_has(
    sharpseek: Run, binary: Path, config: Path, tmp_path: Path
) -> None:
    process = start(binary, tmp_path, "--set=measure.keep_parameters=true")
    wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert sharpseek("measure", "stopped/run.h5", "--out", "m.h5", "--quiet").returncode == 0
    with h5py.File(tmp_path / "stopped" / "run.h5") as run, h5py.File(tmp_path / "m.h5") as found:
        steps = run["step"][:]
        assert -1 in steps
        assert list(found["step"][:]) == list(steps[steps >= 0])
        assert np.isfinite(found["trace"][:]).all()


def test_a_resumed_run_equals_one_that_never_stopped(sharpseek: Run, stopped: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *LONG).returncode == 0
    result = sharpseek("resume", "stopped", "--quiet")
    assert result.returncode == 0, result.stderr
    assert_same(stopped / "run.h5", tmp_path / "whole" / "run.h5")
    assert {p.name for p in stopped.iterdir()} == {"run.h5", "index.json"}


def test_a_killed_run_equals_one_that_never_stopped(sharpseek: Run, binary: Path, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *LONG).returncode == 0
    process = start(binary, tmp_path)
    wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
    process.kill()
    process.wait()
    assert sharpseek("verify", "stopped").returncode == 0
    assert sharpseek("run", "small.ini", "--quiet", "--out", "stopped", "--resume", *LONG).returncode == 0
    assert_same(tmp_path / "stopped" / "run.h5", tmp_path / "whole" / "run.h5")


@pytest.mark.parametrize(("first", "every"), [(100, 10), (95, 10), (95, 1000)])
def test_a_run_made_longer_equals_one_that_was_long_from_the_start(
    sharpseek: Run, config: Path, tmp_path: Path, first: int, every: int
) -> None:
    sets = [f"--set=measure.every={every}"]
    assert sharpseek("run", "small.ini", "--quiet", "--out", "long", *sets, "--set=training.steps=210").returncode == 0
    assert (
        sharpseek("run", "small.ini", "--quiet", "--out", "a", *sets, f"--set=training.steps={first}").returncode == 0
    )
    assert sharpseek("resume", "a", "--quiet", "--set", "training.steps=210").returncode == 0
    assert_same(tmp_path / "a" / "run.h5", tmp_path / "long" / "run.h5")
    assert package.configuration(package.open_run(tmp_path / "a"))["training"]["steps"] == 210
    shorter = sharpseek("resume", "a", "--set", "training.steps=100")
    assert shorter.returncode == 2
    assert "can only be made longer" in shorter.stderr


def test_a_stopped_run_can_be_made_longer(sharpseek: Run, stopped: Path, tmp_path: Path) -> None:
    longer = ["--set=training.steps=500000"]
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *LONG, *longer).returncode == 0
    assert sharpseek("resume", "stopped", "--quiet", *longer).returncode == 0
    assert_same(stopped / "run.h5", tmp_path / "whole" / "run.h5")


def test_resuming_a_finished_run_changes_nothing(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet").returncode == 0
    before = (tmp_path / "out/small/run.h5").read_bytes()
    assert sharpseek("resume", "out/small").returncode == 0
    assert (tmp_path / "out/small/run.h5").read_bytes() == before


def test_a_running_file_is_read_by_h5py_and_xarray_and_holds_what_was_reported(
    binary: Path, config: Path, tmp_path: Path
) -> None:
    process = start(binary, tmp_path, "--set=training.steps=100000000", "--set=measure.every=2000")
    try:
        wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
        deadline = time.monotonic() + 120
        while (standing := watch(binary, tmp_path / "stopped"))["records"] < 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert standing["state"] == "running"
        assert f"process {process.pid}" in standing["holder"]
        with h5py.File(tmp_path / "stopped" / "run.h5") as file:
            records = int((file["step"][:] >= 0).sum())
            assert records >= standing["records"]
            assert np.isfinite(file["trace"][:, : standing["records"]]).all()
        looks = subprocess.Popen(
            [binary, "watch", tmp_path / "stopped", "--every=0.2", "--format=json"], stdout=subprocess.PIPE, text=True
        )
        assert looks.stdout is not None
        for line in looks.stdout:
            if (now := json.loads(line)["runs"][0])["seconds_left"] is not None:
                break
        looks.terminate()
        left = (now["steps"] - now["step"]) / now["steps_per_second"]
        assert now["steps_per_second"] > 0
        assert now["seconds_left"] == pytest.approx(left, rel=1e-12)
        run = package.open_run(tmp_path / "stopped")
        assert (run["status"].values == 2).all()
        run.close()
        second = subprocess.run([binary, "resume", tmp_path / "stopped"], capture_output=True, text=True, timeout=120)
        assert second.returncode == 2
        assert f"is being written by process {process.pid}" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 75


def test_what_does_not_belong_is_refused_by_name(sharpseek: Run, stopped: Path, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        result = sharpseek(*arguments)
        assert result.returncode == 2, result.stderr
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    again = ["run", "small.ini", "--out", "stopped", "--resume", *LONG]
    assert "training.batch = 3, was 2" in refused(*again, "--set=training.batch=3")
    assert "only training.steps and training.time" in refused("resume", "stopped", "--set=training.batch=3")
    assert "exists already" in refused("run", "small.ini", "--out", "stopped", *LONG)
    assert "float64" in refused("resume", "stopped", "--dtype", "float64")
    assert "no such folder" in refused("resume", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "index.json is missing" in refused("resume", "empty")
    shutil.copytree(stopped, tmp_path / "other")
    (stopped / "checkpoint.h5").write_bytes((tmp_path / "other" / "checkpoint.h5").read_bytes()[:-100])
    assert "checkpoint.h5" in refused("resume", "stopped")
    assert "checkpoint.h5" in refused("verify", "stopped")
    # The one before is whole, and gives the same bits in the end.
    assert sharpseek("resume", "stopped", "--quiet", "--previous-checkpoint").returncode == 0
    assert sharpseek("resume", "other", "--quiet").returncode == 0
    assert_same(stopped / "run.h5", tmp_path / "other" / "run.h5")


def test_an_edited_matrix_file_is_noticed(sharpseek: Run, binary: Path, config: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "S.csv", np.diag([1.0, 2, 3]), delimiter=",")
    sets = ["--set=noise.condition=1", "--set=noise.covariance=file:S.csv"]
    process = start(binary, tmp_path, *sets)
    wait_for(tmp_path / "stopped" / "checkpoint.h5", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    np.savetxt(tmp_path / "S.csv", np.diag([1.0, 2, 4]), delimiter=",")
    result = sharpseek("resume", "stopped")
    assert result.returncode == 2
    assert "have changed since the run began" in result.stderr


INI = """[experiment]
replicas = 1
[data]
inputs = 2
outputs = 2
[model]
width = 2
[training]
learning_rate = 0.01
steps = 30
[measure]
records = 3
samples = 16
"""


@pytest.mark.parametrize(
    ("settings", "change", "what"),
    [
        (["training.schedule=cosine:0.5"], "training.steps=60", "rates depend on the length"),
        (["model.width=2 3", "training.schedule=linear:0"], "training.steps=60", "rates depend on the length"),
        ([], "training.steps=20", "can only be made longer"),
        (["training.time=0.003"], "training.time=0.002", "can only be made longer"),
        (["training.steps=10 30"], "training.steps=60", "training.steps = 10 30 in this run"),
        ([], "training.steps=40 60", "training.steps = 30 in this run"),
        (["training.time=0.001 0.003"], "training.time=0.004", "training.time = 0.001 0.003 in this run"),
        (["training.time=0.003"], "training.steps=60", "only training.time can make it longer"),
        (["training.learning_rate=0.01 0.02"], "training.time=0.004", "only training.steps can make it longer"),
        ([], "training.learning_rate=0.02", "only training.steps and training.time"),
        ([], "experiment.replicas=2", "only training.steps and training.time"),
        ([], "noise.condition=1 10", "only training.steps and training.time"),
        ([], "training.step=60", "did you mean training.steps"),
    ],
)
def test_a_refused_change_leaves_the_folder_as_it_was(
    sharpseek: Run, tmp_path: Path, settings: list[str], change: str, what: str
) -> None:
    (tmp_path / "s.ini").write_text(INI)
    begin = ["run", "s.ini", "--quiet", "--out", "A", *[f"--set={s}" for s in settings]]
    assert sharpseek(*begin).returncode == 0
    before = {p: p.read_bytes() for p in (tmp_path / "A").rglob("*") if p.is_file()}
    result = sharpseek("resume", "A", "--set", change)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert what in result.stderr
    assert {p: p.read_bytes() for p in (tmp_path / "A").rglob("*") if p.is_file()} == before
    assert sharpseek("resume", "A", "--quiet").returncode == 0
    assert sharpseek(*begin, "--resume").returncode == 0


def test_a_change_that_says_what_is_so_already_is_accepted(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "s.ini").write_text(INI)
    assert sharpseek("run", "s.ini", "--quiet", "--out", "A", "--set=noise.condition=1 10").returncode == 0
    same = ["--set=training.steps=3e1", "--set=noise.condition=1.0 10", "--set=training.batch=1"]
    assert sharpseek("resume", "A", "--quiet", *same).returncode == 0


@pytest.mark.parametrize(
    ("settings", "change"),
    [(["training.time=0.003"], "training.time=0.006"), (["training.learning_rate=0.01 0.02"], "training.steps=60")],
)
def test_every_group_is_made_longer(sharpseek: Run, tmp_path: Path, settings: list[str], change: str) -> None:
    (tmp_path / "s.ini").write_text(INI)
    sets = [f"--set={s}" for s in ("measure.every=10", "model.depth=2 3", *settings)]
    assert sharpseek("run", "s.ini", "--quiet", "--out", "A", *sets).returncode == 0
    assert sharpseek("run", "s.ini", "--quiet", "--out", "B", *sets, f"--set={change}").returncode == 0
    assert sharpseek("resume", "A", "--quiet", "--set", change).returncode == 0
    for depth in (2, 3):
        assert_same(tmp_path / f"A/depth={depth}/run.h5", tmp_path / f"B/depth={depth}/run.h5")


def test_a_flag_that_equals_the_default_counts_as_given(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "s.ini").write_text(INI)
    assert sharpseek("run", "s.ini", "--quiet", "--out", "A", "--dtype", "float64").returncode == 0
    longer = ["resume", "A", "--quiet", "--set=training.steps=60"]
    refused = sharpseek(*longer, "--dtype", "float32")
    assert refused.returncode == 2
    assert "float32, whose roundings differ" in refused.stderr
    assert sharpseek(*longer).returncode == 0


def test_groups_of_small_rates_resume(sharpseek: Run, tmp_path: Path) -> None:
    """Their folders carry the rate's name, which the configuration in index.json must give again."""
    (tmp_path / "s.ini").write_text(INI)
    rates = ["--set=training.time=1e-6", "--set=training.learning_rate=5e-4 0.0002"]
    assert sharpseek("run", "s.ini", "--quiet", "--out", "A", *rates).returncode == 0
    assert (tmp_path / "A/learning_rate=0.0005/run.h5").exists()
    assert sharpseek("resume", "A", "--quiet").returncode == 0


def test_a_damaged_record_makes_no_run_longer(sharpseek: Run, stopped: Path, tmp_path: Path) -> None:
    """It shows after the change was accepted; the configuration is then the old one again."""
    with h5py.File(stopped / "run.h5", "r+") as run:
        run["trace"][0, 0] += 1
    before = (stopped / "index.json").read_bytes()
    result = sharpseek("resume", "stopped", "--set=training.steps=500000")
    assert result.returncode == 2
    assert "record 0 is damaged" in result.stderr
    assert (stopped / "index.json").read_bytes() == before


@pytest.mark.parametrize("shard", ["nonsense", "2/2", "1/2"])
def test_the_shard_of_a_whole_run_is_looked_at(sharpseek: Run, tmp_path: Path, shard: str) -> None:
    (tmp_path / "s.ini").write_text(INI)
    assert sharpseek("run", "s.ini", "--quiet", "--out", "A").returncode == 0
    result = sharpseek("resume", "A", "--shard", shard)
    assert result.returncode == 2
    assert f"--shard {shard}" in result.stderr
    assert sharpseek("resume", "A", "--quiet", "--shard", "0/1").returncode == 0
