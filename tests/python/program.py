"""Types of the tests that call the program."""

import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Runs the program with these arguments in an empty folder."""
