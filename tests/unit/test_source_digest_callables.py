"""Every kind of callable, however it was loaded: which source it has, and what its references are called."""

from __future__ import annotations

import functools
import importlib.util
import json
import linecache
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from ddbuild.errors import UnhashableError
from ddbuild.source_digest import digest_function, digest_value

LOADER = """
import importlib.util, json, sys, types
from pathlib import Path
from ddbuild.source_digest import digest_function, digest_value

how, root = sys.argv[1], Path(sys.argv[2])
file = root / "callbacks.py"
sys.path.insert(0, str(root))
if how == "import":
    import callbacks as module
elif how == "by path":
    # As Data Designer's own loader does: a module named after the absolute path.
    spec = importlib.util.spec_from_file_location("config" + str(root).replace("/", "_"), file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
elif how == "exec":
    names = {"__name__": "__main__", "__file__": str(file)}
    exec(compile(file.read_text(), str(file), "exec"), names)
    module = types.SimpleNamespace(**names)
digests = [digest_function(function, root=root, subject="x") for function in (module.keep, module.RULES.accept)]
print(json.dumps([[each.digest, sorted(each.references.items())] for each in digests]))
"""

CALLBACKS = """
import dataclasses
import logging
from pathlib import Path

import helpers

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent / "rules.csv"
WORDS = {"one", "two", "three", "four"}


class Base: ...


@dataclasses.dataclass
class Rules(Base):
    words: set = dataclasses.field(default_factory=lambda: set(WORDS))

    def accept(self, word):
        logger.info("%s", word)
        return word in self.words and helpers.score(word)


RULES = Rules()


def unused():
    import package.one as one
    import package.two as two
    import package.six as six


def keep(path, checks=frozenset({len, sorted, helpers.score, lambda word: word})):
    from helpers import score

    return RULES.accept(HERE.name), unused, __name__, {word for word in WORDS}, score, helpers
"""


def load(tmp_path, text, name="callbacks"):
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(f"loaded_{name}", file)
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, str(file), "exec"), module.__dict__)
    return module


def digest(function, root=None):
    return digest_function(function, root=root, subject="a test")


def identities(functions, root=None):
    return [digest(function, root).identity for function in functions]


def test_digests_do_not_depend_on_process_hash_seed_folder_or_way_of_loading(tmp_path):
    printed = set()
    for number, how in enumerate(["import", "by path", "exec", "import"]):
        root = tmp_path / f"copy{number}" / "deeper"
        root.mkdir(parents=True)
        (root / "callbacks.py").write_text(CALLBACKS)
        (root / "helpers.py").write_text("def score(word):\n    return len(word)\n")
        for name in ("one", "two", "six"):
            folder = root / "package" / name
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text("from . import same\n")
            (folder / "same.py").write_text(f"print('{name}')\n")
        environment = {**os.environ, "PYTHONHASHSEED": str(number)}
        command = [sys.executable, "-c", LOADER, how, str(root)]
        printed.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1
    names = [name for name, _ in json.loads(printed.pop())[0][1]]
    assert {"global HERE", "global RULES", "global WORDS", "Rules", "Base", "module helpers"} <= set(names)


