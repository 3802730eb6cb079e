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
        if parents & passed or any(_is_empty(plan.targets[label]) for label in parents) or _has_batches(target, cache):
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


def _has_batches(target: TargetPlan, cache: Cache) -> bool:
    """Whether an interrupted run of the stage has left batches that the next one goes on with."""
    key = target.actions[0].content_key
    work = cache.local.layout.work
    return key is not None and any(work.glob(f"{key}*/attempt-*/dataset/metadata.json"))
