"""Why a kept result does not count: the parts of a key compared one by one with those of the last result."""

from __future__ import annotations

from collections.abc import Mapping

from ddbuild.cache.result import ActionResult
from ddbuild.digest import Digest, digest_of
from ddbuild.keys import Action
from ddbuild.label import Label
from ddbuild.plan.decision import Reason

__all__ = ["explain"]

_SUMMARIES = {"config": ("column", "model", "function", "processor", "constraint", "tool")}
"""Parts that cover others: named only where none of the finer ones changed."""


def explain(action: Action, last: ActionResult | None, contents: Mapping[Label, Digest | None]) -> tuple[Reason, ...]:
    """Return what differs between `action` now and its `last` result.

    `contents` gives the parents' content where it is known; a parent that has none yet is a reason of its own.
    """
    if last is None:
        return (Reason("new"),)
    before = {(part.part, part.name): part.digest for part in last.parts}
    after = {(part.part, part.name): str(part.digest) for part in action.parts}
    if isinstance(action.num_records, int):
        after["num_records", ""] = digest_of(action.num_records)
    else:
        before.pop(("num_records", ""), None)
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    kinds = {part for part, _ in changed}
    reasons = [
        Reason(part, _name_part(action, part, name), before.get((part, name)), after.get((part, name)))
        for part, name in changed
        if not kinds.intersection(_SUMMARIES.get(part, ()))
    ]
    was = {each.role: each for each in last.inputs}
    had = {each.digest for each in last.inputs}
    for each in action.inputs:
        if each.label is None:
            continue
        content = contents.get(each.label)
        old = was.get(each.role)
        if content is not None and content in had and (old is None or old.digest != content):
            reasons.append(Reason("role", str(each.label), None, each.role))
        elif old is None or content is None or old.digest != content:
            reasons.append(Reason("parent", str(each.label), old.digest if old else None, content))
    return tuple(reasons) or (Reason("gone"),)


def _name_part(action: Action, part: str, name: str) -> str:
    if (own := action.names.get(f"{part} {name}")) is not None:
        return own
    called = action.names.get(part)
    return name if called is None else f"{called} -> {name}" if name else called


def say_reason(reason: Reason) -> str:
    """Return `reason` in words."""
    changed = "is new" if reason.before is None else "is gone" if reason.after is None else "changed"
    if reason.part == "new":
        return "it was never built here"
    if reason.part == "gone":
        return "its result is not in the cache any more"
    if reason.part == "parent":
        return f"its input `{reason.name}` {'has other rows' if reason.after else 'has to run first'}"
    if reason.part == "role":
        return f"its input `{reason.name}` has another role"
    if reason.part == "lost":
        return f"it lost {reason.before} rows"
    if reason.part == "policy":
        return f"`{reason.name}` does not take what is kept ({reason.before})"
    kind = reason.part.replace("_", " ")
    return f"{kind} `{reason.name}` {changed}" if reason.name else f"{kind} {changed}"
