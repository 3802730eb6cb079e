"""The law of kept cells: each new cell that a kept one can stand in for gets one, of its own, made from what it reads.

A slow matcher in plain Python says who gets what; the true one has to agree. What must hold whoever gets what is
checked beside it, and a matcher that serves the first fitting cell to everybody fails there.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ddbuild.table import KeptTable, UnitColumns, match_cells

TYPES = {
    "topic": pa.string(),
    "level": pa.int64(),
    "note": pa.string(),
    "text": pa.string(),
    "other": pa.string(),
    "grade": pa.struct([("score", pa.int64()), ("why", pa.string())]),
}
SEED = ("topic", "level", "note")


@dataclass
class Unit:
    """Columns made together; `version` stands for the recipe, and goes into what the unit makes."""

    columns: tuple[str, ...]
    reads: tuple[str, ...]
    version: int = 0
    is_reusable: bool = True
    is_json: bool = False

    @property
    def name(self):
        return self.columns[0]

    def type_of(self, column):
        return TYPES["grade"] if self.is_json else TYPES["text"]


@dataclass
class Table:
    """Kept rows: what the seed and the units had, and which sample each cell is."""

    seed: list[dict]
    cells: dict[str, list]
    samples: dict[str, list[int]]
    recipes: dict[str, tuple]
    columns: tuple[str, ...] = SEED


@dataclass
class World:
    """What is there and what is wanted: `units` of today over `seed`, of which row k takes the row `numbers[k]`."""

    units: list[Unit]
    seed: list[dict]
    columns: tuple[str, ...]
    numbers: list[int]
    kept: list[Table] = field(default_factory=list)

    def recipe(self, name):
        """All that may change what a unit makes but the values that it reads."""
        unit = next(each for each in self.units if each.name == name)
        makers = {column: each.name for each in self.units for column in each.columns}
        return (unit.version, unit.columns, *(self.recipe(makers[r]) if r in makers else r for r in unit.reads))

    def usable(self, table, unit):
        return unit.is_reusable and table.recipes.get(unit.name) == self.recipe(unit.name)


# The slow matcher


def normalize(rows, name):
    """The values of one column of a file, with what tells equal ones: an integer beside a null is a floating one."""
    values = [row.get(name) for row in rows]
    if any(value is None for value in values):
        # But for large ones, two of which may become one.
        values = [("large", v) if isinstance(v, int) and v > 2**53 else v for v in values]
        values = [float(value) if isinstance(value, int) else value for value in values]
    return [(type(value).__name__, repr(value)) for value in values]


class Slow:
    """The rules, one after the other, for one cell at a time."""

    def __init__(self, world):
        self.world = world
        self.places = [(t, r) for t, table in enumerate(world.kept) for r in range(len(table.seed))]
        self.made = {column: unit for unit in world.units for column in unit.columns}
        taken = [world.seed[number] for number in world.numbers]
        new = {name: normalize(taken, name) for name in world.columns}
        self.new = [{name: new[name][row] for name in world.columns} for row in range(len(taken))]
        self.kept = []
        for table in world.kept:
            old = {name: normalize(table.seed, name) for name in table.columns}
            self.kept += [{name: old[name][r] for name in table.columns} for r in range(len(table.seed))]

    def match(self):
        pairs = self.pair()
        sources, given = {}, set()
        for unit in self.world.units:
            own = sources[unit.name] = [-1] * len(self.new)
            for row, place in enumerate(pairs):
                self.take(unit, sources, given, row, place)
            for row in range(len(self.new)):
                for place in range(len(self.kept)):
                    if own[row] < 0:
                        self.take(unit, sources, given, row, place)
        self.remake(sources)
        return sources

    def pair(self):
        pairs, free = [-1] * len(self.new), set(self.list_distinct())
        read = {name for unit in self.world.units for name in unit.reads}
        shared = [name for name in self.world.columns if any(name in row for row in self.kept)]
        for names in (shared, [name for name in shared if name in read]):
            for row, values in enumerate(self.new):
                for place in sorted(free) if names and pairs[row] < 0 else ():
                    old = self.kept[place]
                    if all(name in old and old[name] == values[name] for name in names):
                        pairs[row] = place
                        free.remove(place)
                        break
        for row, place in zip([r for r, p in enumerate(pairs) if p < 0], sorted(free), strict=False):
            pairs[row] = place
        return pairs

    def list_distinct(self):
        """The kept rows that have a sample which no row before them has."""
        seen = set()
        for place, (table, _) in enumerate(self.places):
            own = [unit for unit in self.world.units if self.world.usable(self.world.kept[table], unit)]
            samples = {self.sample(unit, place) for unit in own}
            if samples - seen:
                yield place
            seen |= samples

    def take(self, unit, sources, given, row, place):
        if place >= 0 and sources[unit.name][row] < 0 and self.fits(unit, sources, row, place):
            sample = (self.sample(unit, place),)
            if sample not in given:
                given.add(sample)
                sources[unit.name][row] = place

    def fits(self, unit, sources, row, place):
        table, _ = self.places[place]
        if not self.world.usable(self.world.kept[table], unit):
            return False
        for name in unit.reads:
            if name in self.made:
                source = sources[self.made[name].name][row]
                if source < 0 or self.value(name, source) != self.value(name, place):
                    return False
            elif self.new[row].get(name) != self.kept[place].get(name):
                return False
        return True

    def value(self, name, place):
        table, row = self.places[place]
        return self.world.kept[table].cells[name][row]

    def sample(self, unit, place):
        table, row = self.places[place]
        return self.world.kept[table].samples[unit.name][row]

    def remake(self, sources):
        """What a new cell would read is made anew where a file cannot say whether it is what it was."""
        changed = True
        while changed:
            changed = False
            for unit in self.world.units:
                for row in range(len(self.new)):
                    readers = [u for u in self.world.units if set(unit.columns) & set(u.reads)]
                    is_open = any(sources[reader.name][row] < 0 for reader in readers)
                    if sources[unit.name][row] >= 0 and is_open and self.is_doubtful(unit, sources, row):
                        sources[unit.name][row] = -1
                        changed = True
                    is_dirty = any(n in self.made and sources[self.made[n].name][row] < 0 for n in unit.reads)
                    if sources[unit.name][row] >= 0 and is_dirty:
                        sources[unit.name][row] = -1
                        changed = True

    def is_doubtful(self, unit, sources, row):
        open_reads = {n for u in self.world.units if sources[u.name][row] < 0 for n in u.reads}
        values = [self.value(c, sources[unit.name][row]) for c in unit.columns if c in open_reads]
        return unit.is_json and any(isinstance(v, dict) and None in v.values() for v in values)


# What must hold, whoever gets what


def check(world, sources):
    """Cells of today's recipe, beside the inputs that they were made from, each for one row, and as many as can be."""
    slow = Slow(world)
    given = Counter()
    for unit in world.units:
        own = sources[unit.name]
        taken = [(row, place) for row, place in enumerate(own) if place >= 0]
        given.update(slow.sample(unit, place) for _, place in taken)
        for row, place in taken:
            assert slow.fits(unit, sources, row, place), f"row {row} has a cell of `{unit.name}` beside other inputs"
    twice = [sample for sample, count in given.items() if count > 1]
    assert not twice, f"samples {twice} stand for several ones"
    if not any(unit.is_json for unit in world.units):
        for unit in world.units:
            free = [place for place in range(len(slow.kept)) if world.usable(world.kept[slow.places[place][0]], unit)]
            free = [place for place in free if slow.sample(unit, place) not in given]
            for row in (row for row, place in enumerate(sources[unit.name]) if place < 0):
                fit = [place for place in free if slow.fits(unit, sources, row, place)]
                assert not fit, f"row {row} lacks a cell of `{unit.name}` that nobody has"


