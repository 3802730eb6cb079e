"""Cells that are kept stand in for cells that would have to be made.

    kept      results in the cache that have cells by the same recipes; noting that a new result has some
    reuse     which cells of a stage are kept ones, and what is left to be made
    counts    the same in figures

The rules are those of `docs/reuse.md`; `designer/cells.py` says what a recipe is, `table/matching.py` who gets what.
"""

from __future__ import annotations

from ddbuild.cells.counts import NOTE, ReuseCounts
from ddbuild.cells.kept import KeptResult, find_kept, list_units, note_kept
from ddbuild.cells.reuse import Reuse, SeedRows, find_reuse, number_seed_rows

__all__ = [
    "NOTE",
    "KeptResult",
    "Reuse",
    "ReuseCounts",
    "SeedRows",
    "find_kept",
    "find_reuse",
    "list_units",
    "note_kept",
    "number_seed_rows",
]
