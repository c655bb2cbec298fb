"""What is true of the container files without building them; `./lab docker test` builds and proves the image."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "docker: must be build | test"),
        (["biuld"], "docker biuld: must be build | test"),
        (["build", "--gpu"], "docker build --gpu: unknown argument, only --cuda and --ca-certificates FILE are"),
        (["test", "--ca-certificates"], "docker test --ca-certificates : must be a file"),
        (["test", "--ca-certificates", "nowhere.pem"], "docker test --ca-certificates nowhere.pem: must be a file"),
    ],
)
def test_a_bad_argument_is_one_line_and_status_2(arguments: list[str], expected: str) -> None:
    result = subprocess.run([ROOT / "lab", "docker", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"lab: {expected}")
    assert result.stderr.count("\n") == 1


def test_the_image_states_the_programs_version() -> None:
    version = re.search(r"project\(sharpseek VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    label = re.search(r'image\.version="([\d.]+)"', (ROOT / "docker/Dockerfile").read_text())
    assert version and label and version[1] == label[1]


def test_bases_are_pinned_and_the_image_is_not_roots() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    [base] = [line.split("=")[1] for line in lines if line.startswith("ARG BASE=")]
    assert re.fullmatch(r"docker\.io/library/debian:\d+\.\d+-slim", base)
    names = {"${BASE}"}
    for line in lines:
        if line.startswith("FROM "):
            source, name = line.split()[1::2]
            assert source in names, line
            names.add(name)
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert [line.split()[1] for line in final if line.startswith("USER ")] == ["sharpseek"]
    assert not [line for line in final if "apt-get" in line]
    assert 'ENTRYPOINT ["sharpseek"]' in final


def test_every_wheel_is_pinned() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        if not file.name.startswith("apt"):
            for line in file.read_text().splitlines():
                assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{file.name}: {line}"