# The true matcher


def match(world, folder):
    seed = folder / "seed.parquet"
    pq.write_table(pa.table({n: pa.array([r[n] for r in world.seed], TYPES[n]) for n in world.columns}), seed)
    kept = []
    for place, table in enumerate(world.kept):
        columns = {name: pa.array([row[name] for row in table.seed], TYPES[name]) for name in table.columns}
        own = [unit for unit in world.units if world.usable(table, unit)]
        halves = [{}, {}]
        for number, (name, values) in enumerate(table.cells.items()):
            type_ = TYPES["grade"] if any(isinstance(v, dict) for v in values) else TYPES["text"]
            halves[number % 2][name] = pa.array(values, type_)
        first, second = folder / f"kept-{place}.parquet", folder / f"dropped-{place}.parquet"
        pq.write_table(pa.table(columns | halves[0]), first, row_group_size=2)
        sheets = [(first,)]
        if halves[1]:
            pq.write_table(pa.table(halves[1]), second)
            sheets.append((second,))
        kept.append(
            KeptTable(
                rows=len(table.seed),
                sheets=tuple(sheets),
                names={column: column for unit in own for column in unit.columns},
                samples={unit.name: np.array(table.samples[unit.name], dtype=np.int64) for unit in own},
            )
        )
    units = [
        UnitColumns(
            columns=unit.columns,
            kinds=tuple("json" if unit.is_json else "plain" for _ in unit.columns),
            reads=unit.reads,
            is_reusable=unit.is_reusable,
            # All of one recipe here: samples have numbers that tell the units apart.
            recipe="any",
        )
        for unit in world.units
    ]
    found = match_cells(units, len(world.numbers), seed, np.array(world.numbers, dtype=np.int64), kept)
    for group in found.groups:
        assert set(group.units) == {n for n, s in found.sources.items() if s[group.rows[0]] < 0}
    open_rows = {row for group in found.groups for row in group.rows.tolist()}
    assert open_rows == {row for numbers in found.sources.values() for row in np.flatnonzero(numbers < 0).tolist()}
    return {name: numbers.tolist() for name, numbers in found.sources.items()}


