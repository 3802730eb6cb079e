"""What is a hit, what has to run, and what cannot be told before something else has run.

The planner resolves every ancestor of what was requested, parents first, in one pass over records (no blob is read):

- Where the content of all parents is known, the content key decides. A kept result counts only if it was made from
  just that content, so rows are never served beside parents that they were not made from.
- Where a parent has no result of its own any more, the deep key decides. The result then *pins* the parent to the
  content that it records: everything else in this build has to agree with it.

What is requested and not a hit must run, and so must the parents that it needs and that are not there. A hit below
something that runs is undecided: it is looked up again once the parents' content is known (early cutoff). An
undecided action's missing parents run too, rather than be guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ddbuild.cache import Cache
from ddbuild.cache.result import ActionResult
from ddbuild.designer import NotRowWise
from ddbuild.digest import Digest, Key
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Stage, Target
from ddbuild.keys import AS_THE_SEED, Action
from ddbuild.label import Label
from ddbuild.plan.acceptance import Found, find_accepted, rejection_of
from ddbuild.plan.actions import ActionCompiler
from ddbuild.plan.decision import Decision, Hit, Miss, Reason, Undecided
from ddbuild.plan.history import History
from ddbuild.plan.reasons import explain

__all__ = ["ActionPlan", "Plan", "Planner", "TargetPlan", "is_output"]


@dataclass(slots=True)
class ActionPlan:
    """One action with its keys and its decision; `content_key` is None while a parent's content is not known.

    A result that has lost rows does not count where a `whole` one is wanted.
    """

    action: Action
    deep_key: Key
    content_key: Key | None = None
    decision: Decision = field(default_factory=lambda: Miss(()))
    whole: bool = False


@dataclass(slots=True)
class TargetPlan:
    """One target with its actions, the last of which makes the target's output.

    `needed` is False for an ancestor that nobody has to look at: it has no result, and nothing needs one.
    """

    target: Target
    actions: list[ActionPlan]
    requested: bool
    needed: bool = False

    @property
    def label(self) -> Label:
        """The target's label."""
        return self.target.label

    @property
    def decision(self) -> Decision:
        """The decision on the target's output."""
        return self.actions[-1].decision

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the target must run, or may have to, each reason once; empty for a hit."""
        found: list[Reason] = []
        for each in self.actions:
            if isinstance(each.decision, Miss):
                found += each.decision.reasons
            elif isinstance(each.decision, Undecided):
                found += [Reason("parent", str(label)) for label in each.decision.waits_for]
        return tuple(dict.fromkeys(found))


@dataclass(slots=True)
class Plan:
    """The decisions on everything that a request touches, parents before children."""

    targets: dict[Label, TargetPlan]

    @property
    def to_run(self) -> list[TargetPlan]:
        """The targets that run or may have to."""
        return [each for each in self.targets.values() if each.needed and not isinstance(each.decision, Hit)]


class Planner:
    """Makes plans for one graph on one cache."""

    def __init__(self, graph: TargetGraph, *, compiler: ActionCompiler, cache: Cache, history: History) -> None:
        self._graph = graph
        self._compiler = compiler
        self._cache = cache
        self._history = history
        self._retried: set[Label] = set()

    def plan(self, requested: Iterable[Label], *, retry_lost: bool = False) -> Plan:
        """Return the decisions on `requested` and on all that they depend on.

        With `retry_lost` a requested stage whose rows are made one by one runs again for those that it lost.

        Raises:
            GraphError: something in a target is wrong.
        """
        wanted = set(requested)
        self._retried = wanted if retry_lost else set()
        targets: dict[Label, TargetPlan] = {}
        pins: dict[Label, Digest] = {}
        for label in self._graph.sort(self._graph.ancestors(wanted)):
            targets[label] = self._resolve(self._graph[label], targets, pins, requested=label in wanted)
        _mark_needed(targets)
        for each in targets.values():
            if each.needed:
                self._give_reasons(each, targets)
        return Plan(targets)

    def _resolve(
        self, target: Target, targets: dict[Label, TargetPlan], pins: dict[Label, Digest], *, requested: bool
    ) -> TargetPlan:
        plans: list[ActionPlan] = []
        for action in self._compiler.compile(target):
            before = plans[-1] if plans else None
            plan = ActionPlan(
                action,
                action.deep_key(_parent_key(each.label, targets, before) for each in action.inputs),
                whole=action.kind == "generate" and self._makes_rows_singly(target),
            )
            self._decide(plan, target, targets, pins, plans)
            plans.append(plan)
        return TargetPlan(target, plans, requested)

    def _decide(
        self,
        plan: ActionPlan,
        target: Target,
        targets: dict[Label, TargetPlan],
        pins: dict[Label, Digest],
        earlier: Sequence[ActionPlan],
    ) -> None:
        before = earlier[-1] if earlier else None
        last = is_output(plan.action, target)
        contents = [_content(each.label, targets, pins, before) for each in plan.action.inputs]
        known = [content for content in contents if content is not None]
        if len(known) == len(contents):
            plan.content_key = plan.action.content_key(known, _seed_rows(plan.action, targets))
        if plan.content_key is not None and _seed_is_known(plan.action, targets):
            found = find_accepted(self._cache, plan.content_key, target, is_output=last, whole=plan.whole)
        else:
            plan.content_key = None
            found = find_accepted(self._cache, plan.deep_key, target, is_output=last, whole=plan.whole)
            if found.result is not None and not _agrees(found.result, plan.action, contents, pins, earlier, targets):
                found = Found(None, found.tier, None, 0)
        if found.result is not None:
            plan.decision = Hit(found.result, found.tier)
        elif found.rejected is not None:
            reason = rejection_of(found.rejected, target, is_output=last)
            if reason is None and plan.whole:
                reason = Reason("lost", "", f"{found.rejected.rows_lost} of {found.rejected.rows_requested}")
            plan.decision = Miss((reason,) if reason is not None else ())

    def _makes_rows_singly(self, target: Target) -> bool:
        if target.label not in self._retried or not isinstance(target, Stage):
            return False
        try:
            self._compiler.cells(target)
        except NotRowWise:
            return False
        return True

    def _give_reasons(self, plan: TargetPlan, targets: dict[Label, TargetPlan]) -> None:
        last: dict[str, ActionResult] | None = None
        for position, each in enumerate(plan.actions):
            if isinstance(each.decision, Miss) and not each.decision.reasons:
                if last is None:
                    last = {result.kind: result for result in self._history.read(plan.label)}
                contents = {a.label: _content(a.label, targets, {}, None) for a in each.action.inputs if a.label}
                reasons = explain(each.action, last.get(each.action.kind), contents)
                waits = _unsettled(plan, position, targets)
                if (
                    position
                    and reasons == (Reason("gone"),)
                    and not isinstance(plan.actions[position - 1].decision, Hit)
                ):
                    # It has no reason of its own: what it reads is made again.
                    each.decision = plan.actions[position - 1].decision
                    continue
                # Nothing but the parents' content is in question: it may come out equal.
                only_parents = waits and all(reason.part in ("parent", "gone") for reason in reasons)
                each.decision = Undecided(waits) if only_parents else Miss(reasons)


def is_output(action: Action, target: Target) -> bool:
    """Return whether `action` is the last one of `target`, whose result is the target's output."""
    if not isinstance(target, Stage):
        return True
    if target.on_success is not None:
        return action.kind == "callback"
    if target.output_processors or target.output != "final":
        return action.kind == "process"
    return True


