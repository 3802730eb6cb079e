"""Which target runs when: parents first, as many at once as there are jobs, the longest remaining path first.

One event loop, one task a running target. A failure stops new starts unless the build keeps going; an interruption
stops everything and leaves what has finished where it is.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from ddbuild.building.events import Event, TargetFinished, TargetStarted, TargetWaiting
from ddbuild.building.failures import short_error
from ddbuild.building.job import Job, input_contents, seed_rows
from ddbuild.building.results import ActionRun, Status
from ddbuild.building.runner import ActionRunner
from ddbuild.cache import Cache, CacheLease, CacheMissError
from ddbuild.cache.lease import Holder
from ddbuild.cache.result import ActionResult, Usage
from ddbuild.digest import Key
from ddbuild.errors import BuildError, DdbuildError, InterruptedBuildError
from ddbuild.graph.targets import Stage, kind_of
from ddbuild.label import Label
from ddbuild.plan.acceptance import Found, find_accepted, rejection_of
from ddbuild.plan.decision import Hit, TierName
from ddbuild.plan.planner import ActionPlan, Plan, TargetPlan, is_output

__all__ = ["Outcome", "Scheduler"]


@dataclass(slots=True)
class Outcome:
    """What became of one target in this build; `results` has one action result for each action that was looked at."""

    status: Status
    results: list[ActionResult] = field(default_factory=list)
    runs: list[ActionRun] = field(default_factory=list)
    tier: TierName | None = None
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    error: DdbuildError | None = None
    upstream: Label | None = None

    @property
    def output(self) -> ActionResult | None:
        """The result that holds the target's output; None where it has none."""
        return self.results[-1] if self.results and self.error is None else None


