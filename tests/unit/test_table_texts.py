"""Finding and changing texts at any depth of a parquet file."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild import table

ROWS = [
    {"n": 1, "s": "a/1", "l": ["a/2", None, "b"], "d": {"x": "a/3", "y": [{"z": "a/4"}]}, "e": None},
    {"n": 2, "s": None, "l": None, "d": None, "e": None},
    {"n": 3, "s": "see a/1", "l": [], "d": {"x": "b", "y": None}, "e": None},
]
MAPS = [[("a/5", "k")], [("k", "a/1")], None]


@pytest.fixture
def file(tmp_path):
    rows = pa.Table.from_pylist(ROWS).append_column("m", pa.array(MAPS, pa.map_(pa.string(), pa.string())))
    rows = rows.append_column("c", pa.array(["a/6", "a/6", "b"]).dictionary_encode())
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=2)
    return tmp_path / "rows.parquet"


def test_texts_with_a_mark_are_found_once_at_any_depth(file):
    assert table.list_texts(file, ["a/"]) == {"a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "see a/1"}
    assert table.list_texts(file, ["see", "a/6"]) == {"see a/1", "a/6"}
    assert table.list_texts(file, []) == set()


def test_whole_texts_are_replaced_and_all_else_stays(file, tmp_path):
    new = tmp_path / "new.parquet"
    names = {"a/1": "A1", "a/2": "A2", "a/4": "A4", "a/5": "A5", "a/6": "A6", "nowhere": "?"}
    assert table.rewrite(file, new, texts=names) == 3
    found = pq.read_table(new).to_pylist()
    assert found[0] == {
        "n": 1, "s": "A1", "l": ["A2", None, "b"], "d": {"x": "a/3", "y": [{"z": "A4"}]}, "e": None,
        "m": [("A5", "k")], "c": "A6",
    }  # fmt: skip
    assert found[1] == {"n": 2, "s": None, "l": None, "d": None, "e": None, "m": [("k", "A1")], "c": "A6"}
    assert found[2]["s"] == "see a/1"
    assert found[2]["m"] is None


def test_a_file_that_is_rewritten_without_any_change_has_the_same_digest(file, tmp_path):
    table.rewrite(file, tmp_path / "new.parquet")
    assert table.digest_rows(tmp_path / "new.parquet") == table.digest_rows(file)
    table.rewrite(file, file, texts={"a/1": "a/1"})
    assert table.digest_rows(tmp_path / "new.parquet") == table.digest_rows(file)


def test_columns_come_in_the_wanted_order_and_unknown_ones_first(file, tmp_path):
    order = table.order_columns(file, ["d", "missing", "s", "d"])
    assert order == ["n", "l", "e", "m", "c", "d", "s"]
    table.rewrite(file, tmp_path / "new.parquet", columns=order)
    assert list(table.read_schema(tmp_path / "new.parquet")) == order


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_only_the_first_rows_are_taken(file, tmp_path, limit):
    assert table.rewrite(file, tmp_path / "new.parquet", limit=limit) == min(limit, 3)
    assert pq.read_table(tmp_path / "new.parquet")["n"].to_pylist() == [1, 2, 3][:limit]


def test_slices_of_nested_columns_are_changed_where_they_are(tmp_path):
    rows = pa.Table.from_pylist(
        [{"l": [{"p": f"a/{number}"}] * (number % 3), "s": f"a/{number}"} for number in range(70000)]
    )
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=1000)
    names = {f"a/{number}": f"b/{number}" for number in range(0, 70000, 7)}
    table.rewrite(tmp_path / "rows.parquet", tmp_path / "new.parquet", texts=names)
    expected = [
        {"l": [{"p": names.get(row["s"], row["s"])} for _ in row["l"]], "s": names.get(row["s"], row["s"])}
        for row in rows.to_pylist()
    ]
    assert pq.read_table(tmp_path / "new.parquet").to_pylist() == expected
