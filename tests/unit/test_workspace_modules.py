"""Workspace modules: always the source on disk, each package with its own, and imports that work at any time."""

from __future__ import annotations

import gc
import importlib
import inspect
import linecache
import os
import py_compile
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddbuild.errors import GraphError
from ddbuild.label import parse_label
from ddbuild.workspace import Graph, load_workspace

TRANSFORM = "from ddbuild import transform\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"ddbuild.toml": "", **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def function(graph: Graph, label: str) -> Callable[[Any], Any]:
    return graph[parse_label(label)].function


def call(root: Path, label: str) -> Any:
    return function(Graph.load(root), label)({})


def test_an_edit_within_a_second_that_keeps_the_size_is_seen(tmp_path):
    build = TRANSFORM + "from helper import score\ntransform('t', lambda inputs: score())\n"
    write(tmp_path, {"BUILD.py": build, "helper.py": "def score(): return 1\n"})
    os.utime(tmp_path / "helper.py", (1_000_000, 1_000_000))
    py_compile.compile(str(tmp_path / "helper.py"), doraise=True)
    assert call(tmp_path, "//:t") == 1
    (tmp_path / "helper.py").write_text("def score(): return 2\n")
    os.utime(tmp_path / "helper.py", (1_000_000, 1_000_000))
    assert call(tmp_path, "//:t") == 2


def test_loading_writes_no_byte_code(tmp_path):
    write(tmp_path, {"BUILD.py": "import helper\n", "helper.py": ""})
    Graph.load(tmp_path)
    assert not list(tmp_path.rglob("*.pyc"))


def test_two_packages_have_their_own_helper(tmp_path):
    build = TRANSFORM + "import helper\ntransform('t', lambda inputs: helper.NAME)\n"
    write(tmp_path, {"helper.py": "NAME = 'root'\n", "BUILD.py": build})
    write(tmp_path, {f"{name}/{file}": text for name in "ab" for file, text in (("BUILD.py", build),)})
    write(tmp_path, {"a/helper.py": "NAME = 'a'\n"})
    graph = Graph.load(tmp_path)
    assert [function(graph, label)({}) for label in ("//:t", "//a:t", "//b:t")] == ["root", "a", "root"]


def test_an_import_inside_a_function_finds_the_own_package_when_it_runs(tmp_path):
    build = TRANSFORM + "def run(inputs):\n    import helper\n    return helper.NAME\ntransform('t', run)\n"
    write(tmp_path, {f"{name}/BUILD.py": build for name in "ab"})
    write(tmp_path, {f"{name}/helper.py": f"NAME = '{name}'\n" for name in "ab"})
    graph = Graph.load(tmp_path)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda label=label: results.append(function(graph, label)({})))
        for label in ("//b:t", "//a:t", "//b:t")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["a", "b", "b"]


def test_a_module_that_python_holds_under_the_same_name_is_neither_used_nor_touched(tmp_path, monkeypatch):
    write(tmp_path, {"BUILD.py": TRANSFORM + "import helper\ntransform('t', lambda i: helper.NAME)\n"})
    write(tmp_path, {"helper.py": "NAME = 'ours'\n", "other/helper.py": "NAME = 'theirs'\n"})
    monkeypatch.syspath_prepend(tmp_path / "other")
    theirs = importlib.import_module("helper")
    try:
        assert call(tmp_path, "//:t") == "ours"
        assert sys.modules["helper"] is theirs
    finally:
        del sys.modules["helper"]


def test_one_file_is_one_module_however_it_is_imported(tmp_path):
    lines = "import common\nimport qa.common as dotted\nfrom . import common as relative\nfrom .common import NAMES\n"
    check = "assert common is dotted is relative and NAMES is common.NAMES\n"
    write(tmp_path, {"qa/BUILD.py": lines + check, "qa/common.py": "NAMES = []\n"})
    write(tmp_path, {"BUILD.py": "import qa.common\nfrom qa import common\nassert qa.common is common\n"})
    Graph.load(tmp_path)


def test_packages_and_relative_imports_work(tmp_path):
    write(
        tmp_path,
        {
            "qa/BUILD.py": TRANSFORM
            + "from lib import *\nimport lib.deep.end\ntransform('t', lambda i: (a, b, lib.deep.end.c))\n",
            "qa/lib/__init__.py": "from .one import a\nfrom . import two\nb = two.b\n__all__ = ['a', 'b', 'three']\n",
            "qa/lib/one.py": "a = 1\n",
            "qa/lib/two.py": "from lib.one import a\nb = a + 1\n",
            "qa/lib/three.py": "",
            "qa/lib/deep/end.py": "from ..two import b\nfrom ...outer import o\nc = b + o\n",
            "qa/outer.py": "o = 10\n",
        },
    )
    assert call(tmp_path, "//qa:t") == (1, 2, 12)


