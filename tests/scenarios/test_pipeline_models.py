"""The workflow that Data Designer's documentation shows, with a model that answers at once, on both; and images."""

import json

import data_designer.config as dd
import pandas as pd
import pytest
from data_designer.interface import DataDesigner, DataDesignerEarlyShutdownError

from scenarios.pipeline_support import Bench, expression, record
from stub_provider import StubProvider

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    with StubProvider() as stub:
        bench = Bench(tmp_path)
        bench.stub = stub
        bench.designer = DataDesigner(
            tmp_path / "artifacts", model_providers=[stub.provider()], auto_configure_logging=False
        )
        yield bench


def doc_qa(bench, compose, key="messages"):
    bench.write_rows("docs/a.parquet", [{"text": "the sea"}, {"text": "the sky"}])
    writer = bench.stub.model("fast")
    drafts = (
        dd.DataDesignerConfigBuilder(model_configs=[writer])
        .with_seed_dataset(dd.LocalFileSeedSource(path=str(bench.folder / "docs" / "*.parquet")))
        .add_column(name="chunk_summary", column_type="llm-text", model_alias="fast", prompt="Summarize: {{ text }}")
        .add_column(name="question", column_type="llm-text", model_alias="fast", prompt="Ask of {{ chunk_summary }}")
        .add_column(name="answer", column_type="llm-text", model_alias="fast", prompt="Answer {{ question }}")
    )
    chatml = dd.DataDesignerConfigBuilder(model_configs=[writer]).add_processor(
        dd.SchemaTransformProcessorConfig(
            name="chatml",
            template={
                key: [
                    {"role": "user", "content": "{{ question }}"},
                    {"role": "assistant", "content": "{{ answer }}"},
                ]
            },
        )
    )
    workflow = compose("doc-qa")
    workflow.add_stage(
        "drafts",
        drafts,
        num_records=2,
        output_processors=[dd.DropColumnsProcessorConfig(name="drop_scratch", column_names=["text", "chunk_summary"])],
    )
    workflow.add_stage("chatml", chatml, output="processor:chatml")
    results = workflow.run()
    results.export(bench.folder / "chatml.jsonl")
    lines = [json.loads(line) for line in (bench.folder / "chatml.jsonl").read_text().splitlines()]
    return results, lines


def test_the_documented_workflow_makes_the_same_rows_on_both_and_is_paid_for_once(bench):
    theirs, their_lines = doc_qa(bench, bench.compose_theirs)
    assert bench.stub.requests == 6
    ours, our_lines = doc_qa(bench, bench.compose)
    assert bench.stub.requests == 12
    assert our_lines == their_lines
    assert [message["role"] for message in our_lines[0]["messages"]] == ["user", "assistant"]
    assert list(ours["drafts"].load_dataset().columns) == list(theirs["drafts"].load_dataset().columns)
    doc_qa(bench, bench.compose)
    results, lines = doc_qa(bench, bench.compose, key="conversation")
    assert bench.stub.requests == 12
    assert list(lines[0]) == ["conversation"]
    assert results.get_provenance("drafts").usage.requests == 6
    assert results["chatml"].load_processor_dataset("chatml").shape[0] == 2


def test_a_provider_that_fails_every_request_is_data_designers_early_shutdown(bench):
    bench.stub.reply = lambda prompt: "hello" if prompt == "Hello!" else 400
    bench.designer.set_run_config(dd.RunConfig(shutdown_error_window=2, shutdown_error_rate=0.1))
    builder = dd.DataDesignerConfigBuilder(model_configs=[bench.stub.model()])
    builder.add_column(name="start", column_type="sampler", sampler_type="uuid", params=dd.UUIDSamplerParams())
    builder.add_column(name="x", column_type="llm-text", model_alias="writer", prompt="say {{ start }}")
    for compose in (bench.compose_theirs, bench.compose):
        with pytest.raises(DataDesignerEarlyShutdownError):
            compose().add_stage("base", builder, num_records=20).run()


def keep_all(stage_path):
    record("keep_all")
    return stage_path / "parquet-files"


def painted(bench, **options):
    painter = dd.ModelConfig(
        alias="painter", model="dall-e-3", provider="stub", inference_parameters=dd.ImageInferenceParams()
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[painter])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"name": ["sea", "sky"]})))
    builder.add_column(name="photo", column_type="image", model_alias="painter", prompt="paint {{ name }}")
    workflow = bench.compose().add_stage("painted", builder, **options)
    return workflow.add_stage("named", expression("title", "The {{ name }}"))


def read_images(frame, folder):
    return [(folder / path).read_bytes()[:4] for paths in frame["photo"] for path in paths]


def test_images_lie_beside_the_rows_that_name_them(bench):
    results = painted(bench, on_success=keep_all).run()
    for name in ("painted", "named"):
        path = results.get_stage_output_path(name)
        assert path.name == "data.parquet"
        assert read_images(pd.read_parquet(path), path.parent) == [b"\x89PNG"] * 2
    stage = results["painted"]
    folder = stage.artifact_storage.base_dataset_path
    assert read_images(stage.load_dataset(), folder) == [b"\x89PNG"] * 2
    reviewed, asked = results.get_stage_output_path("painted"), bench.stub.requests
    again = painted(bench, on_success=keep_all).run(stage_output_overrides={"painted": reviewed})
    assert again.get_status("named") == "cutoff"
    assert bench.stub.requests == asked
