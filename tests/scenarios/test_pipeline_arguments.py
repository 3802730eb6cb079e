"""What may be said of stages and runs: as Data Designer says it, word for word, and what is ddbuild's own."""

import data_designer.config as dd
import pytest
from data_designer.interface import DataDesignerGenerationError, DataDesignerWorkflowError, ResumeMode

import ddbuild
from scenarios.pipeline_support import Bench, custom, draws, expression, keep_first, keep_none, people

pytestmark = pytest.mark.real


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def drop(name):
    return dd.DropColumnsProcessorConfig(name=name, column_names=["name"])


def with_processor(name):
    return draws().add_processor(drop(name))


def add(*arguments, **options):
    return lambda workflow: workflow.add_stage(*arguments, **options)


def two_stages(workflow):
    workflow.add_stage("base", draws(), num_records=2)
    return workflow.add_stage("copy", expression("copy", "{{ draw }}"))


WRONG = {
    "a stage name that is no folder": add("bad/name", draws()),
    "a stage name with a star": add("bad*name", draws()),
    "an empty stage name": add("", draws()),
    "a stage name that is the folder": add(".", draws()),
    "a stage name that is the folder above": add("..", draws()),
    "a stage name twice": lambda workflow: add("base", draws())(add("base", draws())(workflow)),
    "a number of records that is a text": add("base", draws(), num_records="3"),
    "a number of records that is true": add("base", draws(), num_records=True),
    "no records": add("base", draws(), num_records=0),
    "a version that is a number": add("base", draws(), on_success_version=1),
    "an allow_empty that is a text": add("base", draws(), allow_empty="yes"),
    "a sampling strategy that is a text": add("base", draws(), sampling_strategy="random"),
    "a selection strategy that is a list": add("base", draws(), selection_strategy=[1, 2]),
    "an output that is none": add("base", draws(), output="callback"),
    "an output processor without a name": add("base", draws(), output="processor:"),
    "an output processor that is no folder": add("base", draws(), output="processor:bad/name"),
    "an output processor that is not there": add("base", draws(), output="processor:missing"),
    "an output processor twice": add("base", draws(), output_processors=[drop("a"), drop("a")]),
    "an output processor named like the config's": add("base", with_processor("a"), output_processors=[drop("a")]),
    "no stages": lambda workflow: workflow.run(),
    "a target that is not there": lambda workflow: two_stages(workflow).run(targets=["copy", "nowhere", "else"]),
    "no targets": lambda workflow: two_stages(workflow).run(targets=[]),
    "a rerun that may not": lambda workflow: two_stages(workflow).run(resume=ResumeMode.NEVER, rerun_from="copy"),
    "a rerun from nowhere": lambda workflow: two_stages(workflow).run(resume=ResumeMode.IF_POSSIBLE, rerun_from="x"),
    "a rerun from below the target": lambda workflow: two_stages(workflow).run(
        resume=ResumeMode.IF_POSSIBLE, rerun_from="copy", targets="base"
    ),
    "an override of nothing": lambda workflow: two_stages(workflow).run(stage_output_overrides={"x": "a.parquet"}),
    "an override below the target": lambda workflow: two_stages(workflow).run(
        targets="base", stage_output_overrides={"copy": "a.parquet"}
    ),
    "an override that is not there": lambda workflow: two_stages(workflow).run(
        stage_output_overrides={"base": "/nowhere/a.parquet"}
    ),
    "nothing to resume": lambda workflow: two_stages(workflow).run(resume=ResumeMode.ALWAYS),
    "an empty output": lambda workflow: workflow.add_stage("base", draws(), num_records=2, on_success=keep_none).run(),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_data_designer_refuses_is_refused_in_the_same_words(bench, case):
    with pytest.raises(DataDesignerWorkflowError) as theirs:
        WRONG[case](bench.compose_theirs())
    with pytest.raises(DataDesignerWorkflowError) as ours:
        WRONG[case](bench.compose("theirs"))
    assert ours.value.message == str(theirs.value)
    assert isinstance(ours.value, ddbuild.DdbuildError)


@pytest.mark.parametrize("name", ["bad/name", "bad*name", "", ".", ".."])
def test_a_name_that_data_designer_refuses_is_refused_in_the_same_words(bench, name):
    with pytest.raises(DataDesignerWorkflowError) as theirs:
        bench.compose_theirs(name)
    with pytest.raises(DataDesignerWorkflowError) as ours:
        bench.compose(name)
    assert ours.value.message == str(theirs.value)


def test_a_refused_run_leaves_no_folder(bench):
    with pytest.raises(DataDesignerWorkflowError):
        bench.compose().run()
    assert not (bench.folder / "artifacts" / "demo").exists()


def test_a_config_that_data_designer_finds_wrong_raises_its_own_error(bench):
    def wrong():
        tools = dd.ToolConfig(tool_alias="tools", providers=["p"], allow_tools=["search", "search"])
        return dd.DataDesignerConfigBuilder(model_configs=[], tool_configs=[tools])

    with pytest.raises(Exception) as theirs:
        bench.compose_theirs().add_stage("base", wrong())
    with pytest.raises(type(theirs.value)) as ours:
        bench.compose().add_stage("base", wrong())
    assert str(ours.value) == str(theirs.value)


OURS = {
    "depends on what is not there": (
        lambda w: w.add_stage("b", draws(), depends_on=["basse"]),
        "Stage 'b' depends on 'basse', which was not added to workflow 'demo' before it.",
        "did you mean 'base'?",
    ),
    "two parents and no seed": (
        lambda w: w.add_stage("c", draws(), depends_on=["base", "copy"]),
        "Stage 'c' depends on 2 stages, and nothing says which one is its seed.",
        "add seed='base', or a ddbuild.concat(...), ddbuild.join(...) or function of them",
    ),
    "a seed that is none": (
        lambda w: w.add_stage("c", draws(), seed=3),
        "Stage seed must be a stage name, a concat, a join or a function.",
        None,
    ),
    "a seed function without parents": (
        lambda w: w.add_stage("c", draws(), depends_on=[], seed=lambda parents: None),
        "Stage 'c' has a seed function, and depends on no stage that it could read.",
        None,
    ),
    "a share above one": (
        lambda w: w.add_stage("c", draws(), min_yield=1.1),
        "Stage min_yield must be a number from 0 to 1.",
        None,
    ),
    "no jobs": (lambda w: w.run(jobs=0), "jobs must be a whole number of at least 1, got 0.", None),
    "a resume mode that is none": (
        lambda w: w.run(resume="sometimes"),
        "resume must be a ResumeMode, got 'sometimes'.",
        None,
    ),
}


@pytest.mark.parametrize("case", OURS)
def test_what_only_ddbuild_has_is_checked_too(bench, case):
    do, message, hint = OURS[case]
    workflow = two_stages(bench.compose())
    with pytest.raises(ddbuild.PipelineError) as error:
        do(workflow)
    assert (error.value.message, error.value.hint) == (message, hint)


def test_builders_and_processors_are_copied_when_they_are_added(bench):
    builder, processor = people(), drop("drop_name")
    workflow = bench.compose().add_stage("base", builder, output_processors=[processor])
    expression("late", "{{ name }}", builder)
    processor.column_names.append("secret")
    assert list(workflow.run().load_dataset().columns) == ["secret", "persona"]


FAILING = """
import data_designer.config as dd

@dd.custom_column_generator(required_columns=["name"])
def greeting(row):
    raise ValueError("no luck today")

def callback(stage_path):
    raise KeyError("no such thing")

def returns_nothing_there(stage_path):
    return stage_path / "callback-outputs" / "missing"
"""


def test_a_generation_that_fails_is_caught_as_both_of_data_designers_errors(bench):
    functions = bench.load_functions(FAILING)
    builder = custom("greeting", functions.greeting, people())
    with pytest.raises(DataDesignerGenerationError):
        bench.compose_theirs().add_stage("base", builder, num_records=3).run()
    with pytest.raises(DataDesignerGenerationError) as ours:
        bench.compose().add_stage("base", builder).run()
    assert isinstance(ours.value, DataDesignerWorkflowError)
    assert ours.value.message == "Data Designer made no rows of stage `base`"
    assert "no luck today" in ours.value.facts["problem"]
    assert list(ours.value.results) == []


def test_what_a_callback_raises_comes_through_as_it_is_and_says_where_it_comes_from(bench):
    functions = bench.load_functions(FAILING)
    for compose in (bench.compose_theirs, bench.compose):
        workflow = compose().add_stage("base", people(), num_records=3, on_success=functions.callback)
        with pytest.raises(KeyError, match="no such thing") as error:
            workflow.run()
    place = bench.folder / "functions.py"
    assert error.value.__notes__ == [f"raised by the callback of stage 'base', at {place}:9"]


def with_model(workflow, provider, alias="writer"):
    column = dd.LLMTextColumnConfig(name="x", model_alias=alias, prompt="hi {{ draw }}")
    model = dd.ModelConfig(alias="writer", model="m", provider=provider)
    builder = draws(builder=dd.DataDesignerConfigBuilder(model_configs=[model]))
    return workflow.add_stage("base", builder.add_column(column), num_records=3)


GENERATING = {
    "an unknown model": lambda workflow: with_model(workflow, "none", alias="other"),
    "an unknown provider": lambda workflow: with_model(workflow, "nobody"),
    "a provider that is away": lambda workflow: with_model(workflow, "none"),
}


@pytest.mark.parametrize("case", GENERATING)
def test_what_data_designer_finds_wrong_in_generating_is_a_generation_error_here_too(bench, case):
    for compose in (bench.compose_theirs, bench.compose):
        with pytest.raises(DataDesignerGenerationError) as error:
            GENERATING[case](compose()).run()
    assert isinstance(error.value, DataDesignerWorkflowError)


def test_a_callback_without_a_result_is_data_designers_error(bench):
    functions = bench.load_functions(FAILING)
    for workflow in (bench.compose_theirs(), bench.compose()):
        workflow.add_stage("base", people(), num_records=3, on_success=functions.returns_nothing_there)
        with pytest.raises(DataDesignerWorkflowError, match="No parquet files found at"):
            workflow.run()


def test_what_finished_before_a_failure_is_in_the_error(bench):
    functions = bench.load_functions(FAILING)
    workflow = bench.compose()
    workflow.add_stage("base", people())
    workflow.add_stage("bad", custom("greeting", functions.greeting))
    workflow.add_stage("below", expression("b", "{{ name }}"))
    workflow.add_stage("apart", expression("c", "{{ name }}"), depends_on=["base"])
    with pytest.raises(ddbuild.PipelineError) as error:
        workflow.run(keep_going=True)
    results = error.value.results
    assert list(results) == ["base", "apart"]
    assert results.count_stage_output_records("apart") == 3
    assert results.final_stage_name == "apart"
    assert error.value.exit_code == 1


def test_a_function_that_cannot_be_hashed_is_named_and_a_version_stands_in_for_it(bench):
    handle = open(bench.folder / "handle", "w")  # noqa: SIM115

    def keep_all(stage_path):
        handle.write("called\n")
        return stage_path / "parquet-files"

    workflow = bench.compose().add_stage("base", people(), on_success=keep_all)
    with pytest.raises(ddbuild.PipelineError, match="`callback of stage base` depends on"):
        workflow.run()
    versioned = bench.compose("versioned").add_stage("base", people(), on_success=keep_all, on_success_version="1")
    assert versioned.run().get_status("base") == "built"
    assert versioned.run().get_status("base") == "hit"
    again = bench.compose("versioned").add_stage("base", people(), on_success=keep_all, on_success_version="2")
    assert again.run().get_status("base") == "built"


def test_the_first_stages_of_data_designers_count_and_a_seeds(bench):
    workflow = bench.compose()
    workflow.add_stage("ten", draws())
    workflow.add_stage("three", people(), depends_on=[])
    workflow.add_stage("callback", people(), depends_on=[], on_success=keep_first)
    workflow.add_stage("below", expression("copy", "{{ name }}"))
    results = workflow.run()
    counts = {name: results.count_stage_output_records(name) for name in results}
    assert counts == {"ten": 10, "three": 3, "callback": 1, "below": 1}
