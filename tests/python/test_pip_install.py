"""`pip install .` in a clean environment with the oldest torch that is supported: the package, the program, `.pt2`.

Takes a download of torch with all that it asks for (PIP_FIND_LINKS may name a folder with the wheels), 6 GB below
build/ while it runs, and a compilation of the program. SHARPSEEK_INSTALLED=/path/to/env/bin tests an environment that
has it already, with whatever torch it holds.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.checkout]
OLDEST = re.search(r"^torch==(\S+)", (ROOT / "requirements/torch-cpu.txt").read_text(), re.M)[1]
MEASURED = """
import h5py, numpy as np, torch
from sharpseek import curvature

torch.manual_seed(3)
model = torch.nn.Sequential(torch.nn.Linear(7, 12), torch.nn.Tanh(), torch.nn.Linear(12, 3)).eval()
x, y = torch.randn(60, 7), torch.randint(0, 3, (60,))
shapes = ({0: torch.export.Dim("n", min=2, max=1024)},)
torch.export.save(torch.export.export(model, (x,), dynamic_shapes=shapes), "model.pt2")
with h5py.File("data.h5", "w") as file:
    file["inputs"], file["targets"] = x.numpy(), y.numpy()
H = curvature.hessian(model, [(x, y)], torch.nn.CrossEntropyLoss())
dense = np.linalg.eigvalsh(H.to_dense().double().numpy())[::-1]
found = curvature.spectrum(H, 4).eigenvalues.values[0, 0]
assert np.abs(found - dense[:4]).max() < 1e-5 * dense[0], (found, dense[:4])
np.save("top.npy", dense[:4])
"""
COMPARED = """
import numpy as np, sharpseek
top = np.load("top.npy")
found = sharpseek.open_run("m.h5").eigenvalues.values[0, 0]
assert np.abs(found - top).max() < 1e-5 * top[0], (found, top)
"""


def call(*command: object, folder: Path) -> str:
    """Standard output of a command that has nothing but the environment's own folder and the system's on its path."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """The folder bin of a clean environment; always the same path, so that ccache knows what is compiled again."""
    if "SHARPSEEK_INSTALLED" in os.environ:
        yield Path(os.environ["SHARPSEEK_INSTALLED"])
        return
    place = ROOT / "build/clean_install"
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", place / "env"], check=True)
    pip = [place / "env/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    try:
        # Asked for by itself: only where no index answers is there nothing to test.
        asked = subprocess.run([*pip, "--dry-run", "--no-deps", f"torch=={OLDEST}"], capture_output=True, text=True)
        if asked.returncode != 0:
            pytest.skip(f"no index or folder gives torch {OLDEST}: {asked.stderr.strip().splitlines()[-1]}")
        subprocess.run([*pip, f"torch=={OLDEST}", "numpy"], check=True)
        unset = ("SHARPSEEK_TORCH_DIR", "SHARPSEEK_NATIVE", "PYTHONPATH", "CMAKE_ARGS", "CMAKE_PREFIX_PATH")
        # One instruction set: the others are tested in the checkout.
        settings = (f"build-dir={place / 'build'}", "cmake.define.SHARPSEEK_LANE_SETS=scalar")
        options = [f"--config-settings={setting}" for setting in settings]
        done = subprocess.run(
            [*pip, *options, ROOT], env={key: value for key, value in os.environ.items() if key not in unset},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        yield place / "env/bin"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def torch_version(environment: Path) -> str:
    """Of the environment."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    return call(environment / "python", "-c", code, folder=environment.parent).strip().partition("+")[0]


def test_the_installation_is_whole(environment: Path, torch_version: str, tmp_path: Path) -> None:
    call(environment / "python", "-m", "pip", "check", folder=tmp_path)
    code = "import importlib.metadata as m; print(*m.files('sharpseek'), sep='\\n')"
    files = call(environment / "python", "-c", code, folder=tmp_path).split()
    folder = "torch_" + "_".join(torch_version.split(".")[:2])
    native = sorted(Path(name).name.split(".")[0] for name in files if name.startswith(f"sharpseek/native/{folder}/"))
    assert native == ["_curvature", "sharpseek"]
    package = {"__init__.py", "program.py", "py.typed", "curvature/operators.py", "templates/"}
    assert all(any(name.startswith(f"sharpseek/{part}") for name in files) for part in package)


def test_the_ten_lines_of_the_readme_run(environment: Path, tmp_path: Path) -> None:
    fenced = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "ten.py").write_text(next(block for block in fenced if "curvature.hessian" in block))
    said = call(environment / "python", "ten.py", folder=tmp_path)
    assert "+-" in said and "nan" not in said
    assert (tmp_path / "density.png").stat().st_size > 1000


def test_the_program_runs_with_the_torch_of_the_environment(
    environment: Path, torch_version: str, tmp_path: Path
) -> None:
    assert torch_version in call(environment / "sharpseek", "doctor", folder=tmp_path)
    folder = "torch_" + "_".join(torch_version.split(".")[:2])
    (program,) = environment.parent.glob(f"lib/python*/site-packages/sharpseek/native/{folder}/sharpseek")
    loaded = call("ldd", program, folder=tmp_path)
    assert "not found" not in loaded
    used = Path(re.search(r"libtorch_cpu\.so => (\S+)", loaded)[1]).resolve()
    assert used == (program.parents[3] / "torch/lib/libtorch_cpu.so").resolve()
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    arguments = ["examples/saturation.ini", "--set", "training.steps=2000", "--out", "o"]
    call(environment / "sharpseek", "run", *arguments, folder=tmp_path)
    assert list((tmp_path / "o").rglob("*.h5"))


def test_the_program_measures_what_the_environment_exports(environment: Path, tmp_path: Path) -> None:
    call(environment / "python", "-c", MEASURED, folder=tmp_path)
    options = ["--data", "data.h5", "--loss", "cross-entropy", "--eigenvalues", "4", "--quantities", "spectrum"]
    call(environment / "sharpseek", "measure", "--module", "model.pt2", *options, "--out", "m.h5", folder=tmp_path)
    call(environment / "python", "-c", COMPARED, folder=tmp_path)
