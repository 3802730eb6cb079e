"""Data Designer's engine loop: threads for each run of its own, and a way to stop the work of one run.

All runs of a process share one event loop in a thread of Data Designer's. Its default executor has min(32, CPUs + 4)
threads for all of them, so one stage whose custom functions wait keeps every other stage from starting. Here each run
gets that many threads for itself: what a run may do at once is what it may do alone, and runs do not queue behind
each other. The threads are daemons, so that a function that never returns does not keep the process from ending.

Tasks that a run puts onto the loop from outside (its scheduler, health checks, requests of custom functions) are
noted with it, and can be cancelled together.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ddbuild.designer.active import current_run
from ddbuild.designer.crew import Crew
from ddbuild.designer.tls import share_tls

__all__ = ["prepare_engine"]

T = TypeVar("T")

_PREPARED: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
_LOCK = threading.Lock()
_INSTALL_SECONDS = 5.0


def prepare_engine() -> None:
    """Give the engine loop our threads and our note of tasks, before each run: a fork drops the loop."""
    from data_designer.engine.dataset_builders.utils.async_concurrency import ensure_async_engine_loop

    share_tls()
    loop = ensure_async_engine_loop()
    with _LOCK:
        if loop in _PREPARED:
            return
        installed = threading.Event()

        def install() -> None:
            loop.set_default_executor(_Threads())
            loop.set_task_factory(_make_task_factory(loop.get_task_factory()))
            installed.set()

        loop.call_soon_threadsafe(install)
        if installed.wait(_INSTALL_SECONDS):
            _PREPARED.add(loop)


class _Threads(ThreadPoolExecutor):
    """An executor, of the one type that asyncio accepts, that hands work to the crew of the current run."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._common = Crew("ddbuild-engine")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        run = current_run.get()
        return (run.crew if run else self._common).submit(fn, *args, **kwargs)


def _make_task_factory(previous: Any) -> Any:
    def make_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = previous(loop, coroutine, **options) if previous else asyncio.Task(coroutine, loop=loop, **options)
        # Only what comes from outside the loop: a scheduler that is cancelled cancels its own workers.
        if (run := current_run.get()) is not None and asyncio.current_task(loop) is None:
            run.tasks.add(task, loop)
        return task

    return make_task
