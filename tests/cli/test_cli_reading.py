import json

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def built(tables):
    tables.run("//...")
    return tables


def test_a_plan_tells_what_would_run_and_why(tables, lines):
    outcome = tables.run("plan", "//named")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out == lines(
        """
        stale      //numbers  it was never built here
        stale      //doubled  it was never built here
        stale      //named    it was never built here

        3 of 3 targets to build
        """
    )


def test_a_plan_without_work_says_so(built, lines):
    assert built.run("plan", "//named").out == lines(
        """
        hit        //named  3 rows

        nothing to build: 1 target up to date
        """
    )


def test_a_plan_leaves_open_what_may_be_cut_off(built, lines):
    built.write("numbers.csv", "n\n1\n2\n03\n")
    assert built.run("plan", "//named").out == lines(
        """
        stale      //numbers  file `numbers.csv` changed
        undecided  //doubled  runs unless //numbers comes out as before
        undecided  //named    runs unless //doubled comes out as before

        1 of 3 targets to build, 2 more that may have to be
        """
    )


def test_a_plan_in_json_has_the_statuses_of_a_plan(built):
    built.write("numbers.csv", "n\n7\n")
    document = json.loads(built.run("plan", "//named", "--json").out)
    assert (document["ok"], document["exit_code"]) == (True, 0)
    assert [(each["label"], each["status"]) for each in document["targets"]] == [
        ("//:numbers", "stale"),
        ("//:doubled", "undecided"),
        ("//:named", "undecided"),
    ]
    assert document["totals"] == {"built": 0, "hit": 0, "failed": 0, "skipped": 0, "requests": 0, "requests_saved": 0}


def test_path_prints_absolute_folders(built):
    outcome = built.run("path", "//named", "//doubled")
    assert outcome.out == "WS/ddbuild-out/doubled\nWS/ddbuild-out/named\n"
    assert outcome.err == ""


def test_show_is_a_table(built, lines):
    outcome = built.run("show", "//named")
    assert outcome.out == lines(
        """
        #  n  double  name
        ─────────────────────
        0  1       2  [row] 1
        1  2       4  [row] 2
        2  3       6  [row] 3
        """
    )
    assert outcome.err == "3 rows\n"


def test_show_pages_through_rows(built, lines):
    outcome = built.run("show", "//named", "-n", "1", "--offset", "1", "--columns", "name,n")
    assert outcome.out == lines(
        """
        #  name     n
        ─────────────
        1  [row] 2  2
        """
    )
    assert outcome.err == "1 of 3 rows; `-n` shows more\n"


def test_show_prints_one_record_in_full(built, lines):
    assert built.run("show", "//named", "--record", "2").out == lines(
        """
        record 2
        n       3
        double  6
        name    [row] 3
        """
    )


def test_show_in_json_has_the_total(built):
    document = json.loads(built.run("show", "//named", "-n", "1", "--json").out)
    assert document == {
        "schema": 1,
        "label": "//:named",
        "rows": [{"n": 1, "double": 2, "name": "[row] 1"}],
        "total": 3,
    }


def test_what_show_cannot_find_is_named(built, lines):
    assert built.run("show", "//named", "--record", "3").err == "error: `//named` has no row 3\n  rows:  3\n"
    assert built.run("show", "//named", "-c", "nam3").err == lines(
        """
        error: `//named` has no column `nam3`
          columns:  n, double, name

        hint: did you mean `name`?
        """
    )
    outcome = built.run("show", "//named", "--offset", "5")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "//named has 3 rows, and none from row 5 on\n"


@pytest.mark.parametrize("arguments", [["show", "//named"], ["path", "//named"], ["export", "//named", "out.csv"]])
def test_reading_never_generates(tables, arguments, lines):
    outcome = tables.run(*arguments)
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err == lines(
        """
        error: `//named` is stale
          because:  it was never built here

        hint: build it with `ddbuild //named`, or read the newest one kept with `--last`
        """
    )
    assert not (tables.root / "ddbuild-out").exists()


def test_last_reads_what_is_kept_and_says_that_it_is_stale(built):
    build_file = built.root / "BUILD.py"
    build_file.write_text(build_file.read_text().replace("[row]", "[line]"))
    assert built.run("show", "//named").code == 1
    outcome = built.run("show", "//named", "--last", "-n1", "-c", "name")
    assert outcome.code == 0
    assert "[row] 1" in outcome.out
    assert outcome.err.startswith("//named is stale; this is the result of 20")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("out.csv", '"n","double","name"\n1,2,"[row] 1"\n2,4,"[row] 2"\n3,6,"[row] 3"\n'),
        ("out.jsonl", "".join(f'{{"n": {n}, "double": {2 * n}, "name": "[row] {n}"}}\n' for n in (1, 2, 3))),
    ],
)
def test_export_writes_the_format_of_the_suffix(built, name, content):
    outcome = built.run("export", "//named", name)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"//named: 3 rows in {name}\n")
    assert (built.root / name).read_text() == content


def test_export_replaces_a_file_and_keeps_a_link(built):
    built.write("real.parquet", "old")
    (built.root / "link.parquet").symlink_to("real.parquet")
    built.run("export", "//named", "link.parquet")
    assert (built.root / "link.parquet").is_symlink()
    assert pq.read_table(built.root / "real.parquet").num_rows == 3


def test_export_into_a_folder_names_the_file_after_the_target(built):
    (built.root / "there").mkdir()
    built.run("export", "//named", "there", "--format", "csv")
    assert (built.root / "there" / "named.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["no dir/x.csv"],
            "`no dir/x.csv` cannot be written: there is no folder `no dir`\n\nhint: make it with `mkdir -p 'no dir'`",
        ),
        (
            ["x.txt"],
            "`txt` is not a format to export to\n  known:  parquet, csv, jsonl\n\n"
            "hint: give the file one of these suffixes, or say `--format`",
        ),
        (["/dev/null"], "`/dev/null` is not a file that could be replaced\n\nhint: `-` writes to stdout"),
        (
            ["x", "--format", "xml"],
            "`--format`: `xml` is not one of `parquet`, `csv`, `jsonl`\n\nhint: `ddbuild export --help` tells more",
        ),
    ],
)
def test_export_says_where_it_cannot_write(built, arguments, error):
    outcome = built.run("export", "//named", *arguments)
    assert (outcome.code, outcome.err) == (2, f"error: {error}\n")


def test_export_to_stdout_is_for_pipes(built):
    process = built.start("export", "//named", "-", "--format", "csv")
    out, err = process.communicate(timeout=60)
    assert out == '"n","double","name"\n1,2,"[row] 1"\n2,4,"[row] 2"\n3,6,"[row] 3"\n'
    assert err == ""


def test_a_reader_that_has_seen_enough_is_no_error(built):
    process = built.start("show", "//named", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


def test_query_prints_labels_parents_first(tables, lines):
    assert tables.run("query", "//...").out == "//:numbers\n//:doubled\n//:named\n"
    assert tables.run("query", "rdeps(//doubled)", "-", "//named").out == "//:doubled\n"
    document = json.loads(tables.run("query", "deps(//doubled)", "--json").out)
    assert document == {
        "schema": 1,
        "targets": [
            {"label": "//:numbers", "kind": "source", "parents": []},
            {"label": "//:doubled", "kind": "transform", "parents": ["//:numbers"]},
        ],
    }
    assert tables.run("query", "dps(//named)").err == lines(
        """
        error: `dps` is not a query function
          known:  deps, rdeps

        hint: did you mean `deps(...)`?
        """
    )
