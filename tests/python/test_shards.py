"""Shards: parts of a run on several machines, which together are the run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import sharpseek as package
from program import Run
from runs import assert_same, contents


@pytest.fixture
def shards(sharpseek: Run, config: Path, tmp_path: Path) -> Path:
    for i in range(3):
        assert sharpseek("run", "small.ini", "--quiet", "--out", "parts", "--shard", f"{i}/3").returncode == 0
    return tmp_path / "parts"


@pytest.mark.parametrize("copy", [False, True])
def test_merged_shards_equal_the_whole_run(sharpseek: Run, shards: Path, tmp_path: Path, copy: bool) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole").returncode == 0
    result = sharpseek("merge", "parts", *(["--copy"] if copy else []))
    assert result.returncode == 0, result.stderr
    assert "3 shards, 4 replicas" in result.stdout
    assert_same(shards / "run.h5", tmp_path / "whole" / "run.h5")
    assert sharpseek("verify", "parts").returncode == 0
    run = package.open_run(shards)
    assert list(run["condition"].values) == [1, 1, 10, 10]
    if copy:
        for i in range(3):
            shutil.rmtree(shards / f"shard-{i}-of-3")
        assert_same(shards / "run.h5", tmp_path / "whole" / "run.h5")
    else:
        with h5py.File(shards / "run.h5") as file:
            assert file["trace"].is_virtual


def test_a_merged_file_without_its_shards_is_an_error_everywhere(
    sharpseek: Run, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARPSEEK_PYTHON", sys.executable)
    assert sharpseek("merge", "parts", "--quiet").returncode == 0
    (tmp_path / "far").mkdir()
    shutil.copy(shards / "run.h5", tmp_path / "far/run.h5")
    reproduction = {"schema_version": 1, "preset": "quick", "version": "0", "started": "a", "finished": "b"}
    entry = {"name": "x", "path": ".", "title": "x", "claims": ["C1"], "architecture": "linear"}
    (tmp_path / "far/reproduce.json").write_text(json.dumps(reproduction | {"experiments": [entry]}))
    for command in (("verify", "far"), ("measure", "far/run.h5"), ("watch", "far", "--once"), ("report", "far")):
        result = sharpseek(*command)
        assert result.returncode == 2, command
        assert result.stderr.count("\n") == 1, result.stderr
        assert "far/run.h5: its values are in shard-0-of-3/run.h5, shard-1-of-3/run.h5, shard-2" in result.stderr
        assert "sharpseek merge DIR --copy" in result.stderr
    # The cure: what is virtual is replaced, what holds values is not.
    again = sharpseek("merge", "parts")
    assert again.returncode == 2
    assert "exists already; --copy replaces it" in again.stderr
    assert sharpseek("merge", "parts", "--copy", "--quiet").returncode == 0
    shutil.copy(shards / "run.h5", tmp_path / "far/run.h5")
    assert sharpseek("verify", "far").returncode == 0
    assert_same(shards / "run.h5", tmp_path / "far/run.h5")
    again = sharpseek("merge", "parts", "--copy")
    assert again.returncode == 2
    assert "run.h5: exists already\n" in again.stderr


def test_a_merge_that_finds_no_room_leaves_nothing(sharpseek_without_room: Run, shards: Path) -> None:
    result = sharpseek_without_room("merge", "parts", "--copy")
    assert result.returncode == 2
    assert "File too large" in result.stderr
    assert not list(shards.glob("run.h5*"))


def test_too_few_open_files_are_no_damage(binary: Path, shards: Path, tmp_path: Path) -> None:
    def merged_with(files: int) -> subprocess.CompletedProcess[str]:
        script = f'ulimit -n {files}; exec "$0" merge parts'
        return subprocess.run(["bash", "-c", script, binary], cwd=tmp_path, capture_output=True, text=True)

    few = merged_with(18)
    assert few.returncode == 2
    assert few.stderr.count("\n") == 1
    assert "3 shards are open at once, this process may open 18 files; ulimit -n 19 is enough" in few.stderr
    assert not (shards / "run.h5").exists()
    assert merged_with(19).returncode == 0


@pytest.mark.slow
def test_shards_of_runs_that_are_measured_in_several_blocks(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    """The whole is measured in blocks of 1024 and 176 replicas, the shards in blocks of 300; samples go in chunks."""
    sets = ["--set=experiment.replicas=600", "--set=measure.samples=256", "--set=training.steps=5"]
    for i in range(4):
        assert sharpseek("run", "small.ini", "--quiet", "--out", "p", f"--shard={i}/4", *sets).returncode == 0
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *sets).returncode == 0
    assert sharpseek("merge", "p", "--quiet").returncode == 0
    assert_same(tmp_path / "p" / "run.h5", tmp_path / "whole" / "run.h5")


def test_merged_shards_of_a_sweep_over_shapes(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    sets = ["--set=model.depth=2 3", "--set=training.steps=20"]
    for i in range(2):
        assert sharpseek("run", "small.ini", "--quiet", "--out", "p", f"--shard={i}/2", *sets).returncode == 0
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *sets).returncode == 0
    assert sharpseek("merge", "p", "--quiet").returncode == 0
    assert list(package.open_sweep(tmp_path / "p")) == ["depth=2", "depth=3"]
    for group in ("depth=2", "depth=3"):
        assert_same(tmp_path / "p" / group / "run.h5", tmp_path / "whole" / group / "run.h5")


def test_a_merged_run_can_be_made_longer(sharpseek: Run, shards: Path, tmp_path: Path) -> None:
    assert sharpseek("merge", "parts", "--quiet").returncode == 0
    assert sharpseek("resume", "parts", "--quiet", "--set=training.steps=300").returncode == 0
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", "--set=training.steps=300").returncode == 0
    assert_same(shards / "run.h5", tmp_path / "whole" / "run.h5")


def test_merging_names_the_shard_that_is_wrong(sharpseek: Run, shards: Path, tmp_path: Path) -> None:
    def refused() -> str:
        result = sharpseek("merge", "parts")
        assert result.returncode == 2, result.stdout
        assert result.stderr.count("\n") == 1
        assert not (shards / "run.h5").exists()
        return result.stderr

    one = shards / "shard-1-of-3"
    one.rename(tmp_path / "kept")
    assert "shard-1-of-3: is missing" in refused()
    other = ["--set=training.batch=3", "--shard=1/3", "--quiet", "--out", "parts"]
    assert sharpseek("run", "small.ini", *other).returncode == 0
    assert "shard-1-of-3" in (message := refused()) and "training.batch = 3, was 2" in message
    shutil.rmtree(one)
    assert sharpseek("run", "small.ini", "--shard=1/3", "--quiet", "--out", "parts", "--dtype=float64").returncode == 0
    assert "float64" in (message := refused()) and "shard-1-of-3" in message
    shutil.rmtree(one)
    shutil.copytree(shards / "shard-0-of-3", one)
    assert "shard-1-of-3" in refused()  # the same part twice
    shutil.rmtree(one)
    (tmp_path / "kept").rename(one)
    assert sharpseek("run", "small.ini", "--shard=0/2", "--quiet", "--out", "other").returncode == 0
    (tmp_path / "other" / "shard-0-of-2").rename(shards / "shard-0-of-2")
    assert "shards of 2 and of 3" in refused()
    shutil.rmtree(shards / "shard-0-of-2")
    assert sharpseek("merge", "parts", "--quiet").returncode == 0


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (
            {
                "SLURM_ARRAY_TASK_ID": "4",
                "SLURM_ARRAY_TASK_MIN": "3",
                "SLURM_ARRAY_TASK_MAX": "4",
                "SLURM_ARRAY_TASK_COUNT": "2",
            },
            "shard-1-of-2",
        ),
        ({"RANK": "0", "WORLD_SIZE": "3"}, "shard-0-of-3"),
        ({"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "4"}, "shard-3-of-4"),
    ],
)
def test_a_scheduler_says_which_shard(
    binary: Path, config: Path, tmp_path: Path, environment: dict[str, str], shard: str
) -> None:
    result = subprocess.run(
        [binary, "run", "small.ini", "--out", "parts", "--set=training.steps=5"],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert [p.name for p in (tmp_path / "parts").iterdir()] == [shard]
    assert "(--shard 0/1 trains all)" in result.stderr


@pytest.mark.parametrize("shard", ["3/3", "-1/2", "1", "a/b", "0/5"])
def test_an_impossible_shard_is_refused(sharpseek: Run, config: Path, tmp_path: Path, shard: str) -> None:
    result = sharpseek("run", "small.ini", f"--shard={shard}")
    assert result.returncode == 2
    assert f"--shard {shard}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_replicas_of_a_shard_are_those_of_the_whole(sharpseek: Run, shards: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole").returncode == 0
    whole = package.open_run(tmp_path / "whole")["trace"].values
    rows = [package.open_run(shards / f"shard-{i}-of-3")["trace"].values for i in range(3)]
    assert [len(r) for r in rows] == [1, 1, 2]
    assert b"".join(r.tobytes() for r in rows) == whole.tobytes()
    assert contents(shards / "shard-0-of-3" / "run.h5").keys() == contents(tmp_path / "whole" / "run.h5").keys()


def test_rival_end_points_do_not_depend_on_the_shards(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    """One shard holds none of the seeds that have end points; the whole minimises the others' together."""
    sets = ["--set=measure.rivals=1", "--set=model.kind=mlp"]
    for i in range(3):
        assert sharpseek("run", "small.ini", "--quiet", "--out", "parts", f"--shard={i}/3", *sets).returncode == 0
    assert sharpseek("run", "small.ini", "--quiet", "--out", "whole", *sets).returncode == 0
    merged = sharpseek("merge", "parts")
    assert merged.returncode == 0, merged.stderr
    with package.open_run(tmp_path / "parts") as run, package.open_run(tmp_path / "whole") as whole:
        assert sorted(run["rival_status"].values) == [0, 0, 2, 2]
        names = [name for name in run if str(name).startswith("minimal_")]
        assert len(names) == 6
        for name in names:  # to what the minimisation leaves over, not to the bit: matrix products round by their batch
            assert run[name].values == pytest.approx(whole[name].values, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_MIN": "4",
                "SLURM_ARRAY_TASK_MAX": "5",
                "SLURM_ARRAY_TASK_COUNT": "2",
            },
            "not 1/2 as SLURM_ARRAY_TASK_ID says",
        ),
        ({"RANK": "0", "WORLD_SIZE": "4"}, "not 0/4 as RANK and WORLD_SIZE says"),
        ({"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "2"}, "not 1/2 as JOB_COMPLETION_INDEX says"),
        ({}, "holds shards of 3; give --shard I/3"),
    ],
)
@pytest.mark.parametrize("command", [["run", "small.ini", "--out", "parts", "--resume"], ["resume", "parts"]])
def test_a_folder_of_shards_takes_only_shards_of_their_number(
    binary: Path, shards: Path, tmp_path: Path, environment: dict[str, str], says: str, command: list[str]
) -> None:
    """As when the failed tasks of an array are submitted again, by their old numbers, as an array of their own."""
    before = sorted(p.name for p in shards.rglob("*"))
    result = subprocess.run(
        [binary, *command], cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "parts: holds shards of 3" in result.stderr and "give --shard I/3" in result.stderr and says in result.stderr
    assert sorted(p.name for p in shards.rglob("*")) == before


def test_a_shard_given_by_hand_must_fit_the_folder(sharpseek: Run, shards: Path) -> None:
    result = sharpseek("run", "small.ini", "--out", "parts", "--shard=0/2")
    assert result.returncode == 2
    assert "holds shards of 3, not 0/2 as --shard says" in result.stderr
    assert not (shards / "shard-0-of-2").exists()
    assert sharpseek("resume", "parts", "--shard=2/3", "--quiet").returncode == 0


def test_no_shard_begins_beside_a_whole_run(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    assert sharpseek("run", "small.ini", "--quiet", "--out", "A", "--set=training.steps=5").returncode == 0
    result = sharpseek("run", "small.ini", "--quiet", "--out", "A", "--shard=0/2", "--set=training.steps=5")
    assert result.returncode == 2
    assert "A: holds a whole run" in result.stderr
    assert sorted(p.name for p in (tmp_path / "A").iterdir()) == ["index.json", "run.h5"]


def test_a_merged_folder_still_takes_its_shards(sharpseek: Run, shards: Path) -> None:
    assert sharpseek("merge", "parts", "--quiet").returncode == 0
    assert sharpseek("run", "small.ini", "--out", "parts", "--resume", "--shard=1/3", "--quiet").returncode == 0
    assert sharpseek("run", "small.ini", "--out", "parts", "--resume", "--quiet").returncode == 0
