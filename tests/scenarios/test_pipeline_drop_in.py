"""Scripts written for `compose_workflow`, run on both: the same code, the same rows, in the same classes.

Each script takes a function that makes a workflow of a name, and nothing else tells the two apart.
"""

import asyncio
import json

import data_designer.config as dd
import pandas as pd
import pytest
from data_designer.config.errors import InvalidFileFormatError
from data_designer.interface import (
    DataDesignerWorkflowError,
    DatasetCreationResults,
    ResumeMode,
    SkippedStageResult,
    SkippedStageStatus,
)

from scenarios.pipeline_support import (
    PEOPLE,
    Bench,
    custom,
    empty_builder,
    expression,
    greeting,
    keep_first,
    keep_none,
    people,
    rows_of,
    seeded,
)

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def read_anything(results):
    """Everything that can be read of a run's results, as plain values."""
    found = {"names": list(results), "final": results.final_stage_name, "count": results.count_records()}
    found["rows"] = rows_of(results.load_dataset())
    for name, result in results.items():
        if isinstance(result, SkippedStageResult):
            found[name] = (result.status, result.upstream_stage)
            continue
        assert isinstance(result, DatasetCreationResults)
        frame = result.load_dataset()
        found[name] = {
            "created": rows_of(frame),
            "types": dict(frame.dtypes.astype(str)),
            "created count": result.count_records(),
            "handed on": rows_of(results.load_stage_output(name)),
            "handed on types": dict(results.load_stage_output(name).dtypes.astype(str)),
            "handed on count": results.count_stage_output_records(name),
            "path": rows_of(pd.read_parquet(results.get_stage_output_path(name))),
            "processors": result.artifact_storage.list_processor_names(),
            "files": sorted(
                f"{path.relative_to(result.artifact_storage.base_dataset_path)}"
                for path in result.artifact_storage.base_dataset_path.rglob("*.parquet")
                if "callback" not in f"{path}"
            ),
            "analysis": read_analysis(result.load_analysis()),
            "seeded again": rows_of(result.to_config_builder().get_seed_config().source.df),
            "with dropped": rows_of(result.artifact_storage.load_dataset_with_dropped_columns()),
        }
    return found


def read_analysis(analysis):
    if analysis is None:
        return None
    return analysis.num_records, [(each.column_name, each.num_unique) for each in analysis.column_statistics]


def linear_chain(compose):
    workflow = compose("linear")
    workflow.add_stage("personas", people(), num_records=3).add_stage(
        "prompts", expression("prompt", "{{ persona }} asks")
    )
    workflow.add_stage("final", expression("label", "{{ prompt }}!"))
    return workflow.run()


def explode(compose):
    workflow = compose("explode")
    workflow.add_stage("personas", people(), num_records=2)
    workflow.add_stage("turns", expression("turn", "{{ persona }}"), num_records=7)
    return workflow.run()


def callback_sets_the_count(compose):
    workflow = compose("callback")
    workflow.add_stage("base", people(), num_records=3, on_success=keep_first, on_success_version="first")
    workflow.add_stage("copy", expression("copy", "{{ persona }}"))
    return workflow.run()


def expand(stage_path):
    rows = pd.read_parquet(stage_path / "parquet-files").to_dict(orient="records")
    expanded = pd.DataFrame([{**row, "turn": turn} for row in rows for turn in (1, 2)])
    folder = stage_path / "callback-outputs" / "turns"
    folder.mkdir(parents=True)
    expanded.to_parquet(folder / "data.parquet", index=False)
    return folder


def callback_expands(compose):
    workflow = compose("expand")
    workflow.add_stage("personas", people(), num_records=2, on_success=expand, on_success_version="turns")
    workflow.add_stage("messages", expression("message", "{{ persona }} turn {{ turn }}"))
    return workflow.run()


def drop(name, *columns):
    return dd.DropColumnsProcessorConfig(name=name, column_names=list(columns))


def compact(name="compact"):
    return dd.SchemaTransformProcessorConfig(name=name, template={"compact_name": "{{ persona }}"})


def dropped_columns_stay_behind(compose):
    workflow = compose("drop")
    workflow.add_stage("redacted", people(drop("drop_secret", "secret")), num_records=3)
    workflow.add_stage("below", expression("copy", "{{ persona }}"))
    return workflow.run()


