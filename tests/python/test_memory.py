"""What cannot fit is refused before anything is allocated or written, with numbers that are near what a run takes."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
UNITS = {"B": 1, "KiB": 2**10, "MiB": MIB, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
WIDE = ["--set=model.width=1000", "--set=training.learning_rate=1e-5", "--set=measure.quantities=excess_risk"]
"""7000 parameters each."""


def numbers(text: str) -> list[float]:
    """Every quantity of bytes in a text."""
    return [float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.e+]+) ([KMGTP]?i?B)\b", text)]


def run(binary: Path, folder: Path, *arguments: str, address_space: int | None = None):
    def limit() -> None:
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    return subprocess.run(
        [binary, "run", "small.ini", "--quiet", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limit,
    )


def test_a_measurement_that_does_not_fit_is_told_in_one_line(binary: Path, config: Path, tmp_path: Path):
    # The networks fit; the hidden values of all samples, 8 GB, do not.
    sets = ["--set=model.width=100000", "--set=measure.samples=20000", "--set=experiment.replicas=1"]
    done = run(binary, tmp_path, "--dry-run", *sets, address_space=6 * 2**30)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("sharpseek: out of memory; ")


@pytest.mark.parametrize(
    "sets", [["experiment.replicas=2000000000"], ["experiment.replicas=2000", "model.width=9000000"]]
)
def test_more_than_any_machine_has_is_refused(binary: Path, config: Path, tmp_path: Path, sets: list[str]):
    done = run(binary, tmp_path, *[f"--set={s}" for s in sets])
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    need, available = numbers(done.stderr)
    assert need > available > MIB
    assert sets[0].replace("=", " = ") in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["small.ini"]


def test_a_limit_of_the_shell_counts_and_a_part_of_the_replicas_fits(binary: Path, config: Path, tmp_path: Path):
    limit = 6 * 2**30
    sets = [*WIDE, "--set=experiment.replicas=20000"]
    done = run(binary, tmp_path, *sets, address_space=limit)
    assert done.returncode == 2, done.stderr
    need, available = numbers(done.stderr)
    assert available < limit < need
    part = run(binary, tmp_path, *sets, "--shard=0/200", "--set=training.steps=10", address_space=limit)
    assert part.returncode == 0, part.stderr


def peak(binary: Path, folder: Path, *sets: str) -> int:
    """Most bytes of resident memory that a short run takes."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [binary, "run", "small.ini", "--quiet", f"--out={len(sets)}", "--set=training.steps=10", *sets]
    done = subprocess.run(
        [sys.executable, "-c", script, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024


MANY = [*WIDE, "--set=experiment.replicas=500"]
SOFT = [
    "--set=training.loss=cross-entropy",
    "--set=data.labels=soft",
    "--set=data.outputs=40",
    "--set=measure.samples=300",
    "--set=measure.quantities=gauss_newton",
    "--set=experiment.replicas=40",
]
"""300 matrices of 40 x 40 for each replica, 3.7 MB in float64; 512 parameters."""


@pytest.mark.parametrize(
    "sets", [MANY, [*MANY, "--set=training.optimizer=adam"], SOFT], ids=["sgd", "adam", "output-hessians"]
)
def test_the_estimate_is_near_what_a_run_takes(binary: Path, config: Path, tmp_path: Path, sets: list[str]):
    done = run(binary, tmp_path, "--dry-run", "--set=training.steps=10", *sets)
    assert done.returncode == 0, done.stderr
    estimate = numbers(done.stdout.splitlines()[-1])[0]
    taken = peak(binary, tmp_path, *sets) - peak(binary, tmp_path)
    assert 0.5 * taken < estimate < 2 * taken