def test_references_are_named_as_the_code_reads_them(tmp_path, monkeypatch):
    (tmp_path / "helpers.py").write_text("RATE = 2\nLIMIT = 1\ndef score(x): return x * RATE + LIMIT\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "helpers", raising=False)
    module = load(
        tmp_path,
        "import helpers\nfrom helpers import LIMIT\n"
        "def make(limit):\n"
        "    def keep(path, n=3):\n"
        "        return helpers.score(n) > limit + LIMIT + helpers.RATE\n"
        "    return keep\n"
        "keep = make(4)\n",
    )
    assert sorted(digest(module.keep, tmp_path).references) == [
        "closure limit",
        "default n",
        "global LIMIT",
        "global helpers.RATE",
        "helpers.score",
        "helpers.score -> global LIMIT",
    ]


def test_parts_name_the_function_and_what_it_reads(tmp_path):
    module = load(tmp_path, "LIMIT = 1\ndef keep(path):\n    return LIMIT\n")
    source = digest(module.keep)
    assert source.parts("callback") == [
        ("callback", "keep", source.digest),
        ("callback", "keep -> global LIMIT", source.references["global LIMIT"]),
    ]


def test_a_changed_helper_leaves_the_callbacks_own_digest(tmp_path):
    text = "def helper(x):\n    return x + 1\ndef keep(path):\n    return helper(path)\n"
    before = digest(load(tmp_path, text).keep)
    after = digest(load(tmp_path, text.replace("+ 1", "+ 2")).keep)
    assert before.digest == after.digest
    assert before.references["helper"] != after.references["helper"]


def test_lambdas_on_one_line_are_told_apart(tmp_path):
    module = load(
        tmp_path,
        "pairs = [(lambda x: x + 1, lambda x: x + 2), (lambda: (lambda y: y), lambda *, x=1: (\n  x))]\n"
        "inner = pairs[1][0]()\n"
        "same = [lambda x: x + 1]\n"
        "folded = [lambda: 'a b'.split(), lambda: f'{1}', lambda: None, lambda: (yield), lambda: [i for i in 'ab']]\n",
    )
    functions = [*module.pairs[0], *module.pairs[1], module.inner, *module.folded]
    assert len(set(identities(functions))) == len(functions)
    assert identities(module.same) == identities([module.pairs[0][0]])


def test_lambdas_without_columns_are_told_apart_or_refused(tmp_path):
    (tmp_path / "callbacks.py").write_text("one = [lambda x: x + 1]\ntwo = [lambda x: x + 1, lambda x: x + 2]\n")
    script = (
        "import callbacks, sys\nfrom ddbuild.errors import UnhashableError\n"
        "from ddbuild.source_digest import digest_function\n"
        "def digest(f):\n"
        "    try:\n        return digest_function(f, root=None, subject='x').identity\n"
        "    except UnhashableError:\n        return 'refused'\n"
        "one, (two, three) = digest(callbacks.one[0]), map(digest, callbacks.two)\n"
        "assert one != 'refused' and three != one and (two in (one, 'refused')), (one, two, three)\n"
    )
    command = [sys.executable, "-X", "no_debug_ranges", "-c", script]
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def test_a_function_is_the_same_behind_equal_wrappers_only(tmp_path):
    module = load(
        tmp_path,
        "import functools\n"
        "class Scorer:\n"
        "    limit = 1\n"
        "    def __init__(self, low): self.low = low\n"
        "    def __call__(self, path): return self.low + self.limit\n"
        "    def score(self, path): return self.low\n"
        "    @classmethod\n"
        "    def build(cls, path): return cls.limit\n"
        "    @staticmethod\n"
        "    def check(path): return 1\n"
        "def plain(path, n=1): return n\n"
        "partials = [functools.partial(plain, n=n) for n in (1, 2)]\n"
        "cached = functools.lru_cache(plain)\n"
        "low, high = Scorer(1), Scorer(2)\n",
    )
    functions = [
        module.plain,
        *module.partials,
        module.cached,
        module.low,
        module.high,
        module.low.score,
        module.high.score,
        module.Scorer.score,
        module.Scorer.build,
        module.Scorer.check,
        module.Scorer,
    ]
    found = identities(functions)
    assert len(set(found)) == len(found)
    assert [digest(function).name for function in functions] == [
        "plain", "plain", "plain", "plain", "Scorer", "Scorer", "Scorer.score", "Scorer.score", "Scorer.score",
        "Scorer.build", "Scorer.check", "Scorer",
    ]  # fmt: skip
    assert "self" in digest(module.low.score).references
    assert "arguments" in digest(module.partials[0]).references


def test_library_functions_count_by_name():
    import shutil

    assert digest(shutil.copy).identity == digest(shutil.copy).identity
    assert digest(shutil.copy).identity != digest(shutil.copy2).identity
    assert digest(len).identity != digest(sorted).identity
    assert not digest(shutil.copy).references


def test_data_designers_decorator_is_seen_through(tmp_path):
    pytest.importorskip("data_designer.config")
    text = (
        "from data_designer.config.custom_column import custom_column_generator\n"
        "STEP = 1\n"
        "def grow(n): return n + STEP\n"
        "@custom_column_generator(required_columns=['n'])\n"
        "def grown(row):\n"
        "    row['grown'] = grow(row['n'])\n"
        "    return row\n"
    )
    before = digest(load(tmp_path, text).grown)
    assert before.name == "grown"
    assert sorted(before.references) == ["global STEP", "grow"]
    assert digest(load(tmp_path, "\n# above\n" + text).grown) == before
    for old, new in [("row['n']", "row['m']"), ("n + STEP", "n - STEP"), ("STEP = 1", "STEP = 2")]:
        assert digest(load(tmp_path, text.replace(old, new)).grown).identity != before.identity


def test_a_function_behind_a_users_decorator_keeps_its_name_and_the_decorators_settings(tmp_path):
    text = (
        "import functools\n"
        "def times(count):\n"
        "    def decorate(function):\n"
        "        @functools.wraps(function)\n"
        "        def repeated(*args): return [function(*args) for _ in range(count)]\n"
        "        return repeated\n"
        "    return decorate\n"
        "COUNT = 2\n"
        "def plain(path): return path\n"
        "decorated = times(COUNT)(plain)\n"
    )
    source = digest(load(tmp_path, text).decorated)
    assert source.name == "plain"
    assert {"decorator", "decorator -> closure count"} <= set(source.references)
    assert digest(load(tmp_path, text.replace("COUNT = 2", "COUNT = 3")).decorated).identity != source.identity
    assert digest(load(tmp_path, text).plain).identity != source.identity


def test_a_library_decorators_settings_count_where_no_source_tells_them(tmp_path):
    text = "import contextlib\ndef opened(path):\n    yield path\nmanager = contextlib.contextmanager(opened)\n"
    before = digest(load(tmp_path, text).manager)
    assert before.name == "opened"
    assert digest(load(tmp_path, text.replace("yield path", "yield 1")).manager).identity != before.identity


def test_generic_functions_are_digested_with_their_implementations(tmp_path):
    text = (
        "import functools\n"
        "@functools.singledispatch\n"
        "def show(value): return 'x'\n"
        "@show.register\n"
        "def _(value: int): return 'int'\n"
        "def keep(path): return show(path)\n"
    )
    first = load(tmp_path, text)
    before = [digest(first.show).identity, digest(first.keep).identity]
    first.show(3)
    assert [digest(first.show).identity, digest(first.keep).identity] == before
    second = load(tmp_path, text.replace("'int'", "'number'"))
    assert digest(second.show).identity != before[0]
    assert digest(second.keep).identity != before[1]


def test_an_edit_without_a_new_import_gives_neither_the_old_nor_the_new_digest(tmp_path):
    old_text, new_text = "def keep(path):\n    return 1\n", "def keep(path):\n    return 2\n"
    old = load(tmp_path, old_text)
    fresh_old = digest(old.keep).identity
    new = load(tmp_path, new_text)
    fresh_new = digest(new.keep).identity
    # The file now has the new text, and `old.keep` still runs the old code.
    stale = digest(old.keep).identity
    assert len({fresh_old, fresh_new, stale}) == 3
    (tmp_path / "callbacks.py").write_text("# a comment above\n\n" + old_text)
    assert digest(old.keep).identity == fresh_old


def test_an_edited_class_without_a_new_import_gives_neither_digest(tmp_path):
    text = "class Rules:\n    def low(self): return 1\ndef keep(path): return Rules\n"
    old = load(tmp_path, text)
    fresh_old = digest(old.keep).identity
    new = load(tmp_path, text.replace("1", "2"))
    assert len({fresh_old, digest(new.keep).identity, digest(old.keep).identity}) == 3


def test_an_edit_within_one_time_stamp_is_seen(tmp_path, monkeypatch):
    stat = Path.stat
    now = time.time_ns()

    def frozen(self, **options):
        true = stat(self, **options)
        return types.SimpleNamespace(
            st_mtime_ns=now, st_ctime_ns=now, st_size=true.st_size, st_ino=true.st_ino, st_mode=true.st_mode
        )

    monkeypatch.setattr(Path, "stat", frozen)
    first = load(tmp_path, "def keep(path):\n    return 1\n")
    before = digest(first.keep).identity
    second = load(tmp_path, "def keep(path):\n    return 2\n")
    seen = digest(second.keep).identity
    monkeypatch.undo()
    assert seen == digest(second.keep).identity != before


def test_a_function_that_left_its_file_is_refused(tmp_path):
    module = load(tmp_path, "def keep(path):\n    return 1\n")
    (tmp_path / "callbacks.py").write_text("\n\n\ndef other(path):\n    return 1\n")
    with pytest.raises(UnhashableError) as caught:
        digest(module.keep, tmp_path)
    assert caught.value.facts["because"] == "its file was edited after it was loaded"


def test_a_pinned_text_counts_before_what_is_on_disk(tmp_path):
    text = "def keep(path):\n    return 1\n"
    module = load(tmp_path, text)
    before = digest(module.keep).identity
    file = str(tmp_path / "callbacks.py")
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    try:
        (tmp_path / "callbacks.py").write_text("def keep(path):\n    return 2\n")
        assert digest(module.keep).identity == before
    finally:
        del linecache.cache[file]


def run_cell(text, name, names):
    """Run a notebook's cell as IPython does: compiled under a made-up name, with its text in the line cache."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), names)


def test_notebook_cells_have_source(tmp_path):
    def run(limit, number):
        names = {"__name__": "__main__"}
        run_cell(f"LIMIT = {limit}\nclass Rules:\n    low = LIMIT\n", f"<ipython-input-{number}>", names)
        cell = "await_me = 1\ndef keep(path):\n    # keep\n    return LIMIT, Rules\n"
        run_cell(cell, f"/tmp/ipykernel_1/{number}.py", names)
        return digest(names["keep"]).identity

    assert run(1, 11) == run(1, 12)
    assert run(1, 13) != run(2, 14)


def test_classes_of_a_module_that_left_sys_modules_are_found(tmp_path):
    text = (
        "import dataclasses\n@dataclasses.dataclass\nclass Rules:\n    low: int = 1\ndef keep(path): return Rules()\n"
    )
    found = []
    for edited in (text, "# comment\n" + text, text.replace("= 1", "= 2")):
        (tmp_path / "gone.py").write_text(edited)
        module = types.ModuleType("gone")
        module.__file__ = str(tmp_path / "gone.py")
        sys.modules["gone"] = module
        exec(compile(edited, module.__file__, "exec"), module.__dict__)
        del sys.modules["gone"]
        found.append(digest(module.keep).identity)
    assert found[0] == found[1] != found[2]


def test_installed_code_inside_the_workspace_is_a_library(tmp_path):
    folder = tmp_path / ".venv" / "lib" / "site-packages"
    folder.mkdir(parents=True)
    first = load(folder, "def score(x):\n    return 1\n", name="vendored").score
    second = load(folder, "def score(x):\n    return 2\n", name="vendored").score
    assert identities([first], tmp_path) == identities([second], tmp_path)


def test_mutual_recursion_through_data_ends(tmp_path):
    module = load(
        tmp_path,
        "class Node:\n"
        "    def __init__(self): self.me = self; self.walk = keep\n"
        "def keep(path): return TABLE, Node, other(path)\n"
        "def other(path): return keep(path)\n"
        "NODE = Node()\n"
        "TABLE = {'keep': keep, 'node': NODE}\n"
        "TABLE['self'] = TABLE\n",
    )
    assert sorted(digest(module.keep).references) == ["Node", "global TABLE", "other"]


def test_a_thousand_helpers_deep_is_not_too_deep(tmp_path):
    lines = ["def f0(x): return x"] + [f"def f{n}(x): return f{n - 1}(x)" for n in range(1, 1500)]
    text = "\n".join([*lines, "TOTAL = " + " + ".join(["1"] * 400), "def keep(path): return f1499(path)"])
    before = digest(load(tmp_path, text).keep)
    assert len(before.references) == 1500
    after = digest(load(tmp_path, text.replace("def f0(x): return x", "def f0(x): return -x")).keep)
    assert {name for name in before.references if before.references[name] != after.references[name]} == {"f0"}


def test_partial_of_a_partial_keeps_both_arguments(tmp_path):
    module = load(tmp_path, "def keep(a, b, c=1): return a\n")
    found = [
        functools.partial(functools.partial(module.keep, first), c=second) for first, second in [(1, 2), (2, 2), (1, 3)]
    ]
    assert len(set(identities(found))) == 3


def test_every_overridden_name_reaches_the_digest(tmp_path):
    names = types.SimpleNamespace(value=1)

    def keep(path):
        return names.value

    before = digest(keep).identity
    names.value = 2
    assert digest(keep).identity != before


def test_helpers_may_have_any_name(tmp_path):
    text = (
        "import functools\n"
        "def decorator(x): return x + 1\n"
        "def module(x): return x + 2\n"
        "def arguments(x): return x + 3\n"
        "def plain(path): return decorator(path), module(path), arguments(path)\n"
        "@functools.wraps(plain)\n"
        "def keep(*args): return plain(*args) + 4\n"
        "part = functools.partial(plain, 5)\n"
    )
    before = load(tmp_path, text)
    found = identities([before.keep, before.part])
    for number in range(1, 6):
        after = load(tmp_path, text.replace(f" {number}", f" {number}0"))
        changed = [one != other for one, other in zip(found, identities([after.keep, after.part]), strict=True)]
        assert changed == [number != 5, number != 4]


def test_the_order_of_dicts_counts_for_code_and_not_for_settings(tmp_path):
    text = "TABLE = {'a': 1, 'b': 2}\ndef keep(path): return TABLE\n"
    found = []
    for edited in (text, text.replace("'a': 1, 'b': 2", "'b': 2, 'a': 1")):
        module = load(tmp_path, edited)
        found.append(
            (
                digest(module.keep).identity,
                digest_value(module.TABLE, root=None, subject="x"),
                digest_value([module.TABLE, module.keep], root=None, subject="x"),
            )
        )
    assert [one == other for one, other in zip(*found, strict=True)] == [False, True, False]
