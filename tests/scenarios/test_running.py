"""Failures, empties, short results, concurrency: what a build does besides succeeding."""

import os
import time

import pytest

from scenarios.project import statuses, steps

pytestmark = pytest.mark.real

WAITING = {
    "BUILD.py": """
        import threading
        import time
        import data_designer.config as dd
        from ddbuild import stage
        from recorder import record

        def make(name):
            @dd.custom_column_generator(required_columns=["start"])
            def wait(row):
                record(f"start-{name}-{time.monotonic()}")
                time.sleep(2)
                record(f"end-{name}-{time.monotonic()}")
                row["wait"] = name
                return row

            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(name="start", column_type="sampler", sampler_type="uuid", params={})
            config.add_column(dd.CustomColumnConfig(name="wait", generator_function=wait))
            return config

        for number in range(8):
            stage(f"s{number}", config=make(f"s{number}"), num_records=1)
        """
}


def read_spans(project):
    spans = {}
    for call in project.calls:
        what, name, moment = call.split("-", 2)
        spans.setdefault(name, {})[what] = float(moment)
    return spans


def peak(spans):
    """How many were running at once, from the moments at which they started and ended."""
    moments = sorted([(s["start"], 1) for s in spans.values()] + [(s["end"], -1) for s in spans.values()])
    running = most = 0
    for _, step in moments:
        running += step
        most = max(most, running)
    return most


def test_eight_waiting_stages_all_run_at_once_and_none_twice(make_project):
    project = make_project(WAITING)
    project.build("//...", jobs=8)
    spans = read_spans(project)
    assert len(spans) == 8
    assert sum(project.calls.values()) == 16
    assert peak(spans) == 8


def test_no_more_run_at_once_than_there_are_jobs(make_project):
    project = make_project(WAITING)
    project.build("//:s0", "//:s1", "//:s2", jobs=2)
    assert peak(read_spans(project)) == 2


FUNCTIONS = {
    "functions.py": """
        import pyarrow as pa
        import pyarrow.parquet as pq
        from recorder import record

        def make_rows(parents):
            record("rows")
            return pa.table({"id": [1, 2, 3]})

        def fail(parents):
            record("fail")
            raise ValueError("no luck today")

        def make_nothing(parents):
            return pa.table({"id": pa.array([], pa.int64())})

        def copy(parents):
            record("copy")
            return next(iter(parents.values()))
        """
}


def transforms(text):
    return {"BUILD.py": "from ddbuild import transform\nfrom functions import *\n" + text, **FUNCTIONS}


def test_a_failure_names_the_function_its_error_and_its_line(make_project):
    project = make_project(transforms('transform("bad", fail)\n'))
    result = project.build(ok=False)
    assert result.exit_code == 1
    error = result["bad"].error
    assert error.message == "the function of `//:bad` raised an error"
    assert error.facts["raised"] == "ValueError: no luck today"
    assert error.facts["at"].endswith("functions.py:11")
    assert error.facts["line"] == 'raise ValueError("no luck today")'


def test_what_depends_on_a_failure_is_skipped_and_says_whose_it_was(make_project):
    project = make_project(
        transforms(
            'transform("bad", fail)\n'
            'transform("below", copy, depends_on=[":bad"])\n'
            'transform("further", copy, depends_on=[":below"])\n'
            'transform("apart", make_rows)\n'
        )
    )
    result = project.build(ok=False, keep_going=True)
    assert statuses(result) == {"bad": "failed", "below": "skipped", "further": "skipped", "apart": "built"}
    assert str(result["further"].upstream) == "//:bad"
    assert project.calls == {"fail": 1, "rows": 1}


def test_without_keep_going_nothing_starts_after_a_failure(make_project):
    project = make_project(transforms('transform("a_bad", fail)\ntransform("b_good", make_rows)\n'))
    result = project.build(ok=False, jobs=1)
    assert statuses(result) == {"a_bad": "failed", "b_good": "skipped"}
    assert project.calls == {"fail": 1}


def test_a_failure_is_not_cached(make_project):
    project = make_project(transforms('transform("bad", fail)\n'))
    project.build(ok=False)
    project.build(ok=False)
    assert project.calls == {"fail": 1}


