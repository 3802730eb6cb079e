from __future__ import annotations

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, concat, join, joining


@pytest.fixture
def joined(tmp_path):
    def join_tables(*tables, on=("k",), how="inner", names=None):
        files = []
        folder = tmp_path / "it's [a]*?{b} k=1"
        folder.mkdir(exist_ok=True)
        for number, table in enumerate(tables):
            files.append(folder / f"t{number}.parquet")
            pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), files[-1])
        rows = join(files, on, how, folder / "out.parquet", names=names)
        table = pq.read_table(folder / "out.parquet", partitioning=None)
        assert rows == table.num_rows
        assert sorted(path.name for path in folder.iterdir()) == ["out.parquet", *(file.name for file in files)]
        return table

    return join_tables


LEFT = {"k": [3, 1, None, 2, 1], "a": ["p", "q", "r", "s", "t"]}
RIGHT = {"b": [10, 20, 30, 40, 50], "k": [1, 3, 1, None, 9]}


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("inner", [(3, "p", 20), (1, "q", 10), (1, "q", 30), (1, "t", 10), (1, "t", 30)]),
        (
            "left",
            [(3, "p", 20), (1, "q", 10), (1, "q", 30), (None, "r", None), (2, "s", None), (1, "t", 10), (1, "t", 30)],
        ),
        (
            "outer",
            [
                *[
                    (3, "p", 20),
                    (1, "q", 10),
                    (1, "q", 30),
                    (None, "r", None),
                    (2, "s", None),
                    (1, "t", 10),
                    (1, "t", 30),
                ],
                *[(None, None, 40), (9, None, 50)],
            ],
        ),
    ],
)
def test_rows_come_in_the_order_of_the_left_then_the_right_table(joined, how, wanted):
    table = joined(LEFT, RIGHT, how=how)
    assert table.column_names == ["k", "a", "b"]
    assert list(zip(*table.to_pydict().values(), strict=True)) == wanted


def test_cross_join_pairs_every_row(joined):
    table = joined({"a": [1, 2]}, {"b": ["x", "y", None]}, on=(), how="cross")
    assert table.to_pydict() == {"a": [1, 1, 1, 2, 2, 2], "b": ["x", "y", None] * 2}
    assert joined({"a": [1]}, {"b": pa.array([], pa.string())}, on=(), how="cross").num_rows == 0


def test_three_tables_are_joined_from_left_to_right(joined):
    one, two, three = {"k": [1, 2], "a": [1, 2]}, {"k": [2, 3], "b": [2, 3]}, {"k": [3, 1], "c": [3, 1]}
    assert joined(one, two, three, how="outer").to_pylist() == [
        {"k": 1, "a": 1, "b": None, "c": 1},
        {"k": 2, "a": 2, "b": 2, "c": None},
        {"k": 3, "a": None, "b": 3, "c": 3},
    ]


def test_several_keys_have_to_be_equal_at_once(joined):
    one = {"k": [1, 1, 2], "l": ["x", "y", None], "a": [1, 2, 3]}
    two = {"l": ["y", "x", None], "k": [1, 1, 2], "b": [20, 10, 30]}
    assert joined(one, two, on=("k", "l")).to_pydict() == {"k": [1, 1], "l": ["x", "y"], "a": [1, 2], "b": [10, 20]}


def test_empty_tables_join_to_empty_tables(joined):
    empty = pa.table({"k": pa.array([], pa.int64()), "a": pa.array([], pa.string())})
    assert joined(empty, RIGHT).num_rows == 0
    assert joined(empty, RIGHT, how="outer")["b"].to_pylist() == [10, 20, 30, 40, 50]
    assert joined(RIGHT, empty, how="left")["a"].null_count == 5


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array([1, 2], pa.int32()), pa.array([2.0, 3.5])),
        (pa.array(["1", "2"]), pa.array(["2", "x"]).dictionary_encode()),
        (pa.array([1, 2], pa.timestamp("ns", "UTC")), pa.array([2, 3], pa.timestamp("ns", "Asia/Tokyo"))),
        (pa.array([1000, 2000], pa.timestamp("ms")), pa.array([2000000, 1], pa.timestamp("us"))),
        (pa.array([1, 2], pa.duration("us")), pa.array([2, 3], pa.duration("us"))),
        (pa.array([1, 2], pa.time64("ns")), pa.array([2, 3], pa.time64("ns"))),
        (pa.array([1, 2], pa.time32("ms")), pa.array([2, 3], pa.time32("ms"))),
        (pa.array([1, 2], pa.date32()), pa.array([2, 3], pa.date32())),
        (pa.array([b"aa", b"bb"], pa.binary(2)), pa.array([b"bb", b"c"])),
        (pa.array([decimal.Decimal("1.5"), decimal.Decimal(2)]), pa.array([2, 3])),
        (pa.array([True, False]), pa.array([False, None])),
        (pa.array([1.0, -0.0]), pa.array([0.0, 2.0])),
    ],
)
def test_keys_of_any_flat_type_are_compared_by_value(joined, left, right):
    table = joined({"k": left, "a": [1, 2]}, {"k": right, "b": [1, 2]})
    assert (table["a"].to_pylist(), table["b"].to_pylist()) == ([2], [1])


