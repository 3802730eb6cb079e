"""The workspace that `ddbuild init` writes."""

from __future__ import annotations

import pytest

from ddbuild.errors import GraphError
from ddbuild.label import Label
from ddbuild.workspace import load_workspace, write_workspace


def test_init_writes_a_workspace_that_loads(tmp_path):
    folder = tmp_path / "new/place"
    assert write_workspace(folder) == [folder / "ddbuild.toml", folder / "BUILD.py", folder / ".gitignore"]
    workspace = load_workspace(folder)
    assert [str(label) for label in workspace.graph] == ["//:personas", "//:greetings"]
    assert (folder / ".gitignore").read_text().splitlines()[1:] == ["ddbuild-out/", ".ddbuild/"]


def test_every_setting_in_the_file_is_a_real_one(tmp_path):
    write_workspace(tmp_path)
    file = tmp_path / "ddbuild.toml"
    file.write_text("".join(line.removeprefix("# ") for line in file.read_text().splitlines(True)[1:]))
    settings = load_workspace(tmp_path).settings
    assert settings.cache.shared_mode == "rw"
    assert settings.designer.run_config == {"buffer_size": 1000}


@pytest.mark.parametrize("name", ["ddbuild.toml", "BUILD.py", ".gitignore", "BUILD.yaml"])
def test_init_overwrites_nothing(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(GraphError) as caught:
        write_workspace(tmp_path)
    assert str(caught.value) == (
        f"`{name}` is there already, and nothing is overwritten\n  file:  {tmp_path}/{name}\n\n"
        "hint: move it away, or start in an empty folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GraphError) as caught:
        write_workspace(tmp_path / "file")
    assert str(caught.value) == f"`{tmp_path}/file` cannot be written: File exists"


@pytest.mark.real
def test_the_workspace_builds_with_data_designer(tmp_path):
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    write_workspace(tmp_path)
    graph = load_workspace(tmp_path).graph
    nobody = dd.ModelProvider(name="nobody", endpoint="http://127.0.0.1:9", provider_type="openai")
    designer = DataDesigner(
        artifact_path=tmp_path / "artifacts", model_providers=[nobody], auto_configure_logging=False
    )
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))
    personas = graph[Label("", "personas")]
    made = designer.create(personas.config(), num_records=personas.num_records, dataset_name="personas")
    kept = personas.on_success(made.artifact_storage.base_dataset_path)
    builder = graph[Label("", "greetings")].config().with_seed_dataset(dd.LocalFileSeedSource(path=str(kept)))
    rows = len(pd.read_parquet(kept))
    greetings = designer.create(builder, num_records=rows, dataset_name="greetings").load_dataset()
    assert 0 < rows <= 20
    assert greetings["greeting"].str.startswith("Good morning, ").all()
    assert (greetings["age"] >= 21).all()
