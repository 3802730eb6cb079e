"""A plan in words: what would run, what would not, and why, parents first."""

from __future__ import annotations

from pathlib import Path

from ddbuild.building.results import BuildResult
from ddbuild.graph.targets import kind_of
from ddbuild.plan.decision import Hit, Miss, Undecided
from ddbuild.plan.planner import Plan, TargetPlan
from ddbuild.plan.reasons import say_reason
from ddbuild.report.ink import Ink
from ddbuild.report.summary import say_overridden, say_reuse
from ddbuild.report.totals import count_totals
from ddbuild.report.wording import count, list_words, say_label, say_message, say_path

__all__ = ["say_plan"]

_COLOURS = {"hit": "green", "stale": "yellow", "undecided": "cyan"}
_INDENT = 11


def say_plan(plan: Plan, described: BuildResult, ink: Ink, here: Path | None = None) -> str:
    """Return `plan` as lines; `described` is the same plan as a result, `here` the folder that paths are told from."""
    targets = [each for each in plan.targets.values() if each.needed]
    width = max((len(say_label(each.label)) for each in targets), default=0)
    lines = [line for each in targets for line in _say_target(each, described, ink, width, here)]
    stale = [each for each in targets if isinstance(each.decision, Miss)]
    undecided = [each for each in targets if isinstance(each.decision, Undecided)]
    totals = count_totals(described.targets.values())
    if not stale and not undecided:
        summary = f"nothing to build: {count(len(targets), 'target')} up to date"
    else:
        summary = f"{len(stale):,} of {count(len(targets), 'target')} to build"
        if undecided:
            summary += f", {len(undecided):,} more that may have to be"
    reused = sum(each.reuse.requests_saved for each in described.targets.values() if each.reuse is not None)
    if saved := totals.requests_saved + reused + sum(_count_kept_requests(each) for each in stale):
        summary += f"; {count(saved, 'LLM request')} not needed"
    overridden = [
        say_overridden(label, place, ink, here)
        for label, place in described.overridden.items()
        if label not in described.targets
    ]
    return "\n".join([*lines, "", summary, *overridden])


def _say_target(target: TargetPlan, described: BuildResult, ink: Ink, width: int, here: Path | None) -> list[str]:
    decision = target.decision
    place = described.targets[target.label].overridden
    name = f"{say_label(target.label):<{width}}"
    if isinstance(decision, Hit):
        tier = ", from the shared cache" if decision.tier == "shared" else ""
        rows = f"{count(decision.result.rows, 'row')}{tier}"
        if place is not None:
            rows += f", overridden by a person: {say_path(place, here)}"
        return [f"{_word('hit', ink)}{name}  {rows}"]
    if isinstance(decision, Undecided):
        parents = list_words(say_label(label) for label in decision.waits_for)
        return [f"{_word('undecided', ink)}{name}  runs unless {parents} {_come(decision)} out as before"]
    kept = [each.action.kind for each in target.actions if isinstance(each.decision, Hit)]
    reasons = [say_message(say_reason(reason)) for reason in target.reasons]
    if kept:
        reasons.append(f"its {list_words(kept)} step {'is' if len(kept) == 1 else 'are'} kept")
    if (reuse := described.targets[target.label].reuse) is not None:
        reasons.append(say_reuse(reuse))
    if place is not None:
        reasons.insert(0, f"overridden by a person: {say_path(place, here)}")
    first, *rest = reasons or [f"this {kind_of(target.target)} has no result"]
    pad = " " * (_INDENT + len(name) + 2)
    return [f"{_word('stale', ink)}{name}  {first}", *(pad + reason for reason in rest)]


def _count_kept_requests(target: TargetPlan) -> int:
    """Return what the generated rows have cost that a stale target keeps."""
    kept = [each.decision.result for each in target.actions if isinstance(each.decision, Hit)]
    return sum(result.provenance.usage.requests for result in kept if result.kind == "generate")


def _come(decision: Undecided) -> str:
    return "comes" if len(decision.waits_for) == 1 else "come"


def _word(word: str, ink: Ink) -> str:
    return ink.paint(f"{word:<{_INDENT}}", _COLOURS[word])
