"""Load, summarise and report the run files of sharpseek.

Units everywhere: loss = mean over samples of the sum over outputs of squared error (no 1/2); Hessian quantities scale
with it. Not measured is NaN.
"""

from importlib import import_module
from types import ModuleType

from sharpseek.config import configuration
from sharpseek.files import Experiment, SharpseekFileError, open_reproduction, open_run, open_sweep
from sharpseek.groups import open_joined
from sharpseek.lineage import open_lineage
from sharpseek.summaries import start_axis, summarise

__all__ = [
    "Experiment",
    "SharpseekFileError",
    "configuration",
    "open_joined",
    "open_lineage",
    "open_reproduction",
    "open_run",
    "open_sweep",
    "start_axis",
    "summarise",
]

_MODULES = ("curvature", "figures", "plot", "report", "theory", "theory_limit", "verdicts")


def __getattr__(name: str) -> ModuleType:
    """Modules load when they are first used: plots need no report, a summary needs no matplotlib."""
    if name in _MODULES:
        return import_module(f"sharpseek.{name}")
    raise AttributeError(f"module sharpseek has no attribute {name}")
