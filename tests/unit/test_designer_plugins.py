"""Plugins of Data Designer, found by their entry points in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

CONFIG = """
from typing import Literal
from data_designer.config.base import ProcessorConfig, SingleColumnConfig
from data_designer.config.seed_source import SeedSource

class ShoutConfig(SingleColumnConfig):
    column_type: Literal["shout"] = "shout"
    judge_model: str = "judge"
    words: set[str] = {"a", "b", "c"}

    @property
    def required_columns(self):
        return []

    @property
    def side_effect_columns(self):
        return []

class SortConfig(ProcessorConfig):
    processor_type: Literal["sort"] = "sort"

class StoreConfig(SeedSource):
    seed_type: Literal["store"] = "store"
    path: str
"""
IMPLEMENTATION = """
from data_designer.engine.column_generators.generators.base import ColumnGeneratorFullColumn
from data_designer.engine.processing.processors.base import Processor
from data_designer.engine.resources.seed_reader import SeedReader
from shout_config import ShoutConfig, SortConfig, StoreConfig

class Shout(ColumnGeneratorFullColumn[ShoutConfig]):
    def generate(self, data):
        return data

class Sort(Processor[SortConfig]):
    def process_after_generation(self, data):
        return data

class Store(SeedReader[StoreConfig]):
    def get_dataset_uri(self):
        return ""

    def create_duckdb_connection(self):
        return None
"""
PLUGINS = """
from data_designer.plugins.plugin import Plugin, PluginType

def make(name, kind):
    return Plugin(impl_qualified_name=f"shout_impl.{name}", config_qualified_name=f"shout_config.{name}Config",
                  plugin_type=kind)

shout = make("Shout", PluginType.COLUMN_GENERATOR)
sort = make("Sort", PluginType.PROCESSOR)
store = make("Store", PluginType.SEED_READER)
"""
DESCRIBE = """
import json
import data_designer.config as dd
from ddbuild.designer import describe
from shout_config import ShoutConfig, SortConfig, StoreConfig

models = [dd.ModelConfig(alias=alias, model="m", provider=alias + "-team") for alias in ("judge", "unused")]
builder = dd.DataDesignerConfigBuilder(model_configs=models)
builder.add_column(ShoutConfig(name="loud")).add_processor(SortConfig(name="sorted"))
builder.with_seed_dataset(StoreConfig(path="//:parent"))
description = describe(builder, root=None, subject="//:x")
print(json.dumps([description.providers, description.can_grow, description.parts]))
"""


@pytest.fixture
def describe(tmp_path):
    files = {"shout_config.py": CONFIG, "shout_impl.py": IMPLEMENTATION, "shout_plugins.py": PLUGINS}
    names = "\n".join(f"{name} = shout_plugins:{name}" for name in ("shout", "sort", "store"))
    files["shout-1.0.dist-info/entry_points.txt"] = f"[data_designer.plugins]\n{names}\n"

    def run(version="1.0", **changes):
        files["shout-1.0.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: shout\nVersion: {version}\n"
        for name, text in (files | changes).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        home = tempfile.mkdtemp(dir=tmp_path)
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "DATA_DESIGNER_HOME": home, "PYTHONHASHSEED": "random"}
        result = subprocess.run([sys.executable, "-c", DESCRIBE], env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        providers, can_grow, parts = json.loads(result.stdout)
        return providers, can_grow, {tuple(part[:2]): part[2] for part in parts}

    return run


@pytest.mark.slow
def test_a_plugin_counts_by_its_version_and_while_it_is_edited_by_its_files(describe):
    providers, can_grow, before = describe()
    assert providers == ["judge-team"]
    assert not can_grow
    assert {("version", "shout"), ("plugin", "shout_impl"), ("seed", "path"), ("processor", "sorted")} <= set(before)

    def changed(after):
        return [name for name in before if before[name] != after[2][name]]

    assert changed(describe(version="1.1")) == [("version", "shout")]
    edited = IMPLEMENTATION.replace("return data", "return data[::-1]")
    assert changed(describe(**{"shout_impl.py": edited})) == [("plugin", "shout_impl")]