def test_nan_and_null_match_nothing(joined):
    nan = float("nan")
    for how, rows in (("inner", 0), ("left", 2), ("outer", 4)):
        table = joined({"k": [nan, None], "a": [1, 2]}, {"k": [None, nan], "b": [1, 2]}, how=how)
        assert table.num_rows == rows
    assert str(table["k"].to_pylist()) == "[nan, None, None, nan]"


def test_values_of_every_type_pass_through_unchanged(joined):
    values = {
        "ns": pa.array([1, None], pa.time64("ns")),
        "tz": pa.array([1, None], pa.timestamp("ns", "Europe/Paris")),
        "duration": pa.array([1, None], pa.duration("ns")),
        "wide": pa.array([decimal.Decimal("1" * 50), None], pa.decimal256(60, 3)),
        "half": pa.array([np.float16(0.5), None], pa.float16()),
        "map": pa.array([[("a", [1])], None], pa.map_(pa.string(), pa.list_(pa.int8()))),
        "nested": [[{"a": [None, 1]}, None], None],
        "null": pa.nulls(2),
        "date": [datetime.date(2024, 1, 1), None],
    }
    right = pa.table({"k": [1, 2], **values})
    table = joined({"k": [2, 1, 3]}, right, how="left")
    assert table.drop_columns("k").equals(
        right.drop_columns("k").take([1, 0, None]).cast(table.drop_columns("k").schema)
    )


def test_many_rows_are_gathered_from_many_batches(joined, monkeypatch):
    monkeypatch.setattr(joining, "GROUP_ROWS", 1000)
    rows = 150_000
    left = pa.table({"k": [i * 7919 % rows for i in range(rows)], "a": range(rows)})
    right = pa.table({"k": range(rows), "b": [str(i) for i in range(rows)]})
    table = joined(left, right)
    assert table["a"].to_pylist() == list(range(rows))
    assert table["b"].to_pylist() == [str(i * 7919 % rows) for i in range(rows)]


def test_columns_of_the_same_name_are_an_error(joined):
    with pytest.raises(TableError) as caught:
        joined(
            {"k": [1], "x": [1], "y": [1]}, {"k": [1], "x": [2]}, {"k": [1], "y": [2]}, names=["//:a", "//:b", "//:c"]
        )
    assert caught.value.message == "the joined tables have columns of the same name"
    assert caught.value.facts == {"x": "in //:a and //:b", "y": "in //:a and //:c"}


def test_missing_key_is_an_error_with_a_suggestion(joined):
    with pytest.raises(TableError, match=r"^`//:b` has no column `user_id` to join on") as caught:
        joined({"user_id": [1]}, {"userid": [1], "x": [1]}, on=["user_id"], names=["//:a", "//:b"])
    assert caught.value.facts == {"columns": "userid, x"} and caught.value.hint == "did you mean `userid`?"


def test_keys_without_a_common_type_are_an_error(joined):
    with pytest.raises(TableError, match=r"^column `k` has values of several types: int64 and string") as caught:
        joined({"k": [1]}, {"k": ["1"]}, names=["//:a", "//:b"])
    assert caught.value.facts == {"int64": "//:a", "string": "//:b"}
    with pytest.raises(TableError, match=r"^column `k` has the type list of int64, which cannot be joined on"):
        joined({"k": [[1]]}, {"k": [[1]]})
    with pytest.raises(TableError, match="no float is exactly 9007199254740993"):
        joined({"k": [2**53 + 1]}, {"k": [0.5]})


def test_join_needs_two_tables_and_fitting_keys(joined):
    with pytest.raises(TableError, match=r"^a join needs at least two tables"):
        joined({"k": [1]})
    with pytest.raises(TableError, match=r"^the left join has no key columns"):
        joined({"k": [1]}, {"k": [1]}, on=(), how="left")
    with pytest.raises(TableError, match=r"^a cross join has no key columns"):
        joined({"k": [1]}, {"k": [1]}, how="cross")


def test_concat_follows_the_rules_of_unify(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    files = [tmp_path / "1.parquet", tmp_path / "1.parquet"]
    assert concat(files, tmp_path / "out.parquet") == 2
    with pytest.raises(TableError, match=r"column `a`") as caught:
        concat([files[0], tmp_path / "2.parquet"], tmp_path / "out.parquet", names=["//:a", "//:b"])
    assert "every target that is concatenated" in (caught.value.hint or "")
