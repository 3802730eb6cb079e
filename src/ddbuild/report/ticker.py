"""One line on stderr that says how far something is: drawn over on a terminal, now and then a new one elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType

from ddbuild.report.ink import can_animate

__all__ = ["Ticker"]

_FRAME_SECONDS = 0.1
_LINE_SECONDS = 10.0


class Ticker:
    """A context manager; where it is to be `quiet` it shows nothing."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._moves = can_animate(sys.stderr)
        self._shown = time.monotonic()
        self._width = 0

    def show(self, text: str) -> None:
        """Show `text`, unless something was shown a moment ago."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (_FRAME_SECONDS if self._moves else _LINE_SECONDS):
            return
        self._shown = now
        with suppress(OSError, ValueError):
            if self._moves:
                sys.stderr.write(f"\r{text:<{self._width}}")
                self._width = len(text)
            else:
                sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def __enter__(self) -> Ticker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"\r{'':<{self._width}}\r")
                sys.stderr.flush()
