"""Packages: which folders have one, and what a loaded workspace knows of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddbuild.errors import GraphError
from ddbuild.graph.targets import Stage
from ddbuild.label import Label
from ddbuild.workspace import Graph, Settings, find_package, load_factory, load_graph, load_workspace

SOURCE = "from ddbuild import source\nsource('s', 's.csv')\n"


def write(root: Path, *files: str, **contents: str) -> Path:
    for name, text in {"ddbuild.toml": "", **dict.fromkeys(files, SOURCE), **contents}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def labels(root: Path) -> list[str]:
    return [str(label) for label in Graph.load(root)]


def fail(root: Path) -> str:
    with pytest.raises(GraphError) as caught:
        Graph.load(root)
    return str(caught.value)


def test_each_folder_with_a_build_file_is_a_package(tmp_path):
    write(tmp_path, "BUILD.py", "qa/hard/BUILD.py", "b-1.x/BUILD.py", **{"qa/BUILD.yaml": "sources: {y: {files: y}}"})
    assert labels(tmp_path) == ["//:s", "//b-1.x:s", "//qa:y", "//qa/hard:s"]


def test_folders_that_are_nobodys_packages_are_left_out(tmp_path):
    skipped = [
        ".hidden",
        "ddbuild-out",
        ".ddbuild",
        "__pycache__",
        "node_modules",
        "a/node_modules",
        "env/lib",
        "nested/x",
    ]
    write(tmp_path, "a/BUILD.py", *(f"{folder}/BUILD.py" for folder in skipped))
    write(tmp_path, **{"env/pyvenv.cfg": "", "nested/ddbuild.toml": "", "my data/x.csv": ""})
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    assert labels(tmp_path) == ["//a:s"]


def test_a_workspace_without_packages_is_empty(tmp_path):
    assert labels(write(tmp_path)) == []


def test_two_build_files_in_a_folder_are_refused(tmp_path):
    write(tmp_path, "qa/BUILD.py", **{"qa/BUILD.yaml": ""})
    assert fail(tmp_path) == (
        "`qa` has two build files\n  first:   qa/BUILD.py\n  second:  qa/BUILD.yaml\n\n"
        "hint: move the targets of one into the other"
    )


def test_a_build_file_with_another_ending_is_not_overlooked(tmp_path):
    write(tmp_path, **{"qa/BUILD.yml": ""})
    assert fail(tmp_path) == (
        "`qa/BUILD.yml` is not read: a build file in YAML is named `BUILD.yaml`\n\nhint: rename it"
    )


@pytest.mark.parametrize("folder", ["my data", "my data/deep", "ä"])
def test_a_package_whose_folder_no_label_can_name_is_refused(tmp_path, folder):
    write(tmp_path, f"{folder}/BUILD.py")
    assert fail(tmp_path) == (
        f"`{folder.split('/')[0]}` cannot be a package: no label can have this name\n"
        f"  build file:  {folder}/BUILD.py\n"
        "  expected:    letters, digits and _ . + -, the first one a letter, a digit or _\n\n"
        "hint: rename the folder"
    )


def test_the_graph_is_validated(tmp_path):
    build = "from ddbuild import transform\ntransform('t', len, depends_on=[':sourcex'])\n"
    write(tmp_path, **{"BUILD.py": build, "source.yaml": ""})
    assert fail(tmp_path).startswith("`//:t` needs `//:sourcex`, which no build file defines\n")


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path, monkeypatch):
    write(tmp_path, "a/BUILD.py", "secret/BUILD.py")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "secret":
            raise PermissionError
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert labels(tmp_path) == ["//a:s"]


def test_a_loaded_workspace_knows_what_it_looked_at(tmp_path):
    write(tmp_path, "qa/BUILD.py", **{"ddbuild.toml": "[build]\njobs = 2\n", "data/x.csv": ""})
    workspace = load_workspace(tmp_path / "qa", {"build.keep_going": True}, {"HOME": str(tmp_path)})
    assert workspace.root == workspace.graph.root == tmp_path
    assert (workspace.settings.build.jobs, workspace.settings.build.keep_going) == (2, True)
    assert workspace.graph.settings is workspace.settings
    assert set(workspace.read_files) == {tmp_path / "ddbuild.toml", tmp_path / "qa/BUILD.py"}
    assert workspace.reads.folders == {tmp_path, tmp_path / "qa", tmp_path / "data"}
    assert {"DDBUILD_JOBS", "HOME"} <= set(workspace.reads.environment)


def test_files_that_a_config_reads_later_are_added_to_the_record(tmp_path):
    build = (
        "from pathlib import Path\nfrom ddbuild import stage\n"
        "def make():\n    import late\n    (Path(__file__).parent / 'prompt.txt').read_text()\n    raise ValueError\n"
        "stage('s', make)\n"
    )
    write(tmp_path, **{"BUILD.py": build, "late.py": "", "prompt.txt": ""})
    workspace = load_workspace(tmp_path)
    late = {tmp_path / "late.py", tmp_path / "prompt.txt"}
    assert not late & set(workspace.read_files)
    with pytest.raises(GraphError):
        workspace.graph[Label("", "s")].config()
    assert late <= set(workspace.read_files)


def test_loading_imports_neither_pandas_nor_data_designer_nor_yaml(tmp_path):
    write(tmp_path, "BUILD.py")
    code = (
        "import sys\nfrom pathlib import Path\nfrom ddbuild.workspace import load_workspace\n"
        f"load_workspace(Path({str(tmp_path)!r}))\n"
        "print([name for name in ('pandas', 'pyarrow', 'data_designer', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_settings_cost_no_graph_library(tmp_path):
    code = "import sys\nfrom ddbuild.workspace import Settings, find_workspace\nprint('networkx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_factory_is_taken_from_the_workspace(tmp_path):
    write(tmp_path, **{"ours/designer.py": "def make():\n    return 'designer'\n"})
    assert load_factory(tmp_path, "ours.designer:make")() == "designer"


def test_a_factory_may_be_an_installed_function(tmp_path):
    assert load_factory(tmp_path, "json.decoder:JSONDecoder") is json.JSONDecoder


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("designer:mak", "`[designer] factory` is `designer:mak`, and `designer` has no such function"),
        ("designer:X", "`[designer] factory` is `designer:X`, and `designer` has no such function"),
        ("nowhere:make", "`nowhere` raised `ModuleNotFoundError`: No module named 'nowhere'"),
        ("broken:make", "`broken` raised `ValueError`: no\n  at:        broken.py:2"),
    ],
)
def test_a_wrong_factory_is_named(tmp_path, reference, message):
    write(tmp_path, **{"designer.py": "X = 3\ndef make(): pass\n", "broken.py": "\nraise ValueError('no')\n"})
    with pytest.raises(GraphError) as caught:
        load_factory(tmp_path, reference)
    assert str(caught.value) == f"{message}\n  settings:  ddbuild.toml"


def test_the_package_of_a_folder_is_its_own_or_the_nearest_above(tmp_path):
    write(tmp_path, "qa/BUILD.py", "qa/hard/BUILD.py", **{"qa/data/x": "", "other/x": ""})
    folders = ["", "qa", "qa/hard", "qa/data", "other"]
    assert [find_package(tmp_path, tmp_path / folder) for folder in folders] == ["", "qa", "qa/hard", "qa", ""]
    assert find_package(tmp_path / "qa", tmp_path) == ""


def test_load_graph_takes_settings_of_its_own(tmp_path):
    write(tmp_path, **{"BUILD.py": "from ddbuild import stage\nstage('s', {'columns': []})\n"})
    settings = Settings.load(tmp_path, {"build.min_yield": 0.25}, {})
    assert load_graph(tmp_path, settings)[Label("", "s")].min_yield == 0.25


def test_a_script_declares_the_same_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **{"c.yaml": "", "keep.py": "def keep(path): return path\n"})
    graph = Graph()
    tickets = graph.add_source("tickets", "t/*.csv")
    graph.add_stage("s", "c.yaml", num_records=3, depends_on=["tickets"], on_success="keep.py:keep")
    graph.add_transform("t", len, depends_on=[":s", tickets])
    graph.validate()
    assert [str(label) for label in graph] == ["//:tickets", "//:s", "//:t"]
    assert graph[tickets].files == (f"{tmp_path}/t/*.csv",)
    stage = graph[Label("", "s")]
    assert isinstance(stage, Stage)
    assert (stage.depends_on, stage.config.path, stage.on_success("p")) == ((tickets,), tmp_path / "c.yaml", "p")
    assert stage.location.file == __file__
    assert stage.location.line is not None


def test_a_script_is_told_about_its_mistakes(tmp_path):
    graph = Graph(tmp_path)
    with pytest.raises(GraphError) as caught:
        graph.add_stage("s", {"columns": []}, num_record=3)
    line = caught.traceback[0].lineno + 1
    assert str(caught.value) == (
        "stage `s` has a field `num_record`, which no stage has\n"
        f"  script:  {__file__}:{line}\n\nhint: did you mean `num_records`?"
    )
    with pytest.raises(GraphError, match="`//:a` is defined twice"):
        graph.add_source("a", "x"), graph.add_source("a", "y")


def test_a_config_function_of_a_script_may_print(tmp_path, capsys):
    graph = Graph(tmp_path)

    def make():
        print("made")
        raise ValueError("no")

    label = graph.add_stage("s", make)
    line = make.__code__.co_firstlineno + 2
    with pytest.raises(GraphError) as caught:
        graph[label].config()
    assert str(caught.value) == f"`config` of stage `s` raised `ValueError`: no\n  script:  {__file__}:{line}"
    assert capsys.readouterr() == ("made\n", "")


def test_a_loaded_graph_can_grow(tmp_path):
    graph = Graph.load(write(tmp_path, "BUILD.py"))
    graph.add_transform("t", len, depends_on=["s"])
    graph.validate()
    assert [str(label) for label in graph] == ["//:s", "//:t"]
