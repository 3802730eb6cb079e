"""Acceptance policies: what is checked against kept counts at every hit, and is no part of a key.

So tightening a policy never pays for rows again unless it must, and loosening one takes rows that were turned down.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ddbuild.cache import Cache
from ddbuild.cache.result import ActionResult
from ddbuild.digest import Key
from ddbuild.graph.targets import Stage, Target, Transform
from ddbuild.plan.decision import Reason, TierName

__all__ = ["Found", "find_accepted", "is_accepted", "rejection_of", "rows_needed"]


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept under one key: the result that counts, or the last one that a policy turned down.

    `next_retry` is the number under which another attempt would be published.
    """

    result: ActionResult | None
    tier: TierName
    rejected: ActionResult | None
    next_retry: int


def find_accepted(cache: Cache, key: Key, target: Target, *, is_output: bool, whole: bool = False) -> Found:
    """Return the result kept under `key` that has lost the fewest rows, of those that the target's policies take.

    `is_output` says that the result would be the target's output, which alone must not be empty. A `whole` one is
    wanted where what a short one has lost is to be asked for again.
    """
    rejected: ActionResult | None = None
    best: tuple[ActionResult | None, TierName] = (None, "local")
    retry = 0
    while (found := cache.lookup(key, retry)) is not None:
        kept, retry = found[0], retry + 1
        if not is_accepted(kept, target, is_output=is_output) or (whole and kept.rows_lost):
            rejected = kept
        elif best[0] is None or kept.rows_lost < best[0].rows_lost:
            best = found
        if best[0] is not None and not best[0].rows_lost:
            break
    return Found(*best, rejected, retry)


def is_accepted(result: ActionResult, target: Target, *, is_output: bool) -> bool:
    """Return whether `min_yield` and `allow_empty` of `target` take `result`."""
    return rejection_of(result, target, is_output=is_output) is None


def rejection_of(result: ActionResult, target: Target, *, is_output: bool) -> Reason | None:
    """Return why a policy of `target` turns `result` down; None where all take it."""
    requested, made = result.rows_requested or 0, result.rows_made
    if isinstance(target, Stage) and made is not None and made < rows_needed(target, requested):
        return Reason("policy", "min_yield", f"{made} of {requested} rows")
    if is_output and result.rows == 0 and isinstance(target, (Stage, Transform)) and not target.allow_empty:
        return Reason("policy", "allow_empty", "0 rows")
    return None


def rows_needed(stage: Stage, requested: int) -> int:
    """Return how many rows `min_yield` asks for: its share of `requested`, as it is written in decimals, rounded up."""
    return -int(-Fraction(str(stage.min_yield)) * requested // 1)
