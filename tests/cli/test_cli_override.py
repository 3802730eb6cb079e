"""`--override LABEL=FILE`: reviewed rows in the place of a target's."""

import json


def rows_of(workspace, target):
    return workspace.run("show", target).out


def test_a_build_takes_reviewed_rows_for_a_target_and_does_not_make_it(tables):
    tables.write("reviewed.csv", "n,double\n7,14\n8,16\n")
    outcome = tables.run("build", "//named", "--override", "//doubled=reviewed.csv", "--json")
    targets = {each["label"]: each for each in json.loads(outcome.out)["targets"]}
    assert outcome.code == 0
    assert {label: each["status"] for label, each in targets.items()} == {"//:doubled": "built", "//:named": "built"}
    assert targets["//:doubled"]["kind"] == "transform"
    assert targets["//:doubled"]["actions"][0]["kind"] == "source"
    assert targets["//:named"]["rows"] == 2


def test_without_it_everything_is_as_it_was(tables):
    tables.write("reviewed.csv", "n,double\n7,14\n")
    tables.run("//named", "--override", "//doubled=reviewed.csv")
    tables.run("//named")
    assert "[row] 3" in rows_of(tables, "//named")
    tables.run("//named", "--override", "//doubled=reviewed.csv")
    plan = json.loads(tables.run("plan", "//named", "--json").out)
    assert [each["status"] for each in plan["targets"]] == ["hit"]


def test_a_plan_tells_what_reviewed_rows_lead_to(tables):
    tables.run("//named")
    tables.write("reviewed.csv", "n,double\n7,14\n")
    outcome = tables.run("plan", "//named", "--override=//doubled=reviewed.csv", "--json")
    statuses = {each["label"]: each["status"] for each in json.loads(outcome.out)["targets"]}
    assert statuses == {"//:doubled": "stale", "//:named": "undecided"}


def test_options_may_come_before_the_target(tables):
    tables.write("reviewed.csv", "n,double\n7,14\n")
    assert tables.run("--override", "//doubled=reviewed.csv", "//named").code == 0
    assert tables.run("//doubled", "//named", "--override", ":doubled=reviewed.csv").code == 0


def test_what_is_no_override_says_what_one_looks_like(tables, lines):
    assert tables.run("//named", "--override", "//doubled").err == lines(
        """
        error: `--override` must be LABEL=FILE, got `//doubled`

        hint: --override //drafts=approved.parquet
        """
    )
    outcome = tables.run("//named", "--override", "//dubled=a.csv")
    assert (outcome.code, "did you mean `//doubled`?" in outcome.err) == (2, True)


def test_an_override_of_what_nothing_needs_is_refused(tables, lines):
    tables.write("reviewed.csv", "n\n7\n")
    for command in ("build", "plan"):
        outcome = tables.run(command, "//numbers", "--override", "//doubled=reviewed.csv")
        assert outcome.code == 2
        assert outcome.err == lines(
            """
            error: `//doubled` is overridden, and nothing that was asked for needs it
              asked for:  //numbers
            """
        )


def test_a_file_that_is_not_there_is_named(tables, lines):
    outcome = tables.run("//named", "--override", "//doubled=a.csv")
    assert outcome.code == 2
    assert outcome.err == lines(
        """
        error: there are no rows to take for `//doubled`
          looked for:  WS/a.csv

        hint: name a parquet, CSV or JSONL file, or a folder of parquet files
        """
    )


def test_what_python_asked_for_anew_is_made_by_the_command_line(tables, monkeypatch):
    from ddbuild.building.api import open_session
    from ddbuild.label import Label

    tables.run("//named")
    assert "up to date" in tables.run("//named").err
    monkeypatch.chdir(tables.root)
    open_session().session.renew([Label("", "doubled")])
    outcome = tables.run("//named", "--json")
    statuses = {each["label"]: each["status"] for each in json.loads(outcome.out)["targets"]}
    assert statuses == {"//:numbers": "hit", "//:doubled": "built", "//:named": "cutoff"}
    assert "up to date" in tables.run("//named").err
