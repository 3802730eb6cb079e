"""One config cut into a chain of stages makes the same rows, and an edit costs only what comes after it."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from ddbuild import Graph, GraphError, split_config, split_stages
from scenarios.project import statuses

pytestmark = pytest.mark.real

COLUMNS = """
    import data_designer.config as dd
    from recorder import record

    @dd.custom_column_generator(required_columns=["text"], side_effect_columns=["shape"])
    def pieces(row):
        record("pieces")
        row["pieces"] = list(row["text"])
        row["shape"] = {"length": len(row["text"]), "tags": [{"tag": piece} for piece in row["text"]]}
        return row

    @dd.custom_column_generator(required_columns=["pieces", "secret", "shape"])
    def late(row):
        record("late")
        row["late"] = "-".join(row["pieces"]) + row["secret"] + str(row["shape"]["length"])
        return row

    @dd.custom_column_generator(required_columns=["late", "number"])
    def ranks(df):
        record("ranks")
        df["ranks"] = df["late"].str.len() + df["number"]
        return df

    def check(df):
        import pandas as pd
        return pd.DataFrame({"is_valid": df["late"].str.len() > 5})

    def make():
        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(name="kind", column_type="sampler", sampler_type="category", params={"values": ["only"]})
        config.add_column(name="loud", column_type="expression", expr="{{ text | upper }}")
        config.add_column(dd.CustomColumnConfig(name="pieces", generator_function=pieces))
        config.add_column(name="secret", column_type="expression", expr="<{{ id }}>", drop=True)
        config.add_column(name="number", column_type="expression", expr="{{ id * 2 }}", dtype="int")
        config.add_column(name="draft", column_type="expression", expr="{{ loud }}?", drop=True)
        config.add_column(dd.CustomColumnConfig(name="late", generator_function=late))
        config.add_column(dd.ValidationColumnConfig(
            name="valid", target_columns=["late"], validator_type="local_callable",
            validator_params=dd.LocalCallableValidatorParams(validation_function=check)))
        config.add_column(dd.CustomColumnConfig(
            name="ranks", generator_function=ranks, generation_strategy=dd.GenerationStrategy.FULL_COLUMN))
        config.add_column(name="last", column_type="expression", expr="{{ kind }} {{ ranks }} {{ shape.length }}")
        return config
    """

BUILD = """
    from ddbuild import source, split_config, stage
    from columns import *

    source("texts", files="texts.jsonl")
    stage("whole", config=make, depends_on=[":texts"])
    for part in split_config(make, name="split", at=AT, depends_on=[":texts"]):
        stage(**part)
    """

TEXTS = "".join(f'{{"id": {number}, "text": "{text}"}}\n' for number, text in enumerate(["ab", "c", "déf", "'", "gh"]))


@pytest.fixture
def make_split(make_project):
    """Make a workspace with the same config as one stage, `whole`, and as a chain, `split`, cut at these columns."""

    def make(at, columns=COLUMNS, build=BUILD):
        files = {
            "ddbuild.toml": "[designer]\nbuffer_size = 2\n",
            "columns.py": columns,
            "BUILD.py": build.replace("AT", repr(at)),
            "texts.jsonl": TEXTS,
        }
        return make_project(files)

    return make


@pytest.mark.parametrize(
    "at",
    [
        ["late"],
        ["number"],
        ["ranks", "pieces"],
        ["loud", "pieces", "secret", "number", "draft", "late", "ranks", "last"],
    ],
    ids="-".join,
)
def test_a_chain_makes_the_same_columns_rows_and_digest_as_the_one_config(make_split, at):
    project = make_split(at)
    result = project.build("//whole", "//split")
    assert len(result) == 3 + len(at)
    frames = [result[name].load_dataset() for name in ("whole", "split")]
    expected = ["id", "text", "kind", "loud", "pieces", "shape", "number", "late", "valid", "ranks", "last"]
    assert [list(frame.columns) for frame in frames] == [expected, expected]
    assert frames[1]["last"].tolist()[0] == "only 7 2"
    assert result["split"].digest == result["whole"].digest


def test_columns_come_in_their_declared_order_whatever_the_process_hashes(make_split):
    """Data Designer's own order is that in which columns were finished, and depends on the hash seed besides."""
    project = make_split(["late"])
    code = f"""
        import json
        from ddbuild import Graph, build
        result = build(Graph.load({str(project.root)!r}), "//whole", cache=CACHE)
        print(json.dumps([result["whole"].digest, list(result["whole"].load_dataset().columns)]))
        """
    found = set()
    for seed in "123":
        text = dedent(code).replace("CACHE", repr(str(project.cache / seed)))
        environment = os.environ | {"PYTHONHASHSEED": seed, "CALLS": str(project.calls_file)}
        done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.splitlines()[-1])
    assert len(found) == 1


