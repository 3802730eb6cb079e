"""A file that a person has reviewed stands in for what a stage, or any other target, would make."""

import os

import pandas as pd
import pytest
from data_designer.interface import DataDesignerWorkflowError

import ddbuild
from ddbuild import Graph, build
from ddbuild.label import Label
from ddbuild.table import digest_rows
from scenarios.pipeline_support import Bench, custom, expression, greeting, keep_first, people, rows_of, score
from scenarios.project import QUICKSTART, Project, statuses

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def chain(bench, name="demo"):
    workflow = bench.compose(name)
    workflow.add_stage("greeted", custom("greeting", greeting, people()))
    workflow.add_stage("scored", custom("score", score))
    return workflow.add_stage("final", expression("final", "{{ score }}"))


def status_of(results):
    return {name: results.get_status(name) for name in results}


def test_rows_equal_to_the_kept_ones_run_nothing_below(bench):
    first = chain(bench).run()
    bench.count()
    exported = first.export_stage("greeted", bench.folder / "same.parquet")
    results = chain(bench).run(stage_output_overrides={"greeted": exported})
    assert bench.count() == {}
    assert status_of(results) == {"greeted": "overridden", "scored": "cutoff", "final": "cutoff"}
    assert rows_of(results.load_dataset()) == rows_of(first.load_dataset())


def test_other_rows_run_what_is_below_and_only_that(bench):
    chain(bench).run()
    bench.count()
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello"}, {"greeting": "Hi"}])
    results = chain(bench).run(stage_output_overrides={"greeted": rows})
    assert bench.count() == {"score": 2}
    assert results.load_dataset()["score"].tolist() == [5, 2]
    assert results.get_provenance("greeted").origin == "overridden"
    assert results.get_provenance("scored").origin == "generated"
    # The file's content counts: a copy of it elsewhere is no news, and without it all is as before.
    moved = rows.rename(bench.folder / "moved.parquet")
    assert status_of(chain(bench).run(stage_output_overrides={"greeted": moved}))["final"] == "hit"
    assert chain(bench).run().load_dataset()["score"].tolist() == [8, 10, 10]
    assert bench.count() == {}


def test_an_edited_file_is_other_rows(bench):
    def run(text):
        rows = bench.write_rows("reviewed.parquet", [{"greeting": text}])
        return chain(bench).run(stage_output_overrides={"greeted": rows}).load_dataset()["score"].tolist()

    assert run("Hello") == [5]
    assert run("Hello!") == [6]
    assert bench.count() == {"score": 2}


def test_an_overridden_stage_is_not_generated_and_nor_is_what_only_it_needs(bench):
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello", "score": 1}])
    results = chain(bench).run(stage_output_overrides={"scored": rows})
    assert bench.count() == {}
    assert status_of(results) == {"greeted": "spared", "scored": "overridden", "final": "built"}
    assert rows_of(results["scored"].load_dataset()) == [{"greeting": "Hello", "score": 1}]
    assert rows_of(results.load_stage_output("scored")) == [{"greeting": "Hello", "score": 1}]
    with pytest.raises(DataDesignerWorkflowError, match="not in the cache any more"):
        results["greeted"].load_dataset()


def test_what_a_stage_had_made_before_is_still_its_value(bench):
    chain(bench).run()
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello", "score": 1}])
    results = chain(bench).run(stage_output_overrides={"scored": rows})
    assert results["scored"].count_records() == 3
    assert results["greeted"].count_records() == 3
    assert results.count_stage_output_records("scored") == 1
    assert results.count_stage_output_records("greeted") == 3


def test_a_target_may_itself_be_overridden(bench):
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello"}])
    results = chain(bench).run(targets="greeted", stage_output_overrides={"greeted": str(rows)})
    assert rows_of(results.load_dataset()) == [{"greeting": "Hello"}]
    assert bench.count() == {}
    with pytest.raises(DataDesignerWorkflowError, match=r"push_to_hub\(\)"):
        results.push_to_hub("a/b", "c")


def test_csv_jsonl_and_folders_of_parquet_are_taken_too(bench):
    frame = pd.DataFrame([{"greeting": "Hello"}, {"greeting": "Hi"}])
    frame.to_csv(bench.folder / "a.csv", index=False)
    frame.to_json(bench.folder / "a.jsonl", orient="records", lines=True)
    for number in range(2):
        bench.write_rows(f"folder/{number}.parquet", frame[number : number + 1])
    digests = set()
    for name in ("a.csv", "a.jsonl", "folder"):
        results = chain(bench).run(stage_output_overrides={"greeted": bench.folder / name})
        digests.add(results.build["greeted"].digest)
    assert len(digests) == 1
    assert bench.count() == {"score": 2}


