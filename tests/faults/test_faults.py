"""What machines do to runs: kills at any instant, full disks, damaged files, two writers, read-only folders.

After each: what `sharpseek watch` had reported as written is there, the message names the cause, and resuming gives the
bits of the run that was left alone. SHARPSEEK_FAULT_KILLS sets the number of kills (100).
"""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from runs import assert_same, wait_for, wait_until_it_heeds, watch

pytestmark = pytest.mark.slow

RUN = ["run", "small.ini", "--quiet", "--resume", "--threads", "1"]
OFTEN = ["--checkpoint-every", "0"]
SETS = ["--set=training.steps=300000", "--set=measure.every=1500", "--set=measure.keep_parameters=true"]
RECORDS = 201


def command(binary: Path, out: object, *extra: str) -> list[object]:
    return [binary, *RUN, "--out", out, *SETS, *extra]


def run(binary: Path, folder: Path, out: str, *extra: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(binary, out, *extra), cwd=folder, capture_output=True, text=True, timeout=600, **keywords
    )


def assert_refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Status 2 and one line that has all of `parts`."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr, result.stderr


def different_values(folder: Path, records: int, whole: Path) -> list[str]:
    """Variables whose first `records` records are not those of the whole run."""
    with h5py.File(folder / "run.h5") as file, h5py.File(whole) as left_alone:
        different = []
        for name in ("step", "trace", "train_loss", "parameters"):
            axis = (slice(0, records),) if name == "step" else (slice(None), slice(0, records))
            if file[name][axis].tobytes() != left_alone[name][axis].tobytes():
                different.append(name)
    return different


@pytest.fixture
def whole(binary: Path, config: Path, tmp_path: Path) -> Path:
    """The run that was left alone."""
    assert run(binary, tmp_path, "whole").returncode == 0
    return tmp_path / "whole" / "run.h5"


def test_killed_again_and_again_it_ends_with_the_same_bits_and_loses_nothing(
    binary: Path, config: Path, tmp_path: Path, whole: Path
) -> None:
    kills = int(os.environ.get("SHARPSEEK_FAULT_KILLS", "100"))
    chance = random.Random(1)
    # How long a process lives undisturbed: kills are spread over its start, its training and its writing.
    begin = time.monotonic()
    assert run(binary, tmp_path, "timed", *OFTEN).returncode == 0
    life = time.monotonic() - begin
    killed = finished = lost = rounds = 0
    during: dict[str, int] = {}
    while killed < kills:
        folder = tmp_path / f"run{rounds}"
        rounds += 1
        done = False
        reported = 0
        while not done and killed < kills:
            process = subprocess.Popen(command(binary, folder, *OFTEN), cwd=tmp_path, stderr=subprocess.PIPE)
            try:
                process.wait(timeout=chance.uniform(0.02, 0.9) * life)
                assert process.returncode == 0, process.stderr.read()
                done = True
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
            if not (folder / "run.h5").exists():
                during["before the first record"] = during.get("before the first record", 0) + 1
                continue
            standing = watch(binary, folder)
            if not done:
                during[standing["state"]] = during.get(standing["state"], 0) + 1
            if standing["records"] < reported:
                lost += reported - standing["records"]
            reported = standing["records"]
            lost += len(different_values(folder, reported, whole))
        if not done:
            assert run(binary, tmp_path, str(folder)).returncode == 0
        assert_same(folder / "run.h5", whole)
        finished += 1
        shutil.rmtree(folder)
    print(f"{killed} kills in {finished} runs ({during}), {lost} lost records, every run ended with the same bits")
    assert lost == 0


@pytest.fixture
def failing_disk(tmp_path: Path) -> dict[str, str]:
    library = tmp_path / "failing_disk.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).parent / "failing_disk.c", "-ldl"], check=True
    )
    return os.environ | {"LD_PRELOAD": str(library)}


def stopped_run(binary: Path, folder: Path) -> Path:
    process = subprocess.Popen(command(binary, "stopped", *OFTEN), cwd=folder)
    while not (folder / "stopped" / "checkpoint.previous.h5").exists() or (
        watch(binary, folder / "stopped")["records"] < 20
    ):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    return folder / "stopped"


