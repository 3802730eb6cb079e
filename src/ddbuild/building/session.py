"""One opened workspace or script: its graph on its cache, ready to plan, build and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from ddbuild.building.events import Listener
from ddbuild.building.results import BuildResult, Status, TargetResult
from ddbuild.building.running import RunningBuild
from ddbuild.building.scheduler import Outcome
from ddbuild.cache import Cache, CacheMissError
from ddbuild.cache.result import ActionResult, Usage
from ddbuild.cache.uses import name_request
from ddbuild.cells import ReuseCounts
from ddbuild.designer import Designer
from ddbuild.errors import InterruptedBuildError, StaleError, UsageError
from ddbuild.graph.graph import TargetGraph, shorten
from ddbuild.graph.targets import Source, Stage, kind_of
from ddbuild.label import Label
from ddbuild.materialize import DATA_FILE, materialize
from ddbuild.plan.actions import ActionCompiler, KeySettings
from ddbuild.plan.decision import Hit, Miss, Undecided
from ddbuild.plan.forecast import forecast_reuse
from ddbuild.plan.history import History
from ddbuild.plan.overrides import cut_parents, read_override
from ddbuild.plan.planner import Plan, Planner, TargetPlan
from ddbuild.plan.reasons import say_reason
from ddbuild.plan.renewals import Renewals

__all__ = ["Session"]


class Session:
    """A graph with the cache, the designer and the history that it is built with.

    `root` holds the user's code; results, logs and history go below `output_root`, which is the same where it is left
    out. `overrides` are the files that stand in for the outputs of targets; those of `declared` are named by build
    files, and so by nobody who asks for this build. With `reuse` kept cells stand in for new ones.
    """

    most_rows: int | None = None
    """How many rows sources and seeds have at most; None for all of them."""

    retry_lost: bool = False
    """Whether stages that are asked for run again for the rows that they lost."""

    def __init__(
        self,
        graph: TargetGraph,
        *,
        root: Path,
        cache: Cache,
        designer: Designer,
        key_settings: KeySettings | None = None,
        output_root: Path | None = None,
        overrides: Mapping[Label, Source] | None = None,
        declared: Collection[Label] = (),
        reuse: bool = True,
    ) -> None:
        # The whole graph is held on to: the modules that its functions came from go when it goes.
        self._whole = graph
        self.key_settings = key_settings or KeySettings()
        self.graph = cut_parents(graph, overrides or {})
        self.root = root
        self.output_root = output_root or root
        self.cache = cache
        self.designer = designer
        self.history = History(self.output_root)
        self.overrides = dict(overrides or {})
        self.declared = frozenset(declared)
        self.reuse = reuse
        self._renewals = Renewals(self.output_root)
        self.compiler = ActionCompiler(
            root=root,
            designer=designer,
            settings=self.key_settings,
            overrides=self.overrides,
            renewals=self._renewals,
        )
        self._planner = Planner(self.graph, compiler=self.compiler, cache=cache, history=self.history)
        # The context in which plans are made, for a record of what they look at; and the last of them.
        self.watching: Callable[[], AbstractContextManager[None]] = nullcontext
        self.planned: Plan | None = None

    def override(self, files: Mapping[Label, Path]) -> Session:
        """Return this session with rows that a person has reviewed, in `files`, for what these targets would make.

        Raises:
            UsageError: a label is no target, or there are no rows in its file.
        """
        overrides = dict(self.overrides)
        for label, path in files.items():
            found = self._whole.find(label)
            overrides[found] = read_override(found, path)
        session = Session(
            self._whole,
            root=self.root,
            cache=self.cache,
            designer=self.designer,
            key_settings=self.key_settings,
            output_root=self.output_root,
            overrides=overrides,
            declared=self.declared.difference(map(self._whole.find, files)),
            reuse=self.reuse,
        )
        session.retry_lost = self.retry_lost
        return session

    def check_overrides(self, labels: Sequence[Label]) -> None:
        """Check that something about `labels` is overridden wherever something is, but for what build files override.

        Raises:
            UsageError: an overridden target is neither asked for nor needed by what is.
        """
        needed = self._whole.ancestors(labels)
        for label in self.overrides:
            if label not in needed and label not in self.declared:
                raise UsageError(
                    f"`{shorten(str(label))}` is overridden, and nothing that was asked for needs it",
                    facts={"asked for": ", ".join(shorten(str(each)) for each in labels)},
                )

    def renew(self, labels: Iterable[Label]) -> None:
        """Ask for new rows of `labels`, although nothing has changed, in the builds from now on.

        Raises:
            GraphError: something in a target is wrong; then nothing is renewed.
            BuildError: it cannot be noted.
        """
        self._renewals.renew(each for label in list(labels) for each in self.compiler.compile_plain(self.graph[label]))

    def plan(self, labels: Iterable[Label]) -> Plan:
        """Return the decisions on `labels` and on what they depend on; nothing runs."""
        with self.watching():
            self.planned = self._planner.plan(labels, retry_lost=self.retry_lost)
        return self.planned

    def start(self, labels: Iterable[Label], *, jobs: int, keep_going: bool, listener: Listener | None) -> RunningBuild:
        """Start to build `labels` and return at once.

        Raises:
            UsageError: an overridden target has nothing to do with them.
        """
        wanted = list(labels)
        self.check_overrides(wanted)
        return RunningBuild(self, wanted, jobs=jobs, keep_going=keep_going, listener=listener)

    def read(self, label: Label, *, last: bool = False, materialized: bool = True) -> TargetResult:
        """Return the current result of `label`, or with `last` the newest one that is kept.

        Who only wants its rows can do without having it `materialized`, also where the workspace cannot be written.

        Raises:
            StaleError: there is none; nothing is ever generated to make one.
        """
        target = self.plan([label]).targets[label]
        decision = target.decision
        if isinstance(decision, Hit):
            results = [each.decision.result for each in target.actions if isinstance(each.decision, Hit)]
            try:
                outcome = Outcome("hit", results=results, tier=decision.tier)
                return self._describe(target, outcome, materialized=materialized)
            except CacheMissError as error:
                hint = f"ddbuild {shorten(str(label))}"
                raise StaleError(f"the rows of `{shorten(str(label))}` went bad in the cache", hint=hint) from error
        if last:
            kept = self.history.read(label)
            if kept and (found := self.cache.lookup(kept[-1].key, kept[-1].retry)) is not None:
                outcome = Outcome("hit", results=[found[0]], tier=found[1])
                return self._describe(target, outcome, materialized=materialized)
            raise StaleError(f"no result of `{shorten(str(label))}` is kept", hint=f"ddbuild {shorten(str(label))}")
        raise StaleError(
            f"`{shorten(str(label))}` is stale",
            facts={"because": "; ".join(_words(target)) or "it was never built here"},
            hint=f"build it with `ddbuild {shorten(str(label))}`, or read the newest one kept with `--last`",
        )

    def describe_plan(self, plan: Plan, seconds: float) -> BuildResult:
        """Return `plan` in the shape of a build's result, with the statuses `hit`, `stale` and `undecided`."""
        described: dict[Label, TargetResult] = {}
        for target in plan.targets.values():
            if not target.needed:
                continue
            hits = [each.decision.result for each in target.actions if isinstance(each.decision, Hit)]
            if isinstance(target.decision, Hit):
                outcome = Outcome(_hit_status(hits), results=hits, tier=target.decision.tier)
            elif (empty := _find_empty(self.graph.parents(target.label), described)) is not None:
                outcome = Outcome("skipped_empty_upstream", upstream=empty)
            else:
                outcome = Outcome("undecided" if isinstance(target.decision, Undecided) else "stale")
            described[target.label] = self._describe(target, outcome, materialized=False)
            described[target.label].saved = _usage_of(hits)
            if self.reuse:
                described[target.label].reuse = forecast_reuse(
                    target, plan.targets, compiler=self.compiler, cache=self.cache
                )
        overridden = self._find_overridden(plan)
        return BuildResult(targets=described, seconds=seconds, exit_code=0, overridden=overridden)

    def finish(self, plan: Plan, outcomes: dict[Label, Outcome], seconds: float, *, interrupted: bool) -> BuildResult:
        """Keep the history of what was built, materialize what was requested, and return everything by label."""
        described = {}
        for target in plan.targets.values():
            outcome = outcomes.get(target.label)
            if outcome is None or not (target.needed or target.requested):
                continue
            if outcome.output is not None:
                self.history.write(target.label, outcome.results)
            described[target.label] = self._describe(target, outcome)
        self.note_uses(plan, (result.key for outcome in outcomes.values() for result in outcome.results))
        bad = [each for each in described.values() if each.status in ("failed", "skipped", "interrupted")]
        if not interrupted:
            self.cache.offer(result for outcome in outcomes.values() for result in outcome.results)
        code = InterruptedBuildError.exit_code if interrupted else 1 if bad else 0
        return BuildResult(
            targets=described,
            seconds=seconds,
            exit_code=code,
            spared=self._spare(plan, outcomes),
            overridden=self._find_overridden(plan),
        )

    def _find_overridden(self, plan: Plan) -> dict[Label, Path]:
        return {label: _place_of(self.overrides[label]) for label in plan.targets if label in self.overrides}

    def note_uses(self, plan: Plan, keys: Iterable[str]) -> None:
        """Note in the cache that the results under `keys` are of use, so that they are not collected soon."""
        requested = (str(each.label) for each in plan.targets.values() if each.requested)
        self.cache.note_uses(name_request(str(os.getuid()), str(self.output_root), requested), set(keys))

    def _spare(self, plan: Plan, outcomes: Mapping[Label, Outcome]) -> dict[Label, TargetResult]:
        """Return the ancestors that nobody had to look at and that are kept all the same."""
        spared = [each for each in plan.targets.values() if not (each.needed or each.requested)]
        return {each.label: self._describe(each, outcomes[each.label]) for each in spared if each.label in outcomes}

    def _describe(self, target: TargetPlan, outcome: Outcome, *, materialized: bool = True) -> TargetResult:
        output = outcome.output
        folder: Path | None = None
        locate: Callable[[], Path] | None = None
        if output is not None and target.requested and materialized:
            folder = materialize(output, target.label, self.cache, self.output_root)
            locate = partial(Path.joinpath, folder, DATA_FILE)
        elif output is not None:
            locate = partial(self.cache.fetch, output.output)
        reuse = ReuseCounts.read(outcome.results[0].provenance.notes) if outcome.results else None
        generated_now = any(run.kind == "generate" and run.status == "ran" for run in outcome.runs)
        return TargetResult(
            label=target.label,
            kind=kind_of(target.target),
            requested=target.requested,
            status=outcome.status,
            tier=outcome.tier if outcome.status in ("hit", "cutoff") else None,
            key=output.key if output else None,
            digest=output.digest if output else None,
            rows=output.rows if output else None,
            rows_requested=output.rows_requested if output else None,
            rows_lost=output.rows_lost if output else 0,
            path=folder,
            reasons=target.reasons,
            actions=outcome.runs,
            usage=outcome.usage,
            saved=_saved_by(reuse) if generated_now else _usage_of(outcome.results),
            reuse=reuse if generated_now else None,
            seconds=outcome.seconds,
            overridden=_place_of(self.overrides[target.label]) if target.label in self.overrides else None,
            upstream=outcome.upstream,
            error=outcome.error,
            result=output,
            results=outcome.results,
            locate=locate,
            fetch=self.cache.fetch,
            config=self.compiler.config(target.target)[0]
            if isinstance(target.target, Stage) and materialized and target.label not in self.overrides
            else None,
        )


