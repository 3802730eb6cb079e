"""A bench for pipelines: one DataDesigner, ddbuild's `compose_workflow` beside Data Designer's, and counted calls."""

from __future__ import annotations

import linecache
import os
import sys
import types
from collections import Counter
from pathlib import Path

import data_designer.config as dd
import pandas as pd
from data_designer.interface import DataDesigner

import ddbuild


def record(name):
    """Note one call; the file is no input, so a function that calls this keeps its key."""
    with open(os.environ["CALLS"], "a") as file:
        file.write(name + "\n")


class Bench:
    """A folder with an artifact path, a cache, and files that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.calls_file = folder / "calls"
        os.environ["CALLS"] = str(self.calls_file)
        self.designer = self.make_designer()

    def make_designer(self, artifact_path: Path | None = None):
        provider = dd.ModelProvider(name="none", endpoint="http://127.0.0.1:9/v1", api_key="none")
        return DataDesigner(
            artifact_path or self.folder / "artifacts", model_providers=[provider], auto_configure_logging=False
        )

    def compose(self, name="demo", **options):
        return ddbuild.compose_workflow(self.designer, name=name, **{"cache": self.cache, **options})

    def compose_theirs(self, name="theirs"):
        return self.designer.compose_workflow(name=name)

    def write_rows(self, name, rows):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_parquet(path, index=False)
        return path

    def load_functions(self, text):
        """Write a file of functions and import it as a fresh process would, with nothing left of what it was."""
        path = self.folder / "functions.py"
        path.write_text(text)
        module = types.ModuleType("pipeline_functions")
        module.__file__ = str(path)
        sys.modules["pipeline_functions"] = module
        linecache.checkcache(str(path))
        exec(compile(text, path, "exec"), vars(module))
        return module

    def count(self):
        """Return how often each function was called since the last time."""
        calls = Counter(self.calls_file.read_text().split()) if self.calls_file.exists() else Counter()
        self.calls_file.unlink(missing_ok=True)
        return calls


def empty_builder():
    return dd.DataDesignerConfigBuilder(model_configs=[])


def seeded(rows):
    return empty_builder().with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame(rows)))


def expression(name, expr, builder=None):
    return (builder or empty_builder()).add_column(dd.ExpressionColumnConfig(name=name, expr=expr))


def custom(name, function, builder=None):
    return (builder or empty_builder()).add_column(dd.CustomColumnConfig(name=name, generator_function=function))


def draws(name="draw", builder=None):
    """A column that is another one each time it is made."""
    return (builder or empty_builder()).add_column(
        dd.SamplerColumnConfig(name=name, sampler_type="uuid", params=dd.UUIDSamplerParams())
    )


def people(*processors):
    """Three people with a column of their own, which every stage of Data Designer must have."""
    builder = expression("persona", "{{ name }}", seeded(PEOPLE))
    for processor in processors:
        builder.add_processor(processor)
    return builder


def rows_of(frame):
    return frame.to_dict(orient="records")


PEOPLE = [{"name": "Ada", "secret": "a"}, {"name": "Linus", "secret": "b"}, {"name": "Grace", "secret": "c"}]


@dd.custom_column_generator(required_columns=["name"])
def greeting(row):
    record("greeting")
    row["greeting"] = f"Dear {row['name']}"
    return row


@dd.custom_column_generator(required_columns=["greeting"])
def score(row):
    record("score")
    row["score"] = len(row["greeting"])
    return row


def keep_first(stage_path):
    record("keep_first")
    rows = pd.read_parquet(stage_path / "parquet-files").head(1)
    folder = stage_path / "callback-outputs" / "first"
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "data.parquet", index=False)
    return folder


def keep_none(stage_path):
    record("keep_none")
    pd.read_parquet(stage_path / "parquet-files").head(0).to_parquet(stage_path / "none.parquet", index=False)
    return stage_path / "none.parquet"
