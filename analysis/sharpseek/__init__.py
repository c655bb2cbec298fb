"""Load, summarise and report the run files of sharpseek.

Units everywhere: loss = mean over samples of the sum over outputs of squared error (no 1/2); Hessian quantities scale
with it. Not measured is NaN.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sharpseek.interrupts import end_quietly_while_loading

end_quietly_while_loading()

if TYPE_CHECKING:
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

_MODULE_OF = {
    "configuration": "config",
    "Experiment": "files",
    "SharpseekFileError": "files",
    "open_reproduction": "files",
    "open_run": "files",
    "open_sweep": "files",
    "open_joined": "groups",
    "open_lineage": "lineage",
    "start_axis": "summaries",
    "summarise": "summaries",
}
_MODULES = ("curvature", "figures", "plot", "report", "theory", "theory_limit", "verdicts")


def __getattr__(name: str) -> Any:
    """Everything loads when it is first used: plots need no report, a summary needs no matplotlib, and what starts the
    program nothing at all."""
    if name in _MODULES:
        return import_module(f"sharpseek.{name}")
    if name in _MODULE_OF:
        found = getattr(import_module(f"sharpseek.{_MODULE_OF[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module sharpseek has no attribute {name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_MODULES})
