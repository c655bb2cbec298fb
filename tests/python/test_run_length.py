"""What the program says of runs that are too short or too fast for theory, before and after training."""

import json

import numpy as np
import pytest
from program import Run

INI = """
[data]
inputs = 2
outputs = 2
teacher = diagonal:1.5,0.7
[noise]
condition = 100
[model]
width = 2
[training]
learning_rate = 0.002
steps = 3000
[measure]
records = 20
"""


def write(tmp_path, text: str = INI) -> None:
    (tmp_path / "a.ini").write_text(text)


def test_theory_and_dry_run_say_how_long_the_run_is(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    (point,) = json.loads(sharpseek("theory", "a.ini", "--format", "json").stdout)["points"]
    limit, run = point["small_lr_limit"], point["run"]
    np.testing.assert_allclose(run["relaxation_times"], 0.002**2 * 3000 * limit["relaxation_rate"])
    np.testing.assert_allclose(run["edge_share"], 0.002 * limit["sharpness"] / 2)
    (warning,) = run["warnings"]
    assert "relaxation times long" in warning
    # The steps that it names are enough, and a tenth less is not.
    steps = int(warning.split("training.steps = ")[1].split()[0])
    for count, expected in ((steps, 0), (int(steps * 0.85), 1)):
        found = sharpseek("theory", "a.ini", "--format", "json", "--set", f"training.steps={count}").stdout
        assert len(json.loads(found)["points"][0]["run"]["warnings"]) == expected
    text = sharpseek("run", "a.ini", "--dry-run").stdout
    assert warning in text and "relaxation times" in sharpseek("theory", "a.ini").stdout
    assert warning not in sharpseek("theory", "a.ini", "--quiet").stdout


def test_a_dry_run_says_where_noise_that_does_not_commute_settles(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    options = ("--set", "noise.rotation=teacher:40", "--set", "training.learning_rate=0.002 0.004")
    group = json.loads(sharpseek("run", "a.ini", "--dry-run", "--format", "json", *options).stdout)["groups"][0]
    assert [form["at"] for form in group["closed_form"]] == ["learning_rate 0.002", "learning_rate 0.004"]
    slow, fast = group["closed_form"]
    assert not slow["commutes"] and slow["limit_trace"] < slow["trace"]
    # Twice the rate is four times the rescaled time of as many steps.
    np.testing.assert_allclose(fast["relaxation_times"], 4 * slow["relaxation_times"])
    np.testing.assert_allclose(fast["edge_share"], 2 * slow["edge_share"])
    text = sharpseek("run", "a.ini", "--dry-run", *options).stdout
    assert f"SGD settles at trace {slow['limit_trace']:.6g}" in text


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_rate_that_is_not_small_is_named(sharpseek: Run, tmp_path, rate: float) -> None:
    write(tmp_path)
    text = sharpseek("run", "a.ini", "--dry-run", "--set", f"training.learning_rate={rate}").stdout
    found = json.loads(sharpseek("theory", "a.ini", "--format", "json").stdout)["points"][0]
    share = rate * found["small_lr_limit"]["sharpness"]
    assert (f"rate x predicted sharpness is {share:.3g} of 2" in text) == (share > 0.2)


def test_a_run_names_the_points_that_are_not_stationary(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    options = ("--set", "noise.condition=1 100", "--set", "experiment.replicas=3", "--set", "measure.samples=16")
    short = sharpseek("run", "a.ini", "--out", "short", *options)
    assert short.returncode == 0
    note = next(line for line in short.stdout.splitlines() if line.startswith("note: few replicas are stationary: "))
    assert "condition=1 (0 of 3)" in note and "condition=100 (0 of 3)" in note
    assert "training.until = stationary" in note
    assert "note:" not in sharpseek("run", "a.ini", "--out", "quiet", "--quiet", *options).stdout
    found = json.loads(sharpseek("run", "a.ini", "--out", "j", "--format", "json", *options).stdout)["remarks"]
    assert [f"note: {remark}" for remark in found] == [line for line in short.stdout.splitlines() if "note:" in line]


@pytest.mark.parametrize("condition", [30, 100])
def test_a_run_that_was_too_short_names_the_steps_that_theory_asks_for(sharpseek: Run, tmp_path, condition) -> None:
    write(tmp_path)
    options = (f"--set=noise.condition={condition}", "--set=experiment.replicas=2", "--set=measure.samples=16")
    (point,) = json.loads(sharpseek("theory", "a.ini", "--format", "json", options[0]).stdout)["points"]
    (warning,) = point["run"]["warnings"]
    text = sharpseek("run", "a.ini", "--out", "short", *options).stdout
    assert f"note: {warning}\n" in text and "training.steps = " in warning


def test_a_run_that_diverged_asks_for_a_smaller_rate_and_not_for_more_steps(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    options = ("--set", "training.learning_rate=0.02 3", "--set", "experiment.replicas=3")
    done = sharpseek("run", "a.ini", "--out", "fast", "--set", "measure.samples=8", *options)
    assert done.returncode == 3
    (note,) = [line for line in done.stdout.splitlines() if "diverged:" in line]
    assert note == "note: replicas diverged: learning_rate=3 (3 of 3); a smaller training.learning_rate is stable"
    assert "learning_rate=3 (0 of" not in done.stdout
    assert "at learning_rate=" in done.stdout and " of 2: not small" in done.stdout


def test_points_beyond_the_first_few_are_counted(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    options = ("--set", "noise.condition=1 2 3 4 5 6 7", "--set", "training.steps=40", "--set", "measure.samples=8")
    text = sharpseek("run", "a.ini", "--out", "many", *options).stdout
    assert "and 3 more points" in text and "condition=5" not in text


def test_a_run_that_is_long_enough_has_no_note(sharpseek: Run, tmp_path) -> None:
    write(tmp_path)
    values = ("training.learning_rate=0.02", "training.steps=200000", "measure.records=60", "noise.condition=2",
              "experiment.replicas=4", "measure.samples=32")  # fmt: skip
    options = [f"--set={value}" for value in values]
    assert "note:" not in sharpseek("run", "a.ini", "--out", "long", *options).stdout
