"""`Graph.to_yaml`: a BUILD.yaml that makes the same keys, or an error that names target and field."""

import pandas as pd
import pytest

from ddbuild import Graph, concat, join
from ddbuild.errors import GraphError, UsageError
from scenarios.project import Project, statuses

pytestmark = pytest.mark.real

FILES = {
    "ddbuild.toml": "",
    "tickets.csv": "id,who\n1,Ada\n2,Grace\n3,Alan\n",
    "data/seed.csv": "word\nred\nblue\n",
    "other/BUILD.yaml": "sources:\n  extra: {files: extra.csv}\n",
    "other/extra.csv": "id,age\n1,36\n3,41\n",
    "callbacks.py": """
        import pandas as pd

        LIMIT = 9

        def keep(stage_path):
            rows = pd.read_parquet(stage_path / "parquet-files")
            rows[rows["text"].str.len() < LIMIT].to_parquet(stage_path / "kept.parquet")
            return "kept.parquet"

        def pairs(parents):
            return pd.read_parquet(parents["kept"])

        def first(parents):
            return pd.read_parquet(parents["words"]).head(1)
        """,
    "summed.yaml": "columns:\n  - {name: twice, column_type: expression, expr: '{{ who }}{{ who }}'}\n",
    "approved.csv": "id,who,text\n1,Ada,new\n",
    "configs.py": """
        import data_designer.config as dd

        def load_config_builder():
            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(name="loud", column_type="expression", expr="{{ word }}!")
            return config

        def make_scored():
            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(name="score", column_type="expression", expr="{{ id }}", dtype="int")
            return config
        """,
}

BUILD = """
    from pathlib import Path
    import data_designer.config as dd
    from ddbuild import concat, join, override, source, stage, transform
    from callbacks import first, keep, pairs
    from configs import make_scored

    HERE = Path(__file__).parent

    def words():
        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.with_seed_dataset(dd.LocalFileSeedSource(path=str(HERE / "data" / "seed.csv")))
        config.add_column(name="t", column_type="expression", expr="{{ word }}\\n  more\\n")
        return config

    kept = dd.DataDesignerConfigBuilder(model_configs=[
        dd.ModelConfig(alias="m", model="x", provider="p",
                       inference_parameters=dd.ChatCompletionInferenceParams(temperature=0.5))])
    kept.add_column(name="text", column_type="expression", expr="Hi {{ who }}")

    source("tickets", files=["tickets.csv"], format="csv")
    stage("words", config=words)
    stage("kept", config=kept.build(), depends_on=[":tickets"], on_success=keep, on_success_version="2",
          sampling_strategy="shuffle", selection_strategy=dd.IndexRange(start=0, end=1), min_yield=0.5)
    stage("summed", config="summed.yaml", depends_on=[":tickets", "//other:extra"], allow_empty=True, salt="s",
          seed=join(":tickets", "//other:extra", on="id", how="left"), output="processor:lines",
          output_processors=[dd.SchemaTransformProcessorConfig(name="lines", template={"line": "{{ twice }}"})])
    stage("loud", config="configs.py", seed=first, depends_on=[":words"])
    stage("scored", config=make_scored, seed=concat(":tickets", ":approved"))
    transform("approved", pairs, depends_on=[":kept"], version="1")
    override("kept", "approved.csv")
"""


def test_a_graph_of_python_and_its_yaml_have_the_same_keys(tmp_path):
    project = Project(tmp_path / "python", {**FILES, "BUILD.py": BUILD})
    built = project.build()
    text = Graph.load(project.root).to_yaml()
    other = Project(tmp_path / "yaml", {**FILES, "BUILD.yaml": text}, cache=project.cache)
    result = other.build()
    assert set(statuses(result).values()) == {"hit"}
    assert {label: each.key for label, each in result.targets.items()} == {
        label: each.key for label, each in built.targets.items()
    }
    assert str(tmp_path) not in text
    # What is written is written the same way again.
    assert Graph.load(other.root).to_yaml() == text


def test_policies_and_overrides_come_back(tmp_path):
    project = Project(tmp_path, {**FILES, "BUILD.py": BUILD})
    graph = Graph.load(project.root)
    (project.root / "BUILD.py").unlink()
    graph.to_yaml(project.root / "BUILD.yaml")
    again = Graph.load(project.root)
    assert set(again.targets) == set(graph.targets)
    for label, target in graph.targets.items():
        for field in ("min_yield", "allow_empty", "seed", "depends_on", "output", "version", "salt", "num_records"):
            value = getattr(target, field, None)
            if not callable(value):
                assert getattr(again[label], field, None) == value, (label, field)
    assert {label: each.path for label, each in again.overrides.items()} == {
        label: each.path for label, each in graph.overrides.items()
    }


