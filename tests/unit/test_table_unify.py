from __future__ import annotations

import datetime
import decimal
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, concat, count_rows, digest_rows, parquet_file, read_schema, unify
from ddbuild.table.parquet_file import open_parquet, read_batches
from ddbuild.table.row_digest import digest_batches

TOKYO = "timestamp[us, tz=Asia/Tokyo]"


@pytest.fixture
def write(tmp_path):
    def write_batches(*tables):
        files = []
        for number, table in enumerate(tables):
            path = tmp_path / f"batch_{number:05}.parquet"
            pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path)
            files.append(path)
        return files

    return write_batches


@pytest.fixture
def unified(tmp_path, write):
    def unify_tables(*tables):
        rows = unify(write(*tables), tmp_path / "out.parquet")
        table = pq.read_table(tmp_path / "out.parquet")
        assert rows == table.num_rows
        return table

    return unify_tables


def test_equal_schemas_are_concatenated_in_order(unified):
    assert unified({"a": [1, 2]}, {"a": [3]}, {"a": [0]})["a"].to_pylist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("one", "other", "type_"),
    [
        (pa.nulls(1), pa.array(["x"]), "string"),
        (pa.array([1], pa.int8()), pa.array([300], pa.int16()), "int16"),
        (pa.array([1], pa.uint8()), pa.array([-1], pa.int8()), "int16"),
        (pa.array([1], pa.uint64()), pa.array([-1], pa.int64()), "int64"),
        (pa.array([2]), pa.array([1.6]), "double"),
        (pa.array([1.5], pa.float32()), pa.array([0.1]), "double"),
        (pa.array([2**53 + 2]), pa.array([1.6]), "double"),
        (pa.array([decimal.Decimal("1.5")]), pa.array([decimal.Decimal("22.25")]), "decimal128(4, 2)"),
        (pa.array([decimal.Decimal("1.5")]), pa.array([7]), "decimal128(21, 1)"),
        (pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("ns")), "timestamp[ns]"),
        (
            pa.array([1], pa.timestamp("us", "UTC")),
            pa.array([1], pa.timestamp("us", "Asia/Tokyo")),
            "timestamp[us, tz=UTC]",
        ),
        (pa.array([datetime.date(2024, 1, 1)]), pa.array([1], pa.timestamp("us")), "timestamp[us]"),
        (pa.array([1], pa.timestamp("ms", "Asia/Tokyo")), pa.array([1], pa.timestamp("us", "Asia/Tokyo")), TOKYO),
        (pa.array([decimal.Decimal(10**37)]), pa.array([decimal.Decimal("0.00001")]), "decimal256(43, 5)"),
        (pa.array([1], pa.duration("ms")), pa.array([1], pa.duration("us")), "duration[us]"),
        (pa.array([1], pa.time32("ms")), pa.array([1], pa.time64("us")), "time64[us]"),
        (pa.array([[]]), pa.array([["x"]]), "list<element: string>"),
        (pa.array([[1]]), pa.array([[0.5]]), "list<element: double>"),
        (pa.array([b"ab"], pa.binary(2)), pa.array([b"abc"], pa.binary(3)), "binary"),
        (pa.array(["x"]), pa.array(["y"]).dictionary_encode(), "string"),
        (pa.array(["x"]), pa.array(["y"], pa.large_string()), "string"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_types_are_promoted_where_no_value_is_lost(unified, one, other, type_, swapped):
    first, second = (other, one) if swapped else (one, other)
    column = unified({"a": first}, {"a": second})["a"]
    assert str(column.type) == type_
    found, wanted = column.to_pylist(), first.to_pylist() + second.to_pylist()
    if "timestamp" not in type_:
        assert found == wanted
    assert column.null_count == first.null_count + second.null_count


def test_dates_and_units_keep_the_same_moment(unified):
    column = unified(
        {"a": [datetime.date(2024, 1, 1)]},
        {"a": pa.array([datetime.datetime(2024, 1, 1, 5)], pa.timestamp("ms"))},
        {"a": pa.array([datetime.datetime(2024, 1, 1, 5, 0, 0, 1)], pa.timestamp("us"))},
    )["a"]
    assert [str(value) for value in column.to_pylist()] == [
        "2024-01-01 00:00:00",
        "2024-01-01 05:00:00",
        "2024-01-01 05:00:00.000001",
    ]


def test_struct_fields_of_all_batches_are_kept(unified):
    table = unified(
        {"a": [{"score": 1, "why": {"text": "x"}}]},
        {"a": [None, {"score": 1.5, "why": {"lang": "en"}, "tags": ["t"]}]},
    )
    assert table["a"].to_pylist() == [
        {"score": 1.0, "why": {"text": "x", "lang": None}, "tags": None},
        None,
        {"score": 1.5, "why": {"text": None, "lang": "en"}, "tags": ["t"]},
    ]


def test_structs_inside_lists_and_maps_are_merged(unified):
    strings = pa.map_(pa.string(), pa.int32())
    floats = pa.map_(pa.string(), pa.float64())
    table = unified(
        {"l": [[{"a": 1}], None], "m": pa.array([[("k", 1)], None], strings)},
        {"l": [[], [{"b": "x"}, None]], "m": pa.array([[], [("k", 0.5)]], floats)},
    )
    assert table["l"].to_pylist() == [[{"a": 1, "b": None}], None, [], [{"a": None, "b": "x"}, None]]
    assert table["m"].to_pylist() == [[("k", 1.0)], None, [], [("k", 0.5)]]


def test_missing_columns_are_null_and_new_ones_come_last(unified):
    table = unified({"b": [1], "a": ["x"]}, {"c": [True], "a": ["y"]})
    assert table.to_pydict() == {"b": [1, None], "a": ["x", "y"], "c": [None, True]}
    assert table.column_names == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (pa.array([7]), pa.array([True]), "int64 and bool"),
        (pa.array(["7"]), pa.array([7]), "string and int64"),
        (pa.array(["7"]), pa.array([0.5]), "string and double"),
        (pa.array(["7"]), pa.array([True]), "string and bool"),
        (pa.array(["7"]), pa.array([b"7"]), "string and binary"),
        (pa.array(["7"]), pa.array([["7"]]), "string and list of string"),
        (pa.array(["7"]), pa.array([{"a": 7}]), "string and struct"),
        (pa.array(["2024-01-01"]), pa.array([datetime.date(2024, 1, 1)]), "string and date"),
        (pa.array([0.5]), pa.array([decimal.Decimal("0.5")]), r"double and decimal128\(1, 1\)"),
        (pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC")), r"timestamp\[us\] and timestamp"),
        (pa.array([1], pa.timestamp("us", "UTC")), pa.array([1], pa.date32()), r"timestamp\[us, tz=UTC\] and date"),
    ],
)
def test_types_without_a_common_one_are_an_error(unified, one, other, words):
    with pytest.raises(TableError, match=f"^column `a` has values of several types: {words}"):
        unified({"a": one}, {"a": other})


