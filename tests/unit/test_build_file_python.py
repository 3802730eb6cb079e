"""What a BUILD.py may declare, and what it is told when it declares something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbuild.errors import GraphError, Location
from ddbuild.graph.targets import Concat, Join
from ddbuild.label import Label
from ddbuild.workspace import ConfigFile, ConfigFunction, Graph, InlineConfig, concat, join, source, stage, transform

PRELUDE = "from ddbuild import concat, join, source, stage, transform\n"
A, B, C = Label("", "a"), Label("", "b"), Label("", "c")
PARENTS = "source('a', 'a.csv')\nsource('b', 'b.csv')\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"ddbuild.toml": "", "c.yaml": "columns: []", **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def load(root: Path, text: str) -> Graph:
    return Graph.load(write(root, {"BUILD.py": PRELUDE + text}))


def fail(root: Path, text: str) -> str:
    with pytest.raises(GraphError) as caught:
        load(root, text)
    return str(caught.value)


def test_a_stage_has_what_was_written_and_defaults_for_the_rest(tmp_path):
    graph = load(tmp_path, "stage('s', 'c.yaml')\n")
    made = graph[Label("", "s")]
    assert made.config == ConfigFile(tmp_path / "c.yaml")
    assert (made.num_records, made.depends_on, made.seed) == (None, (), None)
    assert (made.sampling_strategy, made.selection_strategy) == ("ordered", None)
    assert (made.on_success, made.on_success_version, made.output, made.output_processors) == (None, None, "final", ())
    assert (made.allow_empty, made.min_yield, made.version, made.salt) == (False, 0.9, None, None)
    assert made.location == Location("BUILD.py", 2)


def test_every_field_of_a_stage_is_taken(tmp_path):
    graph = load(
        tmp_path,
        PARENTS + "import data_designer.config as dd\n"
        "def keep(path): return path\n"
        "stage('s', config='c.yaml', num_records=7, depends_on=[':a', ':b'], seed=':b',\n"
        "    sampling_strategy=dd.SamplingStrategy.SHUFFLE, selection_strategy=dd.IndexRange(start=0, end=9),\n"
        "    on_success=keep, on_success_version='2', output='processor:p',\n"
        "    output_processors=[dd.DropColumnsProcessorConfig(name='p', column_names=['x'])],\n"
        "    allow_empty=True, min_yield=0.5, version='v', salt='x')\n",
    )
    made = graph[Label("", "s")]
    assert (made.num_records, made.depends_on, made.seed) == (7, (A, B), B)
    assert made.sampling_strategy == "shuffle"
    assert made.selection_strategy.end == 9
    assert made.on_success("p") == "p"
    assert (made.on_success_version, made.output) == ("2", "processor:p")
    assert made.output_processors[0].name == "p"
    assert (made.allow_empty, made.min_yield, made.version, made.salt) == (True, 0.5, "v", "x")
    assert made.location == Location("BUILD.py", 6)


@pytest.mark.parametrize("value", ["'off'", "'auto'", "{'notes': True, 'score': False}"])
def test_reuse_is_said_for_a_stage_or_for_its_columns(tmp_path, value):
    write(tmp_path, {"BUILD.py": PRELUDE + f"stage('s', 'c.yaml', reuse={value})\n"})
    (made,) = Graph.load(tmp_path).targets.values()
    assert made.reuse == eval(value)


def test_a_plain_off_in_yaml_is_a_text(tmp_path):
    write(tmp_path, {"BUILD.yaml": "stages:\n  s: {config: c.yaml, reuse: off}\n", "c.yaml": "{}"})
    (made,) = Graph.load(tmp_path).targets.values()
    assert made.reuse == "off"


def test_the_workspace_gives_the_default_of_min_yield(tmp_path):
    build = PRELUDE + "stage('s', 'c.yaml')\nstage('t', 'c.yaml', min_yield=0)\n"
    write(tmp_path, {"ddbuild.toml": "[build]\nmin_yield = 0.5\n", "BUILD.py": build})
    assert [stage.min_yield for stage in Graph.load(tmp_path).targets.values()] == [0.5, 0.0]


def test_a_declaration_returns_its_label_which_others_can_depend_on(tmp_path):
    graph = load(tmp_path, "a = source('a', 'a.csv')\nstage('s', 'c.yaml', depends_on=[a])\n")
    assert graph[Label("", "s")].depends_on == (A,)


def test_labels_are_relative_to_their_package(tmp_path):
    write(tmp_path, {"qa/hard/BUILD.py": PRELUDE + "source('x', 'x.csv')\n"})
    write(tmp_path, {"qa/hard/c.yaml": "", "BUILD.py": PRELUDE + "source('a', 'a.csv')\n"})
    write(
        tmp_path,
        {"qa/BUILD.py": PRELUDE + "transform('t', len, depends_on=['//a', '//qa/hard:x', ':y'])\nsource('y', 'y')"},
    )
    parents = Graph.load(tmp_path)[Label("qa", "t")].depends_on
    assert parents == (A, Label("qa/hard", "x"), Label("qa", "y"))


def test_parents_named_twice_count_once(tmp_path):
    graph = load(tmp_path, PARENTS + "transform('t', len, depends_on=[':b', ':a', '//:b'])\n")
    assert graph[Label("", "t")].depends_on == (B, A)


def test_the_parents_of_a_seed_are_parents(tmp_path):
    graph = load(
        tmp_path,
        PARENTS + "source('c', 'c.csv')\n"
        "stage('one', 'c.yaml', seed=':b')\n"
        "stage('two', 'c.yaml', depends_on=[':c'], seed=concat(':b', ':a'))\n"
        "stage('three', 'c.yaml', seed=join(':b', ':a', on='id', how='left'))\n"
        "stage('four', 'c.yaml', seed=join(':b', ':a', how='cross'))\n"
        "stage('five', 'c.yaml', depends_on=[':a', ':b'], seed=lambda inputs: inputs['a'])\n",
    )
    stages = {name: graph[Label("", name)] for name in ("one", "two", "three", "four", "five")}
    assert (stages["one"].seed, stages["one"].depends_on) == (B, (B,))
    assert (stages["two"].seed, stages["two"].depends_on) == (Concat((B, A)), (C, B, A))
    assert stages["three"].seed == Join((B, A), ("id",), "left")
    assert stages["four"].seed == Join((B, A), (), "cross")
    assert stages["five"].seed({"a": 1}) == 1


def test_files_of_a_source_become_absolute_patterns(tmp_path):
    root = tmp_path / "data[old]"
    write(
        root, {"qa/BUILD.py": PRELUDE + "source('s', ['t/*.csv', '../x.csv', '/abs/y.csv'], format='csv', salt='1')\n"}
    )
    made = Graph.load(root)[Label("qa", "s")]
    folder = f"{tmp_path}/data[[]old]"
    assert made.files == (f"{folder}/qa/t/*.csv", f"{folder}/x.csv", "/abs/y.csv")
    assert (made.format, made.salt, made.location) == ("csv", "1", Location("qa/BUILD.py", 2))


def test_a_transform_has_what_was_written(tmp_path):
    graph = load(
        tmp_path, PARENTS + "transform('t', len, depends_on=[':a'], allow_empty=True, version='1', salt='2')\n"
    )
    made = graph[Label("", "t")]
    assert (made.function, made.depends_on, made.allow_empty, made.version, made.salt) == (len, (A,), True, "1", "2")


def test_a_helper_may_declare_targets_and_the_build_file_is_where_they_come_from(tmp_path):
    write(tmp_path, {"macros.py": "from ddbuild import source\ndef both(name):\n    source(name, name + '.csv')\n"})
    graph = load(tmp_path, "from macros import both\n\nfor name in 'ab':\n    both(name)\n")
    assert [graph[label].location for label in (A, B)] == [Location("BUILD.py", 5)] * 2


def test_functions_may_be_named_by_file(tmp_path):
    write(tmp_path, {"callbacks.py": "def keep(path):\n    return 'kept'\n"})
    graph = load(
        tmp_path, "stage('s', 'c.yaml', on_success='callbacks.py:keep')\ntransform('t', 'callbacks.py:keep')\n"
    )
    assert graph[Label("", "s")].on_success is graph[Label("", "t")].function
    assert graph[Label("", "t")].function({}) == "kept"


def test_a_config_is_a_builder_a_config_a_path_a_mapping_or_a_function(tmp_path):
    make = (
        "import data_designer.config as dd\n"
        "def load_config_builder():\n    return dd.DataDesignerConfigBuilder(model_configs=[])\n"
        "other = load_config_builder\n"
    )
    write(tmp_path, {"make.py": make})
    graph = load(
        tmp_path,
        "from pathlib import Path\nimport data_designer.config as dd\nfrom make import other\n"
        "stage('builder', other())\nstage('config', dd.DataDesignerConfig(columns=[]))\n"
        "stage('path', Path(__file__).parent / 'c.yaml')\nstage('mapping', {'columns': []})\n"
        "stage('file', 'make.py')\nstage('named', 'make.py:other')\nstage('function', other)\n",
    )
    configs = {label.name: target.config for label, target in graph.targets.items()}
    assert configs["path"] == ConfigFile(tmp_path / "c.yaml")
    assert configs["mapping"] == InlineConfig({"columns": []}, tmp_path)
    assert type(configs["config"]).__name__ == "DataDesignerConfig"
    assert type(configs["builder"]).__name__ == "DataDesignerConfigBuilder"
    for name in ("file", "named", "function"):
        assert isinstance(configs[name], ConfigFunction)
        assert not hasattr(configs[name], "path")
        assert type(configs[name]()).__name__ == "DataDesignerConfigBuilder"


def test_a_config_file_is_not_run_before_it_is_asked_for(tmp_path):
    write(tmp_path, {"make.py": "raise ValueError('too early')\n"})
    config = load(tmp_path, "\nstage('s', 'make.py')\n")[Label("", "s")].config
    with pytest.raises(GraphError) as caught:
        config()
    assert (
        str(caught.value)
        == "`make.py` raised `ValueError`: too early\n  at:          make.py:1\n  build file:  BUILD.py:3"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            "def load_config():\n    pass\nbuilder = 3\n",
            "`make.py` has no function `load_config_builder`\n"
            "  build file:  BUILD.py:2\n  it has:      `load_config`\n\n"
            "hint: did you mean `load_config`?",
        ),
        (
            "load_config_builder = 3\n",
            "`load_config_builder` in `make.py` must be a function, got the number `3`\n  build file:  BUILD.py:2",
        ),
        (
            "def load_config_builder():\n    return 3\n",
            "`make.py:load_config_builder` must return a DataDesignerConfigBuilder or a DataDesignerConfig, "
            "got the number `3`\n  build file:  BUILD.py:2",
        ),
        (
            "def load_config_builder():\n    return int('x')\n",
            "`make.py:load_config_builder` raised `ValueError`: invalid literal for int() with base 10: 'x'\n"
            "  at:          make.py:2\n  build file:  BUILD.py:2",
        ),
    ],
)
def test_a_config_function_that_fails_says_where(tmp_path, make, message):
    write(tmp_path, {"make.py": make})
    config = load(tmp_path, "stage('s', 'make.py')\n")[Label("", "s")].config
    with pytest.raises(GraphError) as caught:
        config()
    assert str(caught.value) == message


def test_what_a_config_function_prints_goes_to_stderr(tmp_path, capsys):
    config = load(tmp_path, "def make():\n    print('made')\n    return {}['x']\nstage('s', make)\n")[
        Label("", "s")
    ].config
    with pytest.raises(GraphError) as caught:
        config()
    assert str(caught.value) == "`config` of stage `s` raised `KeyError`: 'x'\n  build file:  BUILD.py:4"
    assert capsys.readouterr() == ("", "made\n")


STAGE_FIELDS = (
    "`config`, `num_records`, `depends_on`, `seed`, `sampling_strategy`, `selection_strategy`, `on_success`, "
    "`on_success_version`, `output`, `output_processors`, `allow_empty`, `min_yield`, `reuse`, `version` and `salt`"
)
AT = "\n  build file:  BUILD.py:2"
AT_4 = "\n  build file:  BUILD.py:4"
CONFIG = "a DataDesignerConfigBuilder, a DataDesignerConfig, a path, or a function that returns one of the first two"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # names
        (
            "stage('my stage', 'c.yaml')",
            "`my stage` cannot name a stage\n  build file:  BUILD.py:2\n"
            "  expected:    letters, digits and _ . + -, the first one a letter, a digit or _",
        ),
        ("stage('all', 'c.yaml')", "`all` cannot name a stage: it means every target of a package" + AT),
        ("source(3, 'x')", "the name of a source must be a text, got the number `3`" + AT),
        (
            "transform('', len)",
            "a transform has an empty name\n  build file:  BUILD.py:2\n"
            "  expected:    letters, digits and _ . + -, the first one a letter, a digit or _",
        ),
        (
            "stage('//:a', 'c.yaml')",
            "`//:a` cannot name a stage\n  build file:  BUILD.py:2\n"
            "  expected:    letters, digits and _ . + -, the first one a letter, a digit or _",
        ),
        (
            "source('a', 'x')\n\nsource('a', 'y')",
            "`//:a` is defined twice\n  first:   BUILD.py:2\n  second:  BUILD.py:4\n\nhint: rename one of them",
        ),
        # unknown fields
        (
            "stage('s', 'c.yaml', num_record=3)",
            "stage `s` has a field `num_record`, which no stage has" + AT + "\n\nhint: did you mean `num_records`?",
        ),
        (
            "stage('s', 'c.yaml', zzz=3)",
            "stage `s` has a field `zzz`, which no stage has"
            + AT
            + f"\n\nhint: the fields of a stage are {STAGE_FIELDS}",
        ),
        (
            "source('s', file='x')",
            "source `s` has a field `file`, which no source has" + AT + "\n\nhint: did you mean `files`?",
        ),
        (
            "transform('s', fn=len)",
            "transform `s` has a field `fn`, which no transform has" + AT + "\n\n"
            "hint: the fields of a transform are `function`, `depends_on`, `allow_empty`, `version` and `salt`",
        ),
        (
            "stage('s', 'c.yaml', 3)",
            "`BUILD.py` raised `TypeError`: stage() takes from 1 to 2 positional arguments but 3 were given" + AT,
        ),
        # values
        (
            "stage('s', 'c.yaml', num_records=0)",
            "`num_records` of stage `s` must be a whole number of at least 1, got the number `0`" + AT,
        ),
        (
            "stage('s', 'c.yaml', num_records=True)",
            "`num_records` of stage `s` must be a whole number of at least 1, got `True`" + AT,
        ),
        (
            "stage('s', 'c.yaml', num_records=1e3)",
            "`num_records` of stage `s` must be a whole number of at least 1, got the number `1000.0`" + AT,
        ),
        (
            "stage('s', 'c.yaml', num_records='100')",
            "`num_records` of stage `s` must be a whole number of at least 1, got the text `100`" + AT,
        ),
        (
            "stage('s', 'c.yaml', reuse='never')",
            '`reuse` of stage `s` must be "auto", "off", or true or false for columns, got the text `never`' + AT,
        ),
        (
            "stage('s', 'c.yaml', min_yield=90)",
            "`min_yield` of stage `s` must be a number from 0 to 1, got the number `90`" + AT,
        ),
        (
            "stage('s', 'c.yaml', min_yield=float('nan'))",
            "`min_yield` of stage `s` must be a number from 0 to 1, got the number `nan`" + AT,
        ),
        (
            "stage('s', 'c.yaml', allow_empty=1)",
            "`allow_empty` of stage `s` must be true or false, got the number `1`" + AT,
        ),
        (
            "stage('s', 'c.yaml', allow_empty=None)",
            "`allow_empty` of stage `s` must be true or false, got nothing" + AT,
        ),
        ("stage('s', 'c.yaml', version=2)", "`version` of stage `s` must be a text, got the number `2`" + AT),
        ("stage('s', 'c.yaml', salt='')", "`salt` of stage `s` must be a text, got an empty text" + AT),
        (
            "stage('s', 'c.yaml', output='processors:x')",
            '`output` of stage `s` must be "final" or "processor:<name>", got the text `processors:x`' + AT,
        ),
        (
            "stage('s', 'c.yaml', output='processor:')",
            '`output` of stage `s` must be "final" or "processor:<name>", got the text `processor:`' + AT,
        ),
        (
            "stage('s', 'c.yaml', sampling_strategy='shuffled')",
            '`sampling_strategy` of stage `s` must be "ordered" or "shuffle", got the text `shuffled`'
            + AT
            + "\n\nhint: did you mean `shuffle`?",
        ),
        (
            "stage('s', 'c.yaml', selection_strategy=5)",
            "`selection_strategy` of stage `s` must be `{start, end}` or `{index, num_partitions}`, got the number `5`"
            + AT,
        ),
        (
            "stage('s', 'c.yaml', selection_strategy={'start': 5, 'end': 4})",
            "`selection_strategy` of stage `s` ends at 4, before its start at 5" + AT,
        ),
        (
            "stage('s', 'c.yaml', selection_strategy={'index': 2, 'num_partitions': 2})",
            "`selection_strategy` of stage `s` has the index 2, and 2 partitions, counted from 0" + AT,
        ),
        (
            "stage('s', 'c.yaml', selection_strategy={'start': -1, 'end': 4})",
            "`start` in `selection_strategy` of stage `s` must be a whole number of at least 0, got the number `-1`"
            + AT,
        ),
        (
            "stage('s', 'c.yaml', output_processors=[3])",
            "`output_processors` of stage `s` must hold Data Designer's processor configs, got the number `3`" + AT,
        ),
        (
            "stage('s', 'c.yaml', output_processors=[{'name': 'x'}])",
            "a processor in `output_processors` of stage `s` has no `processor_type`" + AT,
        ),
        # labels
        (
            "stage('s', 'c.yaml', depends_on=':a')",
            "`depends_on` of stage `s` must be a list of labels, got the text `:a`"
            + AT
            + '\n\nhint: write `depends_on=[":a"]`',
        ),
        (
            "stage('s', 'c.yaml', depends_on=['a'])",
            "`a` in `depends_on` of stage `s` is not a label"
            + AT
            + "\n\nhint: `:a` is the target of that name in this package, `//a` one of the workspace's root",
        ),
        (
            "stage('s', 'c.yaml', depends_on=['//...'])",
            "`//...` in `depends_on` of stage `s` is a pattern, and one target is needed here" + AT,
        ),
        (
            "stage('s', 'c.yaml', depends_on=['//a b:c'])",
            "`//a b:c` in `depends_on` of stage `s` is not a label" + AT + "\n"
            "  expected:    //package/folders:name, with letters, digits and _ . + - in each part",
        ),
        ("stage('s', 'c.yaml', depends_on=[3])", "`depends_on` of stage `s` must hold labels, got the number `3`" + AT),
        (
            "stage('s', 'c.yaml', depends_on={':a'})",
            "`depends_on` of stage `s` must be a list of labels, got a set" + AT + "\n\nhint: write `depends_on=[...]`",
        ),
        # seeds
        (
            PARENTS + "stage('s', 'c.yaml', depends_on=[':a', ':b'])",
            "stage `s` has 2 parents and no `seed`, which says what becomes its seed rows" + AT_4 + "\n\n"
            'hint: write `seed=":a"`, or a `concat`, a `join` or a function of them',
        ),
        (
            "stage('s', 'c.yaml', seed='a')",
            "`a` in `seed` of stage `s` is not a label"
            + AT
            + "\n\nhint: `:a` is the target of that name in this package, `//a` one of the workspace's root",
        ),
        (
            "stage('s', 'c.yaml', seed=3)",
            "`seed` of stage `s` must be a label, a `concat`, a `join` or a function, got the number `3`" + AT,
        ),
        (
            "stage('s', 'c.yaml', seed=len)",
            "`seed` of stage `s` is a function, and there are no parents"
            + AT
            + "\n\nhint: name in `depends_on` what the function reads",
        ),
        ("concat(':a')", "`concat` of a seed needs at least two parents, got 1" + AT),
        ("\n\njoin(':a', ':b')", "a seed has no `on`" + AT_4 + "\n\nhint: name the columns that both sides share"),
        (
            "join(':a', ':b', on=3)",
            "`on` of a seed must be the name of a column, or a list of names, got the number `3`" + AT,
        ),
        (
            "join(':a', ':b', on='x', how='outre')",
            '`how` of a seed must be "inner", "left", "outer" or "cross", got the text `outre`'
            + AT
            + "\n\nhint: did you mean `outer`?",
        ),
        ("join(':a', ':b', on='x', how='cross')", "`on` of a seed has no meaning for a `cross` join" + AT),
        (
            "transform('t', len, depends_on=['//x:a', '//y:a'])",
            "transform `t` has two parents named `a`: `//x:a` and `//y:a`" + AT + "\n\n"
            "hint: its function gets parents by their names; rename one, or put a stage or a transform between",
        ),
        (
            "stage('s', 'c.yaml', depends_on=['//x:a', '//y:a'], seed=len)",
            "stage `s` has two parents named `a`: `//x:a` and `//y:a`" + AT + "\n\n"
            "hint: its function gets parents by their names; rename one, or put a stage or a transform between",
        ),
        # configs
        ("stage('s')", "stage `s` has no `config`" + AT + f"\n\nhint: a config is {CONFIG}"),
        ("stage('s', 3)", f"`config` of stage `s` must be {CONFIG}, got the number `3`" + AT),
        ("stage('s', b'c.yaml')", f"`config` of stage `s` must be {CONFIG}, got a `bytes`" + AT),
        (
            "stage('s', 'd.yaml')",
            "`config` of stage `s` names `d.yaml`, and there is no file `d.yaml`"
            + AT
            + "\n\nhint: did you mean `c.yaml`?",
        ),
        (
            "stage('s', '../x/d.yaml')",
            "`config` of stage `s` names `../x/d.yaml`, and there is no file `{parent}/x/d.yaml`" + AT,
        ),
        ("stage('s', 'd.py:make')", "`config` of stage `s` names `d.py`, and there is no file `d.py`" + AT),
        (
            "stage('s', 'c.toml')",
            "`config` of stage `s` names `c.toml`, which does not end in .yaml, .yml, .json or .py" + AT,
        ),
        (
            "stage('s', 'https://x.org/c.yaml')",
            "`config` of stage `s` is `https://x.org/c.yaml`, and configs are read from local files" + AT,
        ),
        (
            "stage('s', lambda params: 3)",
            "`config` of stage `s` must be a function without arguments, got the function `<lambda>`: "
            "missing a required argument: 'params'" + AT,
        ),
        (
            "async def make(): pass\nstage('s', make)",
            "`config` of stage `s` must be a function without arguments, got an `async` one\n  build file:  BUILD.py:3",
        ),
        # functions
        ("transform('t')", "transform `t` has no `function`" + AT),
        (
            "transform('t', 3)",
            "`function` of transform `t` must be a function of one argument, `{parent's name: parquet file}`, "
            "got the number `3`" + AT,
        ),
        (
            "transform('t', lambda: 3)",
            "`function` of transform `t` must be a function of one argument, `{parent's name: parquet file}`, "
            "got the function `<lambda>`: too many positional arguments" + AT,
        ),
        (
            "stage('s', 'c.yaml', on_success=lambda: 3)",
            "`on_success` of stage `s` must be a function of one argument, the stage's folder, "
            "got the function `<lambda>`: too many positional arguments" + AT,
        ),
        (
            "stage('s', 'c.yaml', on_success='keep')",
            "`on_success` of stage `s` must be a function, or `file.py:function`, got the text `keep`" + AT,
        ),
        (
            "stage('s', 'c.yaml', on_success='keep.py')",
            "`on_success` of stage `s` must be a function, or `file.py:function`, got the text `keep.py`" + AT,
        ),
        (
            "stage('s', 'c.yaml', on_success='keep.py:')",
            "`keep.py:` in `on_success` of stage `s` does not name a function after the `:`" + AT,
        ),
        # sources
        ("source('s')", "source `s` has no `files`" + AT + "\n\nhint: `files` is a path, a pattern or a list of them"),
        (
            "source('s', [])",
            "`files` of source `s` must be a path, a pattern or a list of them, got an empty list" + AT,
        ),
        (
            "source('s', [3])",
            "`files` of source `s` must be a path, a pattern or a list of them, got the number `3`" + AT,
        ),
        (
            "source('s', 's3://bucket/x.csv')",
            "`files` of source `s` has `s3://bucket/x.csv`, and sources are read from local files" + AT,
        ),
        (
            "source('s', 'x', format='json')",
            '`format` of source `s` must be "parquet", "csv" or "jsonl", got the text `json`'
            + AT
            + "\n\nhint: did you mean `jsonl`?",
        ),
    ],
)
def test_a_wrong_declaration_says_what_was_expected(tmp_path, text, message):
    assert fail(tmp_path, text) == message.replace("{parent}", str(tmp_path.parent))


def test_a_helper_that_declares_while_it_is_imported_is_refused(tmp_path):
    write(tmp_path, {"macros.py": "from ddbuild import source\n\nsource('a', 'a.csv')\n"})
    assert fail(tmp_path, "import macros\n") == (
        "`source` is called while `macros.py` is imported, which happens once for all packages\n"
        "  at:          macros.py:3\n  build file:  BUILD.py:2\n\n"
        "hint: call it in a function there, and call that function from the build file"
    )


@pytest.mark.parametrize("declare", [stage, source, transform])
def test_a_declaration_outside_a_build_file_points_to_the_graph(declare):
    with pytest.raises(GraphError) as caught:
        declare("x")
    kind = declare.__name__
    assert str(caught.value) == (
        f"`{kind}` is called outside a build file\n\n"
        f"hint: in a script, write `graph = Graph()` and then `graph.add_{kind}(...)`"
    )


def test_a_declaration_that_runs_after_loading_is_refused(tmp_path):
    graph = load(tmp_path, "def late(inputs):\n    source('b', 'b.csv')\ntransform('t', late)\n")
    with pytest.raises(GraphError, match="outside a build file"):
        graph[Label("", "t")].function({})


def test_scripts_may_name_the_parents_of_a_seed_plainly():
    assert concat("a", ":b") == Concat((A, B))
    assert join("a", "b", on=["x", "y"]) == Join((A, B), ("x", "y"), "inner")