def test_an_empty_result_fails_unless_it_is_allowed(make_project):
    project = make_project(transforms('transform("none", make_nothing)\n'))
    result = project.build(ok=False)
    assert result["none"].error.message == "`//:none` came out empty"
    assert result["none"].error.hint == "if an empty result is fine, say `allow_empty=True`"


def test_below_an_allowed_empty_result_everything_is_skipped_and_the_build_is_fine(make_project):
    project = make_project(
        transforms(
            'transform("none", make_nothing, allow_empty=True)\n'
            'transform("below", copy, depends_on=[":none"])\n'
            'transform("further", copy, depends_on=[":below"])\n'
        )
    )
    expected = {"none": "completed_empty", "below": "skipped_empty_upstream", "further": "skipped_empty_upstream"}
    for _ in range(2):
        result = project.build()
        assert statuses(result) == expected
        assert str(result["further"].upstream) == "//:none"
        assert result["none"].load_dataset().empty
        assert project.calls == {}


def test_allowing_an_empty_result_takes_the_one_that_was_turned_down(project):
    project.edit("callbacks.py", 'record("keep_good")', 'record("keep_good"); is_good = lambda number: False')
    assert project.build("//people", ok=False)["people"].status == "failed"
    assert project.calls == {"greeting": 10, "keep_good": 1}
    project.edit("BUILD.py", "on_success=keep_good", "on_success=keep_good, allow_empty=True")
    assert project.build("//people")["people"].status == "completed_empty"
    assert project.calls == {}


LOSSY = {
    "ddbuild.toml": "[designer]\nbuffer_size = 5\ndisable_early_shutdown = true\n",
    "BUILD.py": """
        import os
        import data_designer.config as dd
        from ddbuild import stage
        from recorder import record

        @dd.custom_column_generator(required_columns=["start"])
        def fragile(row):
            record("fragile")
            if row["start"] in os.environ.get("LOSE", "").split():
                raise ValueError("this row is lost")
            row["fragile"] = row["start"]
            return row

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.with_seed_dataset(dd.LocalFileSeedSource(path=os.path.join(os.path.dirname(__file__), "seed.csv")))
        config.add_column(dd.CustomColumnConfig(name="fragile", generator_function=fragile))
        stage("lossy", config=config, num_records=20, min_yield=0.9)
        """,
    "seed.csv": "start\n" + "".join(f"r{number}\n" for number in range(20)),
}


@pytest.fixture
def lossy(make_project, monkeypatch):
    project = make_project(LOSSY)

    def lose(*numbers):
        monkeypatch.setenv("LOSE", " ".join(f"r{number}" for number in numbers))

    project.lose = lose
    return project


def test_a_row_that_is_lost_is_counted_and_said(lossy):
    lossy.lose(3)
    result = lossy.build()["lossy"]
    assert (result.status, result.rows, result.rows_requested, result.rows_lost) == ("built", 19, 20, 1)
    assert "this row is lost" in result.result.lost[0].reason
    assert lossy.build()["lossy"].status == "hit"


def test_too_many_lost_rows_fail_the_stage_and_no_others_are_paid_for_again(lossy):
    lossy.lose(3, 4, 5)
    result = lossy.build(ok=False)["lossy"]
    assert result.status == "failed"
    assert result.error.message == "`//:lossy` lost too many rows"
    assert result.error.facts["rows"] == "17 of 20, and min_yield = 0.9 needs 18"
    assert lossy.calls["fragile"] == 20
    lossy.lose()
    again = lossy.build()["lossy"]
    assert (again.status, again.rows) == ("built", 20)
    assert lossy.calls["fragile"] == 3


def test_a_looser_min_yield_takes_the_rows_that_were_turned_down(lossy):
    lossy.lose(3, 4, 5)
    lossy.build(ok=False)
    lossy.edit("BUILD.py", "min_yield=0.9", "min_yield=0.8")
    result = lossy.build()["lossy"]
    assert (result.status, result.rows) == ("hit", 17)
    assert lossy.calls == {}


