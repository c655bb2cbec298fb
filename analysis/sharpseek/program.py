"""The command `sharpseek` of a wheel: the program for the torch of this environment, whose libraries it loads."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NATIVE = Path(__file__).resolve().parent / "native"


def program() -> Path:
    """Where the program is. Raises FileNotFoundError with what to do."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        raise FileNotFoundError("the program needs the libraries of PyTorch: pip install torch") from None
    minor = "_".join(torch.split(".")[:2])
    found = NATIVE / f"torch_{minor}" / "sharpseek"
    if not found.exists():
        others = sorted(path.parent.name for path in NATIVE.glob("torch_*/sharpseek"))
        there = ", ".join(other.removeprefix("torch_").replace("_", ".") for other in others) or "none"
        raise FileNotFoundError(f"no program for torch {torch} (versions here: {there}); build it: pip install .")
    return found


def main() -> int:
    """Becomes the program."""
    try:
        path = program()
    except FileNotFoundError as error:
        print(f"sharpseek: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("SHARPSEEK_PYTHON", sys.executable)  # for its reports
    os.execv(path, [str(path), *sys.argv[1:]])
