"""The JSON document, schema 1: a public interface, the same for a build and for a plan.

Keys and their order are part of it. What is added later goes into new keys; what is here never changes its meaning.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddbuild.building.results import ActionRun, BuildResult, TargetResult
from ddbuild.errors import DdbuildError
from ddbuild.plan.decision import Reason
from ddbuild.report.logs import find_log
from ddbuild.report.totals import Totals, count_totals

__all__ = ["SCHEMA", "describe_build", "describe_failure", "encode"]

SCHEMA = 1


def describe_build(result: BuildResult, root: Path) -> dict[str, Any]:
    """Return the document for a build or a plan in the workspace `root`."""
    targets = list(result.targets.values())
    return {
        "schema": SCHEMA,
        "ok": result.ok,
        "exit_code": result.exit_code,
        "seconds": round(result.seconds, 3),
        "targets": [_describe_target(each, root) for each in targets],
        "totals": _describe_totals(count_totals(targets)),
    }


def describe_failure(error: DdbuildError) -> dict[str, Any]:
    """Return the document for a command that came to nothing before it had a result."""
    return {
        "schema": SCHEMA,
        "ok": False,
        "exit_code": error.exit_code,
        "error": _describe_error(error),
        "targets": [],
        "totals": _describe_totals(Totals()),
    }


def encode(document: dict[str, Any]) -> str:
    """Return `document` as text that ends with a line break."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _describe_target(target: TargetResult, root: Path) -> dict[str, Any]:
    described = {
        "label": str(target.label),
        "kind": target.kind,
        "requested": target.requested,
        "status": target.status,
        "tier": target.tier,
        "key": target.key,
        "digest": target.digest,
        "rows": target.rows,
        "rows_requested": target.rows_requested,
        "rows_lost": target.rows_lost,
        "path": _say_place(target.path, root),
        "reasons": [_describe_reason(reason) for reason in _reasons(target)],
        "actions": [_describe_action(action) for action in target.actions],
        "usage": {
            "requests": target.usage.requests,
            "input_tokens": target.usage.input_tokens,
            "output_tokens": target.usage.output_tokens,
        },
        "error": _describe_target_error(target, root),
    }
    if target.reuse is not None:
        described["reuse"] = asdict(target.reuse)
    if target.overridden is not None:
        described["overridden"] = _say_place(target.overridden, root)
    return described


def _reasons(target: TargetResult) -> tuple[Reason, ...]:
    """The reasons of a target; one that was skipped is told by what it was skipped for."""
    if target.upstream is not None:
        return (Reason("upstream", str(target.upstream)),)
    return target.reasons


def _describe_reason(reason: Reason) -> dict[str, Any]:
    return {"part": reason.part, "name": reason.name, "before": reason.before, "after": reason.after}


def _describe_action(action: ActionRun) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": action.kind, "status": action.status}
    if action.seconds is not None:
        described["seconds"] = action.seconds
    return described


def _describe_error(error: DdbuildError) -> dict[str, Any]:
    return {
        "message": error.message,
        "facts": {name: str(value) for name, value in error.facts.items()},
        "hint": error.hint,
    }


def _describe_target_error(target: TargetResult, root: Path) -> dict[str, Any] | None:
    if target.error is None:
        return None
    return {**_describe_error(target.error), "log": _say_place(find_log(target, root), root)}


def _say_place(path: Path | None, root: Path) -> str | None:
    if path is None:
        return None
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _describe_totals(totals: Totals) -> dict[str, int]:
    return {
        "built": totals.built,
        "hit": totals.hit,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "requests": totals.requests,
        "requests_saved": totals.requests_saved,
    }
