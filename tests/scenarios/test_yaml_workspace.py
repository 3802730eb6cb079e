"""A workspace without a line of Python but for its callback."""

import pytest

from scenarios.project import statuses

pytestmark = pytest.mark.real

FILES = {
    "BUILD.yaml": """
        sources:
          tickets: {files: tickets.csv}

        stages:
          answered:
            config:
              columns:
                - {name: answer, column_type: expression, expr: "Dear {{ who }}, {{ text }}"}
            depends_on: [":tickets"]
            on_success: callbacks.py:keep_short
          summed:
            config: summed.yaml
            depends_on: [":answered"]
            output: processor:lines
            output_processors:
              - {processor_type: schema_transform, name: lines, template: {line: "{{ answer }} {{ twice }}"}}
        """,
    "summed.yaml": """
        columns:
          - {name: twice, column_type: expression, expr: "{{ who }} {{ who }}"}
        """,
    "callbacks.py": """
        import pandas as pd

        def keep_short(stage_path):
            rows = pd.read_parquet(stage_path / "parquet-files")
            rows[rows["text"].str.len() < 10].to_parquet(stage_path / "short.parquet")
            return "short.parquet"
        """,
    "tickets.csv": "who,text\nAda,hello\nAlan,this one is far too long\nGrace,goodbye\n",
}


def test_stages_processors_and_inline_configs_build_from_yaml(make_project):
    project = make_project(FILES)
    result = project.build("//summed")
    assert list(result["summed"].load_dataset()["line"]) == [
        "Dear Ada, hello Ada Ada",
        "Dear Grace, goodbye Grace Grace",
    ]
    assert statuses(project.build("//summed"))["summed"] == "hit"


def test_an_edit_of_a_yaml_config_reruns_that_stage_alone(make_project):
    project = make_project(FILES)
    project.build("//summed")
    project.edit("summed.yaml", "{{ who }} {{ who }}", "{{ who }}")
    result = project.build("//summed")
    assert statuses(result)["answered"] == "hit"
    assert list(result["summed"].load_dataset()["line"]) == ["Dear Ada, hello Ada", "Dear Grace, goodbye Grace"]


def test_a_processor_that_is_none_is_an_error_with_words(make_project):
    project = make_project(FILES)
    project.edit("BUILD.yaml", "processor_type: schema_transform, ", "")
    with pytest.raises(Exception, match="has no `processor_type`") as caught:
        project.build("//summed")
    assert caught.value.exit_code == 2
