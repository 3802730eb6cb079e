"""What is kept of a stage, in figures, and where a result says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["NOTE", "ReuseCounts"]

NOTE = "reuse"
"""Where a result's provenance says what of it was kept."""


@dataclass(frozen=True, slots=True)
class ReuseCounts:
    """What is kept of a stage, in figures: of its rows and columns those that have a cell to make are new ones.

    `requests` says how often models are asked for these, as far as that is known before. Where nothing can be reused,
    `reason` says why, and the figures say nothing.
    """

    rows: int = 0
    rows_new: int = 0
    columns: int = 0
    columns_new: int = 0
    cells_kept: int = 0
    requests: int = 0
    requests_saved: int = 0
    reason: str | None = None

    @classmethod
    def read(cls, notes: Mapping[str, Any]) -> ReuseCounts | None:
        """Return the counts in the notes of a result; None where there are none."""
        found = notes.get(NOTE)
        if not isinstance(found, Mapping):
            return None
        return cls(**{each.name: found[each.name] for each in fields(cls) if each.name in found})
