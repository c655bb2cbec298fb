"""Compares two builds bit by bit: compare_builds.py PROGRAM PROGRAM [--isa avx2 ...] [--except NAME ...]

Runs the smoke preset with both programs, once for each instruction set, and compares every variable of every run file.
A refactor that claims to change no number must end with "the same bits". Exit status 1 otherwise. Names that --except
gives (shell patterns) are left out: those that a change is meant to alter.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
import tempfile
from pathlib import Path

from runs import contents


def differences(one: Path, two: Path, left_out: list[str]) -> tuple[list[str], int]:
    """What differs between the run files of two reproductions, and how many variables were compared."""
    files = sorted(path.relative_to(one) for path in one.rglob("run.h5"))
    others = sorted(path.relative_to(two) for path in two.rglob("run.h5"))
    found = [f"{path}: only one build wrote it" for path in sorted(set(files) ^ set(others))]
    count = 0
    for path in files:
        if path not in others:
            continue
        a, b = contents(one / path), contents(two / path)
        for name in sorted(a.keys() | b.keys()):
            if any(fnmatch.fnmatch(name, pattern) for pattern in left_out):
                continue
            count += 1
            if name not in a or name not in b:
                found.append(f"{path}: {name}: only in {'the first' if name in a else 'the second'}")
            elif a[name] != b[name]:
                found.append(f"{path}: {name}: differs")
    return found, count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs=2, type=Path)
    parser.add_argument("--isa", nargs="+", default=["scalar", "sse4.2", "avx2", "avx512"])
    parser.add_argument("--except", dest="left_out", nargs="+", default=[])
    options = parser.parse_args()

    failed = False
    for isa in options.isa:
        with tempfile.TemporaryDirectory() as folder:
            outs = [Path(folder) / "one", Path(folder) / "two"]
            for program, out in zip(options.program, outs, strict=True):
                command = [program.resolve(), "reproduce", "--preset", "smoke", "--no-report", "--quiet"]
                subprocess.run([*command, "--isa", isa, "--out", out], check=True)
            found, count = differences(*outs, options.left_out)
        failed |= bool(found)
        print(f"{isa}: {count} variables, {'the same bits' if not found else f'{len(found)} differ'}")
        for line in found:
            print(f"  {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