def test_an_override_without_rows_fails_unless_empty_is_allowed(bench):
    rows = bench.write_rows("none.parquet", pd.DataFrame({"name": pd.Series([], dtype=str)}))

    def make(allow_empty):
        workflow = bench.compose().add_stage("base", people(), allow_empty=allow_empty)
        return workflow.add_stage("below", expression("a", "{{ name }}"))

    with pytest.raises(DataDesignerWorkflowError, match="Stage 'base' produced an empty output"):
        make(False).run(stage_output_overrides={"base": rows})
    results = make(True).run(stage_output_overrides={"base": rows})
    assert status_of(results) == {"base": "overridden", "below": "skipped_empty_upstream"}


def test_a_callback_and_processors_are_left_out_with_their_stage(bench):
    workflow = bench.compose().add_stage("base", people(), on_success=keep_first)
    workflow.add_stage("below", expression("a", "{{ name }}"))
    rows = bench.write_rows("reviewed.parquet", [{"name": "Grace"}, {"name": "Alan"}])
    assert workflow.run(stage_output_overrides={"base": rows}).count_records() == 2
    assert bench.count() == {}


def test_rerun_from_goes_below_an_override(bench):
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello"}])
    chain(bench).run(stage_output_overrides={"greeted": rows})
    bench.count()
    results = chain(bench).run(stage_output_overrides={"greeted": rows}, rerun_from="greeted")
    assert status_of(results) == {"greeted": "overridden", "scored": "built", "final": "built"}
    assert bench.count() == {"score": 1}
    results = chain(bench).run(stage_output_overrides={"greeted": rows}, resume="never")
    assert bench.count() == {"score": 1}


def test_an_override_that_has_no_rows_in_it_is_refused(bench):
    path = bench.folder / "words.parquet"
    path.write_text("no parquet")
    with pytest.raises(ddbuild.PipelineError) as error:
        chain(bench).run(stage_output_overrides={"greeted": path})
    start = f"Invalid stage output override for stage 'greeted': Failed to read parquet files at '{path}': "
    assert error.value.message.startswith(start)
    assert bench.count() == {}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, QUICKSTART)


def test_python_builds_take_overrides_of_any_target(project, monkeypatch):
    monkeypatch.setenv("CALLS", str(project.calls_file))
    file = project.write_rows("approved.parquet", [{"greeting": "Hello", "number": 1.0}])
    monkeypatch.chdir(project.root)

    def run(**options):
        return build(Graph.load(project.root), "//judged", cache=project.cache, **options)

    result = run(overrides={"//people": "approved.parquet"})
    assert statuses(result) == {"people": "built", "judged": "built"}
    assert project.calls == {"score": 1}
    assert result["people"].provenance.origin == "overridden"
    assert result["people"].kind == "stage"
    assert digest_rows([file]) == result["people"].digest
    with pytest.raises(ddbuild.UsageError, match="is not a target"):
        run(overrides={"//pepole": "approved.parquet"})
    with pytest.raises(ddbuild.UsageError) as error:
        run(overrides={"people": "nowhere.parquet"})
    assert error.value.message == "there are no rows to take for `//:people`"
    assert error.value.facts["looked for"] == os.path.join(project.root, "nowhere.parquet")


def test_a_plan_shows_what_an_override_leads_to(project):
    project.build("//judged")
    file = project.write_rows("approved.parquet", [{"greeting": "Hello", "number": 1.0}])
    session = project.session().override({Label("", "people"): file})
    plan = session.describe_plan(session.plan([Label("", "judged")]), 0.0)
    assert statuses(plan) == {"people": "stale", "judged": "undecided"}


def test_a_source_and_a_transform_can_be_overridden(make_project):
    project = make_project(
        {
            "BUILD.py": """
                from ddbuild import source, transform
                from recorder import record

                def shout(parents):
                    import pyarrow.parquet as pq
                    record("shout")
                    return pq.read_table(parents["words"])

                source("words", files="nowhere/*.csv")
                transform("shouted", shout, depends_on=[":words"])
                """,
        }
    )
    file = project.write_rows("approved.parquet", [{"word": "hello"}])
    os.environ["CALLS"] = str(project.calls_file)
    session = project.session()
    labels = [Label("", "shouted")]
    for overridden, calls in (("words", {"shout": 1}), ("shouted", {})):
        project.calls_file.unlink(missing_ok=True)
        running = session.override({Label("", overridden): file}).start(labels, jobs=2, keep_going=False, listener=None)
        result = running.wait(60)
        assert result.ok, [each.error for each in result.targets.values()]
        assert result["shouted"].load_dataset()["word"].tolist() == ["hello"]
        assert project.calls == calls


def test_seeded_rows_of_an_override_can_start_a_config(bench):
    rows = bench.write_rows("reviewed.parquet", [{"greeting": "Hello"}])
    results = chain(bench).run(stage_output_overrides={"greeted": rows})
    builder = results["greeted"].to_config_builder(columns=["greeting"])
    assert rows_of(builder.get_seed_config().source.df) == [{"greeting": "Hello"}]
