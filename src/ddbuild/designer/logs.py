"""Data Designer's log, split: what a run logs goes to the file of that run, everything else where it went before.

One handler on the `data_designer` logger, never on the root logger, is there while runs are going on. Records say by
a context variable which run they belong to. Nothing of a run reaches the terminal.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from ddbuild.designer.active import current_run
from ddbuild.designer.messages import redact

__all__ = ["LogFile", "RoutedLogs"]

_LINES_KEPT = 20
_FORMAT = logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")


class LogFile:
    """The log of one run; made with its first line, written line by line, without secrets."""

    def __init__(self, path: Path, secrets: Callable[[], Iterable[str]]) -> None:
        self.path = path
        self.last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._secrets = secrets
        self._file: TextIO | None = None
        self._closed = False
        self._lock = threading.Lock()

    def redact(self, text: str) -> str:
        """Return `text` without the secrets that this log may not have."""
        return redact(text, self._secrets())

    def write_line(self, line: str) -> None:
        """Append `line`, which may have line breaks in it; a disk that is full costs the line, not the run."""
        text = self.redact(line)
        with self._lock:
            if self._closed:
                return
            self.last_lines.extend(text.splitlines())
            try:
                if self._file is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
                self._file.write(text + "\n")
                self._file.flush()
            except OSError:
                pass

    def close(self) -> None:
        """Close the file; whatever a thread that was left behind still logs is dropped."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


class RoutedLogs:
    """A time in which the `data_designer` logger is split; such times may overlap, in any threads."""

    _lock = threading.Lock()
    _depth = 0
    _handler: logging.Handler | None = None

    def enter(self) -> None:
        """Begin."""
        cls = RoutedLogs
        with cls._lock:
            if cls._depth == 0:
                logger = logging.getLogger("data_designer")
                cls._handler = _Router(logger)
                logger.addHandler(cls._handler)
                logger.propagate = False
                if logger.getEffectiveLevel() > logging.INFO:
                    logger.setLevel(logging.INFO)
            cls._depth += 1

    def leave(self) -> None:
        """End; the last one puts the logger back."""
        cls = RoutedLogs
        with cls._lock:
            cls._depth -= 1
            if cls._depth == 0 and isinstance(cls._handler, _Router):
                cls._handler.restore()
                cls._handler = None


class _Router(logging.Handler):
    """Sends each record to the log of its run, or on its old way; remembers what the logger was like."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.setFormatter(_FORMAT)
        self._logger = logger
        self._propagate = logger.propagate
        self._level = logger.level
        self._effective_level = logger.getEffectiveLevel()

    def emit(self, record: logging.LogRecord) -> None:
        run = current_run.get()
        if run is None:
            if self._propagate and record.levelno >= self._effective_level:
                logging.getLogger().callHandlers(record)
            return
        try:
            # Most of what Data Designer warns of, it logs while it handles the error behind it.
            run.losses.observe(record, sys.exc_info()[1])
            run.write_line(self.format(record))
        except Exception:
            self.handleError(record)

    def restore(self) -> None:
        """Take this handler away, and put back what was changed unless somebody changed it since."""
        self._logger.removeHandler(self)
        if self._logger.propagate is False:
            self._logger.propagate = self._propagate
        if self._logger.level == logging.INFO:
            self._logger.setLevel(self._level)
