"""Which cells a config's rows consist of, what each one's recipe is, and which configs have none."""

import itertools
import sys

import data_designer.config as dd
import pytest

from ddbuild.designer import NotRowWise, describe_cells, is_dropped

_numbers = itertools.count()
HEAD = """
import data_designer.config as dd
PREFIX = "p"
"""
QUESTION = """
@dd.custom_column_generator(required_columns=["topic"], side_effect_columns=["trace"])
def question(row):
    row["question"] = PREFIX + row["topic"]
    row["trace"] = 1
    return row
"""
ANSWER = """
@dd.custom_column_generator(required_columns=["question"])
def answer(row):
    row["answer"] = row["question"] + row["trace"]
    return row
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    def load_functions(text):
        name = f"cells_case_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(HEAD + text)
        monkeypatch.syspath_prepend(str(tmp_path))
        module = __import__(name)
        monkeypatch.delitem(sys.modules, name)
        return module

    return load_functions


def make(*columns, models=()):
    builder = dd.DataDesignerConfigBuilder(model_configs=list(models))
    for column in columns:
        builder.add_column(column)
    return builder


def custom(module, name, **options):
    return dd.CustomColumnConfig(name=name, generator_function=getattr(module, name), **options)


def sampler(name, kind="uuid", params=None, **options):
    return dd.SamplerColumnConfig(name=name, sampler_type=kind, params=params or {}, **options)


def expression(name, text, **options):
    return dd.ExpressionColumnConfig(name=name, expr=text, **options)


def describe(builder, reuse=None, parts=()):
    return describe_cells(
        builder, parts=list(parts), provider_parts=lambda models, tools: [], reuse=reuse or {}, subject="//:s"
    )


def recipes(builder, **options):
    return {unit.name: unit.recipe for unit in describe(builder, **options).units}


def differing(one, other):
    return {name for name in one.keys() & other.keys() if one[name] != other[name]}


def test_a_unit_has_its_column_with_side_effects_and_reads_what_its_function_reads(load):
    module = load(QUESTION + ANSWER)
    scheme = describe(make(custom(module, "answer"), custom(module, "question"), expression("line", "{{ answer }}")))
    assert [(unit.columns, unit.makers, unit.reads) for unit in scheme.units] == [
        (("question", "trace"), ("question",), ("topic",)),
        (("answer",), ("answer",), ("question", "trace")),
        (("line",), ("line",), ("answer",)),
    ]
    assert scheme.seed_reads() == {"topic"}


def test_a_recipe_has_its_function_and_all_above_it(load):
    one = load(QUESTION + ANSWER)
    other = load(QUESTION.replace("+ row", "+ '' + row") + ANSWER)
    third = load(QUESTION + ANSWER.replace("+ row", "+ '' + row"))
    columns = [
        [custom(module, "question"), custom(module, "answer"), expression("line", "{{ topic }}")]
        for module in (one, other, third)
    ]
    before, above, below = (recipes(make(*each)) for each in columns)
    assert differing(before, above) == {"question", "answer"}
    assert differing(before, below) == {"answer"}


def test_names_order_and_dropping_are_no_part_of_a_recipe(load):
    module = load(QUESTION + ANSWER)
    before = recipes(make(custom(module, "question"), custom(module, "answer"), sampler("mood")))
    after = recipes(make(sampler("feeling"), custom(module, "question", drop=True), custom(module, "answer")))
    assert before.pop("mood") == after.pop("feeling")
    assert before == after


def test_what_is_read_counts_by_its_name():
    one = recipes(make(sampler("mood"), expression("line", "{{ mood }}")))
    other = recipes(make(sampler("feeling"), expression("line", "{{ feeling }}")))
    assert one["line"] != other["line"]


def test_a_model_counts_for_the_columns_that_ask_it(load):
    def build(temperature):
        models = [
            dd.ModelConfig(
                alias=alias,
                model="m",
                provider="p",
                inference_parameters=dd.ChatCompletionInferenceParams(temperature=value),
            )
            for alias, value in (("one", 0.5), ("two", temperature))
        ]
        return make(
            dd.LLMTextColumnConfig(name="question", prompt="{{ topic }}", model_alias="one"),
            dd.LLMTextColumnConfig(name="answer", prompt="{{ question }}", model_alias="two"),
            dd.LLMTextColumnConfig(name="other", prompt="{{ topic }}!", model_alias="two", with_trace="all_messages"),
            models=models,
        )

    assert differing(recipes(build(0.1)), recipes(build(0.1))) == set()
    assert differing(recipes(build(0.1)), recipes(build(0.9))) == {"answer", "other"}
    units = {unit.name: unit for unit in describe(build(0.1)).units}
    assert [units[name].requests for name in ("question", "answer", "other")] == [1, 1, 1]
    assert units["other"].columns == ("other", "other__trace")


def test_how_a_run_is_cut_into_batches_is_no_part_of_a_recipe_and_all_else_of_it_is():
    builder = make(sampler("mood"))
    base = recipes(builder, parts=[("run_config", "buffer_size", "1"), ("run_config", "other", "1")])
    assert base == recipes(builder, parts=[("run_config", "other", "1"), ("run_config", "buffer_size", "2")])
    assert base != recipes(builder, parts=[("run_config", "other", "2")])
    assert base != recipes(builder, parts=[("run_config", "other", "1"), ("salt", "target", "1")])


def test_samplers_that_are_drawn_together_are_one_unit():
    builder = make(
        sampler("kind", "category", {"values": ["a", "b"]}),
        sampler("sort", "subcategory", {"category": "kind", "values": {"a": ["x"], "b": ["y"]}}),
        sampler("other"),
    )
    assert [unit.columns for unit in describe(builder).units] == [("kind", "sort"), ("other",)]


def test_samplers_under_one_constraint_are_one_unit_and_the_constraint_is_in_its_recipe():
    def build(operator):
        builder = make(
            sampler("low", "uniform", {"low": 0, "high": 1}),
            sampler("high", "uniform", {"low": 0, "high": 1}),
            sampler("free", "uniform", {"low": 0, "high": 1}),
        )
        builder.add_constraint(dd.ColumnInequalityConstraint(target_column="low", rhs="high", operator=operator))
        return builder

    assert [unit.columns for unit in describe(build("lt")).units] == [("low", "high"), ("free",)]
    assert differing(recipes(build("lt")), recipes(build("gt"))) == {"low"}


def test_a_sampler_that_is_drawn_by_the_seed_is_in_the_way():
    column = sampler(
        "age", "uniform", {"low": 0, "high": 9}, conditional_params={"topic == 'a'": {"low": 1, "high": 2}}
    )
    with pytest.raises(NotRowWise, match="`age` is drawn by `topic`"):
        describe(make(column))
    (unit,) = describe(make(column, sampler("topic", "category", {"values": ["a"]}))).units
    assert set(unit.columns) == {"age", "topic"}


def test_what_no_output_has_is_known_by_name_and_by_pattern():
    builder = make(sampler("mood", drop=True), sampler("other"), sampler("tmp_a"))
    builder.add_processor(dd.DropColumnsProcessorConfig(name="drop", column_names=["tmp_*"]))
    scheme = describe(builder)
    assert [name for name in ("mood", "other", "tmp_a", "topic") if is_dropped(name, scheme)] == ["mood", "tmp_a"]


FULL = """
@dd.custom_column_generator(required_columns=["topic"])
def full(df):
    df["full"] = len(df)
    return df
