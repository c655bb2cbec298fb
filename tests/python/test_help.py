"""Every command explains itself on one screen; every slip of a name is met with the name that was meant."""

import json

import pytest
from program import Run

SCREEN = 40, 120
"""Lines and columns of a terminal."""


def commands(sharpseek: Run) -> list[str]:
    lines = sharpseek("--help").stdout.splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]


def test_every_commands_help_fits_a_screen_and_has_two_examples(sharpseek: Run) -> None:
    names = commands(sharpseek)
    assert {"run", "theory", "reproduce", "report", "list", "doctor"} <= set(names)
    for name in names:
        result = sharpseek(name, "--help")
        assert result.returncode == 0
        lines = result.stdout.splitlines()
        assert len(lines) <= SCREEN[0], name
        assert max(map(len, lines)) <= SCREEN[1], name
        assert lines[0].startswith(f"usage: sharpseek {name}")
        examples = lines[lines.index("examples:") + 1 :]
        assert sum(f"sharpseek {name}" in line for line in examples) >= 2, name


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["rum", "small.ini"], "run"),
        (["reprodce"], "reproduce"),
        (["run", "small.ini", "--dryrun"], "--dry-run"),
        (["run", "small.ini", "--thread", "2"], "--threads"),
        (["reproduce", "--onyl", "rnn"], "--only"),
        (["reproduce", "--preset", "qick"], "quick"),
        (["reproduce", "--only", "transfromer"], "transformer"),
        (["run", "small.ini", "--set", "model.dept=3"], "model.depth"),
        (["run", "small.ini", "--set", "training.learning_rat=3"], "training.learning_rate"),
    ],
)
def test_a_slip_is_met_with_what_was_meant(sharpseek: Run, config, arguments: list[str], meant: str) -> None:
    result = sharpseek(*arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"did you mean {meant}?" in result.stderr


def test_list_describes_everything_in_text_and_in_json(sharpseek: Run) -> None:
    found = json.loads(sharpseek("list", "--format", "json").stdout)
    text = sharpseek("list").stdout
    for kind, name, description in (
        ("models", "name", "description"),
        ("presets", "experiment", "title"),
        ("quantities", "variable", "definition"),
        ("options", "key", "help"),
    ):
        assert len(found[kind]) >= 4
        for entry in found[kind]:
            assert entry[description], entry
            if kind != "options":
                assert entry[name] in text and entry[description] in text
    options = sharpseek("list", "--options").stdout
    assert all(entry["key"] in options and entry["help"] in options for entry in found["options"])
