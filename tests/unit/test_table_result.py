from __future__ import annotations

import datetime
import decimal
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, read_frame, write_result


@pytest.fixture
def written(tmp_path):
    def write(value):
        rows = write_result(value, tmp_path / "result.parquet")
        table = pq.read_table(tmp_path / "result.parquet")
        assert rows == table.num_rows
        return table

    return write


def test_table_batch_and_reader_are_written(written):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    assert written(table).equals(table)
    assert written(table.to_batches()[0]).equals(table)
    assert written(table.to_reader()).equals(table)


def test_table_is_written_with_logical_types_and_without_metadata(written):
    strings = pa.array(["x", "y"], pa.large_string())
    table = pa.table({"a": strings, "b": strings.dictionary_encode()}, metadata={"k": "v"})
    result = written(table)
    assert [str(type_) for type_ in result.schema.types] == ["string", "string"]
    assert not result.schema.metadata


def test_frame_is_written_without_its_unnamed_index(written):
    frame = pd.DataFrame({"a": [1.5, None], "s": ["x", None]}, index=[4, 2])
    assert written(frame).to_pydict() == {"a": [1.5, None], "s": ["x", None]}
    assert written(frame[frame.a > 1]).to_pydict() == {"a": [1.5], "s": ["x"]}


def test_named_index_of_a_frame_is_a_column(written):
    frame = pd.DataFrame({"kind": ["x", "y", "x"], "n": [1, 2, 3]})
    assert written(frame.groupby("kind").sum()).to_pydict() == {"n": [4, 2], "kind": ["x", "y"]}
    named_range = pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, name="id"))
    assert written(named_range).to_pydict() == {"a": [1], "id": [0]}


def test_frame_without_rows_keeps_its_columns(written):
    frame = pd.DataFrame({"a": [1], "s": ["x"]}).iloc[:0]
    assert written(frame).column_names == ["a", "s"]


def test_nested_values_of_a_frame_are_written(written):
    frame = pd.DataFrame({"d": [{"a": 1}, {"b": "x"}, None], "l": [[1], np.array([2, 3]), None]})
    assert written(frame).to_pydict() == {
        "d": [{"a": 1, "b": None}, {"a": None, "b": "x"}, None],
        "l": [[1], [2, 3], None],
    }


def test_path_of_a_file_or_of_a_folder_is_read(written, tmp_path):
    folder = tmp_path / "made"
    (folder / "deeper").mkdir(parents=True)
    for name, value in (("b", 2), ("a", 1), ("deeper/c", 3), (".hidden", 4)):
        pq.write_table(pa.table({"v": [value]}), folder / f"{name}.parquet")
    assert written(folder)["v"].to_pylist() == [1, 2]
    assert written(str(folder))["v"].to_pylist() == [1, 2]
    assert written(folder / "b.parquet")["v"].to_pylist() == [2]


def test_returned_path_may_be_the_destination(written, tmp_path):
    pq.write_table(pa.table({"v": [1]}), tmp_path / "result.parquet")
    assert written(tmp_path / "result.parquet")["v"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (None, "None"),
        ([{"a": 1}], "list"),
        ({"a": [1]}, "dict"),
        (3, "int"),
        (pd.Series([1]), "pandas Series"),
        (pa.array([1]), "pyarrow Int64Array"),
    ],
)
def test_anything_else_is_an_error_that_says_what_was_expected(written, value, given):
    with pytest.raises(TableError, match=r"^the function returned something that is no table") as caught:
        written(value)
    assert caught.value.facts["given"] == given
    assert "pandas DataFrame" in caught.value.facts["expected"] and "parquet file" in caught.value.facts["expected"]


def test_missing_path_and_empty_folder_are_errors(written, tmp_path):
    with pytest.raises(TableError, match=r"^the returned path `nowhere.parquet` does not exist"):
        written(tmp_path / "nowhere.parquet")
    (tmp_path / "made" / "deeper").mkdir(parents=True)
    pq.write_table(pa.table({"v": [1]}), tmp_path / "made" / "deeper" / "a.parquet")
    with pytest.raises(TableError, match=r"^the returned folder `made` has no parquet files") as caught:
        written(tmp_path / "made")
    assert "directly into the folder" in (caught.value.hint or "")
    (tmp_path / "text.csv").write_text("a\n1\n")
    with pytest.raises(TableError, match=r"^`text.csv` cannot be read as a parquet file"):
        written(tmp_path / "text.csv")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, "x"], "int and str"),
        ([0.5, True], "bool and float"),
        ([True, 7], "bool and int"),
        ([b"x", "x"], "bytes and str"),
        ([datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, 5)], "date and datetime"),
        ([{"a": 1}, "x"], "dict and str"),
        ([[1], {"a": 1}], "dict and list"),
        ([0.5, decimal.Decimal("0.1")], "Decimal and float"),
    ],
)
def test_mixed_column_of_a_frame_is_named(written, values, words):
    with pytest.raises(TableError, match=f"^column `a` has values of several types: {words}"):
        written(pd.DataFrame({"ok": [1, 2], "a": pd.Series(values, dtype=object)}))


def test_mixture_inside_nested_values_is_named(written):
    with pytest.raises(TableError, match=r"^column `a.s\[\]` has values of several types: bool and float"):
        written(pd.DataFrame({"a": [{"s": [0.5]}, {"s": [True]}]}))


def test_value_that_cannot_be_stored_is_named(written):
    with pytest.raises(TableError, match=r"^column `a` cannot be stored in a parquet file"):
        written(pd.DataFrame({"a": [object()]}))
    with pytest.raises(TableError, match=r"^column `a` cannot be stored in a parquet file"):
        written(pd.DataFrame({"a": pd.Series([2**53 + 1, 0.5], dtype=object)}))
    with pytest.raises(TableError, match=r"^column `a` has the type `period\[M\]`"):
        written(pd.DataFrame({"a": pd.period_range("2024-01", periods=1, freq="M")}))


def test_column_names_must_be_text_and_differ(written):
    with pytest.raises(TableError, match=r"^the DataFrame has a column named 0, which is not text"):
        written(pd.DataFrame([[1]]))
    with pytest.raises(TableError, match=r"^the DataFrame has more than one column named `a`"):
        written(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(TableError, match=r"^`table` has more than one column named `a`"):
        written(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(TableError, match="has no columns"):
        written(pd.DataFrame(index=[1, 2]))


def test_type_that_parquet_lacks_is_named(written):
    array = pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])])
    with pytest.raises(TableError, match=r"^column `u` has the type"):
        written(pa.table({"u": array}))


def test_failing_reader_is_an_error(written):
    def batches():
        yield pa.record_batch({"a": [1]})
        raise pa.ArrowInvalid("broken pipe")

    with pytest.raises(TableError, match=r"^the returned RecordBatchReader failed"):
        written(pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches()))


def test_unwritable_destination_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match=r"^`out.parquet` cannot be written"):
        write_result(pa.table({"a": [1]}), tmp_path / "file" / "out.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(TableError, match=r"^`folder` cannot be written"):
        write_result(pa.table({"a": [1]}), tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_files_follow_the_umask_and_not_a_private_mode(tmp_path):
    before = os.umask(0o002)
    try:
        write_result(pa.table({"a": [1]}), tmp_path / "out.parquet")
    finally:
        os.umask(before)
    assert (tmp_path / "out.parquet").stat().st_mode & 0o777 == 0o664


def test_frame_comes_back(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "s": ["x", "y"]})
    write_result(frame, tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "out.parquet"), frame)
    with pytest.raises(TableError):
        read_frame(Path(tmp_path / "nowhere.parquet"))