# Worlds


@st.composite
def seeds(draw, columns):
    row = st.fixed_dictionaries(
        {
            "topic": st.sampled_from("abc"),
            "level": st.sampled_from([1, 2, 2**53 + 1, 2**53 + 2, None]),
            "note": st.sampled_from(["x", "", None, "1"]),
        }
    )
    rows = draw(st.lists(row, min_size=1, max_size=6))
    return [{name: value for name, value in each.items() if name in columns} for each in rows]


@st.composite
def unit_lists(draw):
    units, made = [], []
    for number in range(draw(st.integers(2, 5))):
        columns = (f"u{number}", f"u{number}-beside") if draw(st.integers(0, 3)) == 0 else (f"u{number}",)
        reads = draw(st.lists(st.sampled_from([*SEED, *made, *made]), max_size=3, unique=True))
        units.append(Unit(columns, tuple(sorted(reads)), is_json=draw(st.integers(0, 2)) == 0))
        made += columns
    return units


@st.composite
def worlds(draw):
    """A stage that was built a few times, always with the slow matcher, and is to be built once more."""
    units = draw(unit_lists())
    kept, number = [], [0]
    seed = None
    for _ in range(draw(st.integers(2, 5))):
        columns = tuple(name for name in SEED if draw(st.integers(0, 5)) > 0) or SEED
        if seed is None or draw(st.booleans()) or columns != tuple(seed[0]):
            seed = draw(seeds(columns))
        else:
            seed = draw(st.permutations(seed))
        rows = draw(st.integers(2, 8))
        start = draw(st.integers(0, len(seed) - 1))
        numbers = [(start + row) % len(seed) for row in range(rows)]
        here = [unit for unit in units if draw(st.integers(0, 8)) > 0]
        for unit in here:
            unit.version = draw(st.integers(0, 1)) if draw(st.integers(0, 3)) == 0 else unit.version
            unit.is_reusable = draw(st.integers(0, 7)) > 0
        there = {column for unit in here for column in unit.columns}
        here = [
            Unit(u.columns, tuple(n for n in u.reads if n in SEED or n in there), u.version, u.is_reusable, u.is_json)
            for u in here
        ]
        world = World(here, seed, columns, numbers, kept[-3:])
        if here:
            kept.append(build(world, number, draw))
    return world


