"""Stages that are no chain: fan-out, joins, diamonds, several seeds, empties between them."""

import asyncio
import threading
import time

import data_designer.config as dd
import pandas as pd
import pyarrow as pa
import pytest
from data_designer.interface import DataDesignerWorkflowError, SkippedStageResult

from ddbuild import concat, join
from ddbuild.building.events import TargetFinished, TargetStarted
from scenarios.pipeline_support import (
    PEOPLE,
    Bench,
    custom,
    expression,
    keep_first,
    keep_none,
    people,
    record,
    rows_of,
    seeded,
)

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def statuses(results):
    return {name: results.get_status(name) for name in results}


def make_waiting(name):
    @dd.custom_column_generator(required_columns=["start"])
    def wait(row):
        record(f"start-{name}-{time.monotonic()}")
        time.sleep(1.5)
        record(f"end-{name}-{time.monotonic()}")
        row[name] = name
        return row

    return custom(name, wait)


def read_spans(calls):
    spans = {}
    for call in calls:
        what, name, moment = call.split("-", 2)
        spans.setdefault(name, {})[what] = float(moment)
    return sorted((each["start"], each["end"], name) for name, each in spans.items())


def count_waits(spans):
    """How many stretches of waiting there are, one after the other: what overlaps is one."""
    waits, end = 0, float("-inf")
    for start, stop, _ in spans:
        waits += start >= end
        end = max(end, stop)
    return waits


def diamond(bench, right="right"):
    workflow = bench.compose()
    base = make_waiting("base").with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame([{"start": "s"}])))
    workflow.add_stage("base", base)
    workflow.add_stage("left", make_waiting("left"), depends_on=["base"])
    workflow.add_stage(right, make_waiting(right), depends_on=["base"])
    return workflow.add_stage("joined", make_waiting("joined"), seed=join("left", right, on=["start", "base"]))


def test_a_diamond_of_waiting_stages_takes_three_waits_and_not_four(bench):
    results = diamond(bench).run()
    spans = read_spans(bench.count())
    assert len(spans) == 4
    assert count_waits(spans) == 3
    assert rows_of(results.load_dataset()) == [
        {"start": "s", "base": "base", "left": "left", "right": "right", "joined": "joined"}
    ]


def test_an_edited_branch_leaves_the_other_one_alone(bench):
    diamond(bench).run()
    bench.count()
    results = diamond(bench, right="other").run()
    # What is joined runs again as a stage, and reads what it read before.
    assert [name for _, _, name in read_spans(bench.count())] == ["other"]
    assert statuses(results) == {"base": "hit", "left": "hit", "other": "built", "joined": "built"}


def test_one_job_takes_four_waits(bench):
    diamond(bench).run(jobs=1)
    assert count_waits(read_spans(bench.count())) == 4


def test_branches_run_from_one_stage(bench):
    workflow = bench.compose()
    workflow.add_stage("base", people())
    for number in range(3):
        workflow.add_stage(f"branch {number}", expression(f"c{number}", "{{ name }}"), depends_on="base")
    results = workflow.run()
    assert list(results) == ["base", "branch 0", "branch 1", "branch 2"]
    assert results.final_stage_name == "branch 2"
    assert list(results.load_stage_output("branch 1").columns) == ["name", "secret", "persona", "c1"]


def test_targets_bring_only_what_they_need(bench):
    workflow = bench.compose()
    workflow.add_stage("base", people())
    workflow.add_stage("left", expression("left", "{{ name }}"), depends_on=["base"])
    workflow.add_stage("right", expression("right", "{{ name }}"), depends_on=["base"])
    workflow.add_stage("below right", expression("below", "{{ right }}"))
    results = workflow.run(targets={"left"})
    assert list(results) == ["base", "left"]
    assert results.final_stage_name == "left"
    results = workflow.run(targets=["right", "left"])
    assert (list(results), results.final_stage_name) == (["base", "left", "right"], "right")


def two_parents(bench):
    workflow = bench.compose()
    workflow.add_stage("first", expression("left", "{{ name }} left", seeded(PEOPLE)), depends_on=[])
    rows = [{"name": "Ada", "right": 1}, {"name": "Linus", "right": 2}, {"name": "Alan", "right": 3}]
    return workflow.add_stage("second", expression("e", "{{ right }}", seeded(rows)), depends_on=[])


def names_of(results):
    return results.load_dataset()["name"].tolist()


def test_one_of_several_parents_is_the_seed(bench):
    workflow = two_parents(bench)
    workflow.add_stage("below", expression("x", "{{ right }}"), depends_on=["first", "second"], seed="second")
    assert names_of(workflow.run()) == ["Ada", "Linus", "Alan"]


def test_a_concat_is_the_seed(bench):
    workflow = bench.compose()
    workflow.add_stage("first", expression("e", "1", seeded(PEOPLE[:2])))
    workflow.add_stage("second", expression("e", "2", seeded(PEOPLE)), depends_on=[])
    workflow.add_stage("below", expression("x", "{{ e }}"), seed=concat("second", "first"))
    results = workflow.run()
    assert names_of(results) == ["Ada", "Linus", "Grace", "Ada", "Linus"]
    assert results.count_records() == 5


def test_a_join_is_the_seed_and_its_rows_are_counted(bench):
    workflow = two_parents(bench)
    workflow.add_stage("below", expression("x", "{{ left }} {{ right }}"), seed=join("first", "second", on="name"))
    assert workflow.run().load_dataset()["x"].tolist() == ["Ada left 1", "Linus left 2"]


