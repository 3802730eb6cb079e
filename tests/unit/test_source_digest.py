"""What changes a function's digest and what does not: two tables of edits to small workspaces."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddbuild.source_digest import SourceDigest, digest_function

Files = dict[str, str]


@dataclass
class Workspace:
    root: Path

    def write(self, files: Files) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def digest(self, name: str = "keep") -> SourceDigest:
        """Import the workspace anew and digest `callbacks.<name>`."""
        before, writes = set(sys.modules), sys.dont_write_bytecode
        # A cached .pyc can be older than an edit of equal length within its second.
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        try:
            function = getattr(importlib.import_module("callbacks"), name)
            return digest_function(function, root=self.root, subject="a test")
        finally:
            sys.path.remove(str(self.root))
            sys.dont_write_bytecode = writes
            for module in set(sys.modules) - before:
                file = getattr(sys.modules[module], "__file__", None) or str(self.root)
                if file.startswith(str(self.root)):
                    del sys.modules[module]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


CALLBACKS = '''\
"""The callbacks."""
import functools
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

import helpers
import helpers as aliased
from helpers import clean as scrub, LIMIT as CEILING
from constants import *
from package import inner
from package.inner import deep

try:
    import json5 as reader
except ImportError:
    import json as reader

logger = logging.getLogger(__name__)
THRESHOLD = 0.5
WORDS = {"good", "fine", "well"}
PATTERN = re.compile("a+", re.IGNORECASE)
UNUSED = 1
COUNT = 0
SENTINEL = object()


class Level(Enum):
    LOW = 1
    HIGH = 2


class Base:
    factor = 2

    def weigh(self, value):
        return value * self.factor


@dataclass
class Rules(Base):
    """The rules."""

    low: int = 1
    names: list = field(default_factory=lambda: ["x"])

    @property
    def top(self):
        return self.low + 10

    def accept(self, value):
        return self.weigh(value) < self.top + CEILING


RULES = Rules(low=3)
FAVOURITE = Level.LOW


def traced(limit):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) if limit > 1 else None

        return wrapper

    return decorate


def plain(function):
    def inner_function(*args):
        return function(*args) * 1

    return inner_function


def strict(value):
    return value > 10


CHECKS = {"strict": strict, "loose": lambda value: value > 1}
STEPS = [lambda value: value + 1, lambda value: value - 1]


@traced(2)
def decorated(value):
    return value + 100


@plain
def wrapped_plainly(value):
    return value + 200


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def make_filter(limit):
    def check(value):
        return value < limit

    return check


below = make_filter(7)
bound = RULES.accept
half = functools.partial(pow, 2, mod=5)
cached = functools.lru_cache(maxsize=9)(strict)


def keep(path, n=3, *, words=("a", "b")):
    """Keep what is good."""
    global COUNT
    # count the words
    logger.info("keeping")
    counted = Counter(word for word in words if word in WORDS and PATTERN.match(word))
    if (total := sum(counted.values())) > THRESHOLD:
        COUNT += 1

    def score(value):
        return helpers.score(value) + aliased.BONUS * scrub(value)

    match total:
        case 0 | 1:
            result = f"{score(n):>10} of {n!r}"
        case {"x": x, **rest}:
            result = rest
        case _:
            result = [score(item) for item in range(n)]
    if RULES.accept(n) and FAVOURITE is Level.LOW and below(n) and bound(n):
        return CHECKS["strict"](n), [step(n) for step in STEPS], even(n), result
    return decorated(n) + wrapped_plainly(n) + STARRED + inner.shallow() + deep() + half(n) + cached(n), SENTINEL


async def later(path):
    async with path as opened:
        return [row async for row in opened if row.score > THRESHOLD]


def lazily(path):
    import lazy
    from package.inner import deep as bottom

    return lazy.read(path) + bottom()


def opaque(path):
    return getattr(helpers, "sco" + "re")(path)


def reflective(path):
    return globals()["THRES" + "HOLD"]


def documented(path):
    return strict.__doc__
'''

FILES = {
    "callbacks.py": CALLBACKS,
    "helpers.py": """\
