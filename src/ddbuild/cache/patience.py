"""Waiting for a file server no longer than is sensible.

A call on a hung network mount never returns and cannot be stopped. So such calls run in threads of their own, which
are left behind when they take too long; after that the folder is left alone for a while.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

__all__ = ["Patience"]

T = TypeVar("T")

_IDLE_SECONDS = 2.0


class _Call(Generic[T]):
    """One call in its thread; whoever takes `lock` first decides whether its value is in time."""

    def __init__(self, act: Callable[[], T], too_late: Callable[[T], None] | None) -> None:
        self._act = act
        self._too_late = too_late
        self._lock = threading.Lock()
        self._ended = threading.Lock()  # a bare lock: an Event takes three times as long
        self._ended.acquire()
        self._abandoned = False
        self._values: list[T] = []
        self._error: BaseException | None = None

    def run(self, before_end: Callable[[], None]) -> None:
        try:
            value = self._act()
            with self._lock:
                self._values.append(value)
                abandoned = self._abandoned
            if abandoned and self._too_late is not None:
                self._too_late(value)
        except BaseException as error:
            self._error = error
        finally:
            before_end()
            self._ended.release()

    def wait(self, seconds: float) -> T:
        try:
            ended = self._ended.acquire(timeout=seconds)
        except BaseException:  # Ctrl-C
            self._abandon()
            raise
        if not ended and self._abandon():
            raise TimeoutError(errno.ETIMEDOUT, f"no answer in {seconds:.0f} s")
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _abandon(self) -> bool:
        """Give up waiting; False if the value has just come."""
        with self._lock:
            self._abandoned = not self._values
            return self._abandoned


class _Workers:
    """Threads that run calls, as many as there are calls that run or hang at once, and end when nothing comes."""

    def __init__(self) -> None:
        self._forget()

    def start(self, task: Callable[[Callable[[], None]], None]) -> None:
        if self._pid != os.getpid():  # a fork takes no threads along
            self._forget()
        with self._lock:
            found = self._idle > 0
            self._idle -= found
        self._tasks.put(task)
        if not found:
            threading.Thread(target=self._work, name="ddbuild shared cache", daemon=True).start()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[Callable[[Callable[[], None]], None]] = SimpleQueue()
        self._idle = 0
        self._pid = os.getpid()

    def _work(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                continue  # a task has just been promised to this thread
            task(self._become_idle)
            del task

    def _become_idle(self) -> None:
        with self._lock:
            self._idle += 1


class Patience:
    """Runs calls with a time limit, and none at all for `rest_seconds` after one has exceeded it."""

    def __init__(self, *, rest_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._resting_until = float("-inf")
        self._workers = _Workers()

    @property
    def is_resting(self) -> bool:
        """Whether calls are refused now."""
        return self._clock() < self._resting_until

    def rest(self) -> None:
        """Refuse calls for a while."""
        self._resting_until = self._clock() + self._rest_seconds

    def call(self, act: Callable[[], T], seconds: float, *, too_late: Callable[[T], None] | None = None) -> T:
        """Return what `act` returns, or raise what it raises.

        `too_late` gets a value that came after the limit.

        Raises:
            TimeoutError: `act` took more than `seconds`; it may still be running.
        """
        call = _Call(act, too_late)
        self._workers.start(call.run)
        try:
            return call.wait(seconds)
        except TimeoutError:  # this one's, or the file system's own
            self.rest()
            raise
