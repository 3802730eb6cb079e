"""Counting what became of the targets of a build: the figures that the summary and the JSON document share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ddbuild.building.results import TargetResult

__all__ = ["Totals", "count_as", "count_totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """How many targets were built, reused, and so on; `saved` is what the reused rows had cost when they were made."""

    built: int = 0
    hit: int = 0
    failed: int = 0
    skipped: int = 0
    interrupted: int = 0
    requests: int = 0
    tokens: int = 0
    requests_saved: int = 0
    tokens_saved: int = 0


def count_totals(targets: Iterable[TargetResult]) -> Totals:
    """Return the totals of `targets`."""
    each = list(targets)
    kinds = [count_as(target) for target in each]
    return Totals(
        built=kinds.count("built"),
        hit=kinds.count("hit"),
        failed=kinds.count("failed"),
        skipped=kinds.count("skipped"),
        interrupted=kinds.count("interrupted"),
        requests=sum(target.usage.requests for target in each),
        tokens=sum(target.usage.input_tokens + target.usage.output_tokens for target in each),
        requests_saved=sum(target.saved.requests for target in each),
        tokens_saved=sum(target.saved.input_tokens + target.saved.output_tokens for target in each),
    )


def count_as(target: TargetResult) -> Literal["built", "hit", "failed", "skipped", "interrupted"] | None:
    """Return which of the totals `target` counts in; None for what a plan says has to run."""
    match target.status:
        case "hit" | "cutoff":
            return "hit"
        case "completed_empty":
            return "built" if any(action.status == "ran" for action in target.actions) else "hit"
        case "skipped" | "skipped_empty_upstream":
            return "skipped"
        case "built" | "failed" | "interrupted":
            return target.status
        case _:
            return None