def test_texts_stay_readable_and_labels_are_quoted(tmp_path, monkeypatch):
    import data_designer.config as dd

    monkeypatch.chdir(tmp_path)
    graph = Graph()
    config = dd.DataDesignerConfigBuilder(
        model_configs=[dd.ModelConfig(alias="m", model="x", provider="p", skip_health_check=True)]
    )
    config.add_column(name="text", column_type="llm-text", model_alias="m", prompt="First line.\nSecond: {{ n }}\n")
    scores = [dd.Score(name="clarity", description="How clear.", options={"2": "clear", "1": "unclear"})]
    config.add_column(name="judged", column_type="llm-judge", model_alias="m", prompt="Judge {{ text }}", scores=scores)
    graph.add_source("numbers", "numbers.csv")
    graph.add_stage("texts", config, depends_on=["numbers"])
    assert (
        graph.to_yaml()
        == """\
sources:
  numbers:
    files: numbers.csv
stages:
  texts:
    config:
      columns:
        - name: text
          column_type: llm-text
          prompt: |
            First line.
            Second: {{ n }}
          model_alias: m
        - name: judged
          column_type: llm-judge
          prompt: Judge {{ text }}
          model_alias: m
          scores:
            - name: clarity
              description: How clear.
              options:
                '2': clear
                '1': unclear
      model_configs:
        - alias: m
          model: x
          provider: p
          skip_health_check: true
    depends_on:
      - ":numbers"
"""
    )


def _stage(graph, **fields):
    graph.add_source("a", "a.csv")
    graph.add_source("b", "b.csv")
    graph.add_stage("s", {"columns": []} if "config" not in fields else fields.pop("config"), **fields)


def _builder():
    import data_designer.config as dd

    return dd.DataDesignerConfigBuilder(model_configs=[])


def _custom():
    import data_designer.config as dd

    @dd.custom_column_generator()
    def greet(row):
        return row

    return _builder().add_column(dd.CustomColumnConfig(name="greeting", generator_function=greet))


def _scored():
    import data_designer.config as dd

    model = dd.ModelConfig(alias="m", model="x", provider="p")
    scores = [dd.Score(name="clarity", description="How clear.", options={1: "unclear"})]
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    return config.add_column(name="judged", column_type="llm-judge", model_alias="m", prompt="?", scores=scores)


def _frame():
    import data_designer.config as dd

    return _builder().with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"n": [1]})))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: {"on_success": lambda path: path, "depends_on": ["a"]}, "`on_success` of `//:s`"),
        (lambda: {"seed": lambda files: None, "depends_on": ["a", "b"]}, "`seed` of `//:s`"),
        (lambda: {"config": _custom()}, "column `greeting` has Python in its `generator_function`"),
        (lambda: {"config": _scored()}, "column `judged` has numbers for keys in its `options`"),
        (lambda: {"config": _frame}, "its seed is a data frame"),
    ],
)
def test_python_without_a_file_is_refused_by_target_and_field(tmp_path, make, said):
    graph = Graph(tmp_path)
    _stage(graph, **make())
    with pytest.raises(GraphError) as caught:
        graph.to_yaml()
    assert said in caught.value.message
    assert "`//:s`" in caught.value.message


def test_a_function_of_the_build_file_itself_has_to_move(tmp_path):
    text = "from ddbuild import transform\ndef make(parents):\n    return None\ntransform('t', make)\n"
    project = Project(tmp_path, {"ddbuild.toml": "", "BUILD.py": text})
    with pytest.raises(GraphError, match="`function` of `//:t` cannot be written as YAML") as caught:
        Graph.load(project.root).to_yaml()
    assert caught.value.facts == {"declared at": "BUILD.py:4"}


def test_a_token_is_never_written(tmp_path):
    import data_designer.config as dd

    graph = Graph(tmp_path)
    seed = dd.HuggingFaceSeedSource(path="datasets/a/b/c.parquet", token="hf_secret")
    config = _builder().with_seed_dataset(seed)
    config.add_column(name="x", column_type="expression", expr="{{ y }}")
    graph.add_stage("s", config, num_records=1)
    text = graph.to_yaml()
    assert "datasets/a/b/c.parquet" in text
    assert "secret" not in text


def test_one_package_is_written_and_another_is_named(tmp_path):
    project = Project(tmp_path, FILES)
    assert Graph.load(project.root).to_yaml(package="other") == "sources:\n  extra:\n    files: extra.csv\n"
    with pytest.raises(UsageError, match="no targets in the package `qa`"):
        Graph.load(project.root).to_yaml(package="qa")


def test_a_package_below_reaches_files_above_it_and_other_packages(tmp_path):
    build = """
        from ddbuild import source, stage, transform
        from callbacks import pairs
        source("kept", "../tickets.csv")
        transform("same", pairs, depends_on=[":kept"])
        stage("t", config="../summed.yaml", depends_on=[":same", "//other:extra"], seed=":same")
    """
    project = Project(tmp_path / "python", {**FILES, "qa/BUILD.py": build})
    project.build()
    text = Graph.load(project.root).to_yaml(package="qa")
    assert "function: ../callbacks.py:pairs" in text
    assert '"//other:extra"' in text
    other = Project(tmp_path / "yaml", {**FILES, "qa/BUILD.yaml": text}, cache=project.cache)
    assert set(statuses(other.build()).values()) == {"hit"}


def test_seeds_of_several_parents_are_written_by_label(tmp_path):
    graph = Graph(tmp_path)
    _stage(graph, seed=join("a", "b", how="cross"))
    graph.add_stage("t", {"columns": []}, seed=concat("a", "b"))
    text = graph.to_yaml()
    assert 'concat:\n        - ":a"\n        - ":b"' in text
    assert "how: cross" in text
