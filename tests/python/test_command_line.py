"""The program as users call it: exit statuses, messages, and what is left over."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from program import Run
from sharpseek import open_run, saturation, theory, theory_limit


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "missing.ini"], "missing.ini"),
        (["run", "."], "."),
        (["run", "small.ini", "--set", "training.learning_rate=-1"], "training.learning_rate = -1"),
        (["run", "small.ini", "--set", "noise.condition=0.5"], "noise.condition = 0.5"),
        (["run", "small.ini", "--set", "model.width=0"], "model.width = 0"),
        (["run", "small.ini", "--set", "model.widht=8"], "model.width"),
        (["run", "small.ini", "--set", "data.input_covariance=file:bad.csv"], "bad.csv"),
        (["run", "small.ini", "--set", "data.teacher=file:nan.csv"], "nan"),
        (["run", "small.ini", "--set", "training.steps=1e9"], "measure.every = 5"),
        (["run", "small.ini", "--out", "exists"], "exists already (it holds notes.txt)"),
        (["run", "small.ini", "--out", "/proc/nothing/here"], "/proc/nothing/here"),
        (["run", "small.ini", "--engine", "jax"], "--engine jax"),
        (["run", "small.ini", "--dtype", "int8"], "--dtype int8"),
        (["run", "small.ini", "--device", "cuda:7"], "--device cuda:7"),
        (["run", "small.ini", "--threads", "100000"], "--threads 100000: must be from 1 to 1024"),
        (["run", "small.ini", "--threads", "-1"], "--threads -1"),
        (["run", "small.ini", "--set", "experiment.name=../elsewhere"], "experiment.name = ../elsewhere"),
        (["run", "small.ini", "--set", "training.batch=2000000"], "batch = 2000000: must be from 1 to 1048576"),
        (["run", "small.ini", "--out", "x" * 300], "File name too long"),
        (["run", "small.ini", "--set", "data.samples=4e9"], "data.samples"),
        (["run", "small.ini", "--frobnicate"], "--frobnicate"),
        (["run", "small.ini", "--format", "xml"], "--format xml"),
        (["reproduce", "--format", "xml"], "--format xml"),
        (["run"], "CONFIG"),
        (["reproduce", "--preset", "nonsense"], "nonsense"),
        (["reproduce", "--only", "nonsense"], "nonsense"),
        (["theory", "small.ini", "--set", "model.kind=rnn"], "model.kind = rnn"),
        (["theory", "small.ini", "--format", "xml"], "--format xml"),
        *[
            (["theory", "small.ini", "--path", "--set", setting], setting.replace("=", " = "))
            for setting in (
                "training.schedule=inverse:50",
                "training.optimizer=sam",
                "training.momentum=0.5",
                "training.weight_decay=1e-3",
                "noise.heteroscedastic=0.5",
            )
        ],
        (["run", "small.ini", "--set", "model.depth=1"], "measure.quantities = excess_risk,spectrum,gradient,balance"),
        (["run", "small.ini", "--dry-run", "--set", "model.depth=2 1"], "of depth 1 has no two factors"),
        (
            ["run", "small.ini", "--set", "measure.rivals=1", "--set", "training.momentum=0 0.9"],
            "training.momentum = 0.9",
        ),
        (["run", "small.ini", "--set", "measure.rivals=1", "--set", "training.optimizer=adam"], "optimizer = adam"),
        (["run", "small.ini", "--dry-run", "--set", "data.inputs=500000"], "data.inputs = 500000"),
        (["theory", "small.ini", "--flow", "--set", "model.kind=mlp", "--set", "model.activation=relu"], "relu"),
        (["run", "small.ini", "--set", "model.init=manifold"], "data.samples = N"),
        (["run", "small.ini", "--set", "model.init=here"], "model.init = here"),
        (["run", "small.ini", "--set", "model.init=best"], "model.init = best"),
        (["report", "exists"], "reproduce.json"),
        (["measure", "run.h5"], "run.h5"),
        (["measure", "bad.csv"], "bad.csv"),
        (["measure"], "RUN.h5"),
        (["measure", "run.h5", "--quantities", "sharpnes"], "sharpnes"),
        (["measure", "--module", "bad.csv", "--data", "bad.csv"], "bad.csv"),
        (["measure", "run.h5", "--trace", "exact"], "--trace exact"),
        (["measure", "run.h5", "--data", "bad.csv"], "--data: is for --module, not for RUN.h5"),
        (["measure", "run.h5", "--loss", "mse"], "--loss: is for --module"),
        (["measure", "run.h5", "--chunk", "64"], "--chunk: is for --module"),
        (["measure", "--module", "m.pt", "--data", "d.h5", "--samples", "64"], "--samples: is for RUN.h5"),
        (["measure", "--module", "m.pt", "--data", "d.h5", "--engine", "torch"], "--engine: is for RUN.h5"),
        (["measure", "run.h5", "--samples", "-5"], "--samples -5: must be at least 0"),
        (["measure", "run.h5", "--chunk", "0"], "--chunk 0: must be at least 1"),
        (["measure", "run.h5", "--tolerance", "inf"], "--tolerance inf"),
        (["runn"], "run"),
    ],
)
def test_bad_input_is_one_line_status_2_and_leaves_nothing(
    sharpseek: Run, config: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "exists").mkdir()
    (tmp_path / "exists" / "notes.txt").write_text("mine")
    (tmp_path / "bad.csv").write_text("1,0\n0,1\n")
    (tmp_path / "nan.csv").write_text("1,0,0,0\n0,nan,0,0\n0,0,1,0\n")
    before = files(tmp_path)
    result = sharpseek(*arguments)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert expected in result.stderr
    assert result.stdout == ""
    assert files(tmp_path) == before


def test_files_in_a_sweep_lead_nowhere_else(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "V.csv").write_text("1,0,0,0\n0,1,0,0\n0,0,1,0\n")
    teachers = "data.teacher=file:a/../V.csv generic"
    assert sharpseek("run", "small.ini", "--quiet", "--out", "o/run", "--set", teachers).returncode == 0
    assert {p.parent.name for p in tmp_path.rglob("run.h5")} == {"teacher=file:a%2F..%2FV.csv", "teacher=generic"}
    assert {p.parent.parent for p in tmp_path.rglob("run.h5")} == {tmp_path / "o" / "run"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["list"], ["theory", "small.ini"], ["run", "small.ini", "--dry-run"]])
def test_output_that_cannot_be_written_is_an_error(
    binary: Path, config: Path, tmp_path: Path, arguments: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run([binary, *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert "standard output: cannot be written: No space left on device" in result.stderr


def test_commands_that_keep_nothing_end_at_the_first_signal(binary: Path, config: Path, tmp_path: Path) -> None:
    subprocess.run([binary, "run", "small.ini", "--quiet"], cwd=tmp_path, check=True)
    command = [binary, "measure", "out/small/run.h5", "--quantities", "batch_sharpness", "--batches", "1000000000"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM
    assert not (tmp_path / "out/small/measure.h5").exists()


def test_theory_without_a_closed_form_says_so(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(20, 4))
    rows[:, 2] = rows[:, 1]
    np.savetxt(tmp_path / "double.csv", rows, delimiter=",")
    for setting, expected in (
        ("data.dataset=file:double.csv", "the input covariance is singular"),
        ("data.teacher_scale=1e200", "not finite"),
    ):
        result = sharpseek("theory", "small.ini", "--set", setting)
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout + result.stderr
        assert "nan" not in result.stdout
        assert "e+201" not in result.stdout


def test_theory_agrees_with_numpy(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    teacher = generator.normal(size=(3, 5))
    a, b = generator.normal(size=(5, 7)), generator.normal(size=(3, 6))
    np.savetxt(tmp_path / "V.csv", teacher, delimiter=",")
    np.savetxt(tmp_path / "X.csv", a @ a.T / 5, delimiter=",")
    np.savetxt(tmp_path / "S.csv", b @ b.T / 3, delimiter=",")
    settings = ["data.inputs=5", "data.teacher=file:V.csv", "data.input_covariance=file:X.csv"]
    settings += ["noise.condition=1", "noise.covariance=file:S.csv", "model.depth=2 3 4"]
    result = sharpseek("theory", "small.ini", "--format", "json", *[f"--set={s}" for s in settings])
    assert result.returncode == 0, result.stderr
    points = json.loads(result.stdout)["points"]
    assert [point["point"]["model.depth"] for point in points] == ["2", "3", "4"]
    for depth, point in zip((2, 3, 4), points, strict=True):
        expected = theory.closed_form(depth, teacher, a @ a.T / 5, b @ b.T / 3)
        for name, value in point["closed_form"].items():
            assert value == pytest.approx(getattr(expected, name), rel=1e-9), (depth, name)
        assert not point["commutes"]


def test_the_limit_of_small_rates_agrees_with_numpy(sharpseek: Run, config: Path) -> None:
    file = Path(__file__).parents[1] / "data" / "teacher_generic.csv"
    settings = ["data.inputs=4", "data.outputs=3", f"data.teacher=file:{file}", "noise.condition=1 100"]
    settings += ["model.depth=2", "data.input_covariance=diagonal:1.5,1,0.8,0.7"]
    result = sharpseek("theory", "small.ini", "--format", "json", *[f"--set={s}" for s in settings])
    assert result.returncode == 0, result.stderr
    isotropic, found = json.loads(result.stdout)["points"]
    for name in ("trace", "gradient_fluctuation", "sharpness"):
        assert isotropic["small_lr_limit"][name] == pytest.approx(isotropic["closed_form"][name], rel=1e-9)
    teacher, inputs = np.loadtxt(file, delimiter=","), np.diag([1.5, 1, 0.8, 0.7])
    noise = np.diag(3 * np.array([1, 10, 100]) / 111)
    start = theory.closed_form(2, teacher, inputs, noise).weights
    expected = theory_limit.small_rate_limit(start, teacher, inputs, noise, time=8, step=0.02)
    assert expected.settled
    for name in ("trace", "gradient_fluctuation", "sharpness", "circulation"):
        assert found["small_lr_limit"][name] == pytest.approx(getattr(expected, name), rel=2e-6), name


def test_theory_warns_where_its_formulas_do_not_apply(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "singular.csv").write_text("1,0,0\n0,1,0\n0,0,0\n")
    (tmp_path / "thin.csv").write_text("1,0,0,0\n0,1,0,0\n0,0,0,0\n")
    common = ["data.inputs=4", "data.outputs=3", "noise.condition=1", "model.depth=2", "model.init_imbalance=1"]
    for settings, warning, applies in (
        (["noise.covariance=file:singular.csv"], "singular", False),
        (["model.width=2"], "below the teacher's rank", False),
        (["data.teacher=file:thin.csv"], "rank 2 of 3", True),
    ):
        result = sharpseek("theory", "small.ini", "--format", "json", *[f"--set={s}" for s in common + settings])
        assert result.returncode == 0, result.stderr
        (point,) = json.loads(result.stdout)["points"]
        assert any(warning in w for w in point["warnings"])
        assert (point["closed_form"] is not None) == (point["small_lr_limit"] is not None) == applies


def test_sharpening_saturates_where_noise_and_signal_do_not_commute(sharpseek: Run, tmp_path: Path) -> None:
    examples = Path(__file__).resolve().parents[2] / "examples"
    (tmp_path / "examples").symlink_to(examples)
    result = sharpseek("theory", "examples/saturation.ini", "--format", "json")
    assert result.returncode == 0, result.stderr
    points = json.loads(result.stdout)["points"]
    teacher = np.loadtxt(examples / "rotated.csv", delimiter=",")
    for point in points:
        variances = [float(v) for v in point["point"]["noise.covariance"].removeprefix("diagonal:").split(",")]
        end = saturation.settle(teacher, np.diag(variances))
        assert point["small_lr_limit"]["trace"] == pytest.approx(end.trace, rel=1e-8)
        assert point["small_lr_limit"]["sharpness"] == pytest.approx(end.sharpness, rel=1e-8)
    *regular, quiet = points
    assert quiet["closed_form"] is None
    assert regular[-1]["closed_form"]["trace"] > 100 * regular[-1]["small_lr_limit"]["trace"]
    # No noise at all on an output, and nothing that mixes it with the others: no bound.
    settings = ["data.teacher=diagonal:1.5,0.7", "noise.covariance=diagonal:0,1"]
    result = sharpseek("theory", "examples/saturation.ini", *[f"--set={s}" for s in settings])
    assert result.returncode == 0, result.stderr
    assert "grows without bound" in result.stdout


def test_the_path_ends_at_the_limit(sharpseek: Run, config: Path) -> None:
    settings = ["data.inputs=4", "data.outputs=3", "data.teacher=aligned", "noise.condition=10", "model.depth=2"]
    settings += [
        "model.init_imbalance=3",
        "training.learning_rate=0.02",
        "training.steps=100000",
        "measure.every=10000",
    ]
    result = sharpseek("theory", "small.ini", "--path", "--format", "json", *[f"--set={s}" for s in settings])
    assert result.returncode == 0, result.stderr
    (point,) = json.loads(result.stdout)["points"]
    path = point["path"]
    assert path["status"] == "stationary"
    assert path["step"][:3] == [0, 10000, 20000]
    assert path["rescaled_time"][-1] == pytest.approx(20)
    assert path["trace"][-1] == pytest.approx(point["small_lr_limit"]["trace"], rel=1e-6)
    assert path["trace"][0] > 1.1 * path["trace"][-1]


def test_a_run_may_start_at_the_limit(sharpseek: Run, config: Path) -> None:
    settings = ["data.inputs=4", "data.outputs=3", "data.teacher=aligned", "noise.condition=10", "model.depth=2"]
    settings += ["model.init=limit", "model.init_imbalance=1", "training.steps=0"]
    result = sharpseek("run", "small.ini", "--quiet", "--out", "at", *[f"--set={s}" for s in settings])
    assert result.returncode in (0, 3), result.stderr
    with open_run(config.parent / "at") as run:
        assert np.allclose(run["excess_risk"].values, 0, atol=1e-9)
        assert np.allclose(run["trace"].values[:, 0], run["small_lr_limit_trace"].values, rtol=1e-5)
        assert np.allclose(run["small_lr_limit_trace"].values, run["closed_form_trace"].values, rtol=1e-9)


def test_a_run_may_start_at_the_closed_form(sharpseek: Run, config: Path) -> None:
    settings = ["data.inputs=3", "data.outputs=2", "data.teacher=generic", "noise.condition=50", "model.depth=3"]
    settings += ["noise.rotation=teacher:20", "model.init=closed-form", "model.init_imbalance=1", "training.steps=0"]
    result = sharpseek("run", "small.ini", "--quiet", "--out", "at", *[f"--set={s}" for s in settings])
    assert result.returncode in (0, 3), result.stderr
    with open_run(config.parent / "at") as run:
        assert np.allclose(run["excess_risk"].values, 0, atol=1e-9)
        assert np.allclose(run["trace"].values[:, 0], run["closed_form_trace"].values, rtol=1e-5)
        assert (run["closed_form_trace"].values > 1.01 * run["small_lr_limit_trace"].values).all()
    for more, rule in (("data.teacher=tanh", "needs a linear teacher"), ("model.kind=mlp", "linear networks")):
        refused = sharpseek("run", "small.ini", "--out", "no", *[f"--set={s}" for s in [*settings, more]])
        assert refused.returncode == 2
        assert rule in refused.stderr


def test_dry_run_prints_the_grid_and_writes_nothing(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    result = sharpseek("run", "small.ini", "--dry-run")
    assert result.returncode == 0
    assert "4 replicas" in result.stdout
    found = json.loads(sharpseek("run", "small.ini", "--dry-run", "--format", "json").stdout)
    assert found["groups"][0]["replicas"] == 4
    assert found["cost"]["training_seconds"] > 0
    assert all(form["trace"] >= form["flattest_trace"] for form in found["groups"][0]["closed_form"])
    assert files(tmp_path) == {"small.ini"}


def test_diverged_replicas_are_status_3(sharpseek: Run, config: Path) -> None:
    result = sharpseek("run", "small.ini", "--quiet", "--set", "training.learning_rate=0.01 10")
    assert result.returncode == 3


def test_results_are_printed_as_json(sharpseek: Run, config: Path, tmp_path: Path) -> None:
    expected = {
        "directory": "out/small",
        "replicas": 4,
        "stationary": 0,
        "diverged": 0,
        "interrupted": False,
        "remarks": [],
    }
    ran = sharpseek("run", "small.ini", "--format", "json")
    assert ran.returncode == 0
    found = json.loads(ran.stdout)
    assert found.keys() == expected.keys()
    assert {k: found[k] for k in ("directory", "replicas", "interrupted")} == {
        k: expected[k] for k in ("directory", "replicas", "interrupted")
    }
    with open_run(tmp_path / "out/small") as run:
        assert found["stationary"] == int((run["stationary"].values == 1).sum())
    again = json.loads(sharpseek("resume", "out/small", "--format", "json").stdout)
    assert again == found | {"remarks": again["remarks"]}  # said once, at the end of training
    for i in range(2):
        assert sharpseek("run", "small.ini", "--quiet", "--out", "parts", "--shard", f"{i}/2").returncode == 0
    merged = json.loads(sharpseek("merge", "parts", "--format", "json").stdout)
    assert (merged["shards"], merged["replicas"]) == (2, 4)
    assert [Path(f).name for f in merged["files"]] == ["run.h5"]
    diverging = sharpseek("run", "small.ini", "--out", "far", "--format", "json", "--set", "training.learning_rate=10")
    assert diverging.returncode == 3
    assert json.loads(diverging.stdout)["diverged"] == 4


def test_every_command_has_help_with_an_example(sharpseek: Run) -> None:
    commands = "run theory resume reproduce merge verify watch measure report list doctor"
    for command in commands.split():
        result = sharpseek(command, "--help")
        assert result.returncode == 0
        assert "usage:" in result.stdout
        assert f"sharpseek {command}" in result.stdout.split("examples:")[1]


def test_doctor_names_the_instruction_set_that_is_used(sharpseek: Run) -> None:
    found = json.loads(sharpseek("doctor", "--format", "json").stdout)
    chosen = next(s for s in found["instruction_sets"] if s["name"] == found["chosen"])
    assert chosen["available"]
    assert found["threads"] >= 1
    assert found["chosen"] in sharpseek("doctor").stdout


def test_a_set_that_was_not_compiled_is_named_by_the_doctor_and_refused_in_one_line(
    sharpseek: Run, config: Path, tmp_path: Path
) -> None:
    found = json.loads(sharpseek("doctor", "--format", "json").stdout)
    left_out = [s["name"] for s in found["not_compiled"]]
    assert {s["name"] for s in found["instruction_sets"]} | set(left_out) == {"scalar", "sse4.2", "avx2", "avx512"}
    said = sharpseek("doctor").stdout.partition("; not compiled: ")[2].partition("\n")[0]
    assert re.sub(r" \(.*?\)", "", said) == ", ".join(left_out)
    for name in left_out:
        result = sharpseek("run", "small.ini", "--isa", name)
        assert result.returncode == 2
        assert result.stderr.startswith(
            f"sharpseek: --isa {name}: this program was compiled without it, must be auto | "
        )
        assert result.stderr.count("\n") == 1
        assert files(tmp_path) == {"small.ini"}


def test_full_disk_is_reported_and_leaves_nothing(sharpseek_without_room: Run, config: Path, tmp_path: Path) -> None:
    result = sharpseek_without_room("run", "small.ini", "--quiet")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "run.h5" in result.stderr and "File too large" in result.stderr
    assert files(tmp_path) == {"small.ini"}