def _parent_key(label: Label | None, targets: dict[Label, TargetPlan], before: ActionPlan | None) -> Key:
    if label is not None:
        return targets[label].actions[-1].deep_key
    assert before is not None, "only a first action has no action before it, and it reads none"
    return before.deep_key


def _content(
    label: Label | None, targets: dict[Label, TargetPlan], pins: dict[Label, Digest], before: ActionPlan | None
) -> Digest | None:
    if label is None:
        hit = before.decision if before is not None else None
        return Digest(hit.result.folder_digest) if isinstance(hit, Hit) else None
    decision = targets[label].decision
    return Digest(decision.result.digest) if isinstance(decision, Hit) else pins.get(label)


def _seed_is_known(action: Action, targets: dict[Label, TargetPlan]) -> bool:
    """Whether the seed's row count is known where it matters, and not only its pinned content."""
    return action.num_records != AS_THE_SEED or all(
        isinstance(targets[each.label].decision, Hit)
        for each in action.inputs
        if each.role == "seed" and each.label is not None
    )


def _seed_rows(action: Action, targets: dict[Label, TargetPlan]) -> int | None:
    for each in action.inputs:
        if each.role == "seed" and each.label is not None:
            decision = targets[each.label].decision
            return decision.result.rows if isinstance(decision, Hit) else None
    return None


