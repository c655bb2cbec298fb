"""Every command explains itself on one screen; every slip of a name is met with the name that was meant."""

import json
from pathlib import Path

import jsonschema
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


def test_the_json_schema_takes_every_preset_and_refuses_what_the_program_refuses(sharpseek: Run, config: Path) -> None:
    schema = json.loads(sharpseek("list", "--format", "json-schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert sharpseek("run", "small.ini", "--quiet").returncode == 0
    written = json.loads((config.parent / "out/small/index.json").read_text())["config"]
    validator.validate(written)
    defaults = {
        section: {name: option["default"] for name, option in keys["properties"].items()}
        for section, keys in schema["properties"].items()
    }
    validator.validate(defaults)
    assert {section: set(keys) for section, keys in defaults.items()} == {s: set(k) for s, k in written.items()}
    for section, name, value in (
        ("model", "widht", 4),
        ("model", "width", "four"),
        ("model", "width", [4, "five"]),
        ("measure", "records", [1, 2]),
        ("data", "replacement", "yes"),
    ):
        wrong = written | {section: written[section] | {name: value}}
        assert list(validator.iter_errors(wrong)), (section, name)
