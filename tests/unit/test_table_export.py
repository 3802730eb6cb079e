from __future__ import annotations

import datetime
import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, export, parquet_file, read_rows

ROWS = {
    "i": [1, None],
    "f": [float("nan"), 0.5],
    "s": ['é "q",\n😀', ""],
    "b": [True, None],
    "d": [datetime.date(2024, 5, 1), None],
    "t": pa.array([datetime.datetime(2024, 5, 1, 10), datetime.datetime(2024, 5, 1, 10, 0, 0, 5)], pa.timestamp("us")),
    "z": pa.array([datetime.datetime(2024, 5, 1, 10), None], pa.timestamp("ms", "UTC")),
    "c": [datetime.time(10, 30), None],
    "n": [decimal.Decimal("1.50"), None],
    "x": [b"\x00\xff", None],
    "u": pa.array([1500, None], pa.duration("ms")),
    "l": [[1.0, float("inf")], None],
    "o": [{"a": datetime.date(2024, 5, 1), "é": [b"x"]}, None],
    "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "e": pa.array(["p", None]).dictionary_encode(),
}


@pytest.fixture
def rows(tmp_path):
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet", row_group_size=1)
    return tmp_path / "rows.parquet"


def test_jsonl_holds_what_json_can_say(rows, tmp_path):
    assert export(rows, tmp_path / "out" / "rows.jsonl", "jsonl") == 2
    text = (tmp_path / "out" / "rows.jsonl").read_text(encoding="utf-8")
    assert "NaN" not in text and "Infinity" not in text and "é" in text and "😀" in text and text.endswith("}\n")
    assert [json.loads(line) for line in text.splitlines()] == [
        {
            "i": 1,
            "f": None,
            "s": 'é "q",\n😀',
            "b": True,
            "d": "2024-05-01",
            "t": "2024-05-01T10:00:00",
            "z": "2024-05-01T10:00:00Z",
            "c": "10:30:00",
            "n": "1.50",
            "x": "AP8=",
            "u": 1.5,
            "l": [1.0, None],
            "o": {"a": "2024-05-01", "é": ["eA=="]},
            "m": {"k": 1},
            "e": "p",
        },
        {
            **dict.fromkeys(ROWS),
            "f": 0.5,
            "s": "",
            "t": "2024-05-01T10:00:00.000005",
        },
    ]


def test_csv_tells_null_from_empty_text_and_writes_nested_values_as_json(rows, tmp_path):
    assert export(rows, tmp_path / "rows.csv", "csv") == 2
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == (
        '"i","f","s","b","d","t","z","c","n","x","u","l","o","m","e"\n'
        '1,,"é ""q"",\n😀",true,"2024-05-01","2024-05-01T10:00:00","2024-05-01T10:00:00Z","10:30:00","1.50","AP8=",1.5,'
        '"[1.0, null]","{""a"": ""2024-05-01"", ""é"": [""eA==""]}","{""k"": 1}","p"\n'
        ',0.5,"",,,"2024-05-01T10:00:00.000005",,,,,,,,,\n'
    )


def test_null_in_a_csv_of_one_column_is_no_blank_line(tmp_path):
    pq.write_table(pa.table({"a": [1, None, 3]}), tmp_path / "a.parquet")
    export(tmp_path / "a.parquet", tmp_path / "a.csv", "csv")
    assert (tmp_path / "a.csv").read_text() == '"a"\n"1"\n""\n"3"\n'


def test_parquet_is_copied_with_an_ordinary_mode(rows, tmp_path):
    rows.chmod(0o444)
    assert export(rows, tmp_path / "copy.parquet", "parquet") == 2
    assert (tmp_path / "copy.parquet").read_bytes() == rows.read_bytes()
    assert (tmp_path / "copy.parquet").stat().st_mode & 0o200
    assert export(rows, tmp_path / "copy.parquet", "parquet") == 2


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_export_of_no_rows_keeps_the_columns(tmp_path, format):
    pq.write_table(
        pa.table({"a": pa.array([], pa.list_(pa.date32())), "b": pa.array([], pa.int8())}), tmp_path / "a.parquet"
    )
    assert export(tmp_path / "a.parquet", tmp_path / "out", format) == 0
    if format == "csv":
        assert (tmp_path / "out").read_text() == '"a","b"\n'


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_failed_export_leaves_the_old_file(rows, tmp_path, format):
    data = bytearray(rows.read_bytes())
    data[4:120] = b"\xff" * 116
    rows.write_bytes(bytes(data))
    (tmp_path / "out").write_text("old")
    with pytest.raises(TableError, match=r"^`rows.parquet` cannot be read"):
        export(rows, tmp_path / "out", format)
    assert (tmp_path / "out").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "rows.parquet"]


def test_export_onto_a_folder_is_an_error(rows, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(TableError, match=r"^`out` cannot be written"):
        export(rows, tmp_path / "out", "jsonl")


@pytest.mark.parametrize("groups", [1, 3, 100])
def test_rows_are_read_from_any_place(tmp_path, groups, monkeypatch):
    monkeypatch.setattr(parquet_file, "GROUP_ROWS", 2)
    pq.write_table(pa.table({"a": list(range(10))}), tmp_path / "a.parquet", row_group_size=groups)

    def values(limit, offset=0):
        return [row["a"] for row in read_rows(tmp_path / "a.parquet", limit, offset)]

    assert values(3) == [0, 1, 2]
    assert values(3, 2) == [2, 3, 4]
    assert values(4, 8) == [8, 9]
    assert values(3, 10) == [] and values(0) == [] and values(3, 99) == []
    assert values(100, 5) == [5, 6, 7, 8, 9]


def test_rows_to_show_are_what_json_can_say(rows):
    first, second = read_rows(rows, 2)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first["d"] == "2024-05-01" and second["s"] == "" and second["i"] is None