class Scheduler:
    """Runs one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        runner: ActionRunner,
        cache: Cache,
        jobs: int,
        keep_going: bool,
        emit: Callable[[Event], None],
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._cache = cache
        self._jobs = jobs
        self._keep_going = keep_going
        self._emit = emit
        self._interrupted = asyncio.Event()
        self._stopping = False
        self._releases: set[asyncio.Future[None]] = set()
        self.outcomes: dict[Label, Outcome] = {}

    def interrupt(self) -> None:
        """Stop soon; to be called in the loop's own thread."""
        self._stopping = True
        self._interrupted.set()

    async def run(self) -> dict[Label, Outcome]:
        """Run everything that has to run and return what became of each target that was looked at."""
        for target in self._plan.targets.values():
            if isinstance(target.decision, Hit):
                self.outcomes[target.label] = _hit_outcome(target)
        waiting = {target.label: target for target in self._plan.to_run}
        missing = {label: self._unfinished_parents(target, waiting) for label, target in waiting.items()}
        children: dict[Label, list[Label]] = {}
        for label, parents in missing.items():
            for parent in parents:
                children.setdefault(parent, []).append(label)
        lengths = _measure_paths(waiting, children)
        ready = [(-lengths[label], str(label), label) for label, parents in missing.items() if not parents]
        heapq.heapify(ready)
        running: dict[asyncio.Task[Outcome], Label] = {}
        stop = asyncio.create_task(self._interrupted.wait())
        while ready or running:
            while ready and len(running) < self._jobs and not self._stopping:
                label = heapq.heappop(ready)[2]
                task = asyncio.create_task(self._run_target(waiting[label]))
                running[task] = label
            if not running:
                break
            for task in await self._wait(running, stop):
                label = running.pop(task)
                self._finish(label, task.result())
                for child in children.get(label, ()):
                    missing[child].discard(label)
                    if not missing[child]:
                        heapq.heappush(ready, (-lengths[child], str(child), child))
            if self._interrupted.is_set():
                break
        stop.cancel()
        if self._releases:
            await asyncio.wait(self._releases, timeout=_GRACE if self._interrupted.is_set() else None)
        for label in running.values():
            self._finish(label, Outcome("interrupted"))
        for label in waiting:
            if label not in self.outcomes:
                self.outcomes[label] = Outcome("interrupted" if self._interrupted.is_set() else "skipped")
        return self.outcomes

    async def _wait(
        self, running: Iterable[asyncio.Task[Outcome]], stop: asyncio.Task[bool]
    ) -> set[asyncio.Task[Outcome]]:
        """Return the tasks that are done, once there is one, or once `stop` says that the build was interrupted."""
        tasks = set(running)
        await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        if self._interrupted.is_set():
            await asyncio.wait(tasks, timeout=_GRACE)
        return {task for task in tasks if task.done()}

    def _finish(self, label: Label, outcome: Outcome) -> None:
        self.outcomes[label] = outcome
        if outcome.status == "failed" and not self._keep_going:
            self._stopping = True
        if isinstance(outcome.error, CacheMissError):
            # No failure to tell: the build is planned anew, and what went missing is made again.
            return
        output = outcome.output
        self._emit(
            TargetFinished(
                label,
                outcome.status,
                output.rows if output else None,
                output.rows_lost if output else 0,
                outcome.seconds,
                outcome.error.message if outcome.error else None,
            )
        )

    def _unfinished_parents(self, target: TargetPlan, waiting: dict[Label, TargetPlan]) -> set[Label]:
        return {
            each.label
            for plan in target.actions
            for each in plan.action.inputs
            if each.label is not None and each.label in waiting
        }

    async def _run_target(self, target: TargetPlan) -> Outcome:
        started = time.monotonic()
        outcome = self._inherited_outcome(target)
        if outcome is None:
            self._emit(TargetStarted(target.label, kind_of(target.target)))
            outcome = Outcome("cutoff")
            try:
                await self._run_actions(target, outcome)
            except DdbuildError as error:
                outcome.error = error
            except asyncio.CancelledError:
                raise
            except Exception as error:
                outcome.error = BuildError(
                    f"`{target.label}` failed in a way that ddbuild did not foresee",
                    facts={"raised": f"{type(error).__name__}: {error}"},
                )
                outcome.error.__cause__ = error
            if outcome.error is not None:
                stopped = self._interrupted.is_set() or isinstance(outcome.error, InterruptedBuildError)
                outcome.status = "interrupted" if stopped else "failed"
            elif outcome.results[-1].rows == 0:
                outcome.status = "completed_empty"
            elif any(run.status == "ran" for run in outcome.runs):
                outcome.status = "built"
            elif not self._ran_above(target):
                # Another target of equal key, or another build, made it in the meantime.
                outcome.status = "hit"
        outcome.seconds = time.monotonic() - started
        return outcome

    def _ran_above(self, target: TargetPlan) -> bool:
        """Whether a parent was made, or looked at again, in this build."""
        parents = {each.label for plan in target.actions for each in plan.action.inputs if each.label is not None}
        return any(self.outcomes[label].status in ("built", "cutoff") for label in parents if label in self.outcomes)

    def _inherited_outcome(self, target: TargetPlan) -> Outcome | None:
        """What a target is without running, because of a parent: skipped below a failure or an empty result."""
        parents = {each.label for plan in target.actions for each in plan.action.inputs if each.label is not None}
        for label in sorted(parents):
            outcome = self.outcomes.get(label)
            if outcome is None:
                continue
            if outcome.status in ("completed_empty", "skipped_empty_upstream"):
                return Outcome("skipped_empty_upstream", upstream=outcome.upstream or label)
            if outcome.status in ("failed", "skipped", "interrupted"):
                return Outcome("skipped", upstream=outcome.upstream or label)
        return None

    async def _run_actions(self, target: TargetPlan, outcome: Outcome) -> None:
        needed = {each.label for plan in target.actions for each in plan.action.inputs if each.label is not None}
        outputs = {label: self.outcomes[label].output for label in needed if label in self.outcomes}
        parents = {label: output for label, output in outputs.items() if output is not None}
        first = 0
        for position, plan in enumerate(target.actions):
            if isinstance(plan.decision, Hit):
                outcome.results.append(plan.decision.result)
                outcome.runs.append(ActionRun(plan.action.kind, "hit"))
                first = position + 1
        for plan in target.actions[first:]:
            started = time.monotonic()
            try:
                result, ran = await self._run_action(target, plan, parents, outcome)
            except BaseException:
                outcome.runs.append(ActionRun(plan.action.kind, "failed", round(time.monotonic() - started, 3)))
                raise
            outcome.results.append(result)
            seconds = round(time.monotonic() - started, 3) if ran else None
            outcome.runs.append(ActionRun(plan.action.kind, "ran" if ran else "hit", seconds))

    async def _run_action(
        self, target: TargetPlan, plan: ActionPlan, parents: dict[Label, ActionResult], outcome: Outcome
    ) -> tuple[ActionResult, bool]:
        before = outcome.results[-1] if outcome.results else None
        action, last = plan.action, is_output(plan.action, target.target)
        key = action.content_key(input_contents(action, parents, before), seed_rows(action, parents))
        find = partial(find_accepted, self._cache, key, target.target, is_output=last, whole=plan.whole)
        found, lease = await asyncio.to_thread(self._find_or_acquire, find, target.label, key)
        if found.result is not None:
            outcome.tier = found.tier
            return found.result, False
        assert lease is not None
        try:
            job = Job(action, target.target, key, plan.deep_key, found.next_retry, parents, before, lease)
            result = await self._runner.run(job)
        finally:
            # What comes next need not wait for it; the build does.
            release = asyncio.get_running_loop().run_in_executor(None, lease.release)
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)
        if result.kind == "generate":
            outcome.usage = result.provenance.usage
        self._check(result, target, last)
        return result, True

    def _tell_waiting(self, label: Label, holder: Holder) -> None:
        if holder.process is None or holder.process.pid != os.getpid():
            self._emit(TargetWaiting(label, str(holder)))

    def _find_or_acquire(self, find: Callable[[], Found], label: Label, key: Key) -> tuple[Found, CacheLease | None]:
        """Return what is kept, or else the lease on `key`; one call, because each way to a thread and back costs."""
        found = find()
        if found.result is not None:
            return found, None
        waiting = partial(self._tell_waiting, label)
        lease = self._cache.lease(key, wait=waiting, cancelled=self._interrupted.is_set)
        try:
            # Somebody else may have built it while this build waited.
            found = find()
        except BaseException:
            lease.release()
            raise
        if found.result is None:
            return found, lease
        lease.release()
        return found, None

    def _check(self, result: ActionResult, target: TargetPlan, last: bool) -> None:
        reason = rejection_of(result, target.target, is_output=last)
        if reason is None:
            return
        if reason.name == "min_yield":
            assert isinstance(target.target, Stage)
            assert result.rows_made is not None and result.rows_requested is not None
            log = self._runner.log_file(target.label)
            raise short_error(target.target, result.rows_made, result.rows_requested, result.lost, log)
        raise BuildError(
            f"`{target.label}` came out empty",
            facts={"made by": f"its {result.kind} step"},
            hint="if an empty result is fine, say `allow_empty=True`",
        )


_GRACE = 1.5
"""Seconds that running targets get to stop by themselves after an interruption."""


def _hit_outcome(target: TargetPlan) -> Outcome:
    results = [plan.decision.result for plan in target.actions if isinstance(plan.decision, Hit)]
    runs = [ActionRun(plan.action.kind, "hit") for plan in target.actions if isinstance(plan.decision, Hit)]
    decision = target.decision
    assert isinstance(decision, Hit)
    status: Status = "completed_empty" if decision.result.rows == 0 else "hit"
    return Outcome(status, results=results, runs=runs, tier=decision.tier)


def _measure_paths(waiting: dict[Label, TargetPlan], children: dict[Label, list[Label]]) -> dict[Label, int]:
    """Return how many targets still have to run from each one to the end of its longest path."""
    lengths: dict[Label, int] = {}
    for label in reversed(list(waiting)):
        lengths[label] = 1 + max((lengths[child] for child in children.get(label, ())), default=0)
    return lengths
