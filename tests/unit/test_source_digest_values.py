"""Digests of values: what counts of each type, what does not, and what is refused with which words."""

from __future__ import annotations

import contextvars
import dataclasses
import datetime as dt
import enum
import fractions
import functools
import http.client
import io
import logging
import operator
import os
import pathlib
import random
import re
import string
import subprocess
import sys
import threading
import types
import typing
import uuid
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from pathlib import Path

import pytest

from ddbuild.errors import UnhashableError
from ddbuild.source_digest import digest_function, digest_value

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Number(enum.IntEnum):
    ONE = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class OtherPoint:
    x: int
    y: int = 0


class Slotted:
    __slots__ = ("__hidden", "x")

    def __init__(self, x, hidden):
        self.x = x
        self.__hidden = hidden


class Words(list): ...


class Table(dict): ...


class Name(str): ...


class Cached:
    def __init__(self, x):
        self.x = x

    @functools.cached_property
    def double(self):
        return self.x * 2


Pair = namedtuple("Pair", "a b", defaults=[1])


def digest(value, root=None):
    return digest_value(value, root=root, subject="a test")


ALL_DIFFERENT = [
    None, True, False, 0, 1, -1, 2**70, 1.0, 0.0, -0.0, float("inf"), float("nan"), 1j, "", "1", b"1", bytearray(b"1"),
    [], (), {}, set(), [1], (1,), {1}, {1: 1}, {"1": 1}, [[1], 2], [1, [2]], [1, 2], [2, 1], ..., NotImplemented,
    range(3), range(0, 4, 2), slice(1, 2), slice(1, 2, 3),
    Level.LOW, Level.HIGH, Number.ONE, Access.READ, Access.READ | Access.WRITE,
    Point(1), Point(2), OtherPoint(1), Slotted(1, 2), Slotted(1, 3), Slotted(2, 2), Pair(1, 2), Pair(1, 3),
    Words([1]), Words([2]), Table(a=1), Table(a=2), Name("a"), Name("b"), Cached(1), Cached(2),
    dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), dt.datetime(2024, 1, 1, fold=1),
    dt.time(1), dt.timedelta(1), dt.timedelta(1, 1), Decimal("1.0"), Decimal("1.00"), fractions.Fraction(1, 2),
    uuid.UUID(int=1), uuid.UUID(int=2), re.compile("a"), re.compile("a", re.I), re.compile(b"a"),
    Path("a"), Path("b"), Path("/a"),
    types.SimpleNamespace(a=1), types.SimpleNamespace(a=2),
    OrderedDict(a=1, b=2), Counter("aab"), Counter("abb"), defaultdict(list), defaultdict(set), deque([1]),
    deque([1], 3), string.Template("$a"), string.Template("$b"),
    operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a"),
    ", ".join, "; ".join, len, sorted, int, str, os.path.join, random.choice, random.choices, os, string,
    list[int], list[str], int | str, typing.Literal["a"], typing.Literal["b"],
    typing.Annotated[int, 1], typing.Annotated[int, 2], typing.Callable[[int], str], typing.Any, typing.TypeVar("T"),
    functools.partial(len, [1]), functools.partial(len, [2]), functools.partial(sorted, key=len),
    ValueError("a"), ValueError("b"), KeyError("a"),
    np.float64(1), np.float32(1), np.int64(1), np.bool_(True), np.datetime64("2024-01-01"),
    np.dtype("f8"), np.dtype("f4"),
    np.array([1, 2]), np.array([2, 1]), np.array([[1, 2]]), np.array([1, 2], dtype="i4"), np.array(["a"]),
    np.array([1, "a"], dtype=object), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("c", "f8")]), np.mean, np.median, np.add, np.subtract,
    pd.Timestamp("2024"), pd.Timestamp("2024", tz="UTC"), pd.Timedelta("1D"), pd.NA, pd.NaT, pd.Interval(0, 1),
    pd.Series([1, 2]), pd.Series([1, 2], name="a"), pd.Series([1, 2], index=[1, 2]), pd.Series([1.0, 2.0]),
    pd.Series(["a", None]), pd.Series(["a", "b"]), pd.Series(["a"], dtype="category"),
    pd.Series(pd.Categorical(["a"], categories=["a", "b"])), pd.Series([None, 1], dtype="Int64"),
    pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": ["1"]}),
    pd.MultiIndex.from_tuples([(1, 2)]), pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]),
    pa.table({"a": [1]}), pa.table({"a": [2]}), pa.table({"b": [1]}), pa.table({"a": pa.array([1], pa.int32())}),
    pa.array([1]), pa.chunked_array([[2]]), pa.schema([("a", pa.int64())]), pa.int64(), pa.scalar(1),
]  # fmt: skip

