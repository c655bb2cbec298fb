"""Load, summarise and report the run files of sharpseek.

Units everywhere: loss = mean over samples of the sum over outputs of squared error (no 1/2); Hessian quantities scale
with it. Not measured is NaN.
"""

from sharpseek.files import Experiment, SharpseekFileError, open_reproduction, open_run, open_sweep
from sharpseek.summaries import start_axis, summarise

__all__ = [
    "Experiment",
    "SharpseekFileError",
    "open_reproduction",
    "open_run",
    "open_sweep",
    "start_axis",
    "summarise",
]
