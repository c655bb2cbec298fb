#!/usr/bin/env python3
"""Lines that the fast tests run, by file and in total: ./lab coverage.

Runs the C++ tests of build/coverage, the Python tests that call the program and the smoke preset, then reads gcov's
counts. A line of a header or a template counts as run if any of its instances is. Writes build/coverage/coverage.txt
with the lines of every file that were not run; fails below 90 % in total. What needs a GPU (NEEDS_GPU) is listed, but
does not count.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "coverage"
FOLDERS = ("core", "files", "models", "data", "engine", "sharpness", "training", "theory", "experiments")
# Code that runs only where there is a GPU; its kernels' bodies are tested on the host and count.
NEEDS_GPU = re.compile(r"engine/cuda/(cuda|device_lanes|device_stepper|plugin|step_kernels)\.(cpp|h)|.*\.cu")
PYTHON_TESTS = (
    "command_line",
    "exported_loss",
    "exported_program",
    "flow",
    "forks",
    "help",
    "measure",
    "memory",
    "quantities",
    "recordings",
    "resume",
    "run_file",
    "shards",
    "verify",
)
REQUIRED = 0.90
GCOV_ERRORS = BUILD / "gcov-errors.log"


def run_tests() -> bool:
    """Runs the fast tests; says whether all passed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "SHARPSEEK_BINARY": str(BUILD / "sharpseek"),
        "SHARPSEEK_PYTHON": sys.executable,
        # What libgcov says is no message of the program.
        "GCOV_ERROR_FILE": str(GCOV_ERRORS),
    }
    for old in [*BUILD.rglob("*.gcda"), GCOV_ERRORS]:
        old.unlink(missing_ok=True)
    passed = True
    for program in sorted((BUILD / "tests").glob("*_test")):
        print(f"coverage: {program.name}", flush=True)
        command = [program, "--gtest_brief=1", "--gtest_filter=-*Slow.*:Gpu/*"]
        passed &= subprocess.run(command, env=environment).returncode == 0
    print("coverage: Python tests of the program", flush=True)
    files = [f"tests/python/test_{name}.py" for name in PYTHON_TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
    passed &= subprocess.run(command, env=environment, cwd=ROOT).returncode == 0
    print("coverage: the smoke preset, with its report", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [BUILD / "sharpseek", "reproduce", "--preset", "smoke", "--quiet", "--out", f"{folder}/smoke"]
        passed &= subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode == 0
    return passed


def counts_of(data: Path) -> list[tuple[str, int, int]]:
    """File, line and count of every line that one object's counts tell of, files of this tree only."""
    command = ["gcov", "--json-format", "--stdout", data]
    text = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=True).stdout
    found = []
    for report in text.splitlines():
        for file in json.loads(report)["files"]:
            path = Path(os.path.normpath(BUILD / file["file"]))
            if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in FOLDERS:
                continue
            name = str(path.relative_to(ROOT))
            found += [(name, line["line_number"], line["count"]) for line in file["lines"]]
    return found


def damaged() -> list[str]:
    """What libgcov could not add up, such as counts that were cut off: what they count would pass for not run."""
    said = GCOV_ERRORS.read_text().splitlines() if GCOV_ERRORS.exists() else []
    # Not those of programs whose counts go elsewhere (GCOV_PREFIX).
    here = f"libgcov profiling error:{BUILD}/"
    return sorted({line.removeprefix(here) for line in said if line.startswith(here)})


def ranges(lines: list[int]) -> str:
    """12-14, 20."""
    parts: list[list[int]] = []
    for line in sorted(lines):
        if parts and line == parts[-1][1] + 1:
            parts[-1][1] = line
        else:
            parts.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def main() -> int:
    passed = run_tests()
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(counts_of, sorted(BUILD.rglob("*.gcda"))):
            for name, line, count in found:
                counts[name][line] += count

    rows = []
    for name, lines in counts.items():
        missed = [line for line, count in lines.items() if count == 0]
        rows.append((1 - len(missed) / max(1, len(lines)), name, len(lines), missed))
    rows.sort()
    with open(BUILD / "coverage.txt", "w") as out:
        for share, name, size, missed in rows:
            gpu = "  (needs a GPU, not counted)" if NEEDS_GPU.fullmatch(name) else ""
            out.write(f"{share:7.1%} of {size:4d}  {name}{gpu}{': ' + ranges(missed) if missed else ''}\n")
    counted = [row for row in rows if not NEEDS_GPU.fullmatch(row[1])]
    size = sum(row[2] for row in counted)
    run = size - sum(len(row[3]) for row in counted)
    for folder in FOLDERS:
        own = [row for row in counted if row[1].startswith(folder + "/")]
        if own:
            lines = sum(row[2] for row in own)
            print(f"coverage: {folder:12} {1 - sum(len(row[3]) for row in own) / lines:6.1%} of {lines} lines")
    print(f"coverage: {run / size:.1%} of {size} lines; by file in build/coverage/coverage.txt")
    if not passed:
        print("coverage: tests failed")
    errors = damaged()
    for error in errors:
        print(f"coverage: counts are damaged: {error}")
    return 0 if passed and not errors and run >= REQUIRED * size else 1


if __name__ == "__main__":
    sys.exit(main())