EQUAL = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1, 2, 3}, {3, 2, 1}),
    ({1, 2}, frozenset({2, 1})),
    ({"a": 1}, types.MappingProxyType({"a": 1})),
    (float("nan"), -float("nan")),
    (Point(1), Point(1, 0)),
    (Slotted(1, 2), Slotted(1, 2)),
    (logging.getLogger("a"), logging.getLogger("b")),
    (threading.Lock(), threading.Lock()),
    (threading.RLock(), threading.RLock()),
    (threading.local(), threading.local()),
    (contextvars.ContextVar("a"), contextvars.ContextVar("a")),
    (object(), object()),
    (random.Random(1), random.Random(1)),
    (np.array([1, 2, 3])[::2], np.array([1, 3])),
    (np.array([[1, 2], [3, 4]]), np.asfortranarray(np.array([[1, 2], [3, 4]]))),
    (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
    (pd.DataFrame({"a": range(4)})[::2].reset_index(drop=True), pd.DataFrame({"a": [0, 2]})),
    (pa.table({"a": [1, 2]}), pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])),
    (pa.table({"a": [1, 2, 3]}).slice(1), pa.table({"a": [2, 3]})),
    (typing.List[int], list[int]),  # noqa: UP006
    (pathlib.PurePosixPath("a/b"), Path("a", "b")),
]


def test_values_that_differ_have_different_digests():
    found: dict[str, object] = {}
    for value in ALL_DIFFERENT:
        other = found.setdefault(digest(value), value)
        assert other is value, f"{value!r} has the digest of {other!r}"


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=lambda value: type(value).__name__)
def test_values_that_count_as_equal_have_one_digest(one, other):
    assert digest(one) == digest(other)
    assert digest([one, {"a": one}]) == digest([other, {"a": other}])


def test_the_class_of_an_object_counts(tmp_path):
    found = []
    for factor in (1, 1, 2):
        file = tmp_path / "shapes.py"
        file.write_text(f"class Shape:\n    def area(self): return {factor}\n")
        module = types.ModuleType("shapes")
        module.__file__ = str(file)
        exec(compile(file.read_text(), file, "exec"), module.__dict__)
        found.append(digest(module.Shape(), tmp_path))
    assert found[0] == found[1] != found[2]


def test_what_an_object_has_computed_does_not_count():
    used = Cached(1)
    assert used.double == 2
    assert digest(used) == digest(Cached(1))


