"""The threads and the tasks of one run, apart from those of every other run."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["CREW_SIZE", "Crew", "EngineTasks"]

T = TypeVar("T")

CREW_SIZE = min(32, (os.cpu_count() or 1) + 4)
"""As many threads as asyncio, and so Data Designer, gives a loop."""


class Crew:
    """Up to `size` daemon threads that work through one queue; they start when there is work for them."""

    def __init__(self, name: str, size: int = CREW_SIZE) -> None:
        self._name = name
        self._size = size
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0
        self._dismissed = False

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a thread call `function`; the future knows how it ended."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._dismissed:
                threading.Thread(target=work, name=f"{self._name}-late", daemon=True).start()
                return future
            self._work.put(work)
            if not self._idle.acquire(blocking=False) and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def dismiss(self) -> None:
        """Let each thread end when it has nothing left to do; what comes later gets a thread of its own."""
        with self._lock:
            self._dismissed = True
            for _ in range(self._threads):
                self._work.put(None)

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                self._idle.release()
                work = self._work.get()
            if work is None:
                return
            work()
            del work


class EngineTasks:
    """The tasks that one run has put onto the engine loop."""

    def __init__(self) -> None:
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()

    def add(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Note `task`, or cancel it where the others have been."""
        with self._lock:
            self._tasks.add(task)
        if self._cancelled.is_set():
            loop.call_soon(task.cancel)

    def cancel(self) -> None:
        """Cancel all of them, and those still to come."""
        self._cancelled.set()
        with self._lock:
            tasks = list(self._tasks)
        for task in tasks:
            if not task.done():
                task.get_loop().call_soon_threadsafe(task.cancel)