def make_seed(parents):
    record("make_seed")
    frames = {name: pd.read_parquet(path) for name, path in parents.items()}
    return pa.table({"name": [f"{name} {len(frame)}" for name, frame in sorted(frames.items())]})


def test_a_function_makes_the_seed_of_all_parents(bench):
    workflow = two_parents(bench)
    workflow.add_stage("below", expression("x", "{{ name }}"), depends_on=["first", "second"], seed=make_seed)
    assert names_of(workflow.run()) == ["first 3", "second 3"]
    workflow.run()
    assert bench.count() == {"make_seed": 1}


def test_rows_are_inherited_after_a_callback_also_across_a_join(bench):
    workflow = bench.compose()
    workflow.add_stage("base", people())
    workflow.add_stage("kept", expression("kept", "{{ name }}"), depends_on=["base"], on_success=keep_first)
    workflow.add_stage("beside", expression("beside", "{{ name }}"), depends_on=["base"])
    workflow.add_stage("below", expression("below", "{{ kept }}"), depends_on=["kept"])
    shared = ["name", "secret", "persona"]
    workflow.add_stage("joined", expression("all", "{{ beside }}"), seed=join("kept", "beside", on=shared))
    results = workflow.run()
    counts = {name: results.count_stage_output_records(name) for name in results}
    assert counts == {"base": 3, "kept": 1, "beside": 3, "below": 1, "joined": 1}


def test_below_an_empty_branch_everything_is_skipped_and_the_other_branch_runs(bench):
    workflow = bench.compose()
    workflow.add_stage("base", people())
    workflow.add_stage("none", expression("a", "{{ name }}"), on_success=keep_none, allow_empty=True)
    workflow.add_stage("some", expression("b", "{{ name }}"), depends_on=["base"])
    workflow.add_stage("joined", expression("c", "{{ b }}"), seed=join("none", "some", on="name"))
    workflow.add_stage("below", expression("d", "{{ c }}"))
    workflow.add_stage("apart", expression("e", "{{ b }}"), depends_on=["some"])
    for status in ("built", "hit"):
        results = workflow.run()
        assert statuses(results) == {
            "base": status,
            "none": "completed_empty",
            "some": status,
            "joined": "skipped_empty_upstream",
            "below": "skipped_empty_upstream",
            "apart": status,
        }
        assert isinstance(results["below"], SkippedStageResult)
        assert results["below"].upstream_stage == "none"
        assert results.count_stage_output_records("none") == 0
        assert results.count_records() == 3
    assert bench.count() == {"keep_none": 1}


def test_no_rows_fail_a_stage_that_does_not_allow_it_and_allowing_it_makes_nothing_anew(bench):
    def make(allow_empty):
        workflow = bench.compose()
        workflow.add_stage("none", people(), on_success=keep_none, allow_empty=allow_empty)
        return workflow.add_stage("below", expression("a", "{{ name }}"))

    with pytest.raises(DataDesignerWorkflowError, match="Stage 'none' produced an empty output"):
        make(False).run()
    assert statuses(make(True).run()) == {"none": "completed_empty", "below": "skipped_empty_upstream"}
    assert bench.count() == {"keep_none": 1}


def test_a_seed_that_cannot_be_made_names_its_stage(bench):
    workflow = two_parents(bench)
    workflow.add_stage("below", expression("x", "{{ name }}"), seed=join("first", "second", on="nam"))
    with pytest.raises(DataDesignerWorkflowError) as error:
        workflow.run()
    assert error.value.facts["stage"] == "below"
    assert error.value.hint == "did you mean `name`?"


def test_a_shuffled_or_selected_seed_is_another_key(bench):
    def run(**options):
        workflow = bench.compose()
        workflow.add_stage("base", people())
        workflow.add_stage("below", expression("a", "{{ name }}"), **options)
        return workflow.run()

    run()
    assert statuses(run(sampling_strategy=dd.SamplingStrategy.SHUFFLE))["below"] == "built"
    chosen = run(selection_strategy=dd.IndexRange(start=1, end=2), num_records=2)
    assert names_of(chosen) == ["Linus", "Grace"]
    assert statuses(run(sampling_strategy=dd.SamplingStrategy.ORDERED))["below"] == "hit"


def test_runs_at_the_same_time_share_what_they_make(bench):
    outcomes, errors = [], []

    def run():
        try:
            outcomes.append(diamond(bench).run().count_records())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes, errors) == ([1, 1], [])
    assert len(read_spans(bench.count())) == 4


def test_a_cancelled_run_stops_and_the_next_one_goes_on(bench):
    async def main():
        loop, tasks = asyncio.get_running_loop(), []

        def cancel(event):
            if isinstance(event, TargetFinished) and not loop.is_closed():
                loop.call_soon_threadsafe(tasks[0].cancel)

        tasks.append(asyncio.ensure_future(diamond(bench).arun(listener=cancel)))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    asyncio.run(main())
    results = diamond(bench).run()
    assert results.count_records() == 1
    assert results.get_status("base") == "hit"


def test_a_listener_is_told_what_starts(bench):
    events = []
    workflow = bench.compose().add_stage("base", people())
    workflow.run(listener=events.append)
    assert [each.label.name for each in events if isinstance(each, TargetStarted)] == ["base"]