def output_processors(compose):
    workflow = compose("processors")
    workflow.add_stage("base", people(), num_records=3, output_processors=[drop("drop_secret", "secret")])
    workflow.add_stage("final", expression("final", "{{ persona }} final"))
    return workflow.run()


def processor_output(compose):
    workflow = compose("processor-output")
    workflow.add_stage("compact", people(compact()), num_records=3, output="processor:compact")
    workflow.add_stage("final", expression("final", "{{ compact_name }} final"))
    return workflow.run()


def output_of_an_output_processor(compose):
    workflow = compose("output-of-output-processor")
    workflow.add_stage("compact", people(), num_records=3, output_processors=[compact()], output="processor:compact")
    workflow.add_stage("final", expression("final", "{{ compact_name }} final"))
    return workflow.run()


def processor_of_the_config_beside_output_processors(compose):
    workflow = compose("both-processors")
    workflow.add_stage(
        "compact",
        people(compact()),
        num_records=2,
        output_processors=[drop("drop_secret", "secret")],
        output="processor:compact",
    )
    return workflow.run()


def processor_only_stage(compose):
    workflow = compose("processor-only")
    workflow.add_stage("base", people(), num_records=2)
    workflow.add_stage("redacted", empty_builder().add_processor(drop("drop_secret", "secret")))
    workflow.add_stage("final", expression("final", "{{ persona }} final"))
    return workflow.run()


def use_compact(stage_path):
    return stage_path / "processors-files" / "compact"


def callback_picks_a_processor(compose):
    workflow = compose("processor-callback")
    workflow.add_stage("compact", people(compact()), num_records=2, on_success=use_compact)
    workflow.add_stage("final", expression("final", "{{ compact_name }} final"))
    return workflow.run()


def use_processed(stage_path):
    return stage_path / "output-processors" / "parquet-files"


def callback_sees_output_processors(compose):
    workflow = compose("callback-processors")
    workflow.add_stage(
        "base", people(), num_records=2, output_processors=[drop("drop", "secret")], on_success=use_processed
    )
    return workflow.run()


def use_main(stage_path):
    return f"{stage_path / 'parquet-files'}"


def callback_beats_the_output(compose):
    workflow = compose("callback-wins")
    workflow.add_stage(
        "base",
        people(drop("drop", "secret"), compact()),
        num_records=2,
        output="processor:compact",
        on_success=use_main,
    )
    return workflow.run()


def selection(compose):
    workflow = compose("selection")
    rows = [{"name": f"person {number}"} for number in range(10)]
    workflow.add_stage("base", expression("persona", "{{ name }}", seeded(rows)), num_records=10)
    workflow.add_stage(
        "range", expression("a", "{{ name }}"), selection_strategy=dd.IndexRange(start=2, end=4), num_records=5
    )
    workflow.add_stage(
        "block", expression("b", "{{ name }}"), selection_strategy=dd.PartitionBlock(index=1, num_partitions=2)
    )
    return workflow.run()


def custom_column(compose):
    workflow = compose("custom")
    workflow.add_stage("base", people(), num_records=3)
    workflow.add_stage("greeted", custom("greeting", greeting))
    return workflow.run()


def only_a_target(compose):
    workflow = compose("target")
    workflow.add_stage("base", people(), num_records=3)
    workflow.add_stage("copy", expression("copy", "{{ persona }}"))
    workflow.add_stage("final", expression("final", "{{ copy }}"))
    return workflow.run(targets=["base", "copy"])