def test_paths_in_the_workspace_do_not_depend_on_where_it_lies(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    assert digest(one / "a.csv", one) == digest(other / "a.csv", other)
    assert digest(one / "a.csv", one) != digest(one / "b.csv", one)
    assert digest(one / "a.csv", one) != digest(one / "a.csv", other)
    assert digest(one / "a.csv", one) != digest(Path("a.csv"), one)


def test_pydantic_models_count_by_type_and_fields():
    pydantic = pytest.importorskip("pydantic")

    class Rule(pydantic.BaseModel):
        low: int = 0

    class Special(Rule): ...

    class Rules(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        rules: list[Rule]
        _hidden: int = 1

    base = Rules(rules=[Rule(low=1)])
    hidden = Rules(rules=[Rule(low=1)])
    hidden._hidden = 2
    values = [
        base,
        hidden,
        Rules(rules=[Rule(low=2)]),
        Rules(rules=[Special(low=1)]),
        Rules(rules=[Rule(low=1)], more=1),
        pydantic.create_model("Made", low=(int, 1)),
        pydantic.create_model("Made", low=(int, 2)),
        pydantic.create_model("Made", low=(str, "1")),
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(base) == digest(Rules(rules=[Rule(low=1)]))


def test_values_that_hold_themselves_have_digests():
    loop: list[object] = [1]
    loop.append(loop)
    again: list[object] = [1]
    again.append(again)
    other: list[object] = [2]
    other.append(other)
    assert digest(loop) == digest(again) != digest(other)
    one, two = types.SimpleNamespace(), types.SimpleNamespace()
    one.other, two.other = two, one
    assert digest(one) == digest(two)


def test_shared_values_cost_their_size_once():
    value: object = ["x" * 100]
    for _ in range(200):
        value = [value, value]
    assert digest(value).startswith("xxh3_128:")


def test_large_values_have_digests():
    large = list(range(150_000))
    before = digest({"large": large, "names": {str(n) for n in large}})
    large[-1] += 1
    assert digest({"large": large, "names": {str(n) for n in large}}) != before


def test_sets_have_one_digest_under_any_hash_seed():
    script = (
        "from ddbuild.source_digest import digest_value\n"
        "value = {'words': {str(n) for n in range(99)}, 'sets': {frozenset({str(n), n}) for n in range(9)},"
        " 'types': frozenset({int, str, list}), 'functions': {len, sorted, str.join}}\n"
        "print(digest_value(value, root=None, subject='x'))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "123"
    }
    assert len(printed) == 1


REFUSED = {
    "an open file": (lambda: sys.__stderr__, "_io.TextIOWrapper"),
    "text in memory": (lambda: io.StringIO("x"), "_io.StringIO"),
    "a generator": (lambda: (n for n in []), "generator"),
    "a thread": (threading.Thread, "threading.Thread"),
    "a weak reference": (lambda: weakref.ref(Point), "weakref.ReferenceType"),
    "code": (lambda: (lambda: 1).__code__, "code"),
    "a library's object": (lambda: http.client.HTTPConnection("localhost").connect, "http.client.HTTPConnection"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_content_is_refused(name):
    make, kind = REFUSED[name]
    with pytest.raises(UnhashableError) as caught:
        digest({"a": [make()]})
    assert caught.value.exit_code == 2
    assert f"`{kind}` without content to hash" in caught.value.message


def test_the_error_tells_the_way_the_place_and_what_to_do(tmp_path):
    file = tmp_path / "qa" / "callbacks.py"
    file.parent.mkdir()
    file.write_text(
        "import io\n"
        "class Model:\n"
        "    def __init__(self): self.parts = {'files': [io.StringIO()]}\n"
        "MODEL = Model()\n"
        "def score(x):\n"
        "    # a comment\n"
        "    return MODEL\n"
        "def keep_good(path):\n"
        "    return score(path)\n"
    )
    names = {"__name__": "callbacks", "__file__": str(file)}
    exec(compile(file.read_text(), file, "exec"), names)
    with pytest.raises(UnhashableError) as caught:
        digest_function(names["keep_good"], root=tmp_path, subject="on_success of //qa:judged")
    assert str(caught.value) == (
        "`on_success of //qa:judged` depends on `MODEL.parts['files'][0]`, an `_io.StringIO` without content to hash\n"
        "  reached:  `keep_good` -> `score` -> `MODEL.parts['files'][0]`\n"
        "  read at:  qa/callbacks.py:7\n"
        "\n"
        'hint: give the target `version="1"`, and another one whenever its rows may change'
    )


@pytest.mark.parametrize(
    ("_way", "text"),
    {
        "closure variables": "def make(f):\n    def keep(_): return f\n    return keep\nkeep = make(StringIO())\n",
        "defaults": "def keep(path, f=StringIO()): return f\n",
        "bound arguments": "from functools import partial\nkeep = partial(lambda path, f: f, f=StringIO())\n",
        "an object that is called": (
            "class Keep:\n"
            "    def __init__(self): self.f = StringIO()\n"
            "    def __call__(self, path): ...\n"
            "keep = Keep()\n"
        ),
        "attributes of classes": "class Rules: ...\nRules.f = StringIO()\ndef keep(path): return Rules\n",
        "code without source": "exec('def helper(x): return x')\ndef keep(path): return helper(path)\n",
    }.items(),
)
def test_nothing_that_is_refused_gets_in_by(_way, text, tmp_path):
    file = tmp_path / "callbacks.py"
    text = "from io import StringIO\n" + text
    file.write_text(text)
    names = {"__name__": "callbacks", "__file__": str(file)}
    exec(compile(text, file, "exec"), names)
    with pytest.raises(UnhashableError):
        digest_function(names["keep"], root=tmp_path, subject="a test")


def test_a_generator_of_random_numbers_counts_by_how_it_was_made(tmp_path):
    def run(made, use):
        text = (
            f"import random\nimport numpy as np\nSEED = 3\nRNG = {made}\n{use}\ndef keep(path): return RNG.random()\n"
        )
        file = tmp_path / "callbacks.py"
        file.write_text(text)
        names = {"__name__": "callbacks", "__file__": str(file)}
        exec(compile(text, file, "exec"), names)
        return digest_function(names["keep"], root=tmp_path, subject="a test").identity

    for made, other in [
        ("random.Random(SEED)", "random.Random(4)"),
        ("random.Random()", "random.Random(1)"),
        ("np.random.default_rng(SEED)", "np.random.default_rng()"),
    ]:
        assert run(made, "") == run(made, "RNG.random()") != run(other, "")
    assert run("random.Random(SEED)", "") != run("random.Random(SEED)", "SEED = 4")
