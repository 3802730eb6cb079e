from __future__ import annotations

import datetime
import decimal
import io
import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ddbuild.table import digest_rows, export, import_files, join, unify
from ddbuild.table.conform import conform_batch
from ddbuild.table.row_digest import digest_batches
from ddbuild.table.unification import make_part

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
LEAVES = st.sampled_from(
    [
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.uint8(), st.integers(0, 255)),
        (pa.float64(), st.floats(allow_nan=False)),
        (pa.float32(), st.floats(width=32, allow_nan=False)),
        (pa.bool_(), st.booleans()),
        (pa.string(), TEXT),
        (pa.binary(), st.binary(max_size=4)),
        (pa.binary(3), st.binary(min_size=3, max_size=3)),
        (pa.date32(), st.dates(datetime.date(1900, 1, 1))),
        (pa.timestamp("us"), st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))),
        (pa.timestamp("ms", "UTC"), st.integers(-(2**40), 2**40)),
        (pa.time64("us"), st.times()),
        (pa.duration("us"), st.integers(-(2**40), 2**40)),
        (pa.decimal128(7, 2), st.integers(-(10**6), 10**6).map(lambda n: decimal.Decimal(n).scaleb(-2))),
        (pa.decimal256(60, 0), st.integers(-(10**50), 10**50).map(decimal.Decimal)),
        (pa.null(), st.none()),
    ]
)


def holds_null(type_):
    return pa.types.is_null(type_) or any(holds_null(type_.field(i).type) for i in range(type_.num_fields))


def nest(kinds):
    def lists(kind):
        return pa.list_(kind[0]), st.lists(st.none() | kind[1], max_size=3)

    def maps(kind):
        return pa.map_(pa.string(), kind[0]), st.lists(st.tuples(TEXT, st.none() | kind[1]), max_size=2)

    def structs(pair):
        (one, ones), (two, twos) = pair
        values = st.fixed_dictionaries({"a": st.none() | ones, "b": st.none() | twos})
        return pa.struct([("a", one), ("b", two)]), values

    return kinds.map(lists) | kinds.map(maps) | st.tuples(kinds, kinds).map(structs)


KINDS = st.recursive(LEAVES, nest, max_leaves=4)


@st.composite
def tables(draw, min_rows=0, kinds=KINDS):
    rows = draw(st.integers(min_rows, 8))
    columns = {}
    for name in draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=3, unique=True)):
        type_, values = draw(kinds)
        columns[name] = pa.array([draw(st.none() | values) for _ in range(rows)], type_)
    return pa.table(columns)


def digest(table):
    return digest_batches(table.schema, table.to_batches())


def widen(type_):
    """The same values in another layout."""
    if pa.types.is_string(type_):
        return pa.large_string()
    if pa.types.is_binary(type_):
        return pa.large_binary()
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(type_.field(i).name, widen(type_.field(i).type)) for i in range(type_.num_fields)])
    if pa.types.is_list(type_):
        return pa.large_list(widen(type_.value_type))
    if pa.types.is_map(type_):
        return pa.map_(type_.key_type, widen(type_.item_type))
    return type_


@LAW
@given(
    table=tables(),
    compression=st.sampled_from(["none", "snappy", "zstd", "gzip"]),
    group=st.integers(1, 9),
    dictionary=st.booleans(),
    version=st.sampled_from(["1.0", "2.0"]),
    cuts=st.lists(st.integers(0, 8), max_size=2),
)
def test_digest_is_blind_to_how_rows_are_written(table, compression, group, dictionary, version, cuts):
    with tempfile.TemporaryDirectory() as folder:
        edges = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
        files = []
        for number, (start, stop) in enumerate(pairwise(edges)):
            files.append(Path(folder) / f"{number}.parquet")
            pq.write_table(
                table.slice(start, stop - start).replace_schema_metadata({"k": str(number)}),
                files[-1],
                compression=compression,
                row_group_size=group,
                use_dictionary=dictionary,
                data_page_version=version,
            )
        assert digest_rows(files) == digest(table)