SCRIPTS = [
    linear_chain,
    explode,
    callback_sets_the_count,
    callback_expands,
    dropped_columns_stay_behind,
    output_processors,
    processor_output,
    output_of_an_output_processor,
    processor_of_the_config_beside_output_processors,
    processor_only_stage,
    callback_picks_a_processor,
    callback_sees_output_processors,
    callback_beats_the_output,
    selection,
    custom_column,
    only_a_target,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_has_the_same_results_on_both(bench, script):
    theirs = read_anything(script(bench.compose_theirs))
    # Their own folder of the same name is in the way of nothing.
    ours = read_anything(script(bench.compose))
    again = read_anything(script(bench.compose))
    assert ours == theirs
    assert again == theirs


def test_a_shuffled_seed_has_the_same_rows_in_some_order(bench):
    workflow = bench.compose()
    workflow.add_stage("base", people(), num_records=3)
    workflow.add_stage("mixed", expression("a", "{{ name }}"), sampling_strategy=dd.SamplingStrategy.SHUFFLE)
    assert sorted(workflow.run().load_dataset()["name"]) == ["Ada", "Grace", "Linus"]


def empty_skips_what_is_below(compose):
    workflow = compose("empty")
    workflow.add_stage("base", people(), num_records=2, on_success=keep_none, allow_empty=True)
    workflow.add_stage("copy", expression("copy", "{{ persona }}"))
    workflow.add_stage("final", expression("final", "{{ copy }}"))
    results = workflow.run()
    assert list(results.keys()) == ["base", "copy", "final"]
    for name in ("copy", "final"):
        assert isinstance(results[name], SkippedStageResult)
        assert results[name].status == SkippedStageStatus.SKIPPED_EMPTY_UPSTREAM
        assert results[name].upstream_stage == "base"
    assert results["base"].count_records() == 2
    assert results.count_stage_output_records("base") == 0
    assert list(results.load_stage_output("base").columns) == ["name", "secret", "persona"]
    said = []
    for ask in (
        results.load_dataset,
        results.count_records,
        lambda: results.export("x.csv"),
        lambda: results.final_result,
        results.load_analysis,
        lambda: results.load_stage_output("copy"),
        lambda: results.get_stage_output_path("copy"),
        lambda: results.count_stage_output_records("final"),
        lambda: results.push_to_hub("a/b", "c"),
    ):
        with pytest.raises(DataDesignerWorkflowError) as error:
            ask()
        said.append(str(error.value))
    return said


def test_an_empty_output_skips_what_is_below_on_both(bench):
    assert empty_skips_what_is_below(bench.compose_theirs) == empty_skips_what_is_below(bench.compose)
    # And so it does the next time, from the cache.
    empty_skips_what_is_below(bench.compose)
    assert bench.count() == {"keep_none": 2}


def export_everything(compose, folder):
    workflow = compose("export")
    workflow.add_stage("compact", people(compact()), num_records=3, output="processor:compact")
    workflow.add_stage("final", expression("final", "{{ compact_name }} final"))
    results = workflow.run()
    folder.mkdir()
    read = {"jsonl": read_lines, "csv": lambda path: rows_of(pd.read_csv(path)), "parquet": read_parquet}
    found = {}
    for suffix, how in read.items():
        found[suffix] = how(results.export(folder / f"final.{suffix}"))
        found[f"stage {suffix}"] = how(results.export_stage("compact", f"{folder / f'compact.{suffix}'}"))
        found[f"created {suffix}"] = how(results["compact"].export(folder / f"created.{suffix}"))
    found["by name"] = read["csv"](results.export(folder / "final.txt", format="csv"))
    with pytest.raises(InvalidFileFormatError) as error:
        results.export(folder / "final.txt")
    found["refused"] = str(error.value)
    with pytest.raises(KeyError):
        results.export_stage("nowhere", folder / "x.csv")
    return found


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_parquet(path):
    return rows_of(pd.read_parquet(path))


def test_exports_are_the_same_on_both(bench):
    theirs = export_everything(bench.compose_theirs, bench.folder / "theirs")
    assert export_everything(bench.compose, bench.folder / "ours") == theirs


def read_stages(compose):
    workflow = compose("read")
    workflow.add_stage("compact", people(compact(), drop("drop", "secret")), num_records=3)
    results = workflow.run()
    compacted = results["compact"]
    path = compacted.get_path_to_processor_artifacts("compact")
    builder = compacted.to_config_builder(columns=["persona"])
    return (
        rows_of(compacted.load_processor_dataset("compact")),
        rows_of(pd.read_parquet(path)),
        path.name,
        rows_of(pd.read_parquet(compacted.artifact_storage.dropped_columns_dataset_path)),
        rows_of(builder.get_seed_config().source.df),
        rows_of(results.final_result.load_dataset()),
        read_analysis(results.load_analysis()),
    )


def test_what_a_stage_has_besides_its_rows_is_the_same_on_both(bench):
    assert read_stages(bench.compose) == read_stages(bench.compose_theirs)


def test_a_stage_result_shows_a_record_and_has_a_config_beside_it(bench, capsys):
    workflow = bench.compose().add_stage("base", people(), num_records=3)
    base = workflow.run()["base"]
    base.display_sample_record()
    assert "Ada" in capsys.readouterr().out
    folder = base.artifact_storage.base_dataset_path
    assert json.loads((folder / "builder_config.json").read_text())["data_designer"]["columns"]


def test_what_somebody_writes_into_a_stages_folder_reaches_nothing(bench):
    def make():
        return bench.compose().add_stage("base", people(), num_records=3)

    folder = make().run()["base"].artifact_storage.final_dataset_path
    for file in folder.iterdir():
        file.write_bytes(b"spoilt")
    other = bench.compose("other").add_stage("base", people(), num_records=3).run()
    assert len(other["base"].load_dataset()) == len(make().run().load_dataset()) == 3


def test_selected_outputs_are_not_pushed_to_the_hub_and_whole_ones_are(bench, monkeypatch):
    selected = bench.compose().add_stage("base", people(compact()), num_records=2, output="processor:compact")
    with pytest.raises(DataDesignerWorkflowError, match=r"push_to_hub\(\) does not support selected workflow outputs"):
        selected.run().push_to_hub("user/selected", "words")
    pushed = []

    def upload(client, **options):
        pushed.append((options["repo_id"], len(list(options["base_dataset_path"].glob("*.json")))))
        return "address"

    monkeypatch.setattr("data_designer.interface.results.HuggingFaceHubClient.upload_dataset", upload)
    for processors in ([], [drop("drop", "secret")]):
        workflow = bench.compose("push").add_stage("base", people(), num_records=2, output_processors=processors)
        assert workflow.run().push_to_hub("user/whole", "words") == "address"
    assert pushed == [("user/whole", 2), ("user/whole", 2)]


def partial_resume(compose):
    def make(expr):
        workflow = compose("partial")
        workflow.add_stage("base", custom("greeting", greeting, seeded(PEOPLE)), num_records=3)
        workflow.add_stage("final", expression("final", expr))
        return workflow

    make("{{ greeting }} one").run()
    return make("{{ greeting }} two").run(resume=ResumeMode.IF_POSSIBLE)


def test_a_changed_last_stage_leaves_the_first_alone_on_both(bench):
    theirs = rows_of(partial_resume(bench.compose_theirs).load_dataset())
    assert bench.count() == {"greeting": 3}
    ours = partial_resume(bench.compose)
    assert bench.count() == {"greeting": 3}
    assert rows_of(ours.load_dataset()) == theirs
    assert {name: ours.get_status(name) for name in ours} == {"base": "hit", "final": "built"}


def review(compose, folder, *, resume):
    """Pause, inspect, go on: the use that `stage_output_overrides` is documented with."""

    def make():
        workflow = compose("review")
        workflow.add_stage("drafts", people(), num_records=3)
        workflow.add_stage("expanded", expression("final", "{{ persona }} {{ approval }}"))
        return workflow

    drafts = make().run(targets="drafts")
    file = folder / "drafts.jsonl"
    drafts.export_stage("drafts", file)
    reviewed = [json.loads(line) | {"approval": "approved"} for line in file.read_text().splitlines()[:2]]
    approved = folder / "approved.parquet"
    pd.DataFrame(reviewed).to_parquet(approved, index=False)
    results = make().run(resume=resume, stage_output_overrides={"drafts": approved})
    assert results.get_stage_output_path("drafts") == approved.resolve()
    return rows_of(results.load_dataset()), rows_of(results["drafts"].load_dataset())


def test_reviewed_rows_go_on_in_the_place_of_a_stages_on_both(bench):
    for folder in ("theirs", "ours"):
        (bench.folder / folder).mkdir()
    theirs = review(bench.compose_theirs, bench.folder / "theirs", resume=ResumeMode.IF_POSSIBLE)
    assert review(bench.compose, bench.folder / "ours", resume=ResumeMode.IF_POSSIBLE) == theirs


def test_the_same_workflow_runs_in_an_event_loop(bench):
    async def main():
        workflow = bench.compose().add_stage("base", people(), num_records=3)
        inside = workflow.run()
        outside = await workflow.arun()
        return inside, outside

    inside, outside = asyncio.run(main())
    assert rows_of(inside.load_dataset()) == rows_of(outside.load_dataset())
    assert outside.get_status("base") == "hit"
