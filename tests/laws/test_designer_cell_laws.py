"""The law of kept cells with the true Data Designer: random stages, seeds and edits.

What each build makes is known before, from the slow matcher: which cells are kept ones, and how often each function is
called. With functions that always give the same, the rows are those of a full run; with functions that never do, each
value stands beside the values that it was made from, and kept ones are what they were.
"""

import itertools
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ddbuild.building.provenance import Origin
from laws.test_cell_laws import Slow, Table, Unit, World
from scenarios.project import RECORDER, Project

pytestmark = pytest.mark.real

FILES = {"ddbuild.toml": "[designer]\nbuffer_size = 5\n", "recorder.py": RECORDER}
FIELDS = ("topic", "level")
START = datetime(2024, 1, 1, tzinfo=UTC)


class Column:
    """One column of a random stage: `kind` is custom, expression or sampler."""

    def __init__(self, name, kind, reads, *, is_dropped=False, has_more=False):
        self.name, self.kind, self.reads = name, kind, reads
        self.is_dropped, self.has_more = is_dropped, has_more
        self.version = 0

    @property
    def columns(self):
        return (self.name, f"{self.name}_more") if self.has_more else (self.name,)

    @property
    def text(self):
        """What a value begins with, as a template of Python's."""
        return f"{self.name}.{self.version}[" + ";".join(f"{{{each}}}" for each in self.reads) + "]"

    def declare(self):
        if self.kind == "custom":
            return (
                f'add(dd.CustomColumnConfig(name="{self.name}", generator_function=columns.{self.name}, **{self.drop}))'
            )
        if self.kind == "expression":
            text = self.text.replace("{", "{{ ").replace("}", " }}")
            return f'add(dd.ExpressionColumnConfig(name="{self.name}", expr="{text}", **{self.drop}))'
        kind, params = ("uuid", {"prefix": self.text}) if IS_NOISY[0] else ("category", {"values": [self.text]})
        return f'add(name="{self.name}", column_type="sampler", sampler_type="{kind}", params={params}, **{self.drop})'

    @property
    def drop(self):
        return {"drop": self.is_dropped}

    def define(self):
        # In several ways.
        takes = [f'row["{name}"]' if n % 2 else f'row.get("{name}")' for n, name in enumerate(self.reads)]
        inputs = "".join(f", {name}={take}" for name, take in zip(self.reads, takes, strict=True))
        noise = ' + " " + uuid.uuid4().hex' if IS_NOISY[0] else ""
        more = f'    row["{self.name}_more"] = "more of " + row["{self.name}"]\n' if self.has_more else ""
        names = f"required_columns={list(self.reads)}, side_effect_columns={list(self.columns[1:])}"
        return (
            f"@dd.custom_column_generator({names})\n"
            f"def {self.name}(row):\n"
            f'    record("{self.name}")\n'
            f'    row["{self.name}"] = "{self.text}".format(**dict(_=0{inputs})){noise}\n'
            f"{more}    return row\n"
        )


IS_NOISY = [False]


def write_stage(project, columns, seed, rows):
    customs = [each for each in columns if each.kind == "custom"]
    head = "import uuid\nimport data_designer.config as dd\nfrom recorder import record\n\n"
    project.write("columns.py", head + "\n".join(each.define() for each in customs))
    count = f", num_records={rows}" if rows else ""
    project.write(
        "BUILD.py",
        "import columns\nimport data_designer.config as dd\nfrom ddbuild import source, stage\n"
        "config = dd.DataDesignerConfigBuilder(model_configs=[])\nadd = config.add_column\n"
        + "".join(each.declare() + "\n" for each in columns)
        + f'source("seed", files="seed.csv")\nstage("rows", config=config, depends_on=[":seed"]{count})\n',
    )
    project.write("seed.csv", "topic,level\n" + "".join(f"{topic},{level}\n" for topic, level in seed))


