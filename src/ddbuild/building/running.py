"""A build under way: planned, run, and planned anew where the cache turned out to have lost something.

The build runs on an event loop of its own in a thread of its own, with as many worker threads as it has jobs. So it
works where a loop is running already (notebooks), from any thread, and is not held up by anybody's default executor.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from ddbuild.building.events import BuildPlanned, Event, Listener, Warned
from ddbuild.building.results import BuildResult
from ddbuild.building.runner import ActionRunner
from ddbuild.building.scheduler import Outcome, Scheduler
from ddbuild.building.workbench import Workbench
from ddbuild.cache import CacheMissError
from ddbuild.digest import Key
from ddbuild.graph.graph import shorten
from ddbuild.label import Label
from ddbuild.materialize import check_out_folder
from ddbuild.plan.decision import Hit
from ddbuild.plan.planner import Plan

if TYPE_CHECKING:
    from ddbuild.building.session import Session

__all__ = ["RunningBuild", "find_twins"]

_ATTEMPTS = 3
"""How often a build is planned anew because a blob went bad or away since it was planned: what is bad is a miss."""


class RunningBuild:
    """A build under way in its own thread."""

    def __init__(
        self, session: Session, labels: list[Label], *, jobs: int, keep_going: bool, listener: Listener | None
    ) -> None:
        self._session = session
        self._labels = labels
        self._jobs = jobs
        self._keep_going = keep_going
        self._listener = listener
        self._future: Future[BuildResult] = Future()
        # Whoever waits for it in an event loop may give up; the build says itself how it ended.
        self._future.set_running_or_notify_cancel()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduler: Scheduler | None = None
        self._interrupted = False
        self._thread = threading.Thread(target=self._run, name="ddbuild", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> BuildResult:
        """Return the result once the build is done.

        Raises:
            GraphError: something was wrong before anything ran.
            TimeoutError: it is not done after `timeout` seconds.
        """
        return self._future.result(timeout)

    @property
    def future(self) -> Future[BuildResult]:
        """The result to come."""
        return self._future

    def interrupt(self) -> None:
        """Stop soon, from any thread: no new starts, running stages end, finished ones and batches are kept."""
        self._interrupted = True
        loop, scheduler = self._loop, self._scheduler
        if loop is not None and scheduler is not None and not loop.is_closed():
            # A loop that has just ended needs no stopping any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(scheduler.interrupt)
        # Only then the runs: what ends because of this is interrupted, not failed.
        self._session.designer.cancel()

    def _run(self) -> None:
        try:
            self._future.set_result(self._build())
        except BaseException as error:
            self._future.set_exception(error)

    def _build(self) -> BuildResult:
        started = time.monotonic()
        for attempt in range(_ATTEMPTS):
            plan = self._session.plan(self._labels)
            if plan.to_run:
                self._session.note_uses(plan, _keys_of_hits(plan))
            self._tell(BuildPlanned(len(plan.targets), tuple(each.label for each in plan.to_run)))
            if plan.to_run and attempt == 0:
                # Before anything is paid for.
                check_out_folder(self._session.output_root)
                for text in find_twins(plan):
                    self._tell(Warned(text))
            outcomes = self._run_loop(plan)
            last = attempt == _ATTEMPTS - 1
            if not last and any(isinstance(each.error, CacheMissError) for each in outcomes.values()):
                continue
            seconds = time.monotonic() - started
            try:
                return self._session.finish(plan, outcomes, seconds, interrupted=self._interrupted)
            except CacheMissError:
                if last:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _run_loop(self, plan: Plan) -> dict[Label, Outcome]:
        loop = asyncio.new_event_loop()
        # A target needs one thread while it waits for a model, and one more for its short steps.
        executor = ThreadPoolExecutor(max_workers=2 * self._jobs + 2, thread_name_prefix="ddbuild")
        loop.set_default_executor(executor)
        try:
            return loop.run_until_complete(self._schedule(plan))
        finally:
            # Data Designer's threads cannot be stopped: whoever waits for them waits for the slowest request.
            executor.shutdown(wait=False, cancel_futures=True)
            _cancel_tasks(loop)
            loop.close()

    async def _schedule(self, plan: Plan) -> dict[Label, Outcome]:
        self._loop = asyncio.get_running_loop()
        emit = self._emitter(self._loop)
        session = self._session
        bench = Workbench(
            root=session.root,
            output_root=session.output_root,
            cache=session.cache,
            designer=session.designer,
            compiler=session.compiler,
            emit=emit,
            most_rows=session.most_rows,
            reuse=session.reuse,
        )
        self._scheduler = Scheduler(
            plan,
            runner=ActionRunner(bench),
            cache=session.cache,
            jobs=self._jobs,
            keep_going=self._keep_going,
            emit=emit,
        )
        if self._interrupted:
            self._scheduler.interrupt()
        return await self._scheduler.run()

    def _emitter(self, loop: asyncio.AbstractEventLoop) -> Callable[[Event], None]:
        def emit(event: Event) -> None:
            if threading.current_thread() is self._thread:
                self._tell(event)
            else:
                # A thread that was left behind may still have something to say when the build is over.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._tell, event)

        return emit

    def _tell(self, event: Event) -> None:
        if self._listener is not None:
            self._listener(event)


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _keys_of_hits(plan: Plan) -> Iterable[str]:
    actions = (each for target in plan.targets.values() for each in target.actions)
    return (each.decision.result.key for each in actions if isinstance(each.decision, Hit))


def find_twins(plan: Plan) -> list[str]:
    """Return a warning for stages that are equal in all that a key holds: they would have the very same rows."""
    twins: dict[Key, list[Label]] = {}
    for target in plan.to_run:
        if target.actions[0].action.kind == "generate" and target.requested:
            twins.setdefault(target.actions[0].deep_key, []).append(target.label)
    return [
        f"{' and '.join(shorten(str(label)) for label in labels)} are equal and get the same rows; "
        "for rows of their own, give one a `salt`"
        for labels in twins.values()
        if len(labels) > 1
    ]