@LAW
@given(table=tables(), data=st.data())
def test_digest_is_blind_to_layout_in_memory(table, data):
    assume(not any(holds_null(type_) for type_ in table.schema.types))
    wide = table.cast(pa.schema([pa.field(f.name, widen(f.type), metadata={"m": "x"}) for f in table.schema]))
    assert digest(wide) == digest(table)
    cut = data.draw(st.integers(0, table.num_rows))
    pieces = [table.slice(0, cut), table.slice(cut)]
    assert digest_batches(table.schema, [batch for piece in pieces for batch in piece.to_batches()]) == digest(table)
    encoded = {
        name: column.dictionary_encode() if pa.types.is_string(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    assert digest(pa.table(encoded)) == digest(table)


@LAW
@given(kind=KINDS, data=st.data())
def test_digest_changes_with_any_cell(kind, data):
    type_, values = kind
    cells = data.draw(st.lists(st.none() | values, min_size=1, max_size=6))
    place = data.draw(st.integers(0, len(cells) - 1))
    other = data.draw(st.none() | values)
    edited = [*cells[:place], other, *cells[place + 1 :]]
    before, after = pa.array(cells, type_), pa.array(edited, type_)
    # repr tells 0.0 from -0.0
    same = repr(before.to_pylist()) == repr(after.to_pylist())
    assert (digest(pa.table({"x": before})) == digest(pa.table({"x": after}))) is same


@LAW
@given(table=tables(min_rows=2), data=st.data())
def test_digest_changes_when_unequal_rows_swap_places(table, data):
    i, j = data.draw(st.tuples(*[st.integers(0, table.num_rows - 1)] * 2))
    order = list(range(table.num_rows))
    order[i], order[j] = order[j], order[i]
    swapped = table.take(order)
    same = repr(swapped.to_pylist()) == repr(table.to_pylist())
    assert (digest(swapped) == digest(table)) is same


@LAW
@given(table=tables(), data=st.data())
def test_digest_changes_with_names_and_order_of_columns(table, data):
    names = table.column_names
    place = data.draw(st.integers(0, len(names) - 1))
    assert digest(table.rename_columns([*names[:place], "new", *names[place + 1 :]])) != digest(table)
    order = data.draw(st.permutations(names))
    assert (digest(table.select(order)) == digest(table)) is (order == names)
    assert digest(table.append_column("extra", pa.nulls(table.num_rows))) != digest(table)


@LAW
@given(table=tables(min_rows=1))
def test_digest_changes_with_the_number_of_rows(table):
    assert digest(table.slice(1)) != digest(table)
    assert digest(pa.concat_tables([table, table.slice(0, 1)])) != digest(table)


@LAW
@given(table=tables(), cuts=st.lists(st.integers(0, 8), max_size=3))
def test_unify_is_concatenation(table, cuts):
    with tempfile.TemporaryDirectory() as folder:
        edges = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
        files = []
        for number, (start, stop) in enumerate(pairwise(edges)):
            files.append(Path(folder) / f"{number}.parquet")
            pq.write_table(table.slice(start, stop - start), files[-1])
        out = Path(folder) / "out.parquet"
        assert unify(files, out) == table.num_rows
        assert digest_rows(out) == digest(table)


@LAW
@given(one=tables(), other=tables())
def test_unify_keeps_every_value_of_drifting_files_or_refuses(one, other):
    from ddbuild.table import TableError

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "0.parquet", Path(folder) / "1.parquet"]
        for table, file in zip((one, other), files, strict=True):
            pq.write_table(table, file)
        try:
            unify(files, Path(folder) / "out.parquet")
        except TableError:
            assume(False)
        found = pq.read_table(Path(folder) / "out.parquet").to_pylist()
    wanted = [*one.to_pylist(), *other.to_pylist()]
    assert len(found) == len(wanted)
    for row, expected in zip(found, wanted, strict=True):
        assert all(covers(row[name], expected.get(name)) for name in row)
        assert set(expected) <= set(row)


def covers(found, wanted):
    """Whether `found` says what `wanted` says, with further fields that are null."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(covers(found[name], wanted.get(name)) for name in found)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(covers, found, wanted))
    if isinstance(wanted, tuple):
        return all(map(covers, found, wanted))
    if isinstance(wanted, datetime.date) and isinstance(found, datetime.datetime):
        return str(found)[:10] == str(wanted)[:10]
    if isinstance(wanted, datetime.datetime):
        return found.replace(tzinfo=None) == wanted.replace(tzinfo=None)
    return found == wanted


@LAW
@given(table=tables())
def test_conforming_to_the_logical_schema_changes_no_value(table):
    assume(not any(holds_null(type_) for type_ in table.schema.types))
    wide = table.cast(pa.schema([pa.field(f.name, widen(f.type)) for f in table.schema]))
    part = make_part("t", wide.schema, lambda: iter(wide.to_batches()))
    batches = [conform_batch(batch, part.schema, "t") for batch in part.read()]
    assert repr(pa.Table.from_batches(batches, part.schema).to_pylist()) == repr(table.to_pylist())


CELLS = st.sampled_from(
    [
        "1",
        "-7",
        "007",
        "2.5",
        "1e3",
        "true",
        "False",
        "2024-05-01",
        "2024-05-01 10:00:00",
        "x",
        "NA",
        "nan",
        "",
        "a,b",
        'q"r',
        "l\nm",
        "12345678901234567890",
        "9007199254740993",
        "0x1F",
        "+49",
        "é",
    ]
)


@LAW
@given(cells=st.lists(CELLS, min_size=2, max_size=8), cut=st.integers(1, 7))
def test_split_of_a_csv_file_does_not_change_its_rows(cells, cut):
    cut = min(cut, len(cells) - 1)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("all.csv", "one.csv", "two.csv")]
        for file, rows in zip(files, (cells, cells[:cut], cells[cut:]), strict=True):
            sink = io.BytesIO()
            pcsv.write_csv(pa.table({"n": list(range(len(rows))), "x": rows}), sink)
            file.write_bytes(sink.getvalue().replace(b'""\n', b"\n"))
        whole, split = Path(folder) / "whole.parquet", Path(folder) / "split.parquet"
        import_files(files[:1], "csv", whole)
        import_files(files[1:], "csv", split)
        one, two = pq.read_table(whole), pq.read_table(split)
        assert digest(one.select(["x"])) == digest(two.select(["x"]))


@settings(LAW, max_examples=25)
@given(
    left=st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | TEXT), max_size=6),
    right=st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | TEXT), max_size=6),
    how=st.sampled_from(["inner", "left", "outer"]),
)
def test_join_is_what_nested_loops_would_find(left, right, how):
    wanted = []
    for key, value in left:
        partners = [(key, value, other) for k, other in right if k == key and key is not None]
        wanted += partners or ([(key, value, None)] if how != "inner" else [])
    if how == "outer":
        wanted += [(k, None, other) for k, other in right if k is None or k not in [key for key, _ in left]]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "left.parquet", Path(folder) / "right.parquet"]
        for file, rows, name in zip(files, (left, right), "vw", strict=True):
            keys = pa.array([key for key, _ in rows], pa.int64())
            pq.write_table(pa.table({"k": keys, name: pa.array([text for _, text in rows], pa.string())}), file)
        assert join(files, ["k"], how, Path(folder) / "out.parquet") == len(wanted)
        found = pq.read_table(Path(folder) / "out.parquet")
    assert list(zip(*(column.to_pylist() for column in found.columns), strict=True)) == wanted


JSON_SAFE = LEAVES.filter(lambda kind: kind[0] in (pa.int64(), pa.float64(), pa.bool_(), pa.string()))


@LAW
@given(table=tables(min_rows=1, kinds=JSON_SAFE))
def test_rows_survive_a_journey_through_jsonl_and_csv(table):
    def finite(values):
        return [None if value in (float("inf"), float("-inf")) else value for value in values]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path)
        for format in ("jsonl", "csv"):
            export(path, Path(folder) / f"rows.{format}", format)
            import_files([Path(folder) / f"rows.{format}"], format, Path(folder) / "back.parquet")
            back = pq.read_table(Path(folder) / "back.parquet")
            assert back.column_names == table.column_names and back.num_rows == table.num_rows
            for name in table.column_names:
                if format == "jsonl" or (table[name].type in (pa.int64(), pa.bool_()) and table.num_columns > 1):
                    found, wanted = back[name].to_pylist(), finite(table[name].to_pylist())
                    assert found == wanted, name
