"""What a wheel holds; its program runs from the libraries of the torch that lies next to the package."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
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


def test_a_wheel_holds_the_tracked_files_of_the_package_and_the_command(tmp_path: Path) -> None:
    pytest.importorskip("scikit_build_core", reason="scikit-build-core (requirements/tools.txt) is not installed")
    (ROOT / "analysis/sharpseek/__pycache__").mkdir(exist_ok=True)  # which stays outside
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    # Without CMake: the Python half, as `pip install .` takes it. What CMake adds is cmake/Wheel.cmake's.
    # In full: pip 23.0, Debian 12's, has no -C.
    settings = [f"--config-settings={setting}" for setting in ("wheel.cmake=false", f"build-dir={tmp_path / 'build'}")]
    command += [*settings, "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {Path(n).name: archive.read(n).decode() for n in archive.namelist() if ".dist-info/" in n}
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "analysis/sharpseek"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = {path.removeprefix("analysis/") for path in tracked.stdout.split("\0") if path}
    assert held == wanted
    assert "sharpseek = sharpseek.program:main" in about["entry_points.txt"].splitlines()
    metadata = Parser().parsestr(about["METADATA"])
    version = re.search(r"project\(sharpseek VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert version and (metadata["Name"], metadata["Version"]) == ("sharpseek", version[1])
    assert not [
        need for need in metadata.get_all("Requires-Dist") if need.startswith("torch")
    ]  # any build of it will do
