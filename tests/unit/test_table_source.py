from __future__ import annotations

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import TableError, csv_file, import_files, jsonl_file


@pytest.fixture
def imported(tmp_path):
    def import_texts(*texts, format="csv", suffix=None):
        files = []
        for number, text in enumerate(texts):
            files.append(tmp_path / f"file_{number}.{suffix or format}")
            files[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        rows = import_files(files, format, tmp_path / "out.parquet")
        table = pq.read_table(tmp_path / "out.parquet")
        assert rows == table.num_rows
        return table

    return import_texts


def columns(table):
    return {name: (str(table.schema.field(name).type), table[name].to_pylist()) for name in table.column_names}


@pytest.mark.parametrize(
    ("cells", "type_", "values"),
    [
        (["1", "-2", ""], "int64", [1, -2, None]),
        (["007", "010"], "int64", [7, 10]),
        (["1", "2.5", "NA"], "double", [1.0, 2.5, None]),
        (["1", "1e3", ".5"], "double", [1.0, 1000.0, 0.5]),
        (["true", "False", ""], "bool", [True, False, None]),
        (["1", "true"], "string", ["1", "true"]),
        (["0", "1"], "int64", [0, 1]),
        (["2024-05-01", ""], "date32[day]", [datetime.date(2024, 5, 1), None]),
        (
            ["2024-05-01", "2024-05-01 10:00:00.5"],
            "timestamp[us]",
            [datetime.datetime(2024, 5, 1), datetime.datetime(2024, 5, 1, 10, 0, 0, 500000)],
        ),
        (["2024-05-01", "5"], "string", ["2024-05-01", "5"]),
        (["2024-05-01T10:00:00Z"], "string", ["2024-05-01T10:00:00Z"]),
        (["01.05.2024"], "string", ["01.05.2024"]),
        (["12345678901234567890", "1"], "string", ["12345678901234567890", "1"]),
        (["9007199254740993", "0.5"], "string", ["9007199254740993", "0.5"]),
        (["9007199254740993", "1"], "int64", [9007199254740993, 1]),
        (["9007199254740992", "0.5"], "double", [9007199254740992.0, 0.5]),
        (["0x1F", "1"], "string", ["0x1F", "1"]),
        (["+4930123", "1"], "string", ["+4930123", "1"]),
        (["1e999", "1"], "string", ["1e999", "1"]),
        (["inf", "1"], "double", [float("inf"), 1.0]),
        (["NA", "x"], "string", ["NA", "x"]),
        (["NA", "N/A"], "string", ["NA", "N/A"]),
        (["", '""', "x"], "string", [None, "", "x"]),
        (['""', '"1"', '"2"'], "int64", [None, 1, 2]),
        (["", ""], "string", [None, None]),
        ([" 1", "2"], "string", [" 1", "2"]),
        (["1,5", "2"], None, None),
        (['"a,b"', '"say ""hi"""', '"two\nlines"', "héé"], "string", ["a,b", 'say "hi"', "two\nlines", "héé"]),
    ],
)
def test_cells_of_a_csv_column_have_one_type(imported, cells, type_, values):
    text = "id,x\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    if type_ is None:
        with pytest.raises(TableError, match=r"`file_0.csv` has a row that does not fit its header"):
            imported(text)
        return
    assert columns(imported(text))["x"] == (type_, values)


def test_type_that_changes_after_the_first_block_is_found(imported, monkeypatch):
    monkeypatch.setattr(csv_file, "_BLOCKS", (256, 1024, 65536))
    numbers = "".join(f"{i},{i}\n" for i in range(500))
    assert columns(imported(f"a,b\n{numbers}1.5,x\n"))["a"][0] == "double"
    table = imported(f"a,b\n{numbers}1,{'long' * 2000}\n{numbers}")
    assert table.num_rows == 1001
    assert table["a"].to_pylist() == [*range(500), 1, *range(500)]
    assert table["b"][500].as_py() == "long" * 2000
    lines = "".join(f'{i},"two\nlines"\n' for i in range(500))
    assert imported(f"a,b\n{lines}")["b"].to_pylist() == ["two\nlines"] * 500


def test_type_of_a_csv_column_is_found_over_all_files(imported):
    table = imported("id,x\n1,12\n", "id,x\n2,A12\n", "x,y\n,1.5\n")
    assert columns(table) == {
        "id": ("int64", [1, 2, None]),
        "x": ("string", ["12", "A12", None]),
        "y": ("double", [None, None, 1.5]),
    }


@pytest.mark.parametrize("value", ["5", "0.5", "true", "2024-05-01", "2024-05-01 10:00:00"])
def test_file_of_empty_cells_fits_any_type(imported, value):
    texts = f"id,x\n1,{value}\n", "id,x\n2,\n", "id,x\n3,NA\n"
    assert columns(imported(*texts)) == columns(imported(f"id,x\n1,{value}\n2,\n3,NA\n"))


def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter(imported):
    table = imported(b"\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,y\r\n")
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_last_line_needs_no_end(imported):
    assert imported("a,b\n1,x\n2,y").num_rows == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`file_0.csv` is empty"),
        ("a,b\n", "`file_0.csv` has a header and no rows"),
        ("a,b", "`file_0.csv` has no rows"),
        ("\n\n", "`file_0.csv` has no rows"),
        ("a,a\n1,2\n", "`file_0.csv` has more than one column named `a`"),
        (",a\n0,2\n", "`file_0.csv` has a column without a name"),
        (b"a,b\n1,k\xe9pi\n", "`file_0.csv` is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "`file_0.csv` is not UTF-8 text"),
        ('a,b\n1,2\n3,"x\n4,5\n', "`file_0.csv` has a quote that is never closed"),
        (b"PAR1....", "`file_0.csv` is a parquet file, not CSV"),
    ],
)
def test_unusable_csv_file_is_named_with_the_reason(imported, text, message):
    with pytest.raises(TableError) as caught:
        imported(text)
    assert caught.value.message == message


