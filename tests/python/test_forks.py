"""Forks: runs that start from the weights and the state of another run."""

import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek as package
from program import Run
from runs import assert_same, contents


def run(sharpseek: Run, *arguments: str, status: int = 0) -> str:
    result = sharpseek("run", *arguments, "--quiet")
    assert result.returncode == status, result.stderr
    return result.stderr


def values(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


def over_time(path: Path) -> dict[str, np.ndarray]:
    """What a file has recorded over time, [time, ...]."""
    with h5py.File(path) as file:
        shape = file["rescaled_time"].shape
        found = {
            name: np.moveaxis(item[()], 1, 0)
            for name, item in file.items()
            if isinstance(item, h5py.Dataset) and item.shape[:2] == shape and item.ndim >= 2
        }
        found["step"] = file["step"][()]
    return found


def assert_goes_on(fork: Path, whole: Path, first: int) -> None:
    """The fork's records are those of the whole run, bit by bit, and so is its state at the end."""
    mine, theirs = over_time(fork), over_time(whole)
    assert mine["step"][0] == first
    at = [list(theirs["step"]).index(step) for step in mine["step"] if step in theirs["step"]]
    own = [list(mine["step"]).index(step) for step in mine["step"] if step in theirs["step"]]
    assert len(own) >= 3 or len(own) == len(mine["step"]) - 1
    for name in theirs.keys() & mine.keys():
        assert mine[name][own].tobytes() == theirs[name][at].tobytes(), name
    one, two = contents(fork), contents(whole)
    for name in two:
        if name.startswith("checkpoint/"):
            assert one[name] == two[name], name


SETTINGS = {
    "sgd": [],
    "momentum": ["--set=training.momentum=0 0.9"],
    "adam": ["--set=training.optimizer=adam", "--set=training.schedule=inverse:70"],
    "epochs": ["--set=data.samples=21", "--set=data.replacement=false", "--set=training.batch=5"],
    "fixed noise, gd": ["--set=data.samples=30", "--set=training.optimizer=gd", "--set=noise.redraw=fixed"],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fork_that_changes_nothing_is_the_run_that_went_on(
    sharpseek: Run, config: Path, tmp_path: Path, name: str
) -> None:
    sets = [*SETTINGS[name], "--set=measure.every=10"]
    first = 95 if name == "epochs" else 100  # between two records, and at one
    run(sharpseek, "small.ini", "--out", "whole", *sets, "--set=training.steps=210")
    run(sharpseek, "small.ini", "--out", "half", *sets, f"--set=training.steps={first}")
    run(sharpseek, "--from", "half", "--out", "fork", f"--set=training.steps={210 - first}")
    assert_goes_on(tmp_path / "fork/run.h5", tmp_path / "whole/run.h5", first)
    assert sharpseek("verify", "fork").returncode == 0


def test_a_fork_from_a_kept_step_is_the_run_from_there_on(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    keep = "--set=measure.keep_parameters=true"
    run(sharpseek, "small.ini", "--out", "whole", keep)
    run(sharpseek, "small.ini", "--from", "whole@60", "--out", "fork", keep, "--set=training.steps=140")
    assert_goes_on(tmp_path / "fork/run.h5", tmp_path / "whole/run.h5", 60)
    about, parent = package.open_run(tmp_path / "fork"), package.open_run(tmp_path / "whole")
    assert about.attrs["parent"] == str(tmp_path / "whole/run.h5")
    assert about.attrs["parent_step"] == 60
    assert about.attrs["parent_fingerprint"] == parent.attrs["fingerprint"]
    assert about.attrs["parent_changes"] == ""
    assert list(about["parent_replica"].values) == [0, 1, 2, 3]
    # A fork of a fork, at a step of its own.
    run(sharpseek, "--from", "fork@150", "--out", "again", "--set=training.steps=50")
    assert_goes_on(tmp_path / "again/run.h5", tmp_path / "whole/run.h5", 150)


def test_a_fork_takes_up_what_it_asks_for_and_fans_out_over_its_own_axes(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    run(sharpseek, "small.ini", "--out", "parent")
    sets = ["--set=noise.condition=10", "--set=training.learning_rate=0.002 0.02", "--set=training.steps=30"]
    run(sharpseek, "--from", "parent", "--out", "fork", *sets)
    parent, fork = over_time(tmp_path / "parent/run.h5"), over_time(tmp_path / "fork/run.h5")
    rows = values(tmp_path / "fork/run.h5", "parent_replica")
    # Replicas of the fork: rate .002 seeds 0 1, rate .02 seeds 0 1; of the parent: kappa 1 seeds 0 1, kappa 10.
    assert list(rows) == [2, 3, 2, 3]
    for name in ("trace", "sharpness", "excess_risk"):
        np.testing.assert_array_equal(fork[name][0], parent[name][-1][rows])
    # Rescaled time adds up: 200 steps of rate .01, then 30 of the fork's own, batch 2.
    rates = values(tmp_path / "fork/run.h5", "learning_rate")
    expected = 0.01**2 * 200 / 2 + rates**2 * 30 / 2
    np.testing.assert_allclose(fork["rescaled_time"][-1], expected, rtol=1e-14)
    assert list(fork["step"][[0, -1]]) == [200, 230]


def test_one_replica_fans_out_to_seeds_and_groups(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    one = ["--set=experiment.replicas=1", "--set=noise.condition=10"]
    run(sharpseek, "small.ini", "--out", "parent", *one)
    sets = ["--set=experiment.replicas=3", "--set=training.batch=1 4", "--set=training.steps=20"]
    run(sharpseek, "--from", "parent", "--out", "fork", *sets)
    start = values(tmp_path / "parent/run.h5", "trace")[0, -1]
    for group in ("batch=1", "batch=4"):
        trace = values(tmp_path / "fork" / group / "run.h5", "trace")
        assert list(trace[:, 0]) == [start] * 3
        assert len(set(trace[:, -1])) == 3


def test_a_lineage_joins_the_records_of_a_fork_and_its_parents(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "small.ini", "--out", "all/a", "--set=measure.keep_parameters=true")
    run(
        sharpseek,
        "small.ini",
        "--from",
        "all/a@50",
        "--out",
        "all/b",
        "--set=experiment.name=b",
        "--set=training.steps=100",
    )
    ini = (tmp_path / "small.ini").read_text().replace("name = small", "name = c\nfrom = b")
    (tmp_path / "c.ini").write_text(
        ini.replace("condition = 1 10", "condition = 10").replace("steps = 200", "steps = 30")
    )
    run(sharpseek, "c.ini", "--out", "all/c")
    line = package.open_lineage(tmp_path / "all/c")
    assert list(line["step"].values) == list(range(0, 181, 5))
    assert list(line["generation"].values) == [0] * 10 + [1] * 20 + [2] * 7
    # b and c change nothing, so that the whole line is a's own path of kappa 10.
    alone = package.open_run(tmp_path / "all/a")
    np.testing.assert_array_equal(line["trace"].values, alone["trace"].values[2:, :37])
    np.testing.assert_array_equal(line["rescaled_time"].values, alone["rescaled_time"].values[2:, :37])
    alone.close()
    assert sharpseek("resume", "all/b", "--set", "training.steps=110").returncode == 0
    with pytest.raises(package.SharpseekFileError, match=r"is not the run that .* was forked from"):
        with h5py.File(tmp_path / "all/b/run.h5", "r+") as file:
            file.attrs["fingerprint"] = "another"
        package.open_lineage(tmp_path / "all/c")


@pytest.mark.parametrize(
    "sets",
    [
        ["--set=training.optimizer=gd", "--set=data.samples=50"],
        ["--set=training.batch=50"],
        ["--set=noise.total=0"],
        ["--set=noise.rotation=random"],
        ["--set=training.optimizer=adam"],
        ["--set=training.momentum=0.9"],
        ["--set=model.activation=relu"],
    ],
)
def test_anything_but_the_shapes_may_change(sharpseek: Run, config: Path, tmp_path: Path, sets: list[str]) -> None:
    model = ["--set=model.kind=mlp"]
    run(sharpseek, "small.ini", "--out", "parent", *model)
    result = sharpseek("run", "--from", "parent", "--out", "fork", *sets, "--set=training.steps=20", "--quiet")
    assert result.returncode == 0, result.stderr
    assert sharpseek("verify", "fork").returncode == 0
    parent, fork = over_time(tmp_path / "parent/run.h5"), over_time(tmp_path / "fork/run.h5")
    assert np.isfinite(fork["trace"]).all()
    assert (fork["train_loss"][0] == parent["train_loss"][-1]).all()
    key = sets[0].removeprefix("--set=").split("=")[0]
    assert f"{key} = " in package.open_run(tmp_path / "fork").attrs["parent_changes"]


def test_adam_starts_anew_with_its_bias_corrected_from_the_fork_on(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    """The first step of a new Adam moves every weight by the rate, up to the sign."""
    keep = ["--set=measure.keep_parameters=true", "--set=measure.every=1"]
    run(sharpseek, "small.ini", "--out", "parent", "--set=training.steps=50")
    adam = ["--set=training.optimizer=adam", "--set=training.steps=1"]
    result = sharpseek("run", "--from", "parent", "--out", "fork", *keep, *adam)
    assert "starts with a state of zeros" in result.stderr
    weights = values(tmp_path / "fork/run.h5", "parameters")
    np.testing.assert_allclose(np.abs(weights[:, 1] - weights[:, 0]), 0.01, rtol=1e-3)


def test_a_diverged_replica_is_diverged_from_the_start(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    rates = ["--set=training.learning_rate=0.01 3", "--set=noise.condition=1"]
    run(sharpseek, "small.ini", "--out", "parent", *rates, status=3)
    run(sharpseek, "--from", "parent", "--out", "fork", "--set=training.steps=20", status=3)
    at = values(tmp_path / "fork/run.h5", "diverged_at")
    assert list(at) == list(values(tmp_path / "parent/run.h5", "diverged_at"))
    assert list(at[:2]) == [-1, -1]
    assert (at[2:] >= 0).all()
    trace = over_time(tmp_path / "fork/run.h5")["trace"]
    assert np.isfinite(trace[:, :2]).all()
    assert np.isnan(trace[:, 2:]).all()


def test_shards_of_a_fork_are_the_fork(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "small.ini", "--out", "parent")
    fork = ["--from", "parent", "--set=training.learning_rate=0.01 0.02", "--set=training.steps=40"]
    run(sharpseek, *fork, "--out", "whole")
    for i in range(3):
        run(sharpseek, *fork, "--out", "parts", "--shard", f"{i}/3")
    refused = run(sharpseek, "--from", "parts", "--out", "no", status=2)
    assert "holds shards; sharpseek merge ./parts" in refused
    assert sharpseek("merge", "parts").returncode == 0
    assert_same(tmp_path / "parts/run.h5", tmp_path / "whole/run.h5")
    run(sharpseek, "--from", "parts", "--out", "again", "--set=training.steps=10")


def test_a_fork_can_be_made_longer_and_refuses_a_parent_that_has_changed(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    run(sharpseek, "small.ini", "--out", "parent")
    short = ["--from", "parent", "--set=measure.every=5"]
    run(sharpseek, *short, "--out", "fork", "--set=training.steps=33")
    run(sharpseek, *short, "--out", "long", "--set=training.steps=60")
    assert sharpseek("resume", "fork", "--set", "training.steps=60").returncode == 0
    assert_same(tmp_path / "fork/run.h5", tmp_path / "long/run.h5")
    shorter = sharpseek("resume", "fork", "--set", "training.steps=50")
    assert "training.steps = 50: " in shorter.stderr
    assert "has 60 already" in shorter.stderr
    assert sharpseek("measure", "fork/run.h5", "--out", "m.h5", "--quiet").returncode == 0
    # The parent continues, so that its end is another.
    assert sharpseek("resume", "parent", "--set", "training.steps=210").returncode == 0
    refused = sharpseek("resume", "fork", "--set", "training.steps=70")
    assert refused.returncode == 2
    assert "the numbers in experiment.from = ./parent have changed since the run began" in refused.stderr
    shutil.rmtree(tmp_path / "parent")
    gone = sharpseek("resume", "fork", "--set", "training.steps=70")
    assert gone.returncode == 2
    assert "experiment.from = ./parent: no such folder" in gone.stderr
    assert sharpseek("measure", "fork/run.h5", "--out", "n.h5", "--quiet").returncode == 0


REFUSALS = {
    "nowhere": ([], "no such folder"),
    "parent@57": ([], "has no record at step 57; the nearest are 55 and 60"),
    "parent@201": ([], "has no record at step 201; the last is 200"),
    "parent@60": ([], "holds the weights of its end, step 200, and no others; measure.keep_parameters = true"),
    "parent@soon": ([], "'soon' is no step"),
    "parent": (["--set=model.width=6"], "are W_1[5,4] W_2[3,5], those of this network W_1[6,4] W_2[3,6]"),
    "./parent": (
        ["--set=noise.condition=1 5"],
        "its parent sweeps noise.condition = 1 10, so that noise.condition = 5",
    ),
    "parent/": (["--set=experiment.replicas=4"], "has experiment.replicas = 2, fewer than the 4 of the fork"),
    "../here": ([], "no such folder"),
    "kept@60": (["--set=training.momentum=0.9"], "needs its state of that step, of which only the weights are stored"),
}


def test_what_does_not_fit_is_refused_in_one_line(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "small.ini", "--out", "parent")
    kept = ["--set=measure.keep_parameters=true", "--set=training.momentum=0.9"]
    run(sharpseek, "small.ini", "--out", "kept", *kept)
    for source, (sets, expected) in REFUSALS.items():
        message = run(sharpseek, "small.ini", "--from", source, "--out", "fork", *sets, status=2)
        assert expected in message
        assert message.count("\n") == 1
        assert not (tmp_path / "fork").exists()
    message = run(sharpseek, "--from", "parent@3", "--dry-run", status=2)
    assert "the nearest are 0 and 5" in message


def test_an_unfinished_parent_and_a_damaged_one_are_refused(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "small.ini", "--out", "parent")
    path = tmp_path / "parent/run.h5"
    with h5py.File(path, "r+") as file:
        file["checkpoint/parameters"][1, 2] += 1
    assert "checkpoint/parameters is damaged" in run(sharpseek, "--from", "parent", "--out", "fork", status=2)
    with h5py.File(path, "r+") as file:
        del file.attrs["finished"]
    assert "is not finished; sharpseek resume" in run(sharpseek, "--from", "parent", "--out", "fork", status=2)


def test_a_name_is_a_run_in_the_same_folder(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    run(sharpseek, "small.ini", "--out", "all/parent")
    (tmp_path / "fork.ini").write_text(
        (tmp_path / "small.ini").read_text().replace("name = small", "name = fork\nfrom = parent@200")
    )
    run(sharpseek, "fork.ini", "--out", "all/fork")
    (tmp_path / "all").rename(tmp_path / "moved")
    assert sharpseek("resume", "moved/fork", "--set", "training.steps=250").returncode == 0
    dry = sharpseek("run", "fork.ini", "--out", "moved/other", "--dry-run", "--format", "json")
    group = json.loads(dry.stdout)["groups"][0]
    assert group["from"] == {"parent": str(tmp_path / "moved/parent/run.h5"), "step": 200}
    assert group["steps"] == 200


def test_a_fork_finds_the_files_of_its_parent(sharpseek: Run, binary: Path, config: Path, tmp_path: Path) -> None:
    """They are named relative to the folder where the parent began."""
    began = tmp_path / "there"
    began.mkdir()
    np.savetxt(began / "V.csv", np.eye(3, 4), delimiter=",")
    parent = [binary, "run", config, "--out", "parent", "--quiet", "--set=data.teacher=file:V.csv"]
    assert subprocess.run(parent, cwd=began, timeout=120).returncode == 0
    run(sharpseek, "--from", "there/parent", "--out", "fork", "--set=training.steps=10")
    assert over_time(tmp_path / "fork/run.h5")["step"][-1] == 210
    assert sharpseek("resume", "fork", "--set", "training.steps=20").returncode == 0
    assert over_time(tmp_path / "fork/run.h5")["step"][-1] == 220