def _agrees(
    result: ActionResult,
    action: Action,
    contents: list[Digest | None],
    pins: dict[Label, Digest],
    earlier: Sequence[ActionPlan],
    targets: dict[Label, TargetPlan],
) -> bool:
    """Whether `result` was made from the content that is known; what is not known is pinned to what it records.

    A result also records what the target's earlier actions read, so that this can be told where those are gone.
    """
    recorded = {each.role: Digest(each.digest) for each in result.inputs}
    known = {each.role: content for each, content in zip(action.inputs, contents, strict=True)}
    labels = {each.role: each.label for each in action.inputs if each.label is not None}
    for plan in earlier:
        for each in plan.action.inputs:
            if each.label is not None:
                known[each.role] = _content(each.label, targets, pins, None)
                labels[each.role] = each.label
    if not set(known) <= set(recorded):
        return False
    if any(content not in (None, recorded[role]) for role, content in known.items()):
        return False
    for role, label in labels.items():
        pins.setdefault(label, recorded[role])
    return True


def _mark_needed(targets: dict[Label, TargetPlan]) -> None:
    """Mark what has to be looked at, and turn hits below something that runs into undecided ones."""
    changed = True
    while changed:
        changed = _demand(targets)
        for plan in targets.values():
            for position, each in enumerate(plan.actions):
                waits = _unsettled(plan, position, targets)
                if waits and isinstance(each.decision, Hit):
                    each.decision = Undecided(waits)
                    changed = True


def _demand(targets: dict[Label, TargetPlan]) -> bool:
    changed = False
    stack = [plan for plan in targets.values() if plan.requested]
    seen: set[Label] = set()
    while stack:
        plan = stack.pop()
        if plan.label in seen:
            continue
        seen.add(plan.label)
        changed |= not plan.needed
        plan.needed = True
        for each in reversed(plan.actions):
            if isinstance(each.decision, Hit):
                break
            stack += [targets[a.label] for a in each.action.inputs if a.label is not None]
    return changed


def _unsettled(plan: TargetPlan, position: int, targets: dict[Label, TargetPlan]) -> tuple[Label, ...]:
    """The parents of an action whose content this build may still change."""
    labels: list[Label] = []
    for each in plan.actions[position].action.inputs:
        if each.label is None:
            # What an action before this one read matters only where that one is not there to speak for itself.
            if not isinstance(plan.actions[position - 1].decision, Hit):
                labels += _unsettled(plan, position - 1, targets)
        elif _may_change(targets[each.label]):
            labels.append(each.label)
    return tuple(dict.fromkeys(labels))


def _may_change(parent: TargetPlan) -> bool:
    return isinstance(parent.decision, Undecided) or (parent.needed and isinstance(parent.decision, Miss))
