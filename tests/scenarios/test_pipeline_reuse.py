"""What a run reuses, what it makes anew, and that the newest rows are those that count from then on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import data_designer.config as dd
import pandas as pd
import pytest
from data_designer.interface import DataDesignerWorkflowError, ResumeMode

from scenarios.pipeline_support import (
    PEOPLE,
    Bench,
    custom,
    draws,
    empty_builder,
    expression,
    greeting,
    keep_first,
    people,
    record,
    rows_of,
    score,
    seeded,
)

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def statuses(results):
    return {name: results.get_status(name) for name in results}


def greet(workflow, num_records=3, extra=""):
    """A stage with a function, and one with a function over it."""
    workflow.add_stage("greeted", custom("greeting", greeting, draws(builder=seeded(PEOPLE))), num_records=num_records)
    return workflow.add_stage("scored", custom("score", score, expression("e", "{{ greeting }}" + extra)))


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from scenarios.pipeline_support import *
from scenarios.test_pipeline_reuse import greet, statuses
bench = Bench(Path({folder!r}))
results = greet(bench.compose({name!r})).run()
print(statuses(results), results.load_dataset()["draw"].tolist())
"""


def test_another_process_and_another_name_reuse_the_rows(bench):
    first = greet(bench.compose()).run()
    assert bench.count() == {"greeting": 3, "score": 3}
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), folder=str(bench.folder), name="another")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    expected = {"greeted": "hit", "scored": "hit"}
    assert done.stdout.strip() == f"{expected} {first.load_dataset()['draw'].tolist()}"
    assert bench.count() == {}


