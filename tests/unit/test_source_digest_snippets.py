"""Ways in which Python lets a function depend on something out of its sight, one small module each.

Each module defines `f`, and `{}` stands for what is edited: 1 becomes 2.
"""

from __future__ import annotations

import ast
import importlib
import sys
import textwrap
from pathlib import Path

import pytest

from ddbuild.source_digest import digest_function
from ddbuild.source_digest.normalized_source import encode_source

SEEN = {
    "a static method": "class A:\n  @staticmethod\n  def g(): return {}\ndef f(): return A.g()",
    "a function registered by a decorator": (
        "R = []\ndef register(g):\n  R.append(g)\n  return g\n"
        "@register\ndef g(): return {}\ndef f(): return [each() for each in R]"
    ),
    "a subclass registered by its base": (
        "class B:\n  R = []\n  def __init_subclass__(c): B.R.append(c)\n"
        "class X(B):\n  v = {}\ndef f(): return [c.v for c in B.R]"
    ),
    "a subclass found by its base": (
        "class B: ...\nclass X(B):\n  v = {}\ndef f(): return [c.v for c in B.__subclasses__()]"
    ),
    "a list of functions in a closure": (
        "def make():\n  fs = [lambda: {}]\n  def f(): return fs[0]()\n  return f\nf = make()"
    ),
    "a class in a closure": (
        "def make(n):\n  class K:\n    def m(self): return n\n  return K\nK = make({})\ndef f(): return K().m()"
    ),
    "an object that decorates": (
        "class memo:\n  def __init__(self, g): self.g = g\n  def __call__(self, *a): return self.g(*a)\n"
        "@memo\ndef f(x): return {}"
    ),
    "the class of an object that decorates": (
        "import functools\nclass memo:\n  def __init__(self, g): functools.update_wrapper(self, g)\n"
        "  def __call__(self, *a): return {}\n@memo\ndef f(x): return 0"
    ),
    "a metaclass": "class M(type):\n  def __call__(c): return {}\nclass A(metaclass=M): ...\ndef f(): return A()",
    "a descriptor": (
        "class D:\n  def __get__(self, o, t=None): return {}\nclass A:\n  d = D()\ndef f(): return A().d"
    ),
    "a property's setter": (
        "class A:\n  @property\n  def x(self): ...\n  @x.setter\n  def x(self, v): self.y = {}\ndef f(): A().x = 1"
    ),
    "a decorator of a class": (
        "def d(c):\n  c.v = {}\n  return c\n@d\nclass A: ...\ndef f(): return A.v"
    ),
    "an inherited method called through super": (
        "class A:\n  def m(self): return {}\nclass B(A):\n  def m(self): return super().m()\nf = B().m"
    ),
    "what a class method reads of its class": "class A:\n  n = {}\n  @classmethod\n  def m(c): return c.n\nf = A.m",
    "a partial method": (
        "import functools\nclass A:\n  def m(self, x): return x\n  p = functools.partialmethod(m, {})\n"
        "def f(): return A().p()"
    ),
    "a method set from outside": "class A: ...\nA.m = lambda self: {}\ndef f(): return A().m()",
    "a method replaced from outside": (
        "class A:\n  def m(self): return 0\nA.m = lambda self: {}\ndef f(): return A().m()"
    ),
    "a function set on an object": "class A: ...\na = A()\na.g = lambda: {}\ndef f(): return a.g()",
    "an attribute set on a function": "def g(): ...\ng.limit = {}\ndef f(): return g.limit",
    "an attribute of a class without dict": (
        "class A:\n  __slots__ = ('x',)\na = A()\na.x = {}\ndef f(): return a.x"
    ),
    "an attribute read by its name": "class A:\n  x = {}\ndef f(): return getattr(A, 'x')",
    "a class in one of two branches": (
        "if {} == 1:\n  class A:\n    x = 5\nelse:\n  class A:\n    x = 6\ndef f(): return A.x"
    ),
    "a function in one of two branches": (
        "if {} == 1:\n  def g(): return 5\n"
        "else:\n  def g(): return 6\ndef f(): return g()"
    ),
    "a named tuple's default": (
        "from collections import namedtuple\n"
        "P = namedtuple('P', 'x', defaults=[{}])\ndef f(): return P()"
    ),
    "a typed named tuple's default": (
        "from typing import NamedTuple\n"
        "class P(NamedTuple):\n  x: int = {}\ndef f(): return P()"
    ),
    "an enum made by a call": "from enum import Enum\nE = Enum('E', 'A B{}')\ndef f(): return list(E)",
    "a dataclass made by a call": (
        "import dataclasses\nA = dataclasses.make_dataclass('A', [('x', int, {})])\ndef f(): return A()"
    ),
    "the base of a class made by a call": (
        "class A:\n  v = {}\nB = type('B', (A,), dict())\nA = None\ndef f(): return B.v"
    ),
    "a class made by a call": "A = type('A', (), dict(x={}))\ndef f(): return A.x",
    "a pydantic constraint": (
        "from pydantic import BaseModel, Field\n"
        "class A(BaseModel):\n  x: int = Field(3, le={})\ndef f(): return A"
    ),
    "a pydantic validator": (
        "from pydantic import BaseModel, field_validator\nclass A(BaseModel):\n  x: int = 1\n"
        "  @field_validator('x')\n  @classmethod\n  def check(cls, v): return v + {}\ndef f(): return A"
    ),
    "a pydantic model named by a quoted type": (
        "from pydantic import BaseModel\nclass A(BaseModel):\n  x: 'list[B]'\n"
        "class B(BaseModel):\n  y: int = {}\ndef f(): return A"
    ),
    "a type that arguments are checked against": (
        "from typing import Annotated\nfrom pydantic import Field, validate_call\n"
        "T = Annotated[int, Field(ge={})]\n@validate_call\ndef f(x: T): return x"
    ),
    "a type that results are checked against": (
        "from typing import Annotated\nfrom pydantic import Field, validate_call\n"
        "T = Annotated[int, Field(ge={})]\n@validate_call(validate_return=True)\ndef f(x) -> T: return x"
    ),
    "a type of words": "from typing import Literal\nL = Literal['a', {}]\ndef f(): return L",
    "an attrs class": "import attrs\n@attrs.define\nclass A:\n  x: int = {}\ndef f(): return A()",
    "a default that is a function": "def g(): return {}\ndef f(x=g): return x()",
    "the global behind a nested default": "L = {}\ndef f():\n  def g(x=L): return x\n  return g()",
    "the global behind a comprehension in a class": (
        "L = {}\ndef f():\n  class A:\n    x = [i + L for i in [1]]\n  return A.x"
    ),
    "the first iterable of a comprehension": "L = [{}]\nf = lambda: [y for x in [L] for y in x]",
    "the other iterables of a comprehension": "L = [{}]\nf = lambda: {{y: x for x in [1] for y in L if x}}",
    "a name that a nested scope hides": "x = {}\ndef f():\n  def g(x): return x\n  return g(1) + x",
    "a name that a class body reads before it binds it": "x = {}\ndef f():\n  class A:\n    x = x\n  return A.x",
    "a global named in an inner function": (
        "x = {}\ndef f():\n  x = 5\n  def g():\n    global x\n    return x\n  return g()"
    ),
    "what is left after a name is deleted": "x = {}\ndef f():\n  global x\n  x = x + 1\n  del x",
    "frozen sets of functions": "def a(): return 5\ndef b(): return {}\nF = frozenset([a, b])\ndef f(): return F",
    "a module in a table": "import r\nD = dict(r=r)\ndef f(): return D['r'].g()",
    "a module given to a function": "import r\ndef h(m): return m.g()\ndef f(): return h(r)",
    "a module's own __getattr__": "import dynamic\ndef f(): return dynamic.anything",
    "a module imported by its name": "import importlib\ndef f(): return importlib.import_module('r').g()",
    "a module found by its name": "import sys\nx = {}\ndef f(): return sys.modules[__name__].x",
    "a name that is evaluated": "x = {}\ndef f(): return eval('x')",
    "a module in a package, imported inside": "def f():\n  import pkg.sub\n  return pkg.sub.g()",
    "a module in a folder, imported inside": "def f():\n  from folder import sub\n  return sub.g()",
    "what a package passes on": "import passing\ndef f(): return passing.g()",
    "what a package passes on, imported inside": "def f():\n  import passing\n  return passing.g()",
    "what comes with a star, imported two modules away": "def f():\n  import starred\n  return starred.h()",
    "a setting of a library's decorator": (
        "import contextlib\ndef g(n):\n  def managed():\n    yield n\n  return contextlib.contextmanager(managed)\n"
        "manager = g({})\ndef f():\n  with manager() as x: return x"
    ),
}  # fmt: skip