def test_a_full_disk_is_named_and_what_was_written_stays(
    binary: Path, config: Path, tmp_path: Path, whole: Path, failing_disk: dict[str, str]
) -> None:
    size = (stopped_run(binary, tmp_path) / "run.h5").stat().st_size
    seen = set()
    # (what is written, the bytes for which there is room): index, creation, records, checkpoints, packing.
    for where, room in (
        ("full/index.json", 0),
        ("run.h5.new", 0),
        ("run.h5.new", size // 2),
        ("full/run.h5", size + 10_000),
        ("full/run.h5", size + size // 4),
        ("full/run.h5", size + size // 2),
        ("checkpoint.h5", 0),
        ("checkpoint.h5", 5_000),
        ("checkpoint.h5", 60_000),
        ("checkpoint.h5", 400_000),
        ("run.h5.new", size + 20_000),
        ("run.h5.new", size + 300_000),
    ):
        environment = failing_disk | {"FAULT_PATH": where, "FAULT_BYTES": str(room)}
        result = run(binary, tmp_path, "full", *OFTEN, env=environment)
        print(where, room, result.returncode, result.stderr)
        assert_refused(result, "No space left on device", "full/")
        if not (tmp_path / "full").exists():
            seen.add("nothing to continue")
            assert run(binary, tmp_path, "full").returncode == 0
        else:
            assert "sharpseek resume" in result.stderr
            records = watch(binary, tmp_path / "full")["records"]
            seen.add("all records" if records == RECORDS else "some records" if records > 0 else "no records")
            assert different_values(tmp_path / "full", records, whole) == []
            resumed = subprocess.run([binary, "resume", "full", "--quiet"], cwd=tmp_path, timeout=120)
            assert resumed.returncode == 0
        assert_same(tmp_path / "full" / "run.h5", whole)
        shutil.rmtree(tmp_path / "full")
    assert {"nothing to continue", "some records", "all records"} <= seen


def test_damaged_files_of_a_stopped_run_are_refused_or_harmless(
    binary: Path, config: Path, tmp_path: Path, whole: Path
) -> None:
    """A flipped bit or a cut anywhere: refused with the file's name, or the same bits where it changed nothing."""
    folder = stopped_run(binary, tmp_path)
    shutil.copytree(folder, tmp_path / "kept")
    chance = random.Random(2)
    refused = harmless = 0
    for name in ("run.h5", "checkpoint.h5", "index.json"):
        size = (tmp_path / "kept" / name).stat().st_size
        for attempt in range(20):
            shutil.rmtree(folder)
            shutil.copytree(tmp_path / "kept", folder)
            data = bytearray((folder / name).read_bytes())
            if attempt % 3 == 0:
                data = data[: chance.randrange(size)]
            else:
                data[chance.randrange(size)] ^= 1 << chance.randrange(8)
            (folder / name).write_bytes(data)
            result = subprocess.run(
                [binary, "resume", "stopped", "--quiet"], cwd=tmp_path, capture_output=True, text=True, timeout=120
            )
            if result.returncode == 0:
                assert_same(folder / "run.h5", whole)
                harmless += 1
            else:
                assert_refused(result, name)
                refused += 1
    print(f"{refused} refused, {harmless} in bytes that carry nothing or had still to be written")
    assert refused >= 30


def test_damaged_bits_of_a_finished_file_never_pass_as_other_values(
    binary: Path, config: Path, tmp_path: Path, whole: Path
) -> None:
    chance = random.Random(3)
    data = whole.read_bytes()
    with h5py.File(whole) as file:
        values = {name: file[name][()].tobytes() for name in ("trace", "sharpness", "parameters", "step")}
    found = harmless = 0
    for _ in range(60):
        broken = bytearray(data)
        broken[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path = tmp_path / "broken.h5"
        path.write_bytes(broken)
        result = subprocess.run([binary, "verify", path], capture_output=True, text=True, timeout=120)
        if result.returncode == 0:
            with h5py.File(path) as file:
                assert all(file[name][()].tobytes() == bits for name, bits in values.items())
            harmless += 1
        else:
            assert result.returncode == 2 and "broken.h5" in result.stderr, result.stderr
            found += 1
    print(f"{found} found, {harmless} in bytes that carry nothing")
    assert found >= 40


def test_of_two_writers_one_is_refused_and_the_other_is_not_disturbed(
    binary: Path, config: Path, tmp_path: Path, whole: Path
) -> None:
    for attempt in range(8):
        processes = [
            subprocess.Popen(command(binary, f"two{attempt}"), cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(2)
        ]
        messages = [process.communicate(timeout=600)[1].decode() for process in processes]
        statuses = sorted(process.returncode for process in processes)
        # The slower to start finds the lock taken; if it came after the end, it finds the run finished.
        assert statuses in ([0, 2], [0, 0]), messages
        if statuses == [0, 2]:
            assert any("is being written by process" in message or "exists already" in message for message in messages)
        assert_same(tmp_path / f"two{attempt}" / "run.h5", whole)


def test_a_folder_that_cannot_be_written_is_named(binary: Path, config: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere; the kernel's own folder it may not.
        result = run(binary, tmp_path, "/proc/sharpseek")
        assert_refused(result, "/proc/sharpseek")
    else:
        (tmp_path / "fixed").mkdir(mode=0o555)
        result = run(binary, tmp_path, "fixed/out")
        assert_refused(result, "fixed/out", "Permission denied")


MANY = """[experiment]
name = many
replicas = 4096
[data]
inputs = 2
outputs = 3
sequence = 3
[model]
kind = transformer
width = 16
[training]
learning_rate = 0.002
steps = 20000
[measure]
every = 10000
samples = 256
"""
"""One record of these 4096 transformers takes many minutes."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_within_a_long_record_ends_the_run_within_ten_seconds(
    binary: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "many.ini").write_text(MANY)
    process = subprocess.Popen(
        [binary, "run", "many.ini", "--quiet", "--out", "out"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_for(tmp_path / "out" / "run.h5", process)
    time.sleep(3)
    begin = time.monotonic()
    process.send_signal(number)
    message = process.communicate(timeout=60)[1]
    took = time.monotonic() - begin
    print(f"{number.name}: ended after {took:.2f} s")
    assert process.returncode == 75
    assert message == "sharpseek: interrupted; continue with: sharpseek resume out\n"
    assert took < 10
    assert (tmp_path / "out" / "checkpoint.h5").exists()
    assert not (tmp_path / "out" / "lock").exists()


def test_signals_between_the_blocks_of_a_record_leave_no_trace(binary: Path, config: Path, tmp_path: Path) -> None:
    """4400 replicas are measured in five blocks; the signals come within them."""
    many = ["--set=experiment.replicas=2200", "--set=training.steps=20", "--set=measure.every=10"]
    begin = time.monotonic()
    assert subprocess.run([binary, *RUN, "--out", "alone", *many], cwd=tmp_path, timeout=300).returncode == 0
    life = time.monotonic() - begin
    chance = random.Random(4)
    interrupted = 0
    while True:
        process = subprocess.Popen([binary, *RUN, "--out", "stopped", *many], cwd=tmp_path, stderr=subprocess.DEVNULL)
        if interrupted < 5:
            wait_for(tmp_path / "stopped" / "run.h5", process)
            wait_until_it_heeds(signal.SIGUSR1, process)
            time.sleep(chance.uniform(0.1, 0.5) * life)
            process.send_signal(signal.SIGUSR1)
        if process.wait(timeout=300) == 0:
            break
        assert process.returncode == 75
        interrupted += 1
    print(f"interrupted {interrupted} times")
    assert interrupted >= 2
    assert_same(tmp_path / "stopped" / "run.h5", tmp_path / "alone" / "run.h5")


def test_memory_of_a_record_does_not_grow_with_its_length(binary: Path, config: Path, tmp_path: Path) -> None:
    """Peak memory of runs that differ tenfold in records is the same within a tenth."""
    peaks = []
    for records in (2_000, 20_000):
        script = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        sets = [f"--set=training.steps={records}", "--set=measure.every=1", "--set=measure.quantities=gradient"]
        out = subprocess.run(
            ["python3", "-c", script, binary, *RUN[:3], "--out", f"m{records}", *sets],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        peaks.append(int(out))
    assert np.diff(peaks)[0] < 0.1 * peaks[0], peaks