import math

import deeper

LIMIT = 10
BONUS = 2
UNRELATED = 5


def score(value):
    return math.floor(value) + deeper.adjust(value)


def clean(value):
    return value.strip() if isinstance(value, str) else value


def unrelated(value):
    return value + UNRELATED
""",
    "deeper.py": """\
OFFSET = 1


def adjust(value):
    return value + OFFSET
""",
    "constants.py": "STARRED = 4\nHIDDEN = 5\n",
    "package/__init__.py": "",
    "package/inner.py": """\
from . import sibling


def shallow():
    return 1


def deep():
    return sibling.bottom() + 2
""",
    "package/sibling.py": "def bottom():\n    return 3\n",
    "lazy.py": """\
import logging

from lazier import SCALE

log = logging.getLogger(__name__)
FACTOR = 2
NOISE = 3


def read(path):
    return FACTOR * SCALE


def other(path):
    return NOISE


if __name__ == "__main__":
    print("hello")
""",
    "lazier.py": "SCALE = 4\nIDLE = 5\n",
}

LAZY = [
    "FACTOR = 2\nNOISE = 3\n\n\ndef read(path):\n    return FACTOR * SCALE\n",
    "def read(path):\n    return FACTOR * SCALE\n\n\nNOISE = 3\nFACTOR = 2\n",
]
MOVED = "from cleaning import clean as scrub\nfrom helpers import"
FILES["cleaning.py"] = "def clean(value):\n    return value.strip() if isinstance(value, str) else value\n"

# (sentence, function, file, old text, new text)
CHANGES = [
    ("a constant in the body", "keep", "callbacks.py", 'info("keeping")', 'info("kept")'),
    ("an operator", "keep", "callbacks.py", "aliased.BONUS * scrub", "aliased.BONUS + scrub"),
    ("a condition turned round", "keep", "callbacks.py", "> THRESHOLD:\n        COUNT", "< THRESHOLD:\n        COUNT"),
    ("a default", "keep", "callbacks.py", "n=3, *", "n=4, *"),
    ("a keyword default", "keep", "callbacks.py", 'words=("a", "b")', 'words=("a", "c")'),
    ("the type of a default", "keep", "callbacks.py", 'words=("a", "b")', 'words=["a", "b"]'),
    ("a parameter made optional", "keep", "callbacks.py", "(path, n=3", "(path=None, n=3"),
    ("an f-string's literal", "keep", "callbacks.py", "} of {", "} out of {"),
    ("an f-string's format", "keep", "callbacks.py", ":>10}", ":>11}"),
    ("an f-string's conversion", "keep", "callbacks.py", "n!r}", "n!s}"),
    ("a match pattern", "keep", "callbacks.py", "case 0 | 1:", "case 0 | 2:"),
    ("a match key", "keep", "callbacks.py", '{"x": x, **rest}', '{"y": x, **rest}'),
    ("what a walrus is given", "keep", "callbacks.py", "total := sum(", "total := len("),
    ("a nested function", "keep", "callbacks.py", "return helpers.score(value) +", "return helpers.score(value) -"),
    ("a global number", "keep", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = 0.6"),
    ("the type of a global number", "keep", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = Decimal('0.5')"),
    ("a global that is counted up", "keep", "callbacks.py", "COUNT = 0", "COUNT = 1"),
    ("a member of a global set", "keep", "callbacks.py", '"well"}', '"swell"}'),
    ("a regular expression", "keep", "callbacks.py", '"a+"', '"b+"'),
    ("a regular expression's flags", "keep", "callbacks.py", "re.IGNORECASE", "re.DOTALL"),
    ("an aliased helper", "keep", "callbacks.py", "import clean as scrub", "import score as scrub"),
    ("an aliased constant in the other module", "keep", "helpers.py", "LIMIT = 10", "LIMIT = 11"),
    ("a helper in the same module", "keep", "callbacks.py", "return value > 10", "return value > 11"),
    ("a helper in another module", "keep", "helpers.py", "math.floor(value)", "math.ceil(value)"),
    ("a helper of a helper", "keep", "deeper.py", "value + OFFSET", "value - OFFSET"),
    ("a global of a helper of a helper", "keep", "deeper.py", "OFFSET = 1", "OFFSET = 2"),
    ("a constant taken by attribute of an alias", "keep", "helpers.py", "BONUS = 2", "BONUS = 3"),
    ("a name that came with a star import", "keep", "constants.py", "STARRED = 4", "STARRED = 5"),
    ("a function of a module in a package", "keep", "package/inner.py", "return 1", "return 2"),
    ("a function behind a relative import", "keep", "package/sibling.py", "return 3", "return 4"),
    ("one of two functions that call each other", "keep", "callbacks.py", "n != 0 and", "n != 1 and"),
    ("a closure's value", "keep", "callbacks.py", "make_filter(7)", "make_filter(8)"),
    ("the function in a dispatch table", "keep", "callbacks.py", '"strict": strict', '"strict": plain'),
    ("a lambda in a dispatch table", "keep", "callbacks.py", "lambda value: value > 1}", "lambda value: value > 2}"),
    ("the second of two lambdas on a line", "keep", "callbacks.py", "value - 1]", "value - 2]"),
    (
        "the order of a list of lambdas",
        "keep",
        "callbacks.py",
        "[lambda value: value + 1, lambda value: value - 1]",
        "[lambda value: value - 1, lambda value: value + 1]",
    ),
    (
        "the order of a dict that code can loop over",
        "keep",
        "callbacks.py",
        '{"strict": strict, "loose": lambda value: value > 1}',
        '{"loose": lambda value: value > 1, "strict": strict}',
    ),
    ("an attribute of a global object", "keep", "callbacks.py", "Rules(low=3)", "Rules(low=4)"),
    ("a method of a global object", "keep", "callbacks.py", "self.weigh(value) <", "self.weigh(value) <="),
    ("a property of its class", "keep", "callbacks.py", "self.low + 10", "self.low + 11"),
    ("a global that its methods read", "keep", "callbacks.py", "LIMIT as CEILING", "BONUS as CEILING"),
    ("a class attribute of its base", "keep", "callbacks.py", "factor = 2", "factor = 3"),
    ("a method of its base", "keep", "callbacks.py", "value * self.factor", "value + self.factor"),
    ("the default of its dataclass field", "keep", "callbacks.py", "low: int = 1", "low: int = 2"),
    ("the default factory of its dataclass field", "keep", "callbacks.py", '["x"]', '["y"]'),
    ("a class attribute set from outside", "keep", "callbacks.py", "RULES = Rules", "Base.factor = 5\nRULES = Rules"),
    ("a class's docstring, which pydantic reads", "keep", "callbacks.py", '"""The rules."""', '"""Rules."""'),
    ("which enum member a global is", "keep", "callbacks.py", "FAVOURITE = Level.LOW", "FAVOURITE = Level.HIGH"),
    ("the value of an enum member", "keep", "callbacks.py", "LOW = 1", "LOW = 7"),
    ("a decorator's argument", "keep", "callbacks.py", "@traced(2)", "@traced(3)"),
    ("a decorator's wrapper", "keep", "callbacks.py", "if limit > 1 else", "if limit > 2 else"),
    ("what a decorator decorates", "keep", "callbacks.py", "value + 100", "value + 101"),
    ("what a decorator without wraps decorates", "keep", "callbacks.py", "value + 200", "value + 201"),
    ("a wrapper without wraps", "keep", "callbacks.py", "function(*args) * 1", "function(*args) * 2"),
    ("a decorator taken away", "keep", "callbacks.py", "@plain\n", ""),
    ("a bound method's object", "keep", "callbacks.py", "bound = RULES.accept", "bound = Rules(9).accept"),
    ("a partial's argument", "keep", "callbacks.py", "partial(pow, 2", "partial(pow, 3"),
    ("a partial's keyword", "keep", "callbacks.py", "mod=5", "mod=7"),
    ("a cached function", "keep", "callbacks.py", "(maxsize=9)(strict)", "(maxsize=9)(odd)"),
    (
        "the library that a name stands for",
        "keep",
        "callbacks.py",
        "from collections import Counter",
        "from builtins import set as Counter",
    ),
    ("a builtin that is shadowed", "keep", "callbacks.py", "UNUSED = 1", "def isinstance(a, b): return a\nsum = len"),
    ("a helper that is monkeypatched", "keep", "callbacks.py", "UNUSED = 1", "helpers.score = len"),
    (
        "an attribute set on a helper that reads it",
        "documented",
        "callbacks.py",
        "    return value > 10",
        "    'Be strict.'\n    return value > 10",
    ),
    (
        "async for a plain function",
        "later",
        "callbacks.py",
        "async def later(path):\n    async with path as opened:\n        return [row async",
        "def later(path):\n    with path as opened:\n        return [row",
    ),
    ("a global of an async function", "later", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = 0.6"),
    ("a function imported inside", "lazily", "lazy.py", "FACTOR * SCALE", "FACTOR + SCALE"),
    ("a global of a function imported inside", "lazily", "lazy.py", "FACTOR = 2", "FACTOR = 3"),
    ("a module imported by one imported inside", "lazily", "lazier.py", "SCALE = 4", "SCALE = 5"),
    ("what acts in a module imported inside", "lazily", "lazy.py", "NOISE = 3", "NOISE = 3\nlog.append(1)"),
    (
        "what acts in a module that is imported by one imported inside",
        "lazily",
        "lazier.py",
        "IDLE = 5",
        "IDLE = 5\nSCALE.x = 1",
    ),
    ("a name inside a package, imported inside", "lazily", "package/sibling.py", "return 3", "return 4"),
    (
        "anything in a module passed around",
        "opaque",
        "helpers.py",
        "return value + UNRELATED",
        "return value - UNRELATED",
    ),
    ("anything in a module imported by one passed around", "opaque", "deeper.py", "OFFSET = 1", "OFFSET = 2"),
    ("anything in a module whose globals are read", "reflective", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = 0.6"),
]

KEEPS = [
    ("a comment", "keep", "callbacks.py", "# count the words", "# count\n    # all words"),
    ("a comment taken away", "keep", "callbacks.py", "    # count the words\n", ""),
    ("blank lines", "keep", "callbacks.py", "    match total:", "\n\n    match total:"),
    ("lines above it", "keep", "callbacks.py", "import functools\n", "\n\n# comment\nimport functools\n\n"),
    ("its docstring", "keep", "callbacks.py", '"""Keep what is good."""', '"""Keep."""'),
    ("its docstring taken away", "keep", "callbacks.py", '    """Keep what is good."""\n', ""),
    ("a string used as a comment", "keep", "callbacks.py", "    match total:", "    'now match'\n    match total:"),
    ("pass", "keep", "callbacks.py", "        COUNT += 1", "        COUNT += 1\n        pass"),
    ("its own name", "keep", "callbacks.py", "def keep(", "def hold("),
    (
        "layout",
        "keep",
        "callbacks.py",
        "def keep(path, n=3, *, words=",
        "def keep(\n    path,\n    n = 3,\n    *,\n    words=",
    ),
    ("quotes", "keep", "callbacks.py", 'info("keeping")', "info('keeping')"),
    ("parentheses", "keep", "callbacks.py", "+ aliased.BONUS * scrub(value)", "+ (aliased.BONUS * scrub(value))"),
    ("the spelling of a number", "keep", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = 5e-1"),
    ("strings in pieces", "keep", "callbacks.py", 'info("keeping")', 'info("keep" "ing")'),
    (
        "an f-string in pieces",
        "keep",
        "callbacks.py",
        'f"{score(n):>10} of {n!r}"',
        'f"{score(n):>10}" " of " f"{n!r}"',
    ),
    ("an expression that gives an equal global", "keep", "callbacks.py", "THRESHOLD = 0.5", "THRESHOLD = 1 / 2"),
    ("an expression that gives an equal default", "keep", "callbacks.py", "n=3, *", "n=1 + 2, *"),
    ("the order of a set", "keep", "callbacks.py", '{"good", "fine", "well"}', '{"well", "good", "fine"}'),
    ("a global that it does not read", "keep", "callbacks.py", "UNUSED = 1", "UNUSED = 2"),
    ("a function that it does not call", "keep", "helpers.py", "value + UNRELATED", "value - UNRELATED"),
    ("a global that its helpers do not read", "keep", "helpers.py", "UNRELATED = 5", "UNRELATED = 6"),
    ("another name of a star import", "keep", "constants.py", "HIDDEN = 5", "HIDDEN = 6"),
    ("a helper's comment", "keep", "helpers.py", "def score(value):\n", "def score(value):\n    # score it\n\n"),
    ("a helper's docstring", "keep", "helpers.py", "def score(value):\n", 'def score(value):\n    """Score."""\n'),
    ("a module's docstring", "keep", "callbacks.py", '"""The callbacks."""', '"""Callbacks."""'),
    ("the order of definitions", "keep", "helpers.py", "LIMIT = 10\nBONUS = 2\n", "BONUS = 2\nLIMIT = 10\n"),
    ("an import that is not used", "keep", "callbacks.py", "import re\n", "import re\nimport fractions\n"),
    ("a logger's name", "keep", "callbacks.py", "getLogger(__name__)", 'getLogger("mine")'),
    ("a helper taken from where it was moved to", "keep", "callbacks.py", "from helpers import clean as scrub,", MOVED),
    (
        "a helper's comment where docstrings are read",
        "documented",
        "callbacks.py",
        "return value > 10",
        "# strict\n    return value > 10",
    ),
    ("a comment in a module imported inside", "lazily", "lazy.py", "FACTOR = 2", "FACTOR = 2  # twice"),
    ("an unused function of a module imported inside", "lazily", "lazy.py", "return NOISE", "return -NOISE"),
    ("an unused global of a module imported inside", "lazily", "lazy.py", "NOISE = 3", "NOISE = 4"),
    (
        "a docstring in a module imported inside",
        "lazily",
        "lazy.py",
        "def read(path):\n",
        'def read(path):\n    "Read."\n',
    ),
    ("an unused global two modules away", "lazily", "lazier.py", "IDLE = 5", "IDLE = 6"),
    ("what a module does as a script", "lazily", "lazy.py", 'print("hello")', 'print("bye")'),
    (
        "the order of definitions in a module imported inside",
        "lazily",
        "lazy.py",
        LAZY[0],
        LAZY[1],
    ),
    ("a comment in a module passed around", "opaque", "helpers.py", "LIMIT = 10", "LIMIT = 10  # ten"),
]


@pytest.mark.parametrize(
    ("function", "file", "old", "new"), [case[1:] for case in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_an_edit_that_may_change_rows_changes_the_digest(workspace, function, file, old, new):
    before, after = _digest_both(workspace, function, file, old, new)
    assert before.identity != after.identity
    assert before.parts("callback") != after.parts("callback")


@pytest.mark.parametrize(("function", "file", "old", "new"), [case[1:] for case in KEEPS], ids=[c[0] for c in KEEPS])
def test_an_edit_that_cannot_change_rows_keeps_the_digest(workspace, function, file, old, new):
    before, after = _digest_both(workspace, function, file, old, new)
    assert before.digest == after.digest
    assert dict(before.references) == dict(after.references)


def _digest_both(workspace, function, file, old, new):
    workspace.write(FILES)
    before = workspace.digest(function)
    text = FILES[file]
    assert text.count(old) >= 1, f"{old!r} is not in {file}"
    if "Decimal" in new:
        text = text.replace("import re\n", "import re\nfrom decimal import Decimal\n")
    workspace.write({file: text.replace(old, new, 1)})
    return before, workspace.digest("hold" if "def hold(" in new else function)
