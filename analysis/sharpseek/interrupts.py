"""Ctrl-C in the package's commands: one line and status 75, from the first import to the last byte.

Loading the libraries takes a second or more, in which Python would answer with a traceback of what it was importing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 75
"""Exit status of a command that was stopped (EX_TEMPFAIL): the same command, given again, does the rest."""


def _end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """For times when there is nothing to clean up."""
    os.write(2, b"sharpseek: interrupted\n")
    os._exit(INTERRUPTED)


def _is_being_run() -> bool:
    """Whether `python -m sharpseek...` is loading this package: only then is argv[0] still "-m"."""
    names = [argument.removeprefix("-m").split(".")[0] for argument in sys.orig_argv]
    return sys.argv[:1] == ["-m"] and "sharpseek" in names


def end_quietly_while_loading() -> None:
    """Called before anything else is imported. Does nothing where the package is a library, or Ctrl-C is ignored."""
    if _is_being_run() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the program holds it until we are here


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Everything is loaded: Ctrl-C and SIGTERM raise KeyboardInterrupt in the body, so that it removes what it has half
    written. At its end they end the process at once. Where the package is a library they stay what they are."""
    if signal.getsignal(signal.SIGINT) is not _end_at_once:
        yield
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _raise_again
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end_at_once)


def _raise_again(lost: Any) -> None:
    """Where nothing can be raised (a finaliser, what runs after a fork) Python drops a KeyboardInterrupt: it is raised
    a moment later."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.02)
    else:
        sys.__unraisablehook__(lost)


def leave_interrupts_to_the_parent() -> None:
    """For processes of a pool: Ctrl-C goes to all of them, and the one that started them stops them in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