def read_all(project, result):
    """The rows with what was dropped."""
    found = result["rows"].result
    rows = pq.read_table(result["rows"].data).to_pylist()
    dropped = []
    for name, blob in sorted(found.files.items()):
        if name.startswith("dropped-columns"):
            digest = blob.digest.removeprefix("xxh3_128:")
            (path,) = [each for each in project.cache.rglob(f"*{digest[4:]}*") if each.is_file()]
            dropped += pq.read_table(path).to_pylist()
    return [row | more for row, more in zip(rows, dropped or [{}] * len(rows), strict=True)]


class Bench:
    """A workspace and all that is known of what its cache has."""

    def __init__(self, folder):
        self.folder = folder
        self.project = Project(folder / "reused", FILES)
        self.tables = []
        self.keys = set()
        self.samples = itertools.count(1)

    def build(self, columns, seed, rows):
        write_stage(self.project, columns, seed, rows)
        count = rows or len(seed)
        units = [Unit(each.columns, tuple(sorted(each.reads)), each.version) for each in columns]
        whole = [dict(zip(FIELDS, each, strict=True)) for each in seed]
        world = World(units, whole, FIELDS, [number % len(seed) for number in range(count)])
        world.kept = self.order(world)
        slow = Slow(world)
        sources = slow.match()
        result = self.project.build()
        made = {each.name: sources[each.name].count(-1) for each in columns if each.kind == "custom"}
        assert self.project.calls == {name: calls for name, calls in made.items() if calls}
        found = read_all(self.project, result)
        self.check(world, columns, slow, sources, found)
        self.keep(result, world, slow, sources, found)
        return result

    def order(self, world):
        """The kept tables in the order in which they count: with most recipes of today first, the newest of them."""
        usable = [sum(world.usable(table, unit) for unit in world.units) for table in self.tables]
        places = sorted(range(len(self.tables)), key=lambda place: (usable[place], place), reverse=True)
        return [self.tables[place] for place in places if usable[place]][:8]

    def check(self, world, columns, slow, sources, found):
        assert [tuple(row[name] for name in FIELDS) for row in found] == [
            tuple(world.seed[number][name] for name in FIELDS) for number in world.numbers
        ]
        for column, unit in zip(columns, world.units, strict=True):
            values = [row[column.name] for row in found]
            for row, place in enumerate(sources[unit.name]):
                for name in column.columns if place >= 0 else ():
                    assert found[row][name] == slow.value(name, place), "a kept value is not what it was"
                assert values[row].startswith(column.text.format(**found[row])), "a value beside other inputs"
                if column.has_more:
                    assert found[row][f"{column.name}_more"] == f"more of {values[row]}"
            if IS_NOISY[0] and column.kind != "expression":
                assert len(set(values)) == len(values), "two rows share a sample"
                old = {value for table in self.tables for value in table.cells.get(column.name, [])}
                new = {value for value, place in zip(values, sources[unit.name], strict=True) if place < 0}
                assert not new & old, "a cell to be made was taken"

    def keep(self, result, world, slow, sources, found):
        key = result["rows"].result.key
        if key in self.keys:
            return
        self.keys.add(key)
        table = Table([world.seed[number] for number in world.numbers], {}, {}, {}, FIELDS)
        for unit in world.units:
            table.recipes[unit.name] = world.recipe(unit.name)
            table.samples[unit.name] = [
                slow.sample(unit, place) if place >= 0 else next(self.samples) for place in sources[unit.name]
            ]
            for name in unit.columns:
                table.cells[name] = [row[name] for row in found]
        self.tables.append(table)

    def build_fully(self, columns, seed, rows):
        other = Project(self.folder / "full", FILES)
        write_stage(other, columns, seed, rows)
        return other.build()


def make_stage(pick):
    columns, made = [], []
    for number in range(pick.randint(2, 5)):
        kind = pick.choice(["custom", "custom", "custom", "expression", "sampler"])
        names = [*FIELDS, *made, *made]
        reads = tuple(dict.fromkeys(pick.choices(names, k=pick.randint(1, 3)))) if kind != "sampler" else ()
        column = Column(
            f"c{number}",
            kind,
            reads,
            is_dropped=pick.random() < 0.25 and bool(columns),
            has_more=kind == "custom" and pick.random() < 0.3,
        )
        columns.append(column)
        made += column.columns
    return columns


