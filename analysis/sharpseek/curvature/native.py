"""The extension module: one library for each minor version of torch, whose C++ interface changes with them."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import torch


def _folders() -> list[Path]:
    """Where libraries are looked for: in the package; where SHARPSEEK_NATIVE says; in the build of a checkout."""
    package = Path(__file__).resolve().parents[1]
    named = os.environ.get("SHARPSEEK_NATIVE")
    return [package / "native", *([Path(named)] if named else []), package.parents[1] / "build/release/bindings"]


@cache
def native() -> ModuleType:
    """The library for the torch that is imported. Raises ImportError with what there is and what to do."""
    minor = "_".join(torch.__version__.split(".")[:2])
    for folder in _folders():
        for library in sorted((folder / f"torch_{minor}").glob("_curvature.*.so")):
            specification = importlib.util.spec_from_file_location("_curvature", library)
            if specification is None or specification.loader is None:
                continue
            module = importlib.util.module_from_spec(specification)
            specification.loader.exec_module(module)
            return module
    others = sorted({path.name for folder in _folders() for path in folder.glob("torch_*") if path.is_dir()})
    there = (
        f"there is one for {', '.join(others).replace('_', ' ', 1).replace('_', '.')}" if others else "there is none"
    )
    raise ImportError(
        f"sharpseek.curvature: no extension for torch {torch.__version__} ({there}); "
        "`pip install .` in a checkout of sharpseek builds it"
    )
