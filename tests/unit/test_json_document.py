import json
from pathlib import Path

from report_results import HEX, ROOT, make_build, make_target

from ddbuild.building.results import ActionRun
from ddbuild.cache.result import Usage
from ddbuild.errors import BuildError, GraphError
from ddbuild.label import Label
from ddbuild.plan.decision import Reason
from ddbuild.report.encoding import encode
from ddbuild.report.json_document import describe_build, describe_failure


def test_a_built_target_has_every_key_in_its_order():
    target = make_target(
        "judged",
        "built",
        rows=20,
        asked=20,
        reasons=(Reason("callback", "keep_good", "aa", "bb"),),
        actions=[ActionRun("generate", "hit"), ActionRun("callback", "ran", 0.1)],
        saved=Usage(requests=40, input_tokens=1, output_tokens=2),
    )
    document = describe_build(make_build(target, seconds=1.90012), ROOT)
    assert encode(document) == (
        json.dumps(
            {
                "schema": 1,
                "ok": True,
                "exit_code": 0,
                "seconds": 1.9,
                "targets": [
                    {
                        "label": "//:judged",
                        "kind": "stage",
                        "requested": True,
                        "status": "built",
                        "tier": None,
                        "key": HEX,
                        "digest": f"xxh3_128:{HEX}",
                        "rows": 20,
                        "rows_requested": 20,
                        "rows_lost": 0,
                        "path": "ddbuild-out/judged",
                        "reasons": [{"part": "callback", "name": "keep_good", "before": "aa", "after": "bb"}],
                        "actions": [
                            {"kind": "generate", "status": "hit"},
                            {"kind": "callback", "status": "ran", "seconds": 0.1},
                        ],
                        "usage": {"requests": 0, "input_tokens": 0, "output_tokens": 0},
                        "error": None,
                    }
                ],
                "totals": {"built": 1, "hit": 0, "failed": 0, "skipped": 0, "requests": 0, "requests_saved": 40},
            },
            indent=2,
        )
        + "\n"
    )


def test_totals_count_each_status_once():
    statuses = [
        "built",
        "hit",
        "cutoff",
        "failed",
        "skipped",
        "skipped_empty_upstream",
        "completed_empty",
        "interrupted",
    ]
    targets = [
        make_target(status, status, error=BuildError("m") if status == "failed" else None, usage=Usage(requests=1))
        for status in statuses
    ]
    assert describe_build(make_build(*targets, exit_code=8), ROOT)["totals"] == {
        "built": 2,
        "hit": 2,
        "failed": 1,
        "skipped": 2,
        "requests": 8,
        "requests_saved": 0,
    }


def test_an_empty_result_that_was_kept_counts_as_a_hit():
    target = make_target("a", "completed_empty", rows=0, actions=[ActionRun("generate", "hit")])
    assert describe_build(make_build(target), ROOT)["totals"]["hit"] == 1


def test_a_failed_target_says_how_and_where_its_log_is(tmp_path):
    log = tmp_path / ".ddbuild" / "logs" / "qa" / "slow.log"
    log.parent.mkdir(parents=True)
    log.write_text("line\n")
    error = BuildError("`//qa:slow` lost too many rows", facts={"rows": "1 of 2"}, hint="build again")
    target = make_target("slow", "failed", package="qa", error=error)
    described = describe_build(make_build(target, exit_code=1), tmp_path)
    assert described["ok"] is False
    assert described["targets"][0]["error"] == {
        "message": "`//qa:slow` lost too many rows",
        "facts": {"rows": "1 of 2"},
        "hint": "build again",
        "log": ".ddbuild/logs/qa/slow.log",
    }


def test_a_callback_that_failed_has_no_log_of_data_designer(tmp_path):
    log = tmp_path / ".ddbuild" / "logs" / "a.log"
    log.parent.mkdir(parents=True)
    log.write_text("of an earlier run\n")
    runs = [ActionRun("generate", "hit"), ActionRun("callback", "failed", 0.1)]
    target = make_target("a", "failed", actions=runs, error=BuildError("m"))
    assert describe_build(make_build(target, exit_code=1), tmp_path)["targets"][0]["error"]["log"] is None


def test_what_is_skipped_names_what_it_was_skipped_for():
    target = make_target("b", "skipped_empty_upstream", upstream=Label("", "a"))
    assert describe_build(make_build(target), ROOT)["targets"][0]["reasons"] == [
        {"part": "upstream", "name": "//:a", "before": None, "after": None}
    ]


def test_a_path_outside_of_the_workspace_is_absolute():
    target = make_target("a", "built", path=Path("/elsewhere/a"))
    assert describe_build(make_build(target), ROOT)["targets"][0]["path"] == "/elsewhere/a"


def test_a_failure_before_anything_ran_is_a_document_too():
    error = GraphError("`x` is wrong", facts={"file": "BUILD.py:3"}, hint="repair it")
    assert describe_failure(error) == {
        "schema": 1,
        "ok": False,
        "exit_code": 2,
        "error": {"message": "`x` is wrong", "facts": {"file": "BUILD.py:3"}, "hint": "repair it"},
        "targets": [],
        "totals": {"built": 0, "hit": 0, "failed": 0, "skipped": 0, "requests": 0, "requests_saved": 0},
    }


def test_a_plan_has_the_same_shape():
    hit = make_target("a", "hit", path=None, saved=Usage(requests=3))
    stale = make_target("b", "stale", reasons=(Reason("new"),))
    built = describe_build(make_build(make_target("c", "built")), ROOT)
    planned = describe_build(make_build(hit, stale), ROOT)
    assert list(planned) == list(built)
    assert [list(each) for each in planned["targets"]] == [list(built["targets"][0])] * 2
    assert [each["status"] for each in planned["targets"]] == ["hit", "stale"]
    assert planned["totals"] == {"built": 0, "hit": 1, "failed": 0, "skipped": 0, "requests": 0, "requests_saved": 3}