def test_an_edited_late_column_reruns_only_the_late_part(make_split):
    project = make_split(["late"])
    project.build("//split")
    assert project.calls == {"pieces": 5, "late": 5, "ranks": 3}
    project.edit("columns.py", '"-".join', '"+".join')
    result = project.build("//split")
    assert project.calls == {"late": 5, "ranks": 3}
    assert statuses(result) == {"split.1": "hit", "split": "built"}
    project.edit("columns.py", "{{ kind }} {{ ranks }}", "{{ ranks }}")
    project.build("//split")
    assert project.calls == {"late": 5, "ranks": 3}


def test_an_edited_early_column_reruns_what_comes_after_it(make_split):
    project = make_split(["late"])
    project.build("//split")
    project.edit("columns.py", '"length": len', '"length": 1 + len')
    project.build("//split")
    assert project.calls == {"pieces": 5, "late": 5, "ranks": 3}


def test_a_dropped_column_is_kept_until_the_part_that_needs_it_and_no_longer(make_split):
    project = make_split(["late", "ranks"])
    result = project.build("//split")
    names = {name: set(result[name].load_dataset().columns) for name in ("split.1", "split.2", "split")}
    assert "secret" in names["split.1"]
    assert "secret" not in names["split.2"] | names["split"]
    assert "draft" not in names["split.1"]


PROCESSED = COLUMNS.replace(
    "        return config\n    ",
    """        config.add_processor(processor_type="drop_columns", name="lean", column_names=["lo*", "text", "valid"])
        config.add_processor(processor_type="schema_transform", name="chat",
                             template={"q": "{{ secret }} {{ late }}", "a": ["{{ number }}", "{{ kind }}"]})
        return config
    """,
)


def test_processors_work_on_the_last_part_as_they_did_on_the_whole(make_split):
    build = BUILD.rstrip(" ") + (
        '    stage("chat", config=make, depends_on=[":texts"], output="processor:chat")\n'
        '    for part in split_config(make, name="cut", at=["number", "late", "last"], depends_on=[":texts"],\n'
        '                             output="processor:chat"):\n'
        "        stage(**part)\n"
    )
    project = make_split(["number", "late", "last"], PROCESSED, build)
    result = project.build("//whole", "//split", "//chat", "//cut")
    frame = result["split"].load_dataset()
    assert list(frame.columns) == ["id", "kind", "pieces", "shape", "number", "late", "ranks", "last"]
    assert result["split"].digest == result["whole"].digest
    assert result["chat"].load_dataset()["q"].tolist()[0] == "<0> a-b<0>2"
    assert result["cut"].digest == result["chat"].digest


def make_builder(*columns, models=(), **more):
    import data_designer.config as dd

    configs = [dd.ModelConfig(alias=alias, model="m", provider="p") for alias in models]
    builder = dd.DataDesignerConfigBuilder(model_configs=configs)
    for column in columns:
        builder.add_column(**column)
    return builder


def expression(name, expr, **more):
    return {"name": name, "column_type": "expression", "expr": expr, **more}


def sampler(name, kind="uniform", **more):
    params = {"low": 0, "high": 1} if kind == "uniform" else {}
    return {"name": name, "column_type": "sampler", "sampler_type": kind, "params": params} | more


def text(name, model, prompt):
    return {"name": name, "column_type": "llm-text", "model_alias": model, "prompt": prompt}


def names_of(parts):
    return [[column.name for column in part["config"].get_column_configs()] for part in parts]