UNSEEN = {
    "random numbers drawn by the library's own generator": (
        "from random import choice\nif {} == 2: choice([1])\ndef f(): return choice"
    ),
    "an object that a library holds ready": "from sys import stderr\ndef f():\n  print(file=stderr)  # {}",
    "the environment": "from os import environ\nenviron['DDBUILD_TEST'] = '{}'\ndef f(): return environ['X']",
    "a property computed once": (
        "import functools\nclass A:\n  @functools.cached_property\n  def x(self): return 1\n"
        "a = A()\nif {} == 2: a.x\ndef f(): return a.x"
    ),
    "what a cache holds": "import functools\n@functools.cache\ndef g(x): return x\ng({})\ndef f(): return g(3)",
    "a local annotation, which nobody evaluates": "T{} = int\ndef f():\n  x: 'T' = 1\n  return x",
    "a name that is not defined": "def f():\n  if False:\n    return undefined\n  # {}",
    "the name of the module": "def f():\n  return __name__, __file__, __package__  # {}",
    "a library's pseudo-random seed": "import random\nrandom.seed({})\ndef f(): return random.random()",
}

MODULES = {
    "r.py": "def g(): return {}",
    "dynamic.py": "def __getattr__(name): return {}",
    "pkg/__init__.py": "",
    "pkg/sub.py": "def g(): return {}",
    "folder/sub.py": "def g(): return {}",
    "passing/__init__.py": "from .inner import g",
    "passing/inner.py": "def g(): return {}",
    "starred.py": "from r import *\ndef h(): return g()",
}


