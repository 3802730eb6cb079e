"""Whether a run can do without starting a stage anew, as `resume=ALWAYS` wants it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ddbuild.cache import Cache
from ddbuild.designer.workflow_errors import PipelineError
from ddbuild.label import Label
from ddbuild.plan.decision import Hit
from ddbuild.plan.planner import Plan, TargetPlan

__all__ = ["check_reusable"]


def check_reusable(plan: Plan, remade: Collection[Label], *, name: str, cache: Cache, root: Path) -> None:
    """Check that every stage of `plan` is kept, or was interrupted and can go on.

    `remade` are the stages that somebody wants other rows of, and in their place; what is below these, or below one
    that goes on, may run.

    Raises:
        PipelineError: a stage would be started anew.
    """
    passed = set(remade)
    for target in plan.targets.values():
        parents = {each.label for plan in target.actions for each in plan.action.inputs if each.label is not None}
        if not target.needed or target.label in passed:
            continue
        if parents & passed or any(_is_empty(plan.targets[label]) for label in parents) or _was_begun(target, cache):
            passed.add(target.label)
        elif not isinstance(target.decision, Hit):
            if not (root / ".ddbuild" / "history").is_dir():
                raise PipelineError(f"Cannot resume workflow {name!r}: no workflow metadata found.")
            because = ", ".join(sorted({f"{each.part} {each.name}".strip() for each in target.reasons}))
            raise PipelineError(
                f"Cannot resume workflow {name!r}: stage {target.label.name!r} is not reusable.",
                facts={"changed": because} if because else None,
                hint="run with ResumeMode.IF_POSSIBLE to make what is not there",
            )


def _is_empty(target: TargetPlan) -> bool:
    return isinstance(target.decision, Hit) and target.decision.result.rows == 0


def _was_begun(target: TargetPlan, cache: Cache) -> bool:
    """Whether the next run of the stage goes on with what one has left: rows that were too few, or its batches."""
    if any((each.part, each.name) == ("policy", "min_yield") for each in target.reasons):
        return True
    key = target.actions[0].content_key
    folders = cache.local.layout.work.glob(f"{key}*/attempt-*") if key is not None else ()
    files = ("dataset/metadata.json", "cells/*/dataset/metadata.json")
    return any(any(folder.glob(file)) for folder in folders for file in files)