def test_modules_may_import_each_other(tmp_path):
    write(tmp_path, {"BUILD.py": "import a\nassert a.b.a is a\n", "a.py": "import b\n", "b.py": "import a\n"})
    Graph.load(tmp_path)


def test_import_module_finds_modules_of_the_root_for_workspace_code_only(tmp_path):
    run = (
        "def run(inputs):\n    import importlib\n    return importlib.import_module('prompts.de').TEXT\n"
        "transform('t', run)\n"
    )
    write(tmp_path, {"BUILD.py": TRANSFORM + run, "prompts/de.py": "TEXT = 'guten Tag'\n"})
    graph = Graph.load(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("prompts.de")
    assert function(graph, "//:t")({}) == "guten Tag"
    (tmp_path / "prompts/de.py").write_text("TEXT = 'moin'\n")
    assert call(tmp_path, "//:t") == "moin"


def test_import_module_takes_relative_names(tmp_path):
    build = TRANSFORM + "import importlib\nlate = importlib.import_module('.late', __package__)\n"
    write(tmp_path, {"qa/BUILD.py": build + "transform('t', lambda i: late.X)\n", "qa/late.py": "X = 1\n"})
    assert call(tmp_path, "//qa:t") == 1


def test_a_plain_folder_does_not_hide_an_installed_package(tmp_path):
    write(tmp_path, {"BUILD.py": "import yaml\nyaml.safe_load\n", "yaml/notes.txt": ""})
    Graph.load(tmp_path)


def test_a_workspace_file_goes_before_an_installed_package(tmp_path):
    write(tmp_path, {"BUILD.py": "import yaml\nassert yaml.OURS\n", "yaml.py": "OURS = True\n"})
    Graph.load(tmp_path)
    import yaml

    assert not hasattr(yaml, "OURS")


def test_a_workspace_file_does_not_hide_one_of_pythons_own_modules(tmp_path):
    write(tmp_path, {"BUILD.py": "import queue\nqueue.Queue\n", "queue.py": "raise RuntimeError\n"})
    Graph.load(tmp_path)


def test_libraries_do_not_see_workspace_modules(tmp_path):
    write(tmp_path, {"BUILD.py": "import only_here\n", "only_here.py": ""})
    Graph.load(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("only_here")
    assert str(tmp_path) not in sys.path


def test_a_failed_import_is_tried_again(tmp_path):
    build = (
        "for _ in range(2):\n    try:\n        import broken\n    except ValueError:\n        pass\n"
        "    else:\n        raise AssertionError\n"
    )
    write(tmp_path, {"BUILD.py": build, "broken.py": "x = 1\nraise ValueError\n"})
    Graph.load(tmp_path)


RUN = TRANSFORM + "from helper import run\ntransform('t', run)\n"


def test_getsource_gives_what_was_run_also_after_an_edit(tmp_path):
    write(tmp_path, {"BUILD.py": RUN, "helper.py": "def run(inputs):\n    return 1\n"})
    graph = Graph.load(tmp_path)
    write(tmp_path, {"helper.py": "X = 5\n\n\ndef run(inputs):\n    return 222\n"})
    assert inspect.getsource(function(graph, "//:t")) == "def run(inputs):\n    return 1\n"
    assert function(graph, "//:t")({}) == 1
    graph.validate()


@pytest.mark.parametrize("keep_the_old_graph", [False, True])
def test_a_new_load_has_the_new_source_and_supersedes_the_old_one(tmp_path, keep_the_old_graph):
    write(tmp_path, {"BUILD.py": RUN, "helper.py": "def run(inputs):\n    return 1\n"})
    old = Graph.load(tmp_path) if keep_the_old_graph else None
    write(tmp_path, {"helper.py": "def run(inputs):\n    return 2\n"})
    new = Graph.load(tmp_path)
    assert inspect.getsource(function(new, "//:t")) == "def run(inputs):\n    return 2\n"
    new.validate()
    if old is not None:
        assert function(old, "//:t")({}) == 1
        with pytest.raises(GraphError) as caught:
            old.validate()
        assert str(caught.value) == (
            "this graph was loaded before its files changed, and they have been loaded again since\n"
            "  changed:  `helper.py`\n\nhint: use the newer graph"
        )
        del new
        gc.collect()
        assert str(tmp_path / "helper.py") not in linecache.cache


def test_graphs_of_an_unchanged_workspace_live_side_by_side(tmp_path):
    write(tmp_path, {"BUILD.py": RUN, "helper.py": "def run(inputs):\n    return 1\n"})
    first, second = Graph.load(tmp_path), Graph.load(tmp_path)
    first.validate()
    del second
    gc.collect()
    (tmp_path / "helper.py").write_text("")
    assert inspect.getsource(function(first, "//:t")) == "def run(inputs):\n    return 1\n"


def test_sources_are_let_go_with_the_graph(tmp_path):
    write(tmp_path, {"BUILD.py": RUN, "helper.py": "def run(inputs):\n    return 1\n"})
    graph = Graph.load(tmp_path)
    assert str(tmp_path / "helper.py") in linecache.cache
    del graph
    gc.collect()
    assert str(tmp_path / "helper.py") not in linecache.cache


def test_classes_keep_their_module_as_dataclasses_and_pydantic_need_it(tmp_path):
    shapes = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom pydantic import BaseModel\n"
        "@dataclass\nclass Point:\n    x: int\n    other: Point | None = None\n"
        "class Tree(BaseModel):\n    leaves: list[Leaf]\nclass Leaf(BaseModel):\n    name: str\n"
    )
    build = (
        TRANSFORM
        + "from shapes import Point, Tree\ntransform('t', lambda i: (Point(1), Tree(leaves=[{'name': 'a'}]), Tree))\n"
    )
    write(tmp_path, {"qa/BUILD.py": build, "qa/shapes.py": shapes})
    graph = Graph.load(tmp_path)
    point, tree, tree_type = function(graph, "//qa:t")({})
    assert point.x == 1
    assert tree.leaves[0].name == "a"
    assert inspect.getsource(tree_type) == "class Tree(BaseModel):\n    leaves: list[Leaf]\n"


def test_module_names_leave_with_the_graph(tmp_path):
    write(
        tmp_path,
        {"BUILD.py": TRANSFORM + "import helper\ntransform('t', lambda i: helper.X)\n", "helper.py": "X = 1\n"},
    )
    graph = Graph.load(tmp_path)
    run = function(graph, "//:t")
    prefix = run.__module__.partition(".")[0]
    assert {f"{prefix}.BUILD", f"{prefix}.helper"} <= set(sys.modules)
    del graph
    gc.collect()
    assert not [name for name in sys.modules if name.startswith(prefix)]
    assert run({}) == 1


def test_every_file_that_was_run_is_recorded_with_its_digest(tmp_path):
    from ddbuild.digest import digest_bytes

    write(
        tmp_path, {"BUILD.py": "import helper\n", "helper.py": "import lib\n", "lib/__init__.py": "", "unused.py": ""}
    )
    workspace = load_workspace(tmp_path)
    assert {path.relative_to(tmp_path).as_posix(): digest for path, digest in workspace.read_files.items()} == {
        name: digest_bytes((tmp_path / name).read_bytes())
        for name in ("ddbuild.toml", "BUILD.py", "helper.py", "lib/__init__.py")
    }


def test_what_a_build_file_itself_reads_is_recorded(tmp_path):
    build = (
        "import os\nfrom pathlib import Path\nhere = Path(__file__).parent\n"
        "(here / 'prompt.txt').read_text()\nos.environ.get('SOME_PROMPT')\nos.getenv('HOME')\n"
        "list((here / '.data').iterdir())\n"
        "(here / 'out.txt').write_text('x')\nopen(__file__).close()\n"
    )
    write(tmp_path, {"BUILD.py": build, "prompt.txt": "hello", ".data/x.csv": ""})
    workspace = load_workspace(tmp_path)
    assert workspace.read_files[tmp_path / "prompt.txt"] is None
    assert workspace.read_files[tmp_path / "BUILD.py"] is not None
    assert tmp_path / "out.txt" not in workspace.read_files
    assert tmp_path / ".data" in workspace.reads.folders
    assert workspace.reads.environment["SOME_PROMPT"] is None
    assert os.environ["HOME"] not in str(workspace.reads.environment)
    before = dict(workspace.reads.environment)
    os.environ.get("ANOTHER_ONE")
    assert workspace.reads.environment == before
    assert type(os.environ).__name__ == "_Environ"


def test_a_build_file_may_use_threads_that_import(tmp_path):
    build = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def late(n):\n    import helper\n    return helper.X\n"
        "with ThreadPoolExecutor(2) as pool:\n    assert list(pool.map(late, range(4))) == [1] * 4\n"
    )
    write(tmp_path, {"BUILD.py": build, "helper.py": "X = 1\n"})
    Graph.load(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"BUILD.py": "x = 1\ndef (:\n"},
            "`BUILD.py` is not valid Python: invalid syntax\n  build file:  BUILD.py:2",
        ),
        (
            {"BUILD.py": "\nimport helper\n", "helper.py": "\n\nx = = 1\n"},
            "`helper.py` is not valid Python: invalid syntax\n  at:          helper.py:3\n  build file:  BUILD.py:2",
        ),
        (
            {"qa/BUILD.py": "\n\n1 / 0\n"},
            "`qa/BUILD.py` raised `ZeroDivisionError`: division by zero\n  build file:  qa/BUILD.py:3",
        ),
        (
            {"BUILD.py": "import helper\n\nhelper.run()\n", "helper.py": "def run():\n    return {}['x']\n"},
            "`BUILD.py` raised `KeyError`: 'x'\n  at:          helper.py:2\n  build file:  BUILD.py:3",
        ),
        ({"BUILD.py": "assert False\n"}, "`BUILD.py` raised `AssertionError`\n  build file:  BUILD.py:1"),
        (
            {"BUILD.py": "import json\njson.loads('{')\n"},
            "`BUILD.py` raised `JSONDecodeError`: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)\n  build file:  BUILD.py:2",
        ),
        ({"BUILD.py": "import sys\nsys.exit('no')\n"}, "`BUILD.py` raised `SystemExit`: no\n  build file:  BUILD.py:2"),
        (
            {"BUILD.py": "import nowhere_at_all\n"},
            "`BUILD.py` raised `ModuleNotFoundError`: No module named 'nowhere_at_all'\n  build file:  BUILD.py:1",
        ),
        (
            {"BUILD.py": "import lib.missing\n", "lib/__init__.py": ""},
            "`BUILD.py` raised `ModuleNotFoundError`: No module named 'lib.missing'\n  build file:  BUILD.py:1",
        ),
        (
            {"BUILD.py": "from helper import scor\n", "helper.py": "score = 1\n"},
            "`BUILD.py` raised `ImportError`: cannot import name 'scor' from 'helper' ({root}/helper.py)\n"
            "  build file:  BUILD.py:1",
        ),
        (
            {"BUILD.py": "from .. import x\n"},
            "`BUILD.py` raised `ImportError`: relative import beyond the workspace's root\n  build file:  BUILD.py:1",
        ),
        (
            {"BUILD.py": "import qa.BUILD\n", "qa/BUILD.py": ""},
            "`qa/BUILD.py` is a build file, and build files cannot be imported\n  build file:  BUILD.py:1\n\n"
            "hint: move what several files need into a module of its own",
        ),
        (
            {"BUILD.py": "from pydantic import BaseModel\nclass M(BaseModel):\n    x: int\nM(x='a')\n"},
            "`BUILD.py` raised `ValidationError`: 1 validation error for M\n  x\n"
            "    Input should be a valid integer, unable to parse string as an integer "
            "[type=int_parsing, input_value='a', input_type=str]\n  build file:  BUILD.py:4",
        ),
    ],
)
def test_an_error_in_a_build_file_names_its_line_and_shows_no_traceback(tmp_path, files, message):
    write(tmp_path, files)
    with pytest.raises(GraphError) as caught:
        Graph.load(tmp_path)
    assert str(caught.value) == message.format(root=tmp_path) if "{root}" in message else str(caught.value) == message
    assert caught.value.__cause__ is None
    assert caught.value.exit_code == 2


def test_a_build_file_that_is_no_text_is_refused(tmp_path):
    write(tmp_path, {})
    (tmp_path / "BUILD.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(GraphError) as caught:
        Graph.load(tmp_path)
    assert (
        str(caught.value)
        == "`BUILD.py` is not valid Python: invalid or missing encoding declaration\n  build file:  BUILD.py"
    )


def test_what_a_build_file_prints_goes_to_stderr(tmp_path, capsys):
    write(tmp_path, {"BUILD.py": "print('loading')\n"})
    Graph.load(tmp_path)
    assert capsys.readouterr() == ("", "loading\n")


def test_interrupting_a_load_is_no_error_of_the_build_file(tmp_path):
    write(tmp_path, {"BUILD.py": "raise KeyboardInterrupt\n"})
    with pytest.raises(KeyboardInterrupt):
        Graph.load(tmp_path)
