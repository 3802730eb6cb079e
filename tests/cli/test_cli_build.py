import json

import pytest

BROKEN = """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from ddbuild import source, transform

    print("said by the build file")

    def fail(files):
        print("said by a function")
        raise KeyError("no such [train]")

    def below(files):
        return pq.read_table(files["bad"])

    def fine(files):
        return pq.read_table(files["numbers"])

    def nothing(files):
        return pa.table({"n": pa.array([], pa.int64())})

    def of_nothing(files):
        return pq.read_table(files["nothing"])

    source("numbers", files="numbers.csv")
    transform("bad", fail, depends_on=[":numbers"])
    transform("below", below, depends_on=[":bad"])
    transform("fine", fine, depends_on=[":numbers"])
    transform("nothing", nothing, depends_on=[":numbers"], allow_empty=True)
    transform("of_nothing", of_nothing, depends_on=[":nothing"])
"""


@pytest.fixture
def broken(workspace):
    workspace.write("numbers.csv", "n\n1\n")
    workspace.write("BUILD.py", BROKEN)
    return workspace


def test_a_first_build_says_what_it_makes_and_where(tables, lines):
    outcome = tables.run("//named")
    assert outcome.code == 0
    assert outcome.out == ""
    assert outcome.err == lines(
        """
        building   //numbers
        built      //numbers  3 rows  T s
        building   //doubled
        built      //doubled  3 rows  T s
        building   //named
        built      //named  3 rows  T s
        //named: 3 rows in ddbuild-out/named
        built 3 in T s
        """
    )
    assert (tables.root / "ddbuild-out" / "named" / "data.parquet").is_file()


def test_a_second_build_is_one_line(tables):
    tables.run("//named")
    assert tables.run("build", "//named").err == "//named is up to date (3 rows, ddbuild-out/named)\n"


def test_an_edit_rebuilds_what_it_touches_and_says_what_was_reused(tables, lines):
    tables.run("//named")
    build_file = tables.root / "BUILD.py"
    build_file.write_text(build_file.read_text().replace("[row]", "[line]"))
    assert tables.run("//named").err == lines(
        """
        building   //named
        built      //named  3 rows  T s
        //named: 3 rows in ddbuild-out/named
        built 1, reused 1 in T s
        """
    )


def test_a_source_that_comes_out_equal_cuts_the_build_off(tables, lines):
    tables.run("//named")
    tables.write("numbers.csv", "n\n1\n2\n03\n")
    assert tables.run("//named").err == lines(
        """
        building   //numbers
        built      //numbers  3 rows  T s
        building   //doubled
        cutoff     //doubled  3 rows  its inputs came out equal
        building   //named
        cutoff     //named  3 rows  its inputs came out equal
        //named is up to date (3 rows, ddbuild-out/named)
        built 1, reused 2 in T s
        """
    )


def test_quiet_says_nothing_where_all_is_well(tables):
    assert tables.run("-q", "//named").err == ""
    assert tables.run("//named", "--quiet").err == ""


def test_verbose_tells_steps_and_reasons(tables, lines):
    tables.run("//doubled")
    assert tables.run("//doubled", "//named", "-v").err == lines(
        """
        building   //named
        built      //named  3 rows  T s
        //doubled: hit (local tier); transform hit
        //named: built; transform ran (T s)
          because it was never built here
        //doubled is up to date (3 rows, ddbuild-out/doubled)
        //named: 3 rows in ddbuild-out/named
        built 1, reused 1 in T s
        """
    )


def test_paths_are_told_from_where_the_command_was_typed(tables):
    tables.run("//named")
    folder = tables.root / "sub"
    folder.mkdir()
    assert tables.run("//named", folder=folder).err == "//named is up to date (3 rows, WS/ddbuild-out/named)\n"
    above = tables.run("-C", "ws", "//named", folder=tables.root.parent)
    assert above.err == "//named is up to date (3 rows, ws/ddbuild-out/named)\n"


def test_a_failure_shows_where_it_happened_and_stops_what_needs_it(broken, lines):
    broken.run("//numbers")
    outcome = broken.run("//below")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err == lines(
        """
        said by the build file
        building   //bad
        said by a function
        failed     //bad  T s  the function of `//bad` raised an error
        error: the function of `//bad` raised an error
          raised:  KeyError: 'no such [train]'
          at:      WS/BUILD.py:9
          line:    raise KeyError("no such [train]")

        skipped: //below, because of the failure
        reused 1, failed 1, skipped 1 in T s
        """
    )


def test_verbose_shows_the_traceback_of_a_users_function(broken):
    assert "Traceback" not in broken.run("//bad").err
    assert "KeyError: 'no such [train]'\n\n" in broken.run("//bad", "-v").err


def test_keep_going_builds_what_does_not_depend_on_the_failure(broken):
    outcome = broken.run("-k", "//below", "//fine", "-j1")
    assert outcome.code == 1
    assert "//fine: 1 row in ddbuild-out/fine\n" in outcome.err
    assert outcome.err.endswith("skipped: //below, because //bad failed\nbuilt 2, failed 1, skipped 1 in T s\n")


