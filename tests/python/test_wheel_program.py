"""The program of a wheel runs from the libraries of the torch that lies next to the package."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.checkout


def first_run_path(program: Path) -> str:
    said = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\(RUNPATH\).*\[([^:\]]*)", said)
    assert found, said
    return found[1]


def test_the_command_of_a_wheel_runs_with_the_torch_of_its_environment(binary: Path, tmp_path: Path) -> None:
    try:
        minor = "_".join(importlib.metadata.version("torch").split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("LibTorch is no wheel of this environment")
    torch = Path(first_run_path(binary))
    site = tmp_path / "site"
    native = site / "sharpseek/native" / f"torch_{minor}"
    shutil.copytree(ROOT / "analysis/sharpseek", site / "sharpseek", ignore=shutil.ignore_patterns("__pycache__"))
    native.mkdir(parents=True)
    for name in ("torch", "nvidia"):
        (site / name).symlink_to(torch.parents[1] / name)

    # What installation does to the program: cmake/Wheel.cmake has the run path.
    program = shutil.copy(binary, native / "sharpseek")
    run_path = re.search(r'INSTALL_RPATH "([^"]*)"', (ROOT / "cmake/Wheel.cmake").read_text())
    assert run_path
    script = tmp_path / "change.cmake"
    new = run_path[1].replace("$", "\\$")
    script.write_text(f'file(RPATH_CHANGE FILE "{program}" OLD_RPATH "{torch}" NEW_RPATH "{new}")\n')
    subprocess.run(["cmake", "-P", script], check=True, capture_output=True)

    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert f"{site}/" in re.search(r"libtorch_cpu\.so => (\S+)", loaded)[1]
    assert "not found" not in loaded
    command = [sys.executable, "-c", "import sys; from sharpseek.program import main; sys.exit(main())", "--version"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.startswith("sharpseek "), said.stderr
