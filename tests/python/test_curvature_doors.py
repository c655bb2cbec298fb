"""What sharpseek.curvature says where PyTorch or its extension is missing; the rest of the package needs neither."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "analysis", capture_output=True, text=True, check=False
    )


def test_reading_needs_no_torch_and_curvature_says_what_it_needs() -> None:
    code = """
import sys
class NoTorch:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")
sys.meta_path.insert(0, NoTorch())
import sharpseek, sharpseek.plot
sharpseek.open_run
"""
    assert python(code).returncode == 0
    refused = python(code + "sharpseek.curvature")
    last = refused.stderr.strip().splitlines()[-1]
    assert refused.returncode == 1
    assert last.startswith("ImportError: sharpseek.curvature needs PyTorch")
    assert last.endswith("pip install torch; reading run files needs none")


def test_a_torch_without_a_library_is_named(tmp_path: Path) -> None:
    # A torch that is not there: only its version is asked for.
    code = f"""
import sys, types, pathlib
fake = types.ModuleType("torch"); fake.__version__ = "9.87.6+cpu"; sys.modules["torch"] = fake
package = types.ModuleType("sharpseek"); package.__path__ = ["sharpseek"]; sys.modules["sharpseek"] = package
part = types.ModuleType("sharpseek.curvature"); part.__path__ = ["sharpseek/curvature"]
sys.modules["sharpseek.curvature"] = part
import os; os.environ["SHARPSEEK_NATIVE"] = {str(tmp_path)!r}
pathlib.Path({str(tmp_path)!r}, "torch_2_11").mkdir()
from sharpseek.curvature.native import native
native()
"""
    last = python(code).stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: sharpseek.curvature: no extension for torch 9.87.6+cpu (there is one for ")
    assert "torch 2.11" in last and "pip install ." in last
