"""One run while it goes on: where its log goes, what it has used, how far it is, and how it is stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ddbuild.designer.crew import Crew, EngineTasks
from ddbuild.designer.losses import Losses

__all__ = ["ActiveRun", "current_run"]

_REPORT_SECONDS = 0.1

current_run: ContextVar[ActiveRun | None] = ContextVar("ddbuild_current_run", default=None)
"""The run that the current code belongs to; Data Designer carries it into all its tasks and threads."""


class ActiveRun:
    """The state of one run, shared by the caller's loop, the thread of `create` and the engine loop."""

    def __init__(
        self, label: str, write_line: Callable[[str], None], on_progress: Callable[[int, int], None] | None
    ) -> None:
        self.label = label
        self.write_line = write_line
        self.losses = Losses()
        self.crew = Crew(f"ddbuild {label}")
        self.tasks = EngineTasks()
        self.rows_done = 0
        self.rows_resumed = 0
        self.requests = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.notes: list[str] = []
        self.violations: list[str] = []
        self.stopped = asyncio.Event()
        self.left_behind: asyncio.Future[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._next_report = 0.0

    @property
    def is_stopping(self) -> bool:
        """Whether the run was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Tell the run to stop, from any thread or from a signal handler."""
        self._stopping.set()
        self.tasks.cancel()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.stopped.set)

    def add_rows(self, rows: int) -> None:
        """Count the rows of a finished batch and report them."""
        with self._lock:
            self.rows_done += rows
        self._report()

    def add_request(self, input_tokens: int, output_tokens: int) -> None:
        """Count one answered request of a model; reported ten times a second at most."""
        with self._lock:
            self.requests += 1
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            now = time.monotonic()
            if now < self._next_report:
                return
            self._next_report = now + _REPORT_SECONDS
        self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            # Data Designer swallows what is raised here, and loses the batch with it.
            try:
                self._on_progress(self.rows_done, self.requests)
            except Exception as error:
                self.write_line(f"WARNING progress could not be reported: {error!r}")