def test_conflict_names_column_types_files_and_a_way_out(unified):
    with pytest.raises(TableError) as caught:
        unified({"a": [1]}, {"a": ["x"]}, {"a": pa.nulls(1)}, *[{"a": [1]}] * 4)
    assert str(caught.value) == (
        "column `a` has values of several types: int64 and string\n"
        "  int64:   batch_00000.parquet, batch_00003.parquet, batch_00004.parquet and 2 more\n"
        "  string:  batch_00001.parquet\n"
        "\n"
        "hint: make the column return one type in every row"
    )


def test_conflict_inside_a_struct_names_the_field(unified):
    with pytest.raises(TableError, match=r"column `a.tags\[\].n` has"):
        unified({"a": [{"tags": [{"n": 1}]}]}, {"a": [{"tags": [{"n": "x"}]}]})


def test_names_replace_file_names_in_messages(write, tmp_path):
    files = write({"a": [1]}, {"a": ["x"]})
    with pytest.raises(TableError) as caught:
        concat(files, tmp_path / "out.parquet", names=["//:one", "//:two"])
    assert caught.value.facts == {"int64": "//:one", "string": "//:two"}


def test_integer_that_is_no_double_is_an_error(unified):
    with pytest.raises(TableError, match="no float is exactly 9007199254740993") as caught:
        unified({"a": [2**53 + 1]}, {"a": [0.5]})
    assert caught.value.facts == {"integer": "9007199254740993 in `batch_00000.parquet`"}