def edit(pick, columns, seed, rows):
    """One of the edits that people make every day."""
    what = pick.choice(
        ["function", "function", "new", "removed", "moved", "added", "gone", "changed", "shuffled", "rows"]
    )
    if what == "function":
        pick.choice(columns).version += 1
    elif what == "new":
        names = [*FIELDS, *(name for each in columns for name in each.columns)]
        columns.append(Column(f"n{pick.randint(0, 10**9)}", "custom", tuple(set(pick.choices(names, k=2)))))
    elif what == "removed":
        read = {name for each in columns for name in each.reads}
        leaves = [each for each in columns if not read & set(each.columns)]
        if len(columns) > 1 and len([each for each in columns if not each.is_dropped]) > 1:
            columns.remove(pick.choice(leaves))
    elif what == "moved":
        pick.shuffle(columns)
    elif what == "added":
        for _ in range(pick.randint(1, 3)):
            seed.insert(pick.randint(0, len(seed)), (pick.choice("abx"), pick.randint(1, 3)))
    elif what == "gone" and len(seed) > 1:
        seed.pop(pick.randrange(len(seed)))
    elif what == "changed":
        seed[pick.randrange(len(seed))] = (pick.choice("abx"), pick.randint(1, 3))
    elif what == "shuffled":
        pick.shuffle(seed)
    elif what == "rows":
        return pick.choice([None, pick.randint(1, 14)])
    return rows


def run_law(number, is_noisy, builds):
    """Build a random stage, edit it, build it again, and so on."""
    pick = random.Random(number)
    IS_NOISY[0] = is_noisy
    columns = make_stage(pick)
    seed = [(pick.choice("ab"), pick.randint(1, 2)) for _ in range(pick.randint(1, 8))]
    rows = pick.choice([None, pick.randint(1, 12)])
    moments = itertools.count()
    with tempfile.TemporaryDirectory(prefix="ddbuild-law-") as folder, pytest.MonkeyPatch.context() as patch:
        # Builds within one second would be in no order.
        patch.setattr(Origin, "now", staticmethod(lambda: (START + timedelta(seconds=next(moments))).isoformat()))
        bench = Bench(Path(folder))
        for position in range(builds):
            for _ in range(pick.randint(1, 2) if position else 0):
                rows = edit(pick, columns, seed, rows)
            result = bench.build(sort(columns), seed, rows)
        if not is_noisy:
            full = bench.build_fully(sort(columns), seed, rows)
            assert result["rows"].result.digest == full["rows"].result.digest
            assert read_all(bench.project, result) == read_all(Project(Path(folder) / "full"), full)


def sort(columns):
    """The columns, each after those that it reads, which the slow matcher needs; else as they are."""
    done, left = [], list(columns)
    while left:
        there = {*FIELDS, *(name for each in done for name in each.columns)}
        ready = next(each for each in left if there.issuperset(each.reads))
        done.append(ready)
        left.remove(ready)
    return done


HARD = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    # One number says it all.
    "phases": [Phase.explicit, Phase.generate],
}


@pytest.mark.slow
@pytest.mark.parametrize("is_noisy", [False, True])
@settings(max_examples=5, **HARD)
@given(number=st.integers(0, 2**32))
def test_a_build_makes_the_cells_that_it_has_to_and_no_others(number, is_noisy):
    run_law(number, is_noisy, builds=4)


@pytest.mark.soak
@pytest.mark.parametrize("is_noisy", [False, True])
@settings(max_examples=100, **HARD)
@given(number=st.integers(0, 2**32))
def test_many_builds_make_the_cells_that_they_have_to_and_no_others(number, is_noisy):
    run_law(number, is_noisy, builds=8)
