"""BUILD.yaml: the same targets as in a BUILD.py, and messages with the line of the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddbuild.errors import GraphError, Location
from ddbuild.graph.targets import Concat, Join
from ddbuild.label import Label
from ddbuild.workspace import ConfigFile, ConfigFunction, Graph, InlineConfig

A, B, S = Label("", "a"), Label("", "b"), Label("", "s")
SOURCES = "sources:\n  a: {files: a.csv}\n  b: {files: b.csv}\n"
FUNCTIONS = "from os.path import join\ndef keep(path):\n    return 'kept'\ndef make():\n    return 3\nlimit = 3\n"


def load(root: Path, text: str, package: str = "") -> Graph:
    for name, content in {"ddbuild.toml": "", f"{package}/c.yaml": "", f"{package}/f.py": FUNCTIONS}.items():
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / package / "BUILD.yaml").write_text(text)
    return Graph.load(root)


def fail(root: Path, text: str) -> str:
    with pytest.raises(GraphError) as caught:
        load(root, text)
    return str(caught.value)


def test_all_fields_are_taken(tmp_path):
    graph = load(
        tmp_path,
        """
        sources:
          tickets:
            files: tickets/*.csv
            format: csv
          a: {files: [a.csv, /b.csv]}

        stages:
          s:
            config: c.yaml
            num_records: 10
            depends_on: [':tickets']
            sampling_strategy: shuffle
            selection_strategy: {index: 0, num_partitions: 4}
            on_success: f.py:keep
            on_success_version: "1"
            output: processor:p
            output_processors:
              - {processor_type: drop_columns, name: p, column_names: [x]}
            allow_empty: true
            min_yield: 0.5
            version: v
            salt: x

        transforms:
          t:
            function: f.py:keep
            depends_on: [":s", "//qa:tickets"]
            allow_empty: yes
        """,
        "qa",
    )
    tickets, stage, transform = (graph[Label("qa", name)] for name in ("tickets", "s", "t"))
    assert (tickets.files, tickets.format, tickets.location) == (
        (f"{tmp_path}/qa/tickets/*.csv",),
        "csv",
        Location("qa/BUILD.yaml", 3),
    )
    assert graph[Label("qa", "a")].files == (f"{tmp_path}/qa/a.csv", "/b.csv")
    assert stage.config == ConfigFile(tmp_path / "qa/c.yaml")
    assert (stage.num_records, stage.depends_on, stage.sampling_strategy) == (10, (tickets.label,), "shuffle")
    assert stage.selection_strategy == {"index": 0, "num_partitions": 4}
    assert stage.on_success("p") == "kept"
    assert (stage.on_success_version, stage.output) == ("1", "processor:p")
    assert stage.output_processors == ({"processor_type": "drop_columns", "name": "p", "column_names": ["x"]},)
    assert (stage.allow_empty, stage.min_yield, stage.version, stage.salt) == (True, 0.5, "v", "x")
    assert stage.location == Location("qa/BUILD.yaml", 9)
    assert (transform.function, transform.depends_on) == (stage.on_success, (stage.label, tickets.label))
    assert transform.allow_empty is True


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        ('":b"', B),
        ("{concat: [':b', ':a']}", Concat((B, A))),
        ("{join: [':b', ':a'], on: id, how: left}", Join((B, A), ("id",), "left")),
        ("{join: [':b', ':a'], on: [id, day]}", Join((B, A), ("id", "day"), "inner")),
        ("{join: [':b', ':a'], how: cross}", Join((B, A), (), "cross")),
    ],
)
def test_seeds_are_written_as_labels_or_mappings(tmp_path, seed, expected):
    graph = load(tmp_path, SOURCES + f"stages:\n  s:\n    config: c.yaml\n    seed: {seed}\n")
    assert graph[S].seed == expected


def test_a_seed_may_be_a_function(tmp_path):
    graph = load(tmp_path, SOURCES + "stages:\n  s: {config: c.yaml, depends_on: [':a', ':b'], seed: f.py:keep}\n")
    assert graph[S].seed({}) == "kept"


def test_a_config_may_be_inline_or_a_function(tmp_path):
    graph = load(
        tmp_path, "stages:\n  s:\n    config:\n      columns: [{name: x, on: 3}]\n  f: {config: 'f.py:make'}\n", "qa"
    )
    assert graph[Label("qa", "s")].config == InlineConfig({"columns": [{"name": "x", True: 3}]}, tmp_path / "qa")
    config = graph[Label("qa", "f")].config
    assert isinstance(config, ConfigFunction)
    with pytest.raises(GraphError) as caught:
        config()
    assert str(caught.value) == (
        "`qa/f.py:make` must return a DataDesignerConfigBuilder or a DataDesignerConfig, got the number `3`\n"
        "  build file:  qa/BUILD.yaml:5"
    )


def test_anchors_and_merge_keys_save_typing(tmp_path):
    graph = load(
        tmp_path,
        "x-defaults: &defaults\n  config: c.yaml\n  num_records: 5\n"
        "stages:\n  s:\n    <<: *defaults\n    num_records: 6\n  t: *defaults\n",
    )
    assert graph[S].num_records == 6
    assert graph[Label("", "t")].num_records == 5


def test_an_empty_file_and_empty_sections_declare_nothing(tmp_path):
    assert len(load(tmp_path, "")) == 0
    assert len(load(tmp_path, "# nothing yet\nstages:\nsources: {}\n")) == 0


def test_names_and_keys_are_taken_as_they_are_written(tmp_path):
    graph = load(tmp_path, "sources:\n  1: {files: x}\n  yes: {files: x}\n")
    assert [label.name for label in graph] == ["1", "yes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # YAML
        (
            "stages:\n  s: [\n",
            "`BUILD.yaml` is not valid YAML: expected the node content, but found '<stream end>'\n"
            "  build file:  BUILD.yaml:3",
        ),
        (
            "stages:\n\ts: 1\n",
            "`BUILD.yaml` is not valid YAML: found character '\\t' that cannot start any token\n"
            "  build file:  BUILD.yaml:2",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "`BUILD.yaml` is not valid YAML: but found another document\n  build file:  BUILD.yaml:2",
        ),
        (
            "stages:\n  s:\n    config: !!python/object/apply:os.getcwd []\n",
            "`BUILD.yaml` is not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd'\n  build file:  BUILD.yaml:3",
        ),
        (
            "stages:\n  s:\n    config: *nowhere\n",
            "`BUILD.yaml` is not valid YAML: found undefined alias 'nowhere'\n  build file:  BUILD.yaml:3",
        ),
        ("- stages\n", "`BUILD.yaml` must be a mapping, got the list `['stages']`\n  build file:  BUILD.yaml:1"),
        (
            "stages:\n  s: {config: c.yaml}\n  t: {config: c.yaml}\n  s: {config: c.yaml}\n",
            "`s` is written twice, first on line 2\n  build file:  BUILD.yaml:4",
        ),
        (
            "stages:\n  s:\n    config:\n      columns: []\n      columns: []\n",
            "`columns` is written twice, first on line 4\n  build file:  BUILD.yaml:5",
        ),
        ("stages: {[a]: {}}\n", "a key must be a text\n  build file:  BUILD.yaml:1"),
        (
            "stages:\n  s:\n    config: c.yaml\n    depends_on: [:a]\n",
            "`BUILD.yaml` is not valid YAML: expected the node content, but found ':'\n  build file:  BUILD.yaml:4\n\n"
            'hint: put labels in quotes between brackets: `[":personas"]`',
        ),
        # sections
        (
            "\nstage:\n  s: {}\n",
            "a build file has `stages`, `sources`, `transforms` and `overrides`, no `stage`\n"
            "  build file:  BUILD.yaml:2\n\n"
            "hint: did you mean `stages`?",
        ),
        ("stages: [s]\n", "`stages` must be a mapping, got the list `['s']`\n  build file:  BUILD.yaml:1"),
        ("stages:\n  s: c.yaml\n", "stage `s` must be a mapping, got the text `c.yaml`\n  build file:  BUILD.yaml:2"),
        ("stages:\n  s:\n", "stage `s` must be a mapping, got nothing\n  build file:  BUILD.yaml:2"),
        (
            "stages:\n  my stage: {}\n",
            "`my stage` cannot name a stage\n  build file:  BUILD.yaml:2\n"
            "  expected:    letters, digits and _ . + -, the first one a letter, a digit or _",
        ),
        (
            "sources:\n  s: {files: x}\nstages:\n  s: {config: c.yaml}\n",
            "`//:s` is defined twice\n  first:   BUILD.yaml:2\n  second:  BUILD.yaml:4\n\nhint: rename one of them",
        ),
        # fields
        (
            "stages:\n  s:\n    config: c.yaml\n    num_record: 3\n",
            "stage `s` has a field `num_record`, which no stage has\n  build file:  BUILD.yaml:4\n\n"
            "hint: did you mean `num_records`?",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n\n    num_records: many\n",
            "`num_records` of stage `s` must be a whole number of at least 1, got the text `many`\n"
            "  build file:  BUILD.yaml:5",
        ),
        (
            "stages:\n  s:\n    version: 1.0\n    config: c.yaml\n",
            "`version` of stage `s` must be a text, got the number `1.0`\n  build file:  BUILD.yaml:3\n\n"
            'hint: put it in quotes: `version: "1.0"`',
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    depends_on: :a\n",
            "`depends_on` of stage `s` must be a list of labels, got the text `:a`\n  build file:  BUILD.yaml:4\n\n"
            'hint: write `depends_on: [":a"]`',
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    depends_on: [a]\n",
            "`a` in `depends_on` of stage `s` is not a label\n  build file:  BUILD.yaml:4\n\n"
            "hint: `:a` is the target of that name in this package, `//a` one of the workspace's root",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    depends_on: [':a', ':b']\n",
            "stage `s` has 2 parents and no `seed`, which says what becomes its seed rows\n"
            '  build file:  BUILD.yaml:4\n\nhint: write `seed: ":a"`, or a `concat`, a `join` or a function of them',
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    seed: {concat: [':a', ':b'], join: [':a', ':b']}\n",
            "`seed` of stage `s` must have either `concat` or `join`\n  build file:  BUILD.yaml:4",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    seed: {join: [':a', ':b'], onn: x}\n",
            "`seed` of stage `s` has a field `onn`, which no join has\n  build file:  BUILD.yaml:4\n\n"
            "hint: did you mean `on`?",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    seed: {concat: ':a'}\n",
            "`concat` of `seed` of stage `s` must be a list of labels, got the text `:a`\n"
            "  build file:  BUILD.yaml:4\n\n"
            'hint: write `concat: [":a"]`',
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    selection_strategy: {start: 0}\n",
            "`selection_strategy` of stage `s` must be `{start, end}` or `{index, num_partitions}`, "
            "got the mapping `{'start': 0}`\n  build file:  BUILD.yaml:4",
        ),
        # references
        (
            "stages:\n  s:\n    config: d.yaml\n",
            "`config` of stage `s` names `d.yaml`, and there is no file `d.yaml`\n  build file:  BUILD.yaml:3\n\n"
            "hint: did you mean `c.yaml`?",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    on_success: g.py:keep\n",
            "`on_success` of stage `s` names `g.py`, and there is no file `g.py`\n  build file:  BUILD.yaml:4\n\n"
            "hint: did you mean `f.py`?",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    on_success: f.py:kep\n",
            "`f.py` has no function `kep`\n  build file:  BUILD.yaml:4\n  it has:      `keep` and `make`\n\n"
            "hint: did you mean `keep`?",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    on_success: f.py:limit\n",
            "`limit` in `f.py` must be a function, got the number `3`\n  build file:  BUILD.yaml:4",
        ),
        (
            "stages:\n  s:\n    config: c.yaml\n    on_success: f.py:make\n",
            "`on_success` of stage `s` must be a function of one argument, the stage's folder, "
            "got the function `make`: too many positional arguments\n  build file:  BUILD.yaml:4",
        ),
        (
            "transforms:\n  t:\n    depends_on: []\n",
            "transform `t` has no `function`\n  build file:  BUILD.yaml:2",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what_was_expected(tmp_path, text, message):
    assert fail(tmp_path, text) == message


def test_a_function_file_that_fails_names_both_places(tmp_path):
    (tmp_path / "broken.py").write_text("\n\n1 / 0\n")
    assert fail(tmp_path, "transforms:\n  t:\n    function: broken.py:x\n") == (
        "`broken.py` raised `ZeroDivisionError`: division by zero\n"
        "  at:          broken.py:3\n  build file:  BUILD.yaml:3"
    )


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "ddbuild.toml").touch()
    (tmp_path / "BUILD.yaml").write_bytes(b"stages: '\xff'\n")
    with pytest.raises(GraphError) as caught:
        Graph.load(tmp_path)
    assert str(caught.value) == "`BUILD.yaml` is not UTF-8 text\n  build file:  BUILD.yaml"


def test_a_recursive_alias_is_an_error_and_not_a_hang(tmp_path):
    assert fail(tmp_path, "stages:\n  s:\n    config: &a [*a]\n") == (
        "`BUILD.yaml` is not valid YAML: found unconstructable recursive node\n  build file:  BUILD.yaml:3"
    )
