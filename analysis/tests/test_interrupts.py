"""Ctrl-C in the package's commands: one line and status 75 at any time, and nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic import Make

ONE_LINE = (75, "", "sharpseek: interrupted\n")


def heed_interrupts() -> None:
    """Tests that run in the background of a shell have inherited that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(command: list[str | Path], path: str) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell does, so that Ctrl-C reaches all of its processes."""
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=heed_interrupts,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, complained = process.communicate(timeout=60)
    return process.returncode, said, complained


@pytest.mark.parametrize("module", ["sharpseek", "sharpseek.report"])
@pytest.mark.parametrize("held", [False, True])
def test_ctrl_c_while_libraries_load_is_one_line(tmp_path: Path, module: str, held: bool) -> None:
    """A library that takes long to load. `held`: by the program that starts the package, until it is ready."""
    loading = tmp_path / "loading"
    (tmp_path / "numpy.py").write_text(
        f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    if held:
        code = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT});"
        code += "os.kill(os.getpid(), signal.SIGINT); os.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])"
        assert ended(start(["-c", code, module, "summary"], path)) == ONE_LINE
        assert not loading.exists()
        return
    process = start(["-m", module, "summary"], path)
    while not loading.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == ONE_LINE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_report_that_is_stopped_leaves_the_older_one(reproduction: Make, number: signal.Signals) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    (directory / "report.html").write_text("old")
    process = start(["-m", "sharpseek.report", directory], os.pathsep.join(sys.path))
    while not (directory / "figures.partial").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, number) if number == signal.SIGTERM else os.killpg(process.pid, number)
    assert ended(process) == ONE_LINE
    assert (directory / "report.html").read_text() == "old"
    assert sorted(p.name for p in directory.iterdir()) == ["linear-2", "report.html", "reproduce.json"]


def test_ctrl_c_in_a_finaliser_is_not_lost(tmp_path: Path) -> None:
    """Python only prints what a finaliser raises."""
    (tmp_path / "lost.py").write_text("""import signal, time
from sharpseek.files import exit_status
class Thing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def command():
    Thing()
    time.sleep(30)
def main():
    return exit_status(command)
""")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    # As when `python -m sharpseek` begins.
    code = "import sys; sys.argv[0] = '-m'; sys.orig_argv += ['-m', 'sharpseek']; import lost; sys.exit(lost.main())"
    assert ended(start(["-c", code], path)) == ONE_LINE


def test_a_library_keeps_the_handlers_and_loads_nothing_before_it_is_used() -> None:
    code = """import signal, sys
import sharpseek
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert not {"numpy", "pandas", "xarray", "matplotlib"} & set(sys.modules)
assert set(sharpseek.__all__) <= set(dir(sharpseek))
from sharpseek import *
assert open_run.__module__ == "sharpseek.files" and sharpseek.Experiment is Experiment
try:
    sharpseek.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, preexec_fn=heed_interrupts)


def test_a_command_in_the_background_ignores_ctrl_c(reproduction: Make) -> None:
    """A shell without job control starts it with SIGINT ignored."""
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = f"trap '' INT; exec {shutil.which('env')} {sys.executable} -m sharpseek.report {directory} --no-figures"
    process = subprocess.Popen(["bash", "-c", script], env=env, start_new_session=True)
    for _ in range(20):
        time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 0
    assert (directory / "report.html").exists()
