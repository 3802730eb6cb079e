from __future__ import annotations

import datetime
import decimal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, digest_frame, digest_rows, write_result
from ddbuild.table.row_digest import digest_batches


class Id(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.binary(16), "tests.id")

    def __arrow_ext_serialize__(self):
        return b""


def digest(table):
    return digest_batches(table.schema, table.to_batches())


def digest_array(array):
    return digest(pa.table({"x": array}))


def test_digest_is_the_same_in_every_version(tmp_path):
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int64()),
            "f": [0.5, float("nan"), None],
            "s": ["a", "", None],
            "b": [True, None, False],
            "l": [[1], [], None],
            "r": [{"a": 1, "b": "x"}, None, {"a": None, "b": ""}],
            "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
            "d": [decimal.Decimal("1.25"), None, decimal.Decimal("-3.00")],
            "t": pa.array(
                [datetime.datetime(2024, 5, 1), None, datetime.datetime(1969, 1, 1)], pa.timestamp("us", "UTC")
            ),
            "n": pa.nulls(3),
        }
    )
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path)
    # Results of other people are found by this digest: a change of it throws away every cache.
    assert digest_rows(path) == digest(table) == GOLDEN


GOLDEN = "xxh3_128:095819b455e91a9cc53f1465d3df0d56"


