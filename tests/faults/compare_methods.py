"""Ways of writing an HDF5 file that is killed at any instant: python tests/faults/compare_methods.py [KILLS].

A child writes records of ten variables and reports each one after it has flushed it; the parent kills it (SIGKILL) at a
random instant and looks whether plain h5py opens the file and finds every reported record. What docs/files.md quotes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

VARIABLES, REPLICAS, RECORDS = 10, 512, 2000


def record(t: int) -> np.ndarray:
    """[VARIABLES, REPLICAS], different in every record."""
    return np.random.default_rng(t).normal(size=(VARIABLES, REPLICAS))


def create(file: h5py.File, length: int, **options: object) -> list[h5py.Dataset]:
    return [
        file.create_dataset(
            f"v{v}", (REPLICAS, length), "f8", maxshape=(REPLICAS, None), chunks=(REPLICAS, 8), **options
        )
        for v in range(VARIABLES)
    ]


def appended(path: Path, report: Callable[[int], None]) -> None:
    with h5py.File(path, "w") as file:
        append(file, create(file, 0, compression="gzip", compression_opts=1), report)


def swmr(path: Path, report: Callable[[int], None]) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        variables = create(file, 0, compression="gzip", compression_opts=1)
        file.swmr_mode = True
        append(file, variables, report)


def append(file: h5py.File, variables: list[h5py.Dataset], report: Callable[[int], None]) -> None:
    for t in range(RECORDS):
        for variable, values in zip(variables, record(t), strict=True):
            variable.resize(t + 1, axis=1)
            variable[:, t] = values
        file.flush()
        report(t)


def in_place(path: Path, report: Callable[[int], None]) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_chunk((REPLICAS, 8))
    with h5py.File(path.with_suffix(".new"), "w") as file:
        space = h5py.h5s.create_simple((REPLICAS, RECORDS))
        for v in range(VARIABLES):
            h5py.h5d.create(file.id, f"v{v}".encode(), h5py.h5t.NATIVE_DOUBLE, space, creation)
    os.rename(path.with_suffix(".new"), path)
    with h5py.File(path, "r+") as file:
        for t in range(RECORDS):
            for v, values in enumerate(record(t)):
                file[f"v{v}"][:, t] = values
            file.flush()
            report(t)


def snapshots(path: Path, report: Callable[[int], None]) -> None:
    values = np.zeros((VARIABLES, REPLICAS, 0))
    for t in range(RECORDS):
        values = np.concatenate([values, record(t)[:, :, None]], axis=2)
        new = path.with_suffix(".new")
        with h5py.File(new, "w") as file:
            for v in range(VARIABLES):
                file.create_dataset(f"v{v}", data=values[v], chunks=(REPLICAS, min(8, t + 1)), compression="gzip",
                                    compression_opts=1)  # fmt: skip
        with new.open("rb") as written:
            os.fsync(written.fileno())
        os.rename(new, path)
        report(t)


def intact(path: Path, reported: int) -> str:
    """ "" if all records below `reported` are there, else what is wrong."""
    try:
        with h5py.File(path) as file:
            for v in range(VARIABLES):
                values = file[f"v{v}"][:, :reported]
                if values.shape[1] < reported:
                    return "lost"
                if any(not np.array_equal(values[:, t], record(t)[v]) for t in range(reported)):
                    return "lost"
    except (OSError, KeyError, RuntimeError):
        return "unreadable"
    return ""


def kill_once(write: Callable, path: Path, rng: random.Random) -> tuple[str, int, float]:
    """What is wrong afterwards, records reported, seconds from the first to the last report."""
    read, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        write(path, lambda t: os.write(to_parent, b"."))
        os._exit(0)
    os.close(to_parent)
    os.read(read, 1)
    begin = time.perf_counter()
    time.sleep(rng.uniform(0.05, 0.6))
    os.kill(child, signal.SIGKILL)
    took = time.perf_counter() - begin
    os.waitpid(child, 0)
    reported = 1
    while data := os.read(read, 65536):
        reported += len(data)
    os.close(read)
    return intact(path, reported), reported, took


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print("| way | kills | unreadable | lost records | ms a record |\n|---|---|---|---|---|")
    for name, write in (
        ("appended, flushed after each record", appended),
        ("SWMR, flushed after each record", swmr),
        ("snapshot: new file, fsync, rename", snapshots),
        ("in place, allocated before", in_place),
    ):
        rng = random.Random(1)
        found = []
        for _ in range(kills):
            with tempfile.TemporaryDirectory() as folder:
                found.append(kill_once(write, Path(folder) / "run.h5", rng))
        problems = [problem for problem, _, _ in found]
        pace = 1e3 * sum(took for _, _, took in found) / sum(reported for _, reported, _ in found)
        print(
            f"| {name} | {kills} | {problems.count('unreadable')} | {problems.count('lost')} | {pace:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
