from pathlib import Path

import pytest

from ddbuild.label import Label
from ddbuild.report.ink import Ink, can_animate, choose_ink, make_safe
from ddbuild.report.wording import count, list_words, say_duration, say_label, say_path, say_seconds


class Stream:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1000, "1,000 rows"), (1234567, "1,234,567 rows")]
)
def test_counts_have_the_right_plural_and_thousands(number, text):
    assert count(number, "row") == text


def test_lists_read_as_people_write_them():
    assert [list_words(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_get_coarser_as_they_grow(seconds, text):
    assert say_duration(seconds) == text


def test_a_growing_duration_has_whole_seconds():
    assert [say_seconds(each) for each in (0.9, 59.99, 61.5)] == ["0 s", "59 s", "1 min 01 s"]


def test_a_root_label_is_said_as_it_is_typed():
    assert say_label(Label("", "judged")) == "//judged"
    assert say_label(Label("qa", "judged")) == "//qa:judged"


def test_a_path_is_relative_only_below_the_folder(tmp_path):
    assert say_path(tmp_path / "a" / "b", tmp_path) == str(Path("a/b"))
    assert say_path(tmp_path, tmp_path / "a") == str(tmp_path)


@pytest.mark.parametrize(
    ("terminal", "environ", "colours"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(terminal, environ, colours):
    assert choose_ink(Stream(terminal), environ) == Ink(colours)


@pytest.mark.parametrize(
    ("terminal", "environ", "moves"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_lines_move_on_real_terminals_only(terminal, environ, moves):
    assert can_animate(Stream(terminal), environ) is moves


def test_paint_changes_nothing_where_colours_are_off():
    assert Ink(False).paint("error:", "bold", "red") == "error:"
    assert Ink(True).paint("error:", "bold", "red") == "\x1b[1;31merror:\x1b[0m"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain [train] text\nsecond\tline", "plain [train] text\nsecond\tline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07shown", "shown"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("over\rwritten\x08", "over\\x0dwritten\\x08"),
        ("windows\r\nline", "windows\nline"),
        ("\u202eback", "\\u202eback"),
        ("\x9b31m", "\\x9b31m"),
        ("naïve 漢字", "naïve 漢字"),
    ],
)
def test_text_of_unknown_origin_cannot_move_the_cursor(text, safe):
    assert make_safe(text) == safe