def test_a_new_part_begins_at_each_change_of_model():
    builder = make_builder(
        sampler("topic"),
        text("draft", "small", "{{ topic }}"),
        expression("tidy", "{{ draft | trim }}"),
        text("title", "small", "{{ tidy }}"),
        text("verdict", "large", "{{ draft }}"),
        expression("score", "{{ verdict }}"),
        text("again", "small", "{{ score }}"),
        models=["small", "large", "unused"],
    )
    parts = split_config(builder, name="judged", by="model", num_records=7, min_yield=0.5, output="final")
    assert names_of(parts) == [["topic", "draft", "tidy", "title"], ["verdict", "score"], ["again"]]
    assert [{key: value for key, value in part.items() if key != "config"} for part in parts] == [
        {"name": "judged.1", "num_records": 7, "min_yield": 0.5},
        {"name": "judged.2", "depends_on": [":judged.1"], "min_yield": 0.5},
        {"name": "judged", "depends_on": [":judged.2"], "min_yield": 0.5, "output": "final"},
    ]
    assert [column.name for column in builder.get_column_configs()][-1] == "again"


def test_a_config_of_one_model_is_one_stage():
    builder = make_builder(sampler("a"), text("b", "small", "{{ a }}"), models=["small"])
    assert names_of(split_config(builder, name="x", by="model")) == [["a", "b"]]


def test_independent_samplers_may_be_in_any_part_and_constraints_go_with_their_column():
    builder = make_builder(sampler("a"), expression("b", "{{ a }}"), sampler("c"), sampler("d"))
    builder.add_constraint(constraint_type="column_inequality", target_column="c", operator="lt", rhs="d")
    builder.add_constraint(constraint_type="scalar_inequality", target_column="a", operator="lt", rhs=0.5)
    first, second = split_config(builder, name="x", at=["c"])
    assert [constraint.target_column for constraint in first["config"].build().constraints] == ["a"]
    assert [constraint.target_column for constraint in second["config"].build().constraints] == ["c"]


def skipped(name, expr, when):
    return expression(name, expr, skip={"when": when})