def test_an_empty_result_is_told_with_what_was_not_made_of_it(broken, lines):
    broken.run("//numbers")
    outcome = broken.run("//of_nothing")
    assert outcome.code == 0
    assert outcome.err == lines(
        """
        said by the build file
        building   //nothing
        empty      //nothing  0 rows  T s
        skipped    //of_nothing
        empty: //nothing has no rows, so nothing was made of //of_nothing
        built 1, reused 1, skipped 1 in T s
        """
    )


def test_json_is_one_document_and_nothing_else_on_stdout(broken):
    outcome = broken.run("//below", "//numbers", "--json")
    document = json.loads(outcome.out)
    assert outcome.code == document["exit_code"] == 1
    assert document["ok"] is False
    assert [(each["label"], each["requested"], each["status"]) for each in document["targets"]] == [
        ("//:numbers", True, "built"),
        ("//:bad", False, "failed"),
        ("//:below", True, "skipped"),
    ]
    assert document["targets"][1]["error"]["facts"]["raised"] == "KeyError: 'no such [train]'"
    assert document["targets"][0]["path"] == "ddbuild-out/numbers"
    assert document["totals"] == {"built": 1, "hit": 0, "failed": 1, "skipped": 1, "requests": 0, "requests_saved": 0}
    assert "said by the build file" in outcome.err
    assert "said by a function" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["//nmed", "--json"], 2, "`//nmed` is not a target"),
        (["build", "--json"], 2, "no target was named"),
        (["build", "//named", "--json", "--jbos"], 2, "`ddbuild build` has no option `--jbos`"),
    ],
)
def test_json_tells_a_failure_before_anything_ran(tables, arguments, code, message):
    outcome = tables.run(*arguments)
    document = json.loads(outcome.out)
    assert outcome.code == code
    assert list(document) == ["schema", "ok", "exit_code", "error", "targets", "totals"]
    assert (document["ok"], document["exit_code"], document["targets"]) == (False, code, [])
    assert document["error"]["message"] == message
    assert outcome.err.startswith(f"error: {message}\n")


def test_patterns_and_negative_patterns_choose_targets(tables):
    tables.run("//...")
    for arguments in (
        ["//...", "-//named", "-//numbers"],
        ["-//named", "//...", "-//:numbers"],
        ["build", "--", "//...", "-//named", "-//numbers"],
        ["build", "//...", "--", "-//named", "-//numbers"],
        ["-j", "2", "...", "-:named", "-//numbers"],
    ):
        assert tables.run(*arguments).err == "//doubled is up to date (3 rows, ddbuild-out/doubled)\n"


def test_options_stand_before_or_after_the_command(tables):
    for arguments in (
        ["--json", "//numbers"],
        ["//numbers", "--json"],
        ["--json", "build", "//numbers"],
        ["build", "--json", "//numbers"],
        ["-kj", "2", "--json", "//numbers"],
        ["-C", str(tables.root), "--json", "//numbers"],
    ):
        assert json.loads(tables.run(*arguments).out)["ok"] is True


def test_the_cache_folder_is_an_option(tables, tmp_path):
    tables.run("//named", "--cache-dir", tmp_path / "a")
    assert (tmp_path / "a" / "v1").is_dir()
    assert "built 3 in" in tables.run("//named", "--cache-dir", tmp_path / "b").err
    assert tables.run("--cache-dir", tmp_path / "a", "//named").err.startswith("//named is up to date")


def test_a_dry_run_is_a_plan(tables):
    assert tables.run("-n", "//named") == tables.run("plan", "//named") == tables.run("build", "//named", "--dry-run")
    assert not (tables.root / "ddbuild-out").exists()


def test_a_crash_is_one_sentence_and_a_file(tables, monkeypatch):
    def crash(*arguments, **keywords):
        raise RuntimeError("a bug [bold]")

    monkeypatch.setattr("ddbuild.building.api.open_session", crash)
    outcome = tables.run("//named")
    assert outcome.code == 1
    assert outcome.err == (
        "error: ddbuild hit a bug\n"
        "  error:      RuntimeError: a bug [bold]\n"
        "  traceback:  WS/.ddbuild/crash.log\n"
        "\n"
        "hint: report it with the traceback; `-v` prints it here as well\n"
    )
    assert "RuntimeError: a bug" in (tables.root / ".ddbuild" / "crash.log").read_text()
    assert "Traceback (most recent call last)" in tables.run("//named", "-v").err


def test_a_full_disk_is_no_bug(tables, monkeypatch):
    def fill(*arguments, **keywords):
        raise OSError(28, "No space left on device", "/cache/x")

    monkeypatch.setattr("ddbuild.building.api.open_session", fill)
    assert tables.run("//named").err == "error: cannot go on: no space left on device\n  file:  /cache/x\n"