def digest(folder: Path, text: str, number: int) -> str:
    for library in ("pydantic", "attrs"):
        if library in text:
            pytest.importorskip(library)
    for name, content in {**MODULES, "snippet.py": text}.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(textwrap.dedent(content).replace("{{", "{").replace("}}", "}").replace("{}", str(number)))
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return digest_function(importlib.import_module("snippet").f, root=folder, subject="a test").identity
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in {"snippet", *(Path(each).parts[0].removesuffix(".py") for each in MODULES)}:
                del sys.modules[name]


@pytest.mark.parametrize("name", SEEN)
def test_a_change_out_of_sight_is_seen(name, tmp_path):
    assert digest(tmp_path, SEEN[name], 1) == digest(tmp_path, SEEN[name], 1) != digest(tmp_path, SEEN[name], 2)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_cannot_change_rows_or_is_no_part_of_a_key_is_not_seen(name, tmp_path):
    assert digest(tmp_path, UNSEEN[name], 1) == digest(tmp_path, UNSEEN[name], 2)


def test_swapped_helpers_are_seen(tmp_path):
    before = "def a(): return 5\ndef b(): return 6\nx, y, z = a, b, {}\ndef f(): return x() + y() * z()"
    assert digest(tmp_path, before.replace("{}", "a"), 1) != digest(tmp_path, before.replace("{}", "b"), 1)


def test_the_pieces_of_an_f_string_count_as_one():
    # Python 3.12 leaves empty pieces where others have none.
    split = [ast.Constant("a"), ast.Constant(""), ast.Constant("b")]
    one = ast.JoinedStr([ast.Constant("ab"), ast.FormattedValue(ast.Name("x"), -1, None)])
    other = ast.JoinedStr([*split, ast.FormattedValue(ast.Name("x"), -1, ast.JoinedStr([ast.Constant("")]))])
    assert encode_source(one) == encode_source(other)