REFUSED = {
    "unknown column": (
        [sampler("a"), expression("bee", "{{ a }}")],
        ["be"],
        "is to be cut at `be`, and has no such column",
        "did you mean `bee`?",
    ),
    "first column": ([sampler("a"), expression("b", "{{ a }}")], ["a"], "nothing comes before it", "out of `at`"),
    "nowhere": ([sampler("a")], [], "nothing says where", 'by="model"'),
    "needs a later one": (
        [sampler("a"), expression("b", "{{ d }}"), expression("c", "{{ a }}"), expression("d", "{{ a }}")],
        ["c"],
        "cannot be cut at `c`: `b` comes before it, and needs `d`, which comes after",
        "declare `b` after `d`",
    ),
    "needs a later one to be skipped": (
        [sampler("a"), skipped("b", "{{ a }}", "{{ c == 1 }}"), expression("c", "{{ a }}")],
        ["c"],
        "`b` comes before it, and needs `c`",
        "declare `b` after `c`",
    ),
    "sampler with conditions": (
        [
            sampler("a"),
            expression("b", "{{ a }}"),
            sampler("c", conditional_params={"a > 0.5": {"low": 2, "high": 3}}),
        ],
        ["b"],
        "cannot be cut at `b`: the samplers `a` and `c` are drawn together",
        "declare `c` before `b`",
    ),
    "subcategory": (
        [
            sampler("a", "category", params={"values": ["x"]}),
            expression("b", "{{ a }}"),
            sampler("c", "subcategory", params={"category": "a", "values": {"x": ["y"]}}),
        ],
        ["b"],
        "the samplers `a` and `c` are drawn together",
        "declare `c` before `b`",
    ),
    "time after another": (
        [
            sampler("a", "datetime", params={"start": "2024-01-01", "end": "2024-02-01"}),
            expression("b", "{{ a }}"),
            sampler("c", "timedelta", params={"dt_min": 1, "dt_max": 2, "reference_column_name": "a"}),
        ],
        ["b"],
        "the samplers `a` and `c` are drawn together",
        "declare `c` before `b`",
    ),
    "skipped before": (
        [sampler("a"), skipped("b", "{{ a }}", "{{ a > 1 }}"), expression("c", "{{ a }}"), expression("d", "{{ b }}")],
        ["c"],
        "cannot be cut at `c`: `d` comes after it and needs `b`, which may be skipped",
        "cut before `b`, or after `d`",
    ),
    "skipped through another": (
        [
            sampler("a"),
            expression("c", "{{ b }}"),
            skipped("b", "{{ a }}", "{{ a > 1 }}"),
            expression("d", "{{ c }}"),
        ],
        ["d"],
        "`d` comes after it and needs `c`, which may be skipped",
        "cut before `c`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_cut_that_could_change_rows_is_refused_with_what_is_in_the_way(case):
    columns, at, message, hint = REFUSED[case]
    with pytest.raises(GraphError) as caught:
        split_config(make_builder(*columns), name="x", at=at)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_constraint_between_parts_is_refused():
    builder = make_builder(sampler("a"), expression("b", "{{ a }}"), sampler("c"))
    builder.add_constraint(constraint_type="column_inequality", target_column="a", operator="lt", rhs="c")
    with pytest.raises(GraphError, match="the samplers `a` and `c` are drawn together"):
        split_config(builder, name="x", at=["b"])


def test_a_skip_stops_at_a_column_that_does_not_pass_it_on():
    builder = make_builder(
        sampler("a"),
        skipped("b", "{{ a }}", "{{ a > 1 }}"),
        expression("c", "{{ b }}", propagate_skip=False),
        expression("d", "{{ c }}"),
    )
    assert names_of(split_config(builder, name="x", at=["d"])) == [["a", "b", "c"], ["d"]]


def test_a_skipped_column_that_a_processor_shows_is_refused():
    builder = make_builder(sampler("a"), skipped("b", "{{ a }}", "{{ a > 1 }}"), expression("c", "{{ a }}"))
    builder.add_processor(processor_type="schema_transform", name="p", template={"x": "{{ b }}"})
    with pytest.raises(GraphError, match="a processor needs it, and it may be skipped"):
        split_config(builder, name="x", at=["c"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either `at` or `by` says where"),
        ({"at": ["b"], "by": "model"}, "either `at` or `by` says where"),
        ({"by": "moon"}, "is to be cut by `moon`"),
        ({"at": "b"}, "which is no list"),
        ({"at": ["b"], "num_record": 3}, "`split_config` has no argument `num_record`"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(GraphError) as caught:
        split_config(make_builder(sampler("a"), expression("b", "{{ a }}")), name="x", **arguments)
    assert message in str(caught.value)


def test_a_script_gets_a_graph_with_the_chain(tmp_path, monkeypatch):
    from ddbuild import build

    monkeypatch.chdir(tmp_path)
    builder = make_builder(
        sampler("a", "category", params={"values": ["x"]}), expression("b", "{{ a }}!"), expression("c", "{{ b }}?")
    )
    graph = split_stages(builder, name="made", at=["b", "c"], num_records=4)
    assert sorted(map(str, graph)) == ["//:made", "//:made.1", "//:made.2"]
    frame = build(graph, "made", cache=tmp_path / "cache").load_dataset()
    assert frame.to_dict("records") == [{"a": "x", "b": "x!", "c": "x!?"}] * 4
    more = Graph(tmp_path)
    more.add_stage("first", config=builder, num_records=1)
    assert split_stages(builder, more, name="made", at=["b"]) is more
    assert len(more) == 3


def test_in_a_build_file_the_loop_is_told(make_project):
    project = make_project(
        {"columns.py": COLUMNS, "BUILD.py": "from ddbuild import split_stages\nfrom columns import make\n"
         'split_stages(make, name="x", at=["late"])\n'}
    )  # fmt: skip
    with pytest.raises(GraphError) as caught:
        project.session()
    assert caught.value.hint == "for part in split_config(..., name=...): stage(**part)"


def test_a_part_whose_own_columns_are_all_dropped_runs(make_split):
    columns = COLUMNS.replace(
        "        return config\n    ",
        """        config.add_column(name="over", column_type="expression", expr="{{ last }}", drop=True)
        return config
    """,
    )
    project = make_split(["late", "over"], columns)
    result = project.build("//whole", "//split")
    assert result["split"].digest == result["whole"].digest
