"""Which cells of a stage are kept ones, and what is left to be made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild import table
from ddbuild.cache import Cache
from ddbuild.cells.counts import ReuseCounts
from ddbuild.cells.kept import KeptResult, find_kept
from ddbuild.designer import CellScheme, CellUnit, NotRowWise

if TYPE_CHECKING:
    from ddbuild.table import CellGroup, CellMatch, Samples

__all__ = ["Reuse", "SeedRows", "find_reuse", "number_seed_rows"]


@dataclass(frozen=True, slots=True)
class SeedRows:
    """The rows of a seed that make the rows of a stage: `numbers` says for each of those which one it gets."""

    file: Path
    numbers: Any


@dataclass(frozen=True)
class Reuse:
    """What is kept of a stage's rows: `match` says which cells, out of `kept`. `samples` number them."""

    scheme: CellScheme
    kept: Sequence[KeptResult]
    match: CellMatch
    samples: Samples

    @cached_property
    def groups(self) -> list[CellGroup]:
        """The rows that lack cells, by what they lack."""
        return self.match.groups

    @property
    def rows(self) -> int:
        """How many rows there are to be."""
        return self.match.rows

    @property
    def rows_to_make(self) -> int:
        """How many rows lack a cell."""
        return sum(len(group.rows) for group in self.groups)

    @property
    def is_growth(self) -> bool:
        """Whether all rows of one kept result are there as they were, and new ones follow."""
        kept = self.kept[0].table.rows
        return (
            all(
                (numbers[:kept] == table.number_cycle(0, kept, kept)).all() and (numbers[kept:] < 0).all()
                for numbers in self.match.sources.values()
                if kept < self.rows
            )
            and kept < self.rows
        )

    @property
    def cells_kept(self) -> int:
        """How many cells are kept ones, a unit's columns together counting as one."""
        return sum(self.match.count_kept(unit.name) for unit in self.scheme.units)

    @property
    def counts(self) -> ReuseCounts:
        """It all in figures."""
        kept = {unit: self.match.count_kept(unit.name) for unit in self.scheme.units}
        return ReuseCounts(
            rows=self.rows,
            rows_new=self.rows_to_make,
            columns=sum(len(unit.makers) for unit in kept),
            columns_new=sum(len(unit.makers) for unit in kept if kept[unit] < self.rows),
            cells_kept=self.cells_kept,
            requests=sum(unit.requests * (self.rows - count) for unit, count in kept.items()),
            requests_saved=sum(unit.requests * count for unit, count in kept.items()),
        )

    def units(self, names: Sequence[str]) -> list[CellUnit]:
        """Return the units of these names."""
        return [unit for unit in self.scheme.units if unit.name in names]


def number_seed_rows(file: Path, seed_rows: int, rows: int, selection: Any = None) -> SeedRows:
    """Return which rows of an ordered seed make `rows` rows: those selected, from the first one, again and again.

    `selection` is Data Designer's: an IndexRange or a PartitionBlock.
    """
    chosen = selection
    if chosen is not None and hasattr(chosen, "to_index_range"):
        chosen = chosen.to_index_range(seed_rows)
    start, end = (0, seed_rows - 1) if chosen is None else (chosen.start, chosen.end)
    return SeedRows(file, table.number_cycle(start, end - start + 1, rows))


def find_reuse(
    scheme: CellScheme, cache: Cache, rows: int, seed: SeedRows | None, *, renewal: str | None = None
) -> Reuse | None:
    """Return what is kept of `rows` rows that `scheme` would make of `seed`; None where nothing is.

    Raises:
        NotRowWise: what a row reads of the seed depends on other rows of it.
        TableError: the seed cannot be read.
    """
    if seed is not None and (name := table.find_uncertain(seed.file, sorted(scheme.seed_reads()))) is not None:
        raise NotRowWise(f"the seed's column `{name}` has numbers inside of values, and holes: they turn into floats")
    samples = table.Samples()
    kept = find_kept(scheme, cache, samples, rows, renewal=renewal)
    if not kept:
        return None
    units = [
        table.UnitColumns(
            columns=unit.columns,
            kinds=unit.kinds,
            reads=unit.reads,
            is_reusable=unit.is_reusable,
            recipe=unit.recipe,
        )
        for unit in scheme.units
    ]
    match = table.match_cells(
        units, rows, seed.file if seed else None, seed.numbers if seed else None, [each.table for each in kept]
    )
    reuse = Reuse(scheme, kept, match, samples)
    return reuse if reuse.cells_kept else None