def _place_of(override: Source) -> Path:
    """Return the file that an override is read from, or the folder of several."""
    file = Path(override.files[0])
    return file if len(override.files) == 1 else file.parent


def _usage_of(results: list[ActionResult]) -> Usage:
    """What the rows of a target have cost; a later action's result carries what the one before it says."""
    if not results:
        return Usage()
    spent = results[0].provenance.usage
    reused = _saved_by(ReuseCounts.read(results[0].provenance.notes))
    return spent.model_copy(update={"requests": spent.requests + reused.requests})


def _saved_by(reuse: ReuseCounts | None) -> Usage:
    return Usage(requests=reuse.requests_saved) if reuse is not None else Usage()


def _hit_status(results: list[ActionResult]) -> Status:
    return "completed_empty" if results[-1].rows == 0 else "hit"


def _find_empty(parents: Iterable[Label], described: dict[Label, TargetResult]) -> Label | None:
    """The empty target above, because of which a target is going to be skipped; None where there is none."""
    for label in parents:
        parent = described.get(label)
        if parent is not None and parent.status in ("completed_empty", "skipped_empty_upstream"):
            return parent.upstream or label
    return None


def _words(target: TargetPlan) -> list[str]:
    words = []
    for each in target.actions:
        if isinstance(each.decision, Undecided):
            words.append(
                "its parents have to run first: " + ", ".join(shorten(str(p)) for p in each.decision.waits_for)
            )
        elif isinstance(each.decision, Miss):
            words += [say_reason(reason) for reason in each.decision.reasons]
    return list(dict.fromkeys(words))
