from ddbuild.errors import GraphError, UsageError
from ddbuild.report.errors import say_error
from ddbuild.report.ink import Ink

PLAIN = Ink(False)


def test_facts_are_aligned_and_the_hint_stands_apart():
    error = GraphError(
        "`//support:train` needs `//support:sed`, which no build file defines",
        facts={"build file": "support/BUILD.py:14", "needed by": "//support:train, //support:eval"},
        hint="did you mean `//support:seed`?",
    )
    assert say_error(error, PLAIN) == (
        "error: `//support:train` needs `//support:sed`, which no build file defines\n"
        "  build file:  support/BUILD.py:14\n"
        "  needed by:   //support:train, //support:eval\n"
        "\n"
        "hint: did you mean `//support:seed`?"
    )


def test_a_message_alone_is_one_line():
    assert say_error(UsageError("no target was named"), PLAIN) == "error: no target was named"


def test_facts_of_several_lines_stay_in_their_column():
    error = UsageError("`x` failed", facts={"a": "one\ntwo", "longer": "three"}, hint="first\nsecond")
    assert say_error(error, PLAIN) == (
        "error: `x` failed\n  a:       one\n           two\n  longer:  three\n\nhint: first\n      second"
    )


def test_nothing_is_wrapped_and_markup_is_text():
    path = "/very/long" * 40 + "/[train]/data.parquet"
    assert f"  file:  {path}\n" in say_error(UsageError("`[bold]x[/bold]`", facts={"file": path}), PLAIN) + "\n"
    assert "`[bold]x[/bold]`" in say_error(UsageError("`[bold]x[/bold]`"), PLAIN)


def test_a_fact_can_be_left_out():
    assert say_error(UsageError("m", facts={"log": "x", "a": "b"}), PLAIN, without=("log",)) == "error: m\n  a:  b"


def test_colours_do_not_change_what_is_said():
    error = UsageError("m", facts={"a": "b", "cc": "d"}, hint="h")
    painted = say_error(error, Ink(True))
    assert "\x1b[" in painted
    for code in ("\x1b[1;31m", "\x1b[1;36m", "\x1b[2m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == say_error(error, PLAIN)
