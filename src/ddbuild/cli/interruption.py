"""Ctrl-C and SIGTERM during a build: the first one stops it and keeps what is done, the second one ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from ddbuild.errors import InterruptedBuildError

if TYPE_CHECKING:
    from ddbuild.building.results import BuildResult
    from ddbuild.building.running import RunningBuild
    from ddbuild.report.progress import Progress

__all__ = ["Interruption", "leave_now"]

_PATIENCE = 6.0
"""Seconds after which a build that was told to stop is left behind; it stops by itself in about two."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which signals stop a build, not the process; before there is a build they raise KeyboardInterrupt.

    `on_abandon` is called where the process ends without a result, and has to be quick.
    """

    def __init__(self, progress: Progress, on_abandon: Callable[[], None]) -> None:
        self._progress = progress
        self._on_abandon = on_abandon
        self._running: RunningBuild | None = None
        self._previous: dict[int, Any] = {}
        self._stopping = False

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def wait(self, running: RunningBuild) -> BuildResult:
        """Return the result of `running`, which the first signal stops."""
        self._running = running
        return running.wait()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._running is None:
            raise KeyboardInterrupt
        if self._stopping:
            self._abandon()
        self._stopping = True
        again = "press Ctrl-C again to quit at once" if number == signal.SIGINT else "once more quits at once"
        self._progress.say(f"stopping; finished batches are kept ({again})")
        timer = threading.Timer(_PATIENCE, self._abandon)
        timer.daemon = True
        timer.start()
        self._running.interrupt()

    def _abandon(self) -> None:
        with suppress(Exception):
            self._progress.close()
            self._on_abandon()
        leave_now(InterruptedBuildError.exit_code)


def leave_now(exit_code: int) -> None:
    """End the process without waiting for threads: those of Data Designer cannot be stopped."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(exit_code)