"""
OPAQUE = """
@dd.custom_column_generator(required_columns=["topic"])
def opaque(row):
    row["opaque"] = str(row)
    return row
"""
UNDECLARED = """
@dd.custom_column_generator(required_columns=["topic"])
def undeclared(row):
    row["undeclared"] = row.get("mood")
    return row
"""
ALONE = """
@dd.custom_column_generator(required_columns=[])
def alone(row):
    row["alone"] = row.get("topic")
    return row
"""


def test_a_function_that_sees_its_rows_together_is_in_the_way(load):
    column = custom(load(FULL), "full", generation_strategy="full_column")
    with pytest.raises(NotRowWise, match="`full` sees its rows together"):
        describe(make(column), reuse={"full": True})


def test_a_function_that_hands_its_row_on_is_in_the_way_until_somebody_vouches_for_it(load):
    column = custom(load(OPAQUE), "opaque")
    with pytest.raises(NotRowWise, match=r'of `opaque` reads of a row cannot be told.*`reuse=\{"opaque": True\}`'):
        describe(make(column))
    (unit,) = describe(make(column), reuse={"opaque": True}).units
    assert (unit.reads, unit.reads_all, unit.is_reusable) == (("topic",), True, True)


@pytest.mark.parametrize(("text", "name", "missing"), [(UNDECLARED, "undeclared", "mood"), (ALONE, "alone", "topic")])
def test_a_function_that_reads_what_may_or_may_not_be_there_is_in_the_way(load, text, name, missing):
    builder = make(sampler("mood"), custom(load(text), name))
    with pytest.raises(NotRowWise, match=f"`{name}` reads `{missing}`, which is not among its `required_columns`"):
        describe(builder)
    assert len(describe(builder, reuse={name: True}).units) == 2


THERE = """
@dd.custom_column_generator(required_columns=["topic", "other"])
def above(row):
    row["above"] = row["topic"] + row["other"]
    return row