def test_a_stricter_min_yield_pays_again_only_where_it_must(lossy):
    lossy.lose(3)
    lossy.build()
    lossy.edit("BUILD.py", "min_yield=0.9", "min_yield=0.95")
    assert lossy.build()["lossy"].status == "hit"
    lossy.edit("BUILD.py", "min_yield=0.95", "min_yield=1.0")
    plan = lossy.plan()
    assert [(r.part, r.name, r.before) for r in plan["lossy"].reasons] == [("policy", "min_yield", "19 of 20 rows")]
    lossy.lose()
    result = lossy.build()["lossy"]
    assert (result.status, result.rows) == ("built", 20)
    lossy.edit("BUILD.py", "min_yield=1.0", "min_yield=0.9")
    assert lossy.build()["lossy"].rows == 20, "of those that are good enough the fullest counts"


CALLBACKS = {
    "returns nothing": ("pass", "the callback of `//:people` returned nothing (None)"),
    "returns a number": ("return 7", "the callback of `//:people` returned a int"),
    "returns a missing path": ("return stage_path / 'x.parquet'", "returned a path that does not exist"),
    "returns a folder without rows": ("return stage_path", "returned a folder without parquet files"),
    "raises": ("raise KeyError('id')", "the callback of `//:people` raised an error"),
    "changes what it was given": (
        "next((stage_path / 'parquet-files').iterdir()).unlink(); return stage_path",
        "the callback of `//:people` changed what it was given",
    ),
    "returns a link that leads out": (
        "import os; os.symlink('/etc/hostname', stage_path / 'x.parquet'); return 'x.parquet'",
        "returned a link that leads out of its folder",
    ),
    "returns rows of drifting types": (
        "import pyarrow as pa, pyarrow.parquet as pq; (stage_path / 'out').mkdir(); "
        "pq.write_table(pa.table({'v': [1]}), stage_path / 'out/a.parquet'); "
        "pq.write_table(pa.table({'v': ['x']}), stage_path / 'out/b.parquet'); return 'out'",
        "`v`",
    ),
    "returns text": (
        "(stage_path / 'x.parquet').write_text('no parquet'); return stage_path / 'x.parquet'",
        "x.parquet",
    ),
}


@pytest.mark.parametrize("case", CALLBACKS)
def test_a_callback_that_breaks_its_contract_fails_its_stage_with_words(project, case):
    body, message = CALLBACKS[case]
    project.write("callbacks.py", f"def keep_good(stage_path):\n    {body}\n")
    result = project.build("//judged", ok=False)
    assert statuses(result) == {"people": "failed", "judged": "skipped"}
    assert message in result["people"].error.message
    assert steps(result, "people") == {"generate": "ran", "callback": "failed"}
    # The rows are kept: a callback that is put right costs no generation.
    project.write("callbacks.py", "def keep_good(stage_path):\n    return stage_path / 'parquet-files'\n")
    assert steps(project.build("//people"), "people") == {"generate": "hit", "callback": "ran"}


def test_a_relative_path_counts_from_the_stages_folder(project):
    project.write("callbacks.py", "def keep_good(stage_path):\n    return 'parquet-files'\n")
    assert project.build("//people")["people"].rows == 10


def test_a_callback_that_writes_into_its_folder_cannot_reach_the_cache(project):
    first = project.build("//people")["people"]
    project.write(
        "callbacks.py",
        "def keep_good(stage_path):\n    for f in (stage_path / 'parquet-files').iterdir(): f.write_bytes(b'')\n",
    )
    project.build("//people", ok=False)
    project.write(
        "callbacks.py", "def keep_good(stage_path):\n    return stage_path / 'parquet-files'  # all of them\n"
    )
    assert project.build("//people")["people"].rows == 10
    assert first.rows <= 10


def test_materialized_rows_that_somebody_edits_never_come_back_as_a_hit(project):
    result = project.build("//judged")["judged"]
    file = result.path / "data.parquet"
    digest = result.digest
    os.chmod(file, 0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    time.sleep(0.01)
    file.write_bytes(bytes(data))
    again = project.build("//judged")["judged"]
    from ddbuild.table import digest_rows

    assert digest_rows([again.path / "data.parquet"]) == again.digest
    assert again.digest == digest or again.status == "built"


def test_deleted_output_is_put_back_without_a_run(project):
    import shutil

    project.build("//judged")
    shutil.rmtree(project.root / "ddbuild-out")
    assert project.build("//judged")["judged"].load_dataset().shape[0] == 10
    assert project.calls == {}
