"""The JSON schema of BUILD.yaml, as it is committed."""

from pathlib import Path

import pytest
import yaml

from ddbuild.workspace.schema import encode_schema, make_schema
from ddbuild.workspace.target_fields import FIELDS

jsonschema = pytest.importorskip("jsonschema")

DOCS = Path(__file__).parents[2] / "docs"

GOOD = """
x-anchors: {any: thing}
sources:
  a: {files: a.csv, format: csv}
stages:
  s:
    config: judge.py:make
    depends_on: [":a"]
    seed: {join: [":a", "//qa:b"], "on": id, how: outer}
    selection_strategy: {start: 0, end: 3}
    output: processor:lines
    output_processors: [{processor_type: drop_columns, name: x, column_names: [y]}]
  t: {config: {columns: []}, seed: "seeds.py:make", min_yield: 1}
transforms:
overrides:
  s: approved.csv
"""

BAD = [
    "stages: {s: {num_records: 3}}",
    "stages: {s: {config: a.yaml, num_record: 3}}",
    "stages: {s: {config: a.yaml, num_records: 0}}",
    "stages: {s: {config: a.toml}}",
    "stages: {s: {config: a.yaml, seed: {concat: [':a']}}}",
    "stages: {all: {config: a.yaml}}",
    "transforms: {t: {function: make}}",
    "sources: {a: {files: a.csv, format: xml}}",
    "overrides: {s: 3}",
    "stage: {}",
]


def test_the_committed_schema_is_what_the_code_says():
    committed = (DOCS / "build.schema.json").read_text(encoding="utf-8")
    assert committed == encode_schema(), "run `make schema`"


def test_every_field_is_described():
    for kind, fields in FIELDS.items():
        told = make_schema()["definitions"][kind]["properties"]
        assert tuple(told) == fields
        assert all(each["description"] for each in told.values())


def test_it_is_a_schema_that_takes_what_a_build_file_may_say():
    jsonschema.Draft7Validator.check_schema(make_schema())
    jsonschema.validate(yaml.safe_load(GOOD), make_schema())


@pytest.mark.parametrize("text", BAD)
def test_it_refuses_what_the_loader_refuses(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), make_schema())


def test_the_example_of_the_page_holds():
    page = (DOCS / "build-files.md").read_text(encoding="utf-8")
    (example, *_) = page.partition("```yaml\nsources:")[2].partition("```")
    # Editors read YAML 1.2, to which `on` is a text.
    document = yaml.safe_load("sources:" + example.replace(" on:", ' "on":'))
    jsonschema.validate(document, make_schema())