@dd.custom_column_generator(required_columns=["above"])
def reader(row):
    row["reader"] = [row["topic"], row["level"], row["mood"], row["other"]]
    return row
"""


def test_what_is_there_whenever_a_function_runs_need_not_be_declared(load):
    """Its columns' own inputs, all of the seed where one of it is, all samplers where one of them is."""
    module = load(THERE)
    builder = make(sampler("mood"), sampler("other"), custom(module, "above"), custom(module, "reader"))
    units = {unit.name: unit for unit in describe(builder).units}
    assert units["reader"].reads == ("above", "level", "mood", "other", "topic")
    with pytest.raises(NotRowWise, match="`reader` reads `mood`"):
        describe(make(sampler("mood"), expression("other", "x"), custom(module, "above"), custom(module, "reader")))


def test_a_wrapper_around_a_function_is_in_the_way(load):
    text = (
        QUESTION
        + """
import functools, inspect

def log(function):
    inner = inspect.unwrap(function)
    @functools.wraps(inner)
    def wrapper(row):
        row["seen"] = row["hidden"]
        return inner(row)
    return wrapper

question = log(question)
"""
    )
    with pytest.raises(NotRowWise, match="of `question` reads of a row cannot be told"):
        describe(make(custom(load(text), "question")))


def test_a_column_that_may_be_skipped_is_in_the_way(load):
    column = expression("line", "{{ topic }}", skip=dd.SkipConfig(when="{{ topic == 'a' }}"))
    with pytest.raises(NotRowWise, match="`line` may be skipped"):
        describe(make(column))


def test_a_processor_that_changes_rows_is_in_the_way():
    builder = make(sampler("mood"))
    builder.add_processor(dd.SchemaTransformProcessorConfig(name="shape", template={"x": "{{ mood }}"}))
    with pytest.raises(NotRowWise, match="the processor `shape` sees its rows together"):
        describe(builder)


def test_a_column_that_is_never_to_be_kept_says_so():
    units = describe(make(sampler("mood"), sampler("other")), reuse={"mood": False}).units
    assert [unit.is_reusable for unit in units] == [False, True]


def test_columns_that_read_each_other_are_in_the_way(load):
    text = ANSWER.replace("answer", "one").replace("question", "two").replace(' + row["trace"]', "")
    text += ANSWER.replace("answer", "two").replace("question", "one").replace(' + row["trace"]', "")
    module = load(text)
    with pytest.raises(NotRowWise, match="read each other"):
        describe(make(custom(module, "one"), custom(module, "two")))


def test_the_provider_of_a_columns_model_is_part_of_its_recipe_and_of_no_others():
    models = [dd.ModelConfig(alias=name, model="m", provider=name) for name in ("a", "b")]
    columns = [
        dd.LLMTextColumnConfig(name=f"by_{each.alias}", prompt="Say.", model_alias=each.alias) for each in models
    ]

    def describe_with(digest):
        def provider_parts(providers, tools):
            assert tools == []
            return [("provider", name, digest if name == "b" else "same") for name in providers]

        scheme = describe_cells(
            make(*columns, models=models), parts=[], provider_parts=provider_parts, reuse={}, subject="//:s"
        )
        return {unit.name: unit.recipe for unit in scheme.units}

    assert differing(describe_with("before"), describe_with("after")) == {"by_b"}