def test_row_that_does_not_fit_the_header_is_counted(imported):
    with pytest.raises(TableError) as caught:
        imported("a,b\n1,2\n3,4\n5\n")
    assert caught.value.facts == {"row": "4, counted from the header", "reason": "1 cells under 2 columns"}


def test_closed_quotes_at_the_end_are_fine(imported):
    assert imported('a,b\n1,"x\n"\n')["b"].to_pylist() == ["x\n"]
    assert imported('a,b\n1,"x\n"')["b"].to_pylist() == ["x\n"]
    assert imported('a,b\n"x\n",5" pipe\n')["b"].to_pylist() == ['5" pipe']


def test_jsonl_values_keep_their_json_types(imported):
    rows = [
        {"i": 1, "f": 0.5, "s": "007", "t": "2024-01-01 10:00:00", "o": {"a": [1, 2], "d": "2024-01-01"}, "n": None},
        {"i": None, "s": "é\u2028😀", "o": {"b": {"c": True}}, "new": [{"x": "2024-01-01T00:00:00Z"}]},
    ]
    table = imported("\n".join(json.dumps(row) for row in rows), format="jsonl")
    assert table.to_pylist() == [
        {
            "i": 1,
            "f": 0.5,
            "s": "007",
            "t": "2024-01-01 10:00:00",
            "o": {"a": [1, 2], "d": "2024-01-01", "b": None},
            "n": None,
            "new": None,
        },
        {
            "i": None,
            "f": None,
            "s": "é\u2028😀",
            "t": None,
            "o": {"a": None, "d": None, "b": {"c": True}},
            "n": None,
            "new": [{"x": "2024-01-01T00:00:00Z"}],
        },
    ]


def test_jsonl_blank_lines_marks_and_line_ends_do_not_matter(imported):
    text = b'\xef\xbb\xbf\r\n{"a": 1}\r\n\r\n  \n{"a": 2}'
    assert imported(text, format="jsonl")["a"].to_pylist() == [1, 2]


