"""What a stage that has to run would reuse: the same matching that a build does, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from ddbuild.cache import Cache, CacheMissError
from ddbuild.cells import ReuseCounts, find_reuse, number_seed_rows
from ddbuild.designer import NotRowWise
from ddbuild.graph.targets import Stage
from ddbuild.label import Label
from ddbuild.plan.actions import ActionCompiler, seed_of
from ddbuild.plan.decision import Hit, Miss, Reason
from ddbuild.plan.planner import TargetPlan
from ddbuild.table import TableError

__all__ = ["forecast_reuse"]


def forecast_reuse(
    target: TargetPlan, targets: Mapping[Label, TargetPlan], *, compiler: ActionCompiler, cache: Cache
) -> ReuseCounts | None:
    """Return what `target` would reuse when it runs; None where that cannot be told, or nothing is to be told.

    It cannot be told before the rows of its seed are there: the one parent's, or none.
    """
    stage, first = target.target, target.actions[0]
    if not isinstance(stage, Stage) or first.action.kind != "generate" or not isinstance(first.decision, Miss):
        return None
    try:
        scheme = compiler.cells(stage)
    except NotRowWise as reason:
        # Of a stage that was never built there is nothing to miss.
        return None if Reason("new") in first.decision.reasons else ReuseCounts(reason=str(reason))
    if compiler.config(stage)[1].has_seed:
        return None
    spec, seed, rows = seed_of(stage), None, stage.num_records
    if spec is not None:
        decision = targets[spec].decision if isinstance(spec, Label) else None
        if not isinstance(decision, Hit):
            return None
        rows = rows or decision.result.rows
        try:
            file = cache.fetch(decision.result.output)
        except CacheMissError:
            return None
        seed = number_seed_rows(file, decision.result.rows, rows, stage.selection_strategy)
    if not rows:
        return None
    renewal = next((part.digest for part in first.action.parts if part.part == "renewal"), None)
    try:
        reuse = find_reuse(scheme, cache, rows, seed, renewal=renewal)
    except NotRowWise as reason:
        return ReuseCounts(reason=str(reason))
    except (TableError, CacheMissError):
        return None
    return reuse.counts if reuse is not None else None