def test_importing_the_face_imports_neither_pyarrow_nor_pandas():
    program = (
        "import sys, ddbuild.table; print([m for m in ('pyarrow', 'pandas', 'numpy', 'duckdb') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_digesting_rows_does_not_import_pandas(tmp_path):
    pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), tmp_path / "a.parquet")
    program = (
        "import sys; from pathlib import Path; from ddbuild.table import digest_rows, read_rows, unify\n"
        "path = Path(sys.argv[1]); digest_rows(path); unify([path], path); read_rows(path, 1)\n"
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.parquet")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array(["a", None, ""]), pa.array(["a", None, ""], pa.large_string())),
        (pa.array(["a", None, ""]), pa.array(["a", None, ""], pa.string_view())),
        (pa.array([b"a", None]), pa.array([b"a", None], pa.large_binary())),
        (pa.array([b"a", None]), pa.array([b"a", None], pa.binary_view())),
        (pa.array(["a", None, "a"]), pa.array(["a", None, "a"]).dictionary_encode()),
        (pa.array([[1], None, []]), pa.array([[1], None, []], pa.large_list(pa.int64()))),
        (pa.array([[1], None, []]), pa.array([[1], None, []], pa.list_view(pa.int64()))),
        (pa.array([[1, 2], None]), pa.array([[1, 2], None], pa.list_(pa.int64(), 2))),
        (pa.array([["a"], None]), pa.array([["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string())))),
        (
            pa.array([decimal.Decimal("1.5")], pa.decimal128(9, 2)),
            pa.array([decimal.Decimal("1.5")], pa.decimal256(9, 2)),
        ),
        (
            pa.array([b"x" * 16], pa.binary(16)),
            pa.ExtensionArray.from_storage(Id(), pa.array([b"x" * 16], pa.binary(16))),
        ),
        (pa.array([datetime.date(2024, 1, 1)], pa.date32()), pa.array([datetime.date(2024, 1, 1)], pa.date64())),
    ],
)
def test_layouts_of_the_same_values_have_one_digest(one, other):
    assert digest_array(one) == digest_array(other)


SAME_LOOKS = [
    pa.array([1, 2], pa.int64()),
    pa.array([1, 2], pa.int32()),
    pa.array([1, 2], pa.uint64()),
    pa.array([1, 2], pa.float64()),
    pa.array([1, 2], pa.float32()),
    pa.array(["1", "2"]),
    pa.array([b"1", b"2"]),
    pa.array([b"1", b"2"], pa.binary(1)),
    pa.array([1, 2], pa.timestamp("s")),
    pa.array([1, 2], pa.timestamp("ms")),
    pa.array([1, 2], pa.timestamp("ms", "UTC")),
    pa.array([1, 2], pa.timestamp("ms", "Europe/Paris")),
    pa.array([1, 2], pa.duration("ms")),
    pa.array([1, 2], pa.time32("ms")),
    pa.array([1, 2], pa.time64("us")),
    pa.array([1, 2], pa.date32()),
    pa.array([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal128(5, 0)),
    pa.array([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal128(6, 0)),
    pa.array([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal128(6, 1)),
    pa.array([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal256(50, 0)),
    pa.array([[1], [2]]),
    pa.array([[1, 2], []]),
    pa.array([[], [1, 2]]),
    pa.array([[1, 2], None]),
    pa.array([[[1], [2]], []]),
    pa.array([[[1, 2]], []]),
    pa.array([[[1, 2], []], []]),
    pa.array([{"a": 1}, {"a": 2}]),
    pa.array([{"b": 1}, {"b": 2}]),
    pa.array([{"a": 1, "b": None}, {"a": 2, "b": None}]),
    pa.array([{"b": None, "a": 1}, {"b": None, "a": 2}], pa.struct([("b", pa.null()), ("a", pa.int64())])),
    pa.array([[("a", 1)], [("a", 2)]], pa.map_(pa.string(), pa.int64())),
    pa.array([[{"key": "a", "value": 1}], [{"key": "a", "value": 2}]]),
    pa.array([True, False]),
    pa.array([False, True]),
    pa.nulls(2),
    pa.nulls(2, pa.int64()),
    pa.nulls(2, pa.float64()),
    pa.nulls(2, pa.string()),
    pa.array(["", ""]),
    pa.array(["", None]),
    pa.array([None, ""]),
    pa.array(["ab", ""]),
    pa.array(["a", "b"]),
    pa.array(["", "ab"]),
    pa.array([0.0, 0.0]),
    pa.array([0.0, -0.0]),
    pa.array([0.0, float("nan")]),
    pa.array([0.0, None]),
    pa.array([None, 0.0]),
    pa.array([0.0, float("inf")]),
    pa.array([0.0, float("-inf")]),
    pa.array([0, 0]),
    pa.array([0, None]),
    pa.array([[0], [None]]),
    pa.array([[0], None]),
    pa.array([[0], []]),
    pa.array([{"a": None}, None], pa.struct([("a", pa.int64())])),
    pa.array([{"a": None}, {"a": None}], pa.struct([("a", pa.int64())])),
    pa.array([{"a": 0}, {"a": None}], pa.struct([("a", pa.int64())])),
    pa.array([{"a": 0}, None], pa.struct([("a", pa.int64())])),
]


def test_different_values_and_types_have_different_digests():
    digests = [digest_array(array) for array in SAME_LOOKS]
    clashes = [
        (SAME_LOOKS[i], SAME_LOOKS[j]) for i in range(len(digests)) for j in range(i) if digests[i] == digests[j]
    ]
    assert not clashes


def test_every_nan_is_one_nan():
    other = np.array([0x7FF8000000000001, 0xFFF0000000000123], dtype=np.uint64).view(np.float64)
    assert digest_array(pa.array(other)) == digest_array(pa.array([float("nan")] * 2))
    other = np.array([0x7E01, 0xFE00], dtype=np.uint16).view(np.float16)
    assert digest_array(pa.array(other)) == digest_array(pa.array(np.array([np.nan] * 2, dtype=np.float16)))


def test_what_lies_under_a_null_is_not_hashed():
    numbers = pa.Array.from_buffers(
        pa.int64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([1, 77, 3]).tobytes())]
    )
    assert digest_array(numbers) == digest_array(pa.array([1, None, 3]))

    offsets = pa.py_buffer(np.array([0, 1, 4, 5], dtype=np.int32).tobytes())
    texts = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(b"\x05"), offsets, pa.py_buffer(b"aXYZb")])
    assert digest_array(texts) == digest_array(pa.array(["a", None, "b"]))

    lists = pa.Array.from_buffers(
        pa.list_(pa.int64()), 3, [pa.py_buffer(b"\x05"), offsets], children=[pa.array(range(5))]
    )
    assert digest_array(lists) == digest_array(pa.array([[0], None, [4]]))

    mask = pa.array([False, True, False])
    structs = pa.StructArray.from_arrays([pa.array(["a", "garbage", "b"])], names=["f"], mask=mask)
    assert digest_array(structs) == digest_array(pa.array([{"f": "a"}, None, {"f": "b"}]))

    bools = pa.Array.from_buffers(pa.bool_(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(b"\x07")])
    assert digest_array(bools) == digest_array(pa.array([True, None, True]))

    fixed = pa.Array.from_buffers(pa.binary(2), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(b"aaXXbb")])
    assert digest_array(fixed) == digest_array(pa.array([b"aa", None, b"bb"], pa.binary(2)))

    pairs = pa.FixedSizeListArray.from_arrays(pa.array(range(6)), 2, mask=mask)
    assert digest_array(pairs) == digest_array(pa.array([[0, 1], None, [4, 5]]))

    type_ = pa.map_(pa.string(), pa.int64())
    fields = [type_.key_field, type_.item_field]
    entries = pa.StructArray.from_arrays([pa.array(list("abcde")), pa.array(range(5))], fields=fields)
    maps = pa.Array.from_buffers(type_, 3, [pa.py_buffer(b"\x05"), offsets], children=[entries])
    assert digest_array(maps) == digest_array(pa.array([[("a", 0)], None, [("e", 4)]], type_))


@pytest.mark.parametrize("array", SAME_LOOKS, ids=lambda array: str(array.type))
def test_slices_have_the_digest_of_their_own_values(array):
    long = pa.concat_arrays([array, array, array])
    assert digest_array(long.slice(2, 2)) == digest_array(array)
    assert digest_array(long.slice(1, 0)) == digest_array(pa.array([], array.type))


@pytest.mark.parametrize("page", [1 << 12, 1 << 20])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_and_large_row_groups_do_not_matter(tmp_path, page, version):
    rows = 70_000
    table = pa.table(
        {
            "i": pa.array([i % 1000 if i % 7 else None for i in range(rows)]),
            "s": ["x" * (i % 13) for i in range(rows)],
            "l": [[float(i)] * (i % 3) for i in range(rows)],
        }
    )
    pq.write_table(
        table, tmp_path / "a.parquet", data_page_size=page, data_page_version=version, row_group_size=1 << 20
    )
    assert digest_rows(tmp_path / "a.parquet") == digest(table)
    pieces = [table.slice(start, 9999) for start in range(0, rows, 9999)]
    assert digest_batches(table.schema, [batch for piece in pieces for batch in piece.to_batches()]) == digest(table)


def test_order_and_names_of_columns_count():
    table = pa.table({"a": [1], "b": [1]})
    assert digest(table) != digest(table.select(["b", "a"]))
    assert digest(table) != digest(table.rename_columns(["b", "a"]))
    assert digest(table.select(["a"])) != digest(table.select(["b"]))


def test_number_of_rows_counts_without_columns():
    assert digest(pa.table({"a": pa.nulls(1)})) != digest(pa.table({"a": pa.nulls(2)}))


def test_empty_file_has_the_digest_of_its_schema(tmp_path):
    for name, type_ in (("i", pa.int64()), ("s", pa.string())):
        pq.write_table(pa.table({"a": pa.array([], type_)}), tmp_path / f"{name}.parquet")
    assert digest_rows(tmp_path / "i.parquet") != digest_rows(tmp_path / "s.parquet")
    assert digest_rows([tmp_path / "i.parquet"] * 3) == digest_rows(tmp_path / "i.parquet")


def test_files_with_other_columns_are_no_rows_of_one_table(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"a": [1.5]}), tmp_path / "two.parquet")
    with pytest.raises(TableError, match=r"`two.parquet` has other columns than `one.parquet`"):
        digest_rows([tmp_path / "one.parquet", tmp_path / "two.parquet"])


def test_no_file_at_all_is_an_error():
    with pytest.raises(TableError, match="there is no parquet file"):
        digest_rows([])


def test_digest_of_a_frame_is_that_of_its_file(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"a": [1.5, None], "s": ["x", None], "c": pd.Categorical(["u", "v"])}, index=[7, 9])
    write_result(frame, tmp_path / "a.parquet")
    assert digest_frame(frame) == digest_rows(tmp_path / "a.parquet")