def test_a_relative_artifact_path_is_found_again(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    bench.designer = bench.make_designer(Path("relative"))
    greet(bench.compose()).run()
    results = greet(bench.compose()).run()
    assert statuses(results) == {"greeted": "hit", "scored": "hit"}
    assert results.get_stage_output_path("scored") == bench.folder / "relative/demo/ddbuild-out/scored"


FUNCTIONS = """
import data_designer.config as dd
from scenarios.pipeline_support import record

GREETING = "Dear"

@dd.custom_column_generator(required_columns=["name"])
def greeting(row):
    record("greeting")
    row["greeting"] = GREETING + " " + row["name"]
    return row
"""


def edited_function(bench, compose):
    def run(text):
        functions = bench.load_functions(text)
        workflow = compose("edited").add_stage(
            "greeted", custom("greeting", functions.greeting, seeded(PEOPLE)), num_records=3
        )
        return workflow.run(resume=ResumeMode.IF_POSSIBLE)

    run(FUNCTIONS)
    return run(FUNCTIONS.replace('+ " " +', '+ ", " +')).load_dataset()["greeting"][0]


def edited_global(bench, compose):
    def run(text):
        functions = bench.load_functions(text)
        workflow = compose("global").add_stage(
            "greeted", custom("greeting", functions.greeting, seeded(PEOPLE)), num_records=3
        )
        return workflow.run(resume=ResumeMode.IF_POSSIBLE)

    run(FUNCTIONS)
    return run(FUNCTIONS.replace('"Dear"', '"Dear,"')).load_dataset()["greeting"][0]


def edited_seed_file(bench, compose):
    def run(greeted):
        file = bench.write_rows("seed/people.parquet", [{"greeting": greeted}])
        builder = empty_builder().with_seed_dataset(dd.LocalFileSeedSource(path=str(file)))
        workflow = compose("file").add_stage("greeted", expression("e", "{{ greeting }}", builder), num_records=1)
        return workflow.run(resume=ResumeMode.IF_POSSIBLE)

    run("Dear Ada")
    return run("Dear, Ada").load_dataset()["greeting"][0]


def edited_cell(bench, compose):
    def run(greeted):
        builder = expression("e", "{{ greeting }}", seeded([{"greeting": greeted}]))
        workflow = compose("cell").add_stage("greeted", builder, num_records=1)
        return workflow.run(resume=ResumeMode.IF_POSSIBLE)

    run("Dear Ada")
    return run("Dear, Ada").load_dataset()["greeting"][0]


@pytest.mark.parametrize(
    "edit", [edited_function, edited_global, edited_seed_file, edited_cell], ids=lambda edit: edit.__name__
)
def test_an_edit_that_data_designer_does_not_see_makes_new_rows(bench, edit):
    # Data Designer's fingerprint knows a function by its name and a seed by its place: its workflow serves old rows.
    assert edit(bench, bench.compose_theirs) == "Dear Ada"
    assert edit(bench, bench.compose) == "Dear, Ada"


def test_a_comment_in_a_function_makes_nothing_anew(bench):
    def run(text):
        functions = bench.load_functions(text)
        return bench.compose().add_stage("greeted", custom("greeting", functions.greeting, seeded(PEOPLE))).run()

    run(FUNCTIONS)
    assert statuses(run(FUNCTIONS.replace('record("greeting")', 'record("greeting")  # note'))) == {"greeted": "hit"}


def drawn(results, name="scored"):
    return results.load_stage_output(name)["draw"].tolist()


def test_never_makes_everything_anew_and_the_new_rows_count_from_then_on(bench):
    first = greet(bench.compose()).run()
    bench.count()
    second = greet(bench.compose()).run(resume=ResumeMode.NEVER)
    assert bench.count() == {"greeting": 3, "score": 3}
    assert statuses(second) == {"greeted": "built", "scored": "built"}
    assert set(drawn(first)).isdisjoint(drawn(second))
    third = greet(bench.compose()).run()
    assert statuses(third) == {"greeted": "hit", "scored": "hit"}
    assert drawn(third) == drawn(second)
    assert bench.count() == {}
    # What was handed out earlier stays what it was, and so does what others find under the old keys.
    assert set(drawn(first)).isdisjoint(drawn(third))
    assert drawn(greet(bench.compose("another")).run()) == drawn(first)


def test_a_forced_rerun_changes_nothing_that_is_kept(bench):
    def read():
        return {path: path.read_bytes() for path in bench.cache.glob("v1/[acf]*/**/*") if path.is_file()}

    greet(bench.compose()).run()
    before = read()
    greet(bench.compose()).run(resume="never")
    greet(bench.compose()).run(rerun_from="scored")
    after = read()
    assert before.items() <= after.items()
    assert len(after) > len(before)


def test_rerun_from_makes_a_stage_and_all_below_it_anew_and_nothing_else(bench):
    def make():
        workflow = greet(bench.compose())
        workflow.add_stage("counted", custom("more", more), depends_on=["scored"])
        return workflow.add_stage("beside", custom("other", other), depends_on=["greeted"])

    functions = bench.load_functions(
        """
import data_designer.config as dd
from scenarios.pipeline_support import record

@dd.custom_column_generator(required_columns=["name"])
def more(row):
    record("more")
    return {**row, "more": 1}

@dd.custom_column_generator(required_columns=["name"])
def other(row):
    record("other")
    return {**row, "other": 1}
"""
    )
    more, other = functions.more, functions.other
    make().run()
    bench.count()
    results = make().run(resume=ResumeMode.IF_POSSIBLE, rerun_from="scored")
    # The rows of these come out equal, and they are made all the same.
    assert bench.count() == {"score": 3, "more": 3}
    assert statuses(results) == {"greeted": "hit", "scored": "built", "counted": "built", "beside": "hit"}
    assert statuses(make().run()) == dict.fromkeys(results, "hit")
    assert bench.count() == {}


def test_a_forced_rerun_calls_the_callback_again(bench):
    def make():
        return bench.compose().add_stage("base", people(), on_success=keep_first)

    make().run()
    make().run()
    assert bench.count() == {"keep_first": 1}
    make().run(rerun_from="base")
    assert bench.count() == {"keep_first": 1}


def test_an_edit_after_a_rerun_is_under_the_key_that_everybody_has_and_going_back_is_the_newest(bench):
    edited = greet(bench.compose("somebody else's"), extra=" edited").run()
    greet(bench.compose()).run()
    newest = greet(bench.compose()).run(rerun_from="scored")
    bench.count()
    results = greet(bench.compose(), extra=" edited").run()
    assert bench.count() == {}
    assert drawn(results) == drawn(edited)
    back = greet(bench.compose()).run()
    assert statuses(back) == {"greeted": "hit", "scored": "hit"}
    assert rows_of(back.load_dataset()) == rows_of(newest.load_dataset())


def test_a_renewed_stage_grows_from_its_renewed_rows(bench):
    greet(bench.compose()).run()
    renewed = greet(bench.compose()).run(resume="never")
    bench.count()
    grown = greet(bench.compose(), num_records=5).run()
    assert bench.count()["greeting"] == 2
    assert drawn(grown, "greeted")[:3] == drawn(renewed, "greeted")


def test_a_forced_rerun_that_fails_halfway_is_gone_on_with_by_the_next_run(bench):
    greet(bench.compose()).run()
    bench.count()
    failing = bench.load_functions(
        "import os\nimport data_designer.config as dd\nfrom scenarios.pipeline_support import record\n\n"
        '@dd.custom_column_generator(required_columns=["greeting"])\n'
        "def score(row):\n"
        '    record("score")\n'
        '    if os.environ.get("FAIL"):\n'
        '        raise ValueError("not now")\n'
        '    return {**row, "score": 1}\n'
    )

    def make():
        workflow = bench.compose("halfway")
        builder = custom("greeting", greeting, draws(builder=seeded(PEOPLE)))
        workflow.add_stage("greeted", builder, num_records=3)
        return workflow.add_stage("scored", custom("score", failing.score))

    first = make().run()
    bench.count()
    os.environ["FAIL"] = "1"
    try:
        with pytest.raises(DataDesignerWorkflowError) as error:
            make().run(resume=ResumeMode.NEVER)
    finally:
        del os.environ["FAIL"]
    renewed = drawn(error.value.results, "greeted")
    assert bench.count()["greeting"] == 3
    second = make().run()
    assert bench.count() == {"score": 3}
    assert drawn(second) == renewed
    assert set(renewed).isdisjoint(drawn(first))


def test_notes_on_reruns_that_cannot_be_read_mean_older_rows_and_no_error(bench):
    first = greet(bench.compose()).run()
    greet(bench.compose()).run(resume="never")
    notes = bench.compose().folder / ".ddbuild" / "renewals.json"
    assert json.loads(notes.read_text())["schema"] == 1
    notes.write_text("{")
    assert drawn(greet(bench.compose()).run()) == drawn(first)


def test_always_takes_what_is_there(bench):
    greet(bench.compose()).run()
    bench.count()
    assert statuses(greet(bench.compose()).run(resume=ResumeMode.ALWAYS)) == {"greeted": "hit", "scored": "hit"}
    # Another name, which Data Designer would not resume, has all it needs too.
    assert statuses(greet(bench.compose("another")).run(resume="always")) == {"greeted": "hit", "scored": "hit"}
    assert bench.count() == {}


def test_always_refuses_a_changed_stage_before_anything_runs(bench):
    greet(bench.compose()).run()
    bench.count()
    with pytest.raises(DataDesignerWorkflowError) as error:
        greet(bench.compose(), extra="!").run(resume=ResumeMode.ALWAYS)
    assert error.value.message == "Cannot resume workflow 'demo': stage 'scored' is not reusable."
    assert error.value.facts["changed"] == "column e"
    assert bench.count() == {}


def test_always_makes_what_a_rerun_or_an_override_is_about(bench):
    greet(bench.compose()).run()
    bench.count()
    results = greet(bench.compose()).run(resume=ResumeMode.ALWAYS, rerun_from="greeted")
    assert statuses(results) == {"greeted": "built", "scored": "built"}
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Dear reviewer"}])
    results = greet(bench.compose()).run(resume=ResumeMode.ALWAYS, stage_output_overrides={"greeted": rows})
    assert results.load_dataset()["score"].tolist() == [13]


def test_always_goes_on_with_an_interrupted_stage(bench):
    bench.designer.set_run_config(dd.RunConfig(buffer_size=2, disable_early_shutdown=True))
    functions = bench.load_functions(
        "import os\nimport data_designer.config as dd\nfrom scenarios.pipeline_support import record\n\n"
        '@dd.custom_column_generator(required_columns=["name"])\n'
        "def slow(row):\n"
        '    record("slow")\n'
        '    if os.environ.get("FAIL") and row["name"] == "Grace":\n'
        '        raise ValueError("not now")\n'
        '    return {**row, "slow": 1}\n'
    )

    def make():
        workflow = bench.compose().add_stage("slow", custom("slow", functions.slow, seeded(PEOPLE)), min_yield=1)
        return workflow.add_stage("below", expression("e", "{{ slow }}"))

    os.environ["FAIL"] = "1"
    try:
        with pytest.raises(DataDesignerWorkflowError, match="lost too many rows"):
            make().run()
    finally:
        del os.environ["FAIL"]
    assert bench.count() == {"slow": 3}
    assert make().run(resume=ResumeMode.ALWAYS).count_records() == 3
    assert bench.count() == {"slow": 1}


def test_a_team_shares_through_a_shared_cache(bench):
    greet(bench.compose(shared_cache=bench.folder / "team")).run()
    bench.count()
    results = greet(bench.compose("mate", cache=bench.folder / "mate", shared_cache=bench.folder / "team")).run()
    assert statuses(results) == {"greeted": "hit", "scored": "hit"}
    assert len(results["greeted"].load_dataset()) == 3
    assert bench.count() == {}


def test_what_nobody_needs_is_not_made_again_when_it_is_gone(bench):
    greet(bench.compose()).run()
    for path in bench.cache.glob("v1/actions/*/*.json"):
        if '"label":"//:greeted"' in path.read_text() and '"kind":"generate"' in path.read_text():
            result = json.loads(path.read_text())["result"]
            if result["provenance"]["label"] == "//:greeted":
                path.unlink()
    bench.count()
    results = greet(bench.compose()).run()
    assert bench.count() == {}
    assert statuses(results) == {"greeted": "spared", "scored": "hit"}
    assert len(results.load_dataset()) == 3
    for read in (results["greeted"].load_dataset, lambda: results.load_stage_output("greeted")):
        with pytest.raises(DataDesignerWorkflowError) as error:
            read()
        assert error.value.message == "the rows of stage 'greeted' are not in the cache any more"


def keep_secrets(stage_path):
    record("keep_secrets")
    pd.read_parquet(stage_path / "parquet-files")[["secret"]].to_parquet(stage_path / "secrets.parquet", index=False)
    return stage_path / "secrets.parquet"


def test_a_callback_beside_output_processors_goes_by_all_that_it_can_see(bench):
    def run(secret, processor):
        rows = [{"name": "Ada", "secret": secret}]
        workflow = bench.compose().add_stage(
            "base",
            expression("persona", "{{ name }}", seeded(rows)),
            output_processors=[dd.DropColumnsProcessorConfig(name=processor, column_names=["secret"])],
            on_success=keep_secrets,
        )
        return workflow.run().load_dataset()["secret"].tolist()

    assert run("first", "drop") == ["first"]
    # What the processors hand on is the same, and what they were given is not.
    assert run("second", "drop") == ["second"]
    assert bench.count() == {"keep_secrets": 2}
    # Another processor that makes the same of it is no news to the callback.
    assert run("second", "renamed") == ["second"]
    assert bench.count() == {}


def test_a_salt_asks_for_other_rows_and_a_version_stands_in_for_functions(bench):
    def make(**options):
        return bench.compose().add_stage("drawn", draws(), num_records=3, **options)

    first = make().run().load_dataset()
    assert make(salt="2").run().load_dataset()["draw"].tolist() != first["draw"].tolist()
    assert make().run().load_dataset().equals(first)
    assert make(version="7").run().get_status("drawn") == "built"


def test_the_pipelines_folder_holds_what_people_look_at(bench):
    results = greet(bench.compose()).run()
    folder = bench.folder / "artifacts" / "demo"
    assert results.get_stage_output_path("scored") == folder / "ddbuild-out" / "scored"
    assert pd.read_parquet(folder / "ddbuild-out" / "scored" / "data.parquet").equals(results.load_dataset())
    assert results["scored"].artifact_storage.base_dataset_path.parent.parent == folder / "ddbuild-stages"
    assert results.get_provenance("scored").origin == "generated"
