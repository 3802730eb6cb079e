import pytest
from rich.cells import cell_len

from ddbuild.label import Label
from ddbuild.report.ink import Ink
from ddbuild.report.rows import choose_width, describe_rows, draw_records, draw_table

PLAIN = Ink(False)
ROWS = [
    {"job": "bus driver", "text": "He said [train]\nand left", "score": 3, "more": {"a": [1, None]}},
    {"job": None, "text": "\x1b[31mred\x1b[0m", "score": 10, "more": None},
]


def test_a_table_has_one_line_for_each_row():
    page = draw_table(ROWS, PLAIN, first=8, width=80)
    assert page.hidden == ()
    assert page.text.splitlines() == [
        "#  job         text                      score  more",
        "─" * 64,
        '8  bus driver  He said [train] and left      3  {"a": [1, null]}',
        "9  null        red                          10  null",
    ]


@pytest.mark.parametrize("width", [12, 20, 40, 80, 200])
def test_no_line_of_a_table_is_wider_than_the_terminal(width):
    rows = [{f"column{number}": "漢字 and more text " * 5 for number in range(12)}, {"column0": 1}]
    page = draw_table(rows, PLAIN, first=99_999, width=width)
    assert all(cell_len(line) <= width for line in page.text.splitlines())
    assert len(page.text.splitlines()) == 4


def test_columns_that_do_not_fit_are_named():
    rows = [{f"c{number}": "x" * 30 for number in range(10)}]
    page = draw_table(rows, PLAIN, first=0, width=60)
    assert page.hidden == tuple(f"c{number}" for number in range(len(page.text.splitlines()[0].split()) - 1, 10))
    assert page.hidden


def test_long_cells_are_cut_with_an_ellipsis():
    line = draw_table([{"a": "x" * 300}], PLAIN, first=0, width=40).text.splitlines()[-1]
    assert line == "0  " + "x" * (len(line) - 4) + "…"


def test_a_record_is_shown_in_full():
    assert draw_records(ROWS, PLAIN, first=8, width=None).splitlines() == [
        "record 8",
        "job    bus driver",
        "text   He said [train]",
        "       and left",
        "score  3",
        'more   {"a": [1, null]}',
        "",
        "record 9",
        "job    null",
        "text   red",
        "score  10",
        "more   null",
    ]


def test_a_large_nested_value_is_spread_over_lines():
    text = draw_records([{"j": {"key": "x" * 70}}], PLAIN, first=0, width=None)
    assert text.splitlines() == ["record 0", "j  {", '     "key": "' + "x" * 70 + '"', "   }"]


def test_long_text_is_folded_in_its_column():
    text = draw_records([{"name": "word " * 30}], PLAIN, first=0, width=40)
    assert all(len(line) <= 40 for line in text.splitlines())
    assert all(line.startswith("      word") for line in text.splitlines()[2:])


def test_the_document_has_the_label_the_rows_and_their_total():
    assert describe_rows(Label("", "a"), [{"x": 1}], 7) == {
        "schema": 1,
        "label": "//:a",
        "rows": [{"x": 1}],
        "total": 7,
    }


def test_what_is_no_terminal_is_wide(tmp_path):
    with (tmp_path / "file").open("w") as stream:
        assert choose_width(stream, {}) == 120
        assert choose_width(stream, {"COLUMNS": "80"}) == 120
        assert choose_width(stream, {"COLUMNS": "200"}) == 200
