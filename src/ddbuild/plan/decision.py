"""One decision value for each target, which `build`, `plan` and `why` all print, so that they cannot disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ddbuild.cache.result import ActionResult
from ddbuild.label import Label

__all__ = ["Decision", "Hit", "Miss", "Reason", "TierName", "Undecided"]

TierName = Literal["local", "shared"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that makes a kept result not count: the part of the key that changed, with its digests.

    `part` is a key part's kind, or one of `new` (never built here), `gone` (the key is known, its result is not in
    the cache), `parent` (an input has other content), `role` (an input of the same content is used as something
    else), `policy` (`min_yield` or `allow_empty` turned the kept one down), `lost` (rows that it lost are asked for
    again), `forced`.
    """

    part: str
    name: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A kept result counts."""

    result: ActionResult
    tier: TierName


@dataclass(frozen=True, slots=True)
class Miss:
    """No kept result counts, for these reasons."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """These parents run first; if they come out with equal content, a kept result counts after all."""

    waits_for: tuple[Label, ...]


Decision = Hit | Miss | Undecided
