import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import data_designer.config as dd
import pandas as pd
import pytest
from pydantic import BaseModel

from ddbuild.designer import copy_builder, count_seed_rows, load_config, seeded_builder
from ddbuild.errors import GraphError

CONFIG = """
columns:
  - {name: topic, column_type: sampler, sampler_type: category, params: {values: [a, b]}}
model_configs:
  - {alias: writer, model: m, provider: p}
"""
SEED = """
seed_config:
  source: {seed_type: local, path: data/seed.csv}
"""


@dataclass
class ConfigFile:
    path: Path


class Settings(BaseModel):
    anything: object = None


def make_config(folder, text):
    file = folder / "config.yaml"
    file.write_text(text)
    return ConfigFile(file)


def sampled():
    builder = dd.DataDesignerConfigBuilder(model_configs=[dd.ModelConfig(alias="writer", model="m", provider="p")])
    params = dd.CategorySamplerParams(values=["a", "b"])
    return builder.add_column(dd.SamplerColumnConfig(name="topic", sampler_type="category", params=params))


FORMS = {
    "builder": lambda folder: sampled(),
    "config": lambda folder: sampled().build(),
    "function": lambda folder: sampled,
    "function of a config": lambda folder: lambda: sampled().build(),
    "file": lambda folder: make_config(folder, CONFIG),
    "path": lambda folder: make_config(folder, CONFIG).path,
    "file with a data_designer key": lambda folder: make_config(
        folder, "data_designer:" + CONFIG.replace("\n", "\n  ")
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_config_loads_to_the_same(form, tmp_path):
    builder = load_config(FORMS[form](tmp_path), subject="//:x")
    assert builder.build().fingerprint() == sampled().build().fingerprint()


def test_a_loaded_config_shares_nothing_that_a_run_changes():
    original = sampled()
    loaded = load_config(original, subject="//:x")
    loaded.model_configs[0].skip_health_check = True
    loaded.get_column_config("topic").drop = True
    loaded.add_model_config(dd.ModelConfig(alias="other", model="m", provider="p"))
    assert original.build() == sampled().build()


def test_what_cannot_be_copied_is_shared():
    import threading

    def use(row, generator_params):
        return row

    params = Settings(anything=threading.Lock())
    builder = sampled().with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"a": [1]})))
    function = dd.custom_column_generator()(use)
    builder.add_column(dd.CustomColumnConfig(name="made", generator_function=function, generator_params=params))
    copy = copy_builder(builder)
    assert copy.get_column_config("made").generator_params is params
    assert copy.get_seed_config().source.df is builder.get_seed_config().source.df


def test_a_relative_seed_in_a_config_file_starts_at_the_given_folder(tmp_path, monkeypatch):
    package = tmp_path / "package"
    (package / "data").mkdir(parents=True)
    (package / "data" / "seed.csv").write_text("x\n1\n2\n3\n")
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)
    config = make_config(tmp_path / "configs", CONFIG + SEED)
    builder = load_config(config, subject="//:x", folder=package)
    assert builder.get_seed_config().source.runtime_path == str(package / "data" / "seed.csv")
    with pytest.raises(GraphError) as error:
        load_config(config, subject="//:x")
    assert str(tmp_path / "configs" / "data" / "seed.csv") in error.value.facts["problem"]


WRONG = {
    "returns something else": (lambda: 42, "TypeError: expected a DataDesignerConfigBuilder"),
    "raises": (lambda: {}["topics"], "KeyError: 'topics'"),
    "wrong field": (
        lambda: dd.LLMTextColumnConfig(name="text", prompt="say", model_alias="writer", promt="x"),
        "promt: Extra inputs are not permitted",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_config_is_an_error_that_names_target_and_place(name):
    function, problem = WRONG[name]
    with pytest.raises(GraphError) as error:
        load_config(function, subject="//qa:judged")
    assert error.value.message == "the config of `//qa:judged` is wrong"
    assert error.value.facts["problem"].startswith(problem)
    assert error.value.exit_code == 2
    if name != "returns something else":
        assert error.value.facts["raised at"].startswith(__file__)


def test_a_wrong_config_file_is_named_with_the_field(tmp_path):
    with pytest.raises(GraphError) as error:
        load_config(make_config(tmp_path, CONFIG.replace("name: topic, ", "")), subject="//:x")
    assert str(error.value) == (
        "the config of `//:x` is wrong\n"
        f"  config:   {tmp_path / 'config.yaml'}\n"
        "  problem:  data_designer.columns.0.sampler.name: Field required"
    )


def test_a_config_file_that_is_missing_or_no_yaml_is_an_error(tmp_path):
    with pytest.raises(GraphError, match="has no config file"):
        load_config(ConfigFile(tmp_path / "none.yaml"), subject="//:x")
    with pytest.raises(GraphError, match="is wrong"):
        load_config(make_config(tmp_path, "columns: [\n"), subject="//:x")


def test_messages_of_data_designer_lose_their_emoji(tmp_path):
    with pytest.raises(GraphError) as error:
        load_config(lambda: dd.LocalFileSeedSource(path="nowhere.csv"), subject="//:x")
    assert error.value.facts["problem"] == "Path nowhere.csv is not a file."
    assert "the current folder in Python" in error.value.hint


def test_rows_of_the_own_seed_are_counted_within_the_selection(tmp_path):
    file = tmp_path / "seed.csv"
    file.write_text("x\n" + "1\n" * 10)
    source = dd.LocalFileSeedSource(path=str(file))
    assert count_seed_rows(sampled().with_seed_dataset(source), subject="//:x") == 10
    block = dd.PartitionBlock(index=2, num_partitions=3)
    assert count_seed_rows(sampled().with_seed_dataset(source, selection_strategy=block), subject="//:x") == 4
    file.unlink()
    with pytest.raises(GraphError, match="cannot be read"):
        count_seed_rows(sampled().with_seed_dataset(source), subject="//:x")


def test_a_builder_on_finished_rows_has_the_models_of_their_config():
    frame = pd.DataFrame({"a": [1], "b": [2]})
    original = sampled()
    builder = seeded_builder(frame, ["b"], like=original)
    assert list(builder.get_seed_config().source.df.columns) == ["b"]
    assert builder.model_configs == original.model_configs
    assert builder.model_configs[0] is not original.model_configs[0]
    assert builder.get_column_configs() == []


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, ddbuild.designer\n"
        "ddbuild.designer.Designer(None, {'buffer_size': 20}).run_config_parts()\n"
        "ddbuild.designer.package_versions()\n"
        "print(*{name.split('.')[0] for name in sys.modules} & {'data_designer', 'pandas', 'pyarrow', 'numpy'})"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"