def build(world, number, draw):
    """Make what the slow matcher leaves open, each value one of very few, and return the rows as a kept table."""
    slow = Slow(world)
    sources = slow.match()
    table = Table([world.seed[each] for each in world.numbers], {}, {}, {}, world.columns)
    for unit in world.units:
        table.recipes[unit.name] = world.recipe(unit.name)
        table.samples[unit.name] = []
        for column in unit.columns:
            table.cells[column] = []
        for place in sources[unit.name]:
            if place < 0:
                number[0] += 1
            table.samples[unit.name].append(slow.sample(unit, place) if place >= 0 else number[0])
            for column in unit.columns:
                table.cells[column].append(slow.value(column, place) if place >= 0 else make(unit, draw))
    return table


def make(unit, draw):
    if unit.is_json:
        return {"score": draw(st.integers(1, 2)), "why": draw(st.sampled_from(["good", None]))}
    return draw(st.sampled_from(["p", "q"]))


def run_law(world):
    event(f"{len(world.kept)} kept tables")
    if not world.units or not world.kept:
        return
    with tempfile.TemporaryDirectory(prefix="ddbuild-law-") as folder:
        found = match(world, Path(folder))
        check(world, found)
        assert found == Slow(world).match()
    event(f"some kept: {any(place >= 0 for places in found.values() for place in places)}")
    event(f"some open: {any(place < 0 for places in found.values() for place in places)}")


HARD = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=100, **HARD)
@given(worlds())
def test_each_new_cell_gets_the_kept_cell_that_the_rules_give_it(world):
    run_law(world)


@pytest.mark.soak
@settings(max_examples=10_000, **HARD)
@given(worlds())
def test_each_new_cell_gets_the_kept_cell_that_the_rules_give_it_in_many_worlds(world):
    run_law(world)


def repeated():
    """Three rows with one topic, each with an answer of its own; then two more of them."""
    unit = Unit(("answer",), ("topic",))
    rows = [{"topic": "a"}] * 3 + [{"topic": "b"}]
    world = World([unit], rows, ("topic",), [0, 1, 2, 3])
    recipes = {"answer": world.recipe("answer")}
    table = Table(rows, {"answer": ["p", "q", "p", "p"]}, {"answer": [1, 2, 3, 4]}, recipes, ("topic",))
    return World([unit], rows, ("topic",), [0, 0, 3, 0, 0, 0], [table])


def serve_first(world):
    """A matcher that thinks of a cell as of what its prompt has earned once and for all."""
    slow = Slow(world)
    sources = {}
    for unit in world.units:
        sources[unit.name] = [-1] * len(slow.new)
        for row in range(len(slow.new)):
            places = range(len(slow.kept))
            sources[unit.name][row] = next((p for p in places if slow.fits(unit, sources, row, p)), -1)
    return sources


def test_equal_inputs_are_separate_samples(tmp_path):
    found = match(repeated(), tmp_path)
    check(repeated(), found)
    assert found == {"answer": [0, 1, 3, 2, -1, -1]}


def test_a_matcher_that_serves_the_first_kept_cell_to_all_fails_the_law():
    with pytest.raises(AssertionError, match="stand for several"):
        check(repeated(), serve_first(repeated()))


def test_a_matcher_that_goes_by_position_alone_fails_the_law():
    world = repeated()
    with pytest.raises(AssertionError, match="beside other inputs"):
        check(world, {"answer": [0, 1, 2, 3, -1, -1]})


def test_a_matcher_that_leaves_cells_unused_fails_the_law():
    with pytest.raises(AssertionError, match="that nobody has"):
        check(repeated(), {"answer": [0, 1, 3, -1, -1, -1]})
