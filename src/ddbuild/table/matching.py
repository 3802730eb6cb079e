"""Kept cells for new rows: which row of a kept table gives a new row which of its columns.

A cell stands in for a new one if it was made by the same recipe from the same values. Equal values are separate
samples, so each kept cell is given to one row only, the k-th one to the k-th row. A new row is first paired with the
kept row whose seed it has, so that the cells of one kept row stay together as far as their inputs allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ddbuild.table.kept_values import ALWAYS_KEPT, ValueKind, find_changed_by_keeping
from ddbuild.table.pairing import combine, find_fresh, pair_in_order
from ddbuild.table.parquet_file import read_schema
from ddbuild.table.row_codes import code_columns, number_equal

__all__ = [
    "CellGroup",
    "CellMatch",
    "KeptTable",
    "UnitColumns",
    "locate_cells",
    "match_cells",
    "number_cycle",
    "pick_samples",
]

Numbers = Any
"""A one-dimensional array of int64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitColumns:
    """Columns that are made together, each with the kind of its values; `reads` are columns of the seed or of units.

    Units of one `recipe` may have the same samples; a read column may also be absent.
    """

    columns: tuple[str, ...]
    kinds: tuple[ValueKind, ...]
    reads: tuple[str, ...]
    is_reusable: bool = True
    recipe: str = ""

    @property
    def name(self) -> str:
        """Its first column."""
        return self.columns[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTable:
    """Kept rows. Each of `sheets` is a list of files that follow one another, with some of the columns of all rows.

    `names` gives, for each column of the units that it has, the name that it has here; the columns of the seed have
    theirs. `samples` has, for each of those units, a number for each row that is the same wherever the same sample
    is kept.
    """

    rows: int
    sheets: tuple[tuple[Path, ...], ...]
    names: Mapping[str, str]
    samples: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Rows that lack the same units: `rows` are their numbers, ascending, `units` the names of the units."""

    units: tuple[str, ...]
    rows: Numbers


@dataclass(frozen=True, slots=True)
class CellMatch:
    """For each unit, for each of `rows` new rows, the number of the kept row that gives its cells, or -1.

    The kept tables are numbered through, one after the other. `seed_rows` are the rows of the seed, None without one.
    """

    rows: int
    sources: Mapping[str, Numbers]
    seed_rows: Numbers | None

    @property
    def groups(self) -> list[CellGroup]:
        """The rows that have to be made, by what they lack; the largest group first."""
        names = list(self.sources)
        lacking = np.zeros(self.rows, dtype=np.int64)
        patterns: dict[int, tuple[str, ...]] = {0: ()}
        for name in names:
            pairs, lacking = np.unique(lacking * 2 + (self.sources[name] < 0), return_inverse=True)
            patterns = {
                place: patterns[pair // 2] + ((name,) if pair % 2 else ()) for place, pair in enumerate(pairs.tolist())
            }
        groups = [CellGroup(units, np.flatnonzero(lacking == place)) for place, units in patterns.items() if units]
        return sorted(groups, key=lambda group: (-len(group.rows), group.units))

    def count_kept(self, unit: str) -> int:
        """Return how many cells of `unit` are kept ones."""
        return int((self.sources[unit] >= 0).sum())


def number_cycle(start: int, length: int, rows: int) -> Numbers:
    """Return the numbers of `rows` rows that go through `length` rows from `start`, again and again."""
    return start + np.arange(rows, dtype=np.int64) % length


def match_cells(
    units: Sequence[UnitColumns],
    rows: int,
    seed: Path | None,
    seed_rows: Numbers | None,
    kept: Sequence[KeptTable],
) -> CellMatch:
    """Return which kept cells stand in for those of `rows` new rows.

    Args:
        units: Each after those that it reads.
        rows: How many rows there are to be.
        seed: The parquet file with the seed's rows, if there is one.
        seed_rows: The number of the seed's row for each new row.
        kept: Tables that have cells by the recipes of the units.

    Raises:
        TableError: a file cannot be read.
    """
    return _Matcher(units, rows, seed, seed_rows, kept).match()


def locate_cells(
    match: CellMatch, kept_rows: int, made: Sequence[tuple[Sequence[str], Numbers | None]]
) -> tuple[Numbers, dict[str, Numbers]]:
    """Return the rows that have all their cells, and for each unit where those are.

    `made` are the units and the rows of each run, in the order in which it gives them back, None where there are none.
    Kept rows are numbered through first, then those of the runs.
    """
    sources = {name: numbers.copy() for name, numbers in match.sources.items()}
    start = kept_rows
    for units, numbers in made:
        if numbers is not None:
            for name in units:
                sources[name][numbers] = start + np.arange(len(numbers))
            start += len(numbers)
    is_whole = np.ones(match.rows, dtype=bool)
    for numbers in sources.values():
        is_whole &= numbers >= 0
    rows = np.flatnonzero(is_whole)
    return rows, {name: numbers[rows] for name, numbers in sources.items()}


def pick_samples(samples: Sequence[Numbers | None], rows: Sequence[int], numbers: Numbers) -> Numbers:
    """Return the samples of the cells at `numbers`, out of tables numbered through; -1 for what comes after them."""
    known = [np.full(count, -1, dtype=np.int64) if s is None else s for s, count in zip(samples, rows, strict=True)]
    every = np.concatenate([*known, [-1]])
    picked: Numbers = every[np.minimum(numbers, len(every) - 1)]
    return picked


class _Matcher:
    def __init__(
        self,
        units: Sequence[UnitColumns],
        rows: int,
        seed: Path | None,
        seed_rows: Numbers | None,
        kept: Sequence[KeptTable],
    ) -> None:
        self._units = units
        self._rows = rows
        self._seed = seed
        self._seed_rows = seed_rows
        self._kept = kept
        self._starts = np.cumsum([0, *(each.rows for each in kept)])
        self._made = {column: unit for unit in units for column in unit.columns}
        self._sources: dict[str, Numbers] = {}
        self._given: dict[str, list[Numbers]] = {}

    def match(self) -> CellMatch:
        """Number the seed's values, pair the rows, and go through the units."""
        self._number_seed()
        self._pairs = self._pair_rows()
        for unit in self._units:
            self._sources[unit.name] = self._match_unit(unit)
        self._remake_inputs()
        return CellMatch(self._rows, self._sources, self._seed_rows)

    # Rows

    def _number_seed(self) -> None:
        """Give equal values of a seed's column equal numbers, in new and in kept rows; -1 where a table lacks it."""
        self._new_numbers: dict[str, Numbers] = {}
        self._kept_numbers: dict[str, Numbers] = {}
        if self._seed is None or self._seed_rows is None:
            return
        names = list(read_schema(self._seed))
        # What integers become depends on the rows that are taken, not on those beside them.
        taken, back = np.unique(self._seed_rows, return_inverse=True)
        codes = code_columns([self._seed], names, taken)
        kept = [self._code(table, {name: name for name in names if name not in self._made}) for table in self._kept]
        for name in names:
            there = [place for place, found in enumerate(kept) if name in found]
            numbers = number_equal([np.concatenate([codes[name], *(kept[place][name] for place in there)])])
            self._new_numbers[name] = numbers[: len(codes[name])][back]
            every = np.full(self._starts[-1], -1, dtype=np.int64)
            position = len(codes[name])
            for place in there:
                count = self._kept[place].rows
                every[self._starts[place] : self._starts[place + 1]] = numbers[position : position + count]
                position += count
            self._kept_numbers[name] = every

    def _pair_rows(self) -> Numbers:
        """Pair each new row with a kept one: of the same seed, else of what the units read of it, else in order."""
        pairs = np.full(self._rows, -1, dtype=np.int64)
        is_free = self._find_distinct()
        read = {name for unit in self._units for name in unit.reads}
        shared = [name for name, numbers in self._kept_numbers.items() if (numbers >= 0).any()]
        rounds = [shared, [name for name in shared if name in read]] if shared else []
        for names in dict.fromkeys(map(tuple, rounds)):
            if names:
                self._pair_equal(pairs, is_free, names)
        new, kept = np.flatnonzero(pairs < 0), np.flatnonzero(is_free)
        count = min(len(new), len(kept))
        pairs[new[:count]] = kept[:count]
        return pairs

    def _find_distinct(self) -> Any:
        """Whether each of the kept rows has a sample that no row before it has; the others are rows put together."""
        is_distinct = np.zeros(self._starts[-1], dtype=bool)
        for unit in self._units:
            is_kept, samples = self._find_samples(unit)
            rows = np.flatnonzero(is_kept)
            is_distinct[rows[find_fresh(samples[rows], [])]] = True
        return is_distinct

    def _find_samples(self, unit: UnitColumns) -> tuple[Any, Numbers]:
        """Whether each of the kept rows has cells of `unit`, and which sample they are."""
        is_kept = np.zeros(self._starts[-1], dtype=bool)
        samples = np.zeros(self._starts[-1], dtype=np.int64)
        for place, table in enumerate(self._kept):
            if unit.name in table.samples:
                is_kept[self._starts[place] : self._starts[place + 1]] = True
                samples[self._starts[place] : self._starts[place + 1]] = table.samples[unit.name]
        return is_kept, samples

    def _pair_equal(self, pairs: Numbers, is_free: Any, names: Sequence[str]) -> None:
        new = np.flatnonzero(pairs < 0)
        kept = np.flatnonzero(is_free & np.all([self._kept_numbers[name] >= 0 for name in names], axis=0))
        numbers = combine([np.concatenate([self._new_numbers[n][new], self._kept_numbers[n][kept]]) for n in names])
        here, there = pair_in_order(numbers[: len(new)], numbers[len(new) :])
        pairs[new[here]] = kept[there]
        is_free[kept[there]] = False

    # Units

    def _match_unit(self, unit: UnitColumns) -> Numbers:
        sources = np.full(self._rows, -1, dtype=np.int64)
        if not unit.is_reusable:
            return sources
        is_kept, samples = self._find_samples(unit)
        for name in unit.reads:
            if name in self._kept_numbers:
                is_kept &= self._kept_numbers[name] >= 0
            elif name in self._made:
                is_kept &= self._find_with(name)
            else:
                is_kept &= self._find_without(name)
        is_open = np.ones(self._rows, dtype=bool)
        for name in unit.reads:
            if name in self._made:
                is_open &= self._sources[self._made[name].name] >= 0
        own = np.flatnonzero(is_open & (self._pairs >= 0))
        own = own[is_kept[self._pairs[own]]]
        own = own[self._agree(unit, own, self._pairs[own])]
        given = self._given.setdefault(unit.recipe or unit.name, [])
        own = own[find_fresh(samples[self._pairs[own]], given)]
        sources[own] = self._pairs[own]
        new = np.flatnonzero(is_open & (sources < 0))
        kept = np.flatnonzero(is_kept)
        kept = kept[find_fresh(samples[kept], [*given, samples[sources[own]]])]
        if len(new) and len(kept):
            here, there = self._pair_inputs(unit, new, kept)
            sources[here] = there
        given.append(samples[sources[sources >= 0]])
        return sources

    def _find_with(self, name: str) -> Any:
        """Whether each of the kept rows has the value of a unit's column; one that was dropped may not be kept."""
        return np.repeat([name in table.names for table in self._kept], [table.rows for table in self._kept])

    def _find_without(self, name: str) -> Any:
        """Whether each of the kept rows has no column `name`."""
        has = [any(name in read_schema(file) for sheet in table.sheets for file in sheet[:1]) for table in self._kept]
        return ~np.repeat(np.array(has, dtype=bool), [table.rows for table in self._kept])

    def _agree(self, unit: UnitColumns, new: Numbers, kept: Numbers) -> Any:
        """Whether each of the new rows has the inputs that the kept row beside it had."""
        agree = np.ones(len(new), dtype=bool)
        for name in unit.reads:
            if name in self._new_numbers:
                agree &= self._new_numbers[name][new] == self._kept_numbers[name][kept]
            elif name in self._made:
                given = self._sources[self._made[name].name][new]
                unlike = np.flatnonzero(agree & (given != kept))
                if len(unlike):
                    numbers = self._number_values(name, np.concatenate([given[unlike], kept[unlike]]))
                    agree[unlike] = numbers[: len(unlike)] == numbers[len(unlike) :]
        return agree

    def _pair_inputs(self, unit: UnitColumns, new: Numbers, kept: Numbers) -> tuple[Numbers, Numbers]:
        """Pair new rows with kept ones of equal inputs, in order; the columns of the seed sort most of them out."""
        from_seed = [name for name in unit.reads if name in self._new_numbers]
        made = [name for name in unit.reads if name in self._made]
        numbers = combine(
            [np.concatenate([self._new_numbers[name][new], self._kept_numbers[name][kept]]) for name in from_seed],
            length=len(new) + len(kept),
        )
        if made:
            here, there = numbers[: len(new)], numbers[len(new) :]
            may, might = np.isin(here, there), np.isin(there, here)
            new, kept = new[may], kept[might]
            columns = [np.concatenate([here[may], there[might]])]
            for name in made:
                given = self._sources[self._made[name].name][new]
                columns.append(self._number_values(name, np.concatenate([given, kept])))
            numbers = combine(columns, length=len(new) + len(kept))
        here, there = pair_in_order(numbers[: len(new)], numbers[len(new) :])
        return new[here], kept[there]

    # Values

    def _number_values(self, name: str, rows: Numbers) -> Numbers:
        """Return a number for the value of column `name` in each of the kept `rows`, equal for equal values."""
        wanted, back = np.unique(rows, return_inverse=True)
        codes = np.zeros((len(wanted), 2), dtype=np.uint64)
        for place, table in enumerate(self._kept):
            low, high = np.searchsorted(wanted, [self._starts[place], self._starts[place + 1]])
            if low < high:
                found = self._code(table, {name: table.names[name]}, wanted[low:high] - self._starts[place])
                codes[low:high] = found[name]
        numbers: Numbers = number_equal([codes])[back]
        return numbers

    def _code(self, table: KeptTable, names: Mapping[str, str], rows: Numbers | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for sheet in table.sheets:
            codes = code_columns(sheet, names.values(), rows)
            found |= {name: codes[own] for name, own in names.items() if own in codes and name not in found}
        return found

    def _remake_inputs(self) -> None:
        """Make anew what a new cell would read, where keeping may have changed the value."""
        readers: dict[str, list[UnitColumns]] = {column: [] for column in self._made}
        for unit in self._units:
            for name in unit.reads:
                if name in self._made:
                    readers[name].append(unit)
        # What is made anew may read other kept values in its turn.
        while any(self._remake(unit, readers) for unit in reversed(self._units)):
            pass

    def _remake(self, unit: UnitColumns, readers: Mapping[str, list[UnitColumns]]) -> bool:
        sources = self._sources[unit.name]
        changed = False
        for column, kind in zip(unit.columns, unit.kinds, strict=True):
            is_read = np.zeros(self._rows, dtype=bool)
            for reader in readers[column]:
                is_read |= self._sources[reader.name] < 0
            rows = np.flatnonzero(is_read & (sources >= 0))
            if kind in ALWAYS_KEPT or not len(rows):
                continue
            wanted, back = np.unique(sources[rows], return_inverse=True)
            is_lost = np.zeros(len(wanted), dtype=bool)
            for place, table in enumerate(self._kept):
                low, high = np.searchsorted(wanted, [self._starts[place], self._starts[place + 1]])
                if low < high:
                    local = wanted[low:high] - self._starts[place]
                    is_lost[low:high] = find_changed_by_keeping(table.sheets, table.names[column], local, kind)
            lost = rows[is_lost[back]]
            sources[lost] = -1
            stack = [reader for name in unit.columns for reader in readers[name]]
            while len(lost) and stack:
                reader = stack.pop()
                self._sources[reader.name][lost] = -1
                stack += [each for name in reader.columns for each in readers[name]]
            changed |= bool(len(lost))
        return changed
