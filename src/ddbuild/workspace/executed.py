"""Which functions this process runs while it loads a workspace, whoever calls them.

A snapshot is only sound for code that comes out the same each time, and only code that runs while loading matters: what
a callback does is nobody's business here. So it is not guessed what runs, it is noted, by the part of Python's profiler
that is written in C. That makes loading a tenth slower, so it is only done where a snapshot may be taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from types import CodeType
from typing import Any

try:
    import _lsprof as profiling
except ImportError:  # pragma: no cover - another Python
    profiling = None  # type: ignore[assignment]

__all__ = ["Executed"]


class Executed:
    """The functions that were called inside of blocks, by the thread that ran the blocks.

    `is_complete` is False where some calls may not have been noted: nobody wanted it, or another profiler was at work.
    """

    is_wanted = False
    """Whether anybody in this process wants to know."""

    def __init__(self) -> None:
        self.is_complete = True
        self._profiler: Any = None
        self._thread: int | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note the calls inside of the block; blocks may be nested."""
        if self._thread is not None or not self._start():
            self.is_complete &= self._thread == get_ident()
            yield
            return
        self._thread = get_ident()
        try:
            yield
        finally:
            self._thread = None
            self._profiler.disable()

    def list_code(self) -> list[CodeType]:
        """Return the code of all functions that were called, modules and classes included."""
        entries = self._profiler.getstats() if self._profiler is not None else ()
        return [entry.code for entry in entries if isinstance(entry.code, CodeType)]

    def _start(self) -> bool:
        if not self.is_wanted or profiling is None or sys.getprofile() is not None:
            return False
        if self._profiler is None:
            self._profiler = profiling.Profiler(subcalls=False, builtins=False)
        try:
            self._profiler.enable()
        except ValueError:
            return False
        return True