def test_unsigned_number_beyond_int64_is_an_error(unified):
    with pytest.raises(TableError, match=r"column `a` of `batch_00000.parquet` has a value that does not fit int64"):
        unified({"a": pa.array([2**63], pa.uint64())}, {"a": [-1]})


def test_moment_outside_a_finer_unit_is_an_error(unified):
    with pytest.raises(TableError, match="does not fit"):
        unified({"a": [datetime.date(9999, 1, 1)]}, {"a": pa.array([1], pa.timestamp("ns"))})


def test_no_rows_keep_their_schema(unified):
    table = unified({"a": pa.array([], pa.int64()), "b": pa.array([], pa.list_(pa.string()))})
    assert table.schema.names == ["a", "b"] and table.num_rows == 0
    assert str(table.schema.field("b").type) == "list<element: string>"


def test_no_files_are_an_error(tmp_path):
    with pytest.raises(TableError, match="there is no parquet file"):
        unify([], tmp_path / "out.parquet")


def test_no_columns_are_an_error(unified):
    with pytest.raises(TableError, match=r"`batch_00000.parquet` has no columns"):
        unified(pa.table({}))


def test_unnamed_index_of_pandas_is_dropped_and_a_named_one_is_kept(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 9])
    frame.to_parquet(tmp_path / "one.parquet")
    frame.rename_axis("id").to_parquet(tmp_path / "two.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "one.parquet").names
    unify([tmp_path / "one.parquet", tmp_path / "two.parquet"], tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.to_pydict() == {"a": [1, 2, 1, 2], "id": [None, None, 5, 9]}
    assert not table.schema.metadata


def test_column_merely_called_like_an_index_is_kept(unified):
    assert unified({"__index_level_0__": [1]}).column_names == ["__index_level_0__"]


def test_equal_files_give_equal_bytes_and_the_split_does_not_matter(tmp_path, write):
    rows = [f"row {i % 977}" + "x" * (i % 331) + str(i * 7919) for i in range(70000)]
    whole, half, rest = write({"a": rows}, {"a": rows[:33333]}, {"a": rows[33333:]})
    unify([whole], tmp_path / "one.parquet")
    unify([half, rest], tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    metadata = pq.read_metadata(tmp_path / "one.parquet")
    assert metadata.num_row_groups == 2 and metadata.row_group(0).num_rows == 65536
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_wide_rows_make_smaller_batches_and_row_groups(tmp_path, write, monkeypatch):
    monkeypatch.setattr(parquet_file, "GROUP_BYTES", 64 << 10)
    (path,) = write({"a": [random.Random(i).randbytes(2000) for i in range(80)]})
    with open_parquet(path) as file:
        assert max(batch.num_rows for batch in read_batches(file, path.name)) < 40
    unify([path], tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups > 1
    assert digest_rows(path) == digest_rows(tmp_path / "out.parquet")


def test_destination_may_be_one_of_the_files(write):
    (path,) = write({"a": [1]})
    assert unify([path, path], path) == 2
    assert pq.read_table(path)["a"].to_pylist() == [1, 1]


def test_failure_leaves_nothing_behind(write, tmp_path):
    files = write({"a": [1]}, {"a": ["x"]})
    damaged = tmp_path / "batch_00001.parquet"
    pq.write_table(pa.table({"a": list(range(100_000))}), damaged, compression="none", use_dictionary=False)
    data = bytearray(damaged.read_bytes())
    data[4:400] = b"\xff" * 396
    damaged.write_bytes(bytes(data))
    with pytest.raises(TableError, match=r"`batch_00001.parquet` cannot be read as a parquet file"):
        unify(files, tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch_00000.parquet", "batch_00001.parquet"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing", "folder"])
def test_unreadable_file_is_named(write, tmp_path, damage):
    (path,) = write({"a": list(range(1000))})
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("a,b\n1,2\n")
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
    for read in (digest_rows, count_rows, read_schema, lambda path: unify([path], tmp_path / "out.parquet")):
        with pytest.raises(
            TableError, match=r"^`batch_00000.parquet` (cannot be read|does not exist|is a folder)"
        ) as caught:
            read(path)
        assert str(tmp_path) not in str(caught.value)


def test_file_with_fewer_rows_than_its_footer_says_is_damaged(write):
    (path,) = write({"a": [1, 2, 3]})

    class ShortFile:
        def __init__(self, file):
            self.metadata = file.metadata

        def iter_batches(self, **_):
            return iter([pa.record_batch({"a": [1, 2]})])

    with open_parquet(path) as file, pytest.raises(TableError, match=r"^`a.parquet` is damaged"):
        list(read_batches(ShortFile(file), "a.parquet"))


def test_repeated_column_names_are_an_error(write, tmp_path):
    (path,) = write(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(TableError, match=r"`batch_00000.parquet` has more than one column named `a`"):
        unify([path], tmp_path / "out.parquet")


def test_rows_are_counted_and_schemas_read(write):
    files = write({"a": [1, 2], "b": [["x"], None]}, {"a": [3], "b": [["y"]]})
    assert count_rows(files) == 3 and count_rows(files[0]) == 2
    assert read_schema(files[0]) == {"a": "int64", "b": "list of string"}


@pytest.mark.parametrize(
    "type_",
    [
        pa.map_(pa.string(), pa.struct([("a", pa.int64()), ("b", pa.null())])),
        pa.map_(pa.string(), pa.null()),
        pa.map_(pa.string(), pa.list_(pa.null())),
    ],
)
def test_maps_of_what_is_always_null_are_read_whole(unified, type_):
    # pyarrow aborts the process where it views such a map as a list
    rows = [None, [], [("x", None)], [("x", None), ("y", None)], [("x", None)] * 3]
    table = pa.table({"m": pa.array(rows, type_)})
    result = unified(table, table.slice(3), table.slice(4))
    assert result["m"].to_pylist() == rows + rows[3:] + rows[4:]
    pieces = pa.concat_tables([table, table.slice(3), table.slice(4)])
    assert digest_batches(result.schema, result.to_batches()) == digest_batches(table.schema, pieces.to_batches())


def test_exotic_types_survive(unified):
    columns = {
        "half": pa.array([np.float16(0.5), None], pa.float16()),
        "ns": pa.array([1, None], pa.time64("ns")),
        "tz": pa.array([1, None], pa.timestamp("ns", "Europe/Paris")),
        "wide": pa.array([decimal.Decimal("1" * 50), None], pa.decimal256(60, 3)),
        "map": pa.array([[("a", [1])], None], pa.map_(pa.string(), pa.list_(pa.int8()))),
        "null": pa.nulls(2),
        "deep": [[[{"a": [None, 1]}], None, []], None],
    }
    table = unified(columns, columns)
    for name, values in columns.items():
        wanted = pa.array(values) if isinstance(values, list) else values
        assert table[name].combine_chunks().equals(pa.concat_arrays([wanted, wanted]).cast(table[name].type)), name
