import json

import pytest


def test_a_preview_prints_few_rows_and_where_they_are(tables, lines):
    outcome = tables.run("preview", "//named", "-n", "2")
    assert outcome.code == 0
    assert outcome.out == lines(
        """
        #  n  double  name
        ─────────────────────
        0  1       2  [row] 1
        1  2       4  [row] 2
        """
    )
    assert outcome.err.splitlines()[-1] == "a preview of 2 rows, in .ddbuild/preview/ddbuild-out/named"
    assert not (tables.root / "ddbuild-out").exists()


def test_one_record_is_printed_in_full(tables, lines):
    outcome = tables.run("preview", "//named", "--record", "1", "--quiet")
    assert outcome.out == lines(
        """
        record 1
        n       2
        double  4
        name    [row] 2
        """
    )
    assert outcome.err == ""


def test_a_preview_as_json(tables):
    document = json.loads(tables.run("preview", "//doubled", "-n", "1", "--json").out)
    assert document == {"schema": 1, "label": "//:doubled", "rows": [{"n": 1, "double": 2}], "total": 1, "preview": 1}


def test_a_record_that_the_preview_does_not_have(tables):
    outcome = tables.run("preview", "//named", "-n", "2", "--record", "2")
    assert outcome.code == 2
    assert outcome.err.endswith("error: this preview of `//named` has no row 2\n  rows:  2\n")


def test_a_preview_of_which_a_filter_left_nothing_says_who_did_it(tables):
    tables.write(
        "BUILD.py",
        (tables.root / "BUILD.py").read_text()
        + 'transform("kept", lambda files: pq.read_table(files["named"]).slice(100), depends_on=[":named"])\n',
    )
    outcome = tables.run("preview", "//kept", "-n", "2")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.endswith(
        "error: `//kept` has none of the 2 rows of this preview left\n\n"
        "hint: `ddbuild preview //kept -n 20` takes more of them\n"
    )


@pytest.mark.parametrize("json_too", [False, True])
def test_a_preview_that_fails_says_so_as_a_build_does(tables, json_too):
    tables.write("BUILD.py", 'from ddbuild import transform\ntransform("bad", lambda files: 1 / 0)\n')
    outcome = tables.run("preview", "//bad", *(["--json"] if json_too else []))
    assert outcome.code == 1
    assert "error: the function of `//bad` raised an error\n  raised:  ZeroDivisionError" in outcome.err
    assert (json.loads(outcome.out)["ok"] is False) if json_too else outcome.out == ""


def test_reviewed_rows_stand_in_for_what_a_target_would_make(tables, lines):
    tables.write("mine.csv", "n,double\n7,70\n")
    outcome = tables.run("preview", "//named", "--override", "//doubled=mine.csv", "-q")
    assert outcome.out == lines(
        """
        #  n  double  name
        ─────────────────────
        0  7      70  [row] 7
        """
    )


def test_clean_takes_previews_away(tables):
    tables.run("preview", "//named")
    assert (tables.root / ".ddbuild/preview").is_dir()
    tables.run("clean")
    assert not (tables.root / ".ddbuild/preview").exists()
