"""Long work: how far it is, and an end by Ctrl-C that keeps what there is."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from types import FrameType, TracebackType
from typing import Any

_SHOWN_AFTER = 2.0
_SHOWN_EVERY = 0.2


class Work:
    """Counts products while an algorithm runs, as a context.

    Where standard error is a terminal and the work takes more than two seconds, a line says how far it is (`progress`
    True or False: always, never). The first Ctrl-C asks the algorithm to return what it has, the second one ends it.
    """

    def __init__(self, what: str, total: int | None = None, progress: bool | None = None) -> None:
        """Of `total` products, if that is known."""
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty() if progress is None else progress
        self._after = _SHOWN_AFTER if progress is None else 0.0
        self._begin = self._last = time.monotonic()
        self._line = ""
        self._handler: Any = None
        self.products = 0
        self.interrupted = False

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._begin

    def __enter__(self) -> Work:
        """Takes Ctrl-C over, in the main thread and from Python's own handler only."""
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.getsignal(signal.SIGINT)
            if self._handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives Ctrl-C back and removes the line."""
        if self._handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handler)
        if self._line:
            print(f"\r{' ' * len(self._line)}\r", end="", file=sys.stderr, flush=True)
        if self.interrupted and kind is None:
            warnings.warn(f"{self._what}: interrupted; this is what there was", RuntimeWarning, stacklevel=4)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def count(self) -> bool:
        """After a product; True asks the algorithm to end."""
        self.products += 1
        now = time.monotonic()
        if self._shown and now - self._begin >= self._after and now - self._last >= _SHOWN_EVERY:
            self._last = now
            of = f" of {self._total}" if self._total else ""
            line = f"{self._what}: {self.products}{of} products, {now - self._begin:.0f} s"
            print(f"\r{line.ljust(len(self._line))}", end="", file=sys.stderr, flush=True)
            self._line = line
        return self.interrupted