def test_jsonl_types_that_drift_between_chunks_and_files_are_merged(imported, monkeypatch):
    monkeypatch.setattr(jsonl_file, "_CHUNK", 1)
    table = imported(
        '{"a": 1, "e": {}}\n{"a": 0.5}\n{"b": {"c": 1}}\n', '{"b": {"d": null}, "a": null}\n', format="jsonl"
    )
    assert table.to_pydict() == {
        "a": [1.0, 0.5, None, None],
        "e": [None] * 4,
        "b": [None, None, {"c": 1, "d": None}, {"c": None, "d": None}],
    }
    with pytest.raises(TableError, match=r"^column `a` has values of several types: int64 and string"):
        imported('{"a": 1}\n{"a": "x"}\n', format="jsonl")
    # what looks like a time in one chunk is the text that it is in the next
    table = imported('{"a": "2024-01-01 00:00:00"}\n{"a": "soon"}\n', format="jsonl")
    assert table["a"].to_pylist() == ["2024-01-01 00:00:00", "soon"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"a": 1}\n\n{"a": 2\n{"a": 3}\n', "3", "Expecting ',' delimiter"),
        ('{"a": 1}\n{"a": yes}\n', "2", "Invalid value"),
        ('{"a": 1}\n[1, 2]\n', "2", "it is no JSON object"),
        ("3\n", "1", "it is no JSON object"),
        ('[{"a": 1}]\n', "1", "it is no JSON object"),
        ('{"a":\n1}\n', "1", "Expecting value"),
        ('{"a": 1} {"a": 2}\n', "1", "Extra data"),
        ('{"a": 1}\n{"a": "x"}\n', "2", "column `a` is string here and number in lines before"),
        ('{"a": {"b": [1]}}\n\n{"a": {"b": ["x"]}}\n', "3", "column `a.b[]` is string here and number in lines before"),
        ('{"a": 1, "a": 2}\n', "1", "Column(/a) was specified twice"),
        (b'{"a": "x"}\n{"a": "\xff"}\n', "2", "it is not UTF-8 text"),
        (
            '{"a": 1}\n{"a": 12345678901234567891}\n',
            "2",
            "column `a` is of floats, and none is exactly 12345678901234567891",
        ),
        (
            '{"a": {"b": [0.5, 9007199254740993]}}\n',
            "1",
            "column `a.b[]` is of floats, and none is exactly 9007199254740993",
        ),
    ],
)
def test_unreadable_jsonl_line_is_named(imported, text, line, reason):
    with pytest.raises(TableError) as caught:
        imported(text, format="jsonl")
    assert caught.value.message == "`file_0.jsonl` has a line that cannot be read"
    assert caught.value.facts["line"] == line
    assert caught.value.facts["reason"].startswith(reason)


def test_line_numbers_count_through_chunks(imported, monkeypatch):
    monkeypatch.setattr(jsonl_file, "_CHUNK", 64)
    with pytest.raises(TableError) as caught:
        imported('{"a": 1}\n\n' * 50 + "oops\n", format="jsonl")
    assert caught.value.facts["line"] == "101"


def test_long_numbers_that_floats_can_hold_are_fine(imported):
    text = (
        '{"a": 0.1234567890123456789, "b": 12345678901234567, "s": "12345678901234567891"}\n{"a": 36028797018963968}\n'
    )
    table = imported(text, format="jsonl")
    assert table["a"].to_pylist() == [0.1234567890123456789, 36028797018963968.0]
    assert table["b"].to_pylist() == [12345678901234567, None]


def test_python_nan_in_jsonl_is_a_number(imported):
    assert str(imported('{"a": NaN}\n{"a": 1}\n', format="jsonl")["a"].to_pylist()) == "[nan, 1.0]"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_empty_jsonl_file_is_an_error(imported, text):
    with pytest.raises(TableError, match=r"^`file_0.jsonl` is empty"):
        imported(text, format="jsonl")


def test_objects_without_keys_are_no_columns(imported):
    with pytest.raises(TableError, match=r"^`file_0.jsonl` has no columns"):
        imported("{}\n{}\n", format="jsonl")


def test_parquet_files_follow_the_rules_of_unify(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [0.5], "b": ["x"]}), tmp_path / "2.parquet")
    files = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    assert import_files(files, None, tmp_path / "out.parquet") == 2
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"a": [1.0, 0.5], "b": [None, "x"]}


def test_format_is_told_from_the_suffix(imported, tmp_path):
    assert imported("a,b\n1,2\n", format=None, suffix="CSV").to_pydict() == {"a": [1], "b": [2]}
    assert imported('{"a": 1}\n', format=None, suffix="ndjson").to_pydict() == {"a": [1]}
    with pytest.raises(TableError, match=r"^`file_0.txt` has no suffix of parquet, CSV or JSONL") as caught:
        imported("a\n1\n", format=None, suffix="txt")
    assert "format=" in (caught.value.hint or "")
    files = [tmp_path / "file_0.CSV", tmp_path / "file_0.ndjson"]
    with pytest.raises(TableError, match=r"^the source has files of several formats"):
        import_files(files, None, tmp_path / "out.parquet")


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_missing_file_folder_and_no_file_are_errors(tmp_path, format):
    out = tmp_path / "out.parquet"
    with pytest.raises(TableError, match=r"^`nowhere` does not exist"):
        import_files([tmp_path / "nowhere"], format, out)
    (tmp_path / "folder").mkdir()
    with pytest.raises(TableError, match=r"^`folder` is a folder, and a file is needed"):
        import_files([tmp_path / "folder"], format, out)
    with pytest.raises(TableError, match=r"^the source has no files"):
        import_files([], format, out)


def test_csv_read_as_parquet_is_an_error(imported):
    with pytest.raises(TableError, match=r"^`file_0.parquet` cannot be read as a parquet file"):
        imported("a,b\n1,2\n", format="parquet")
