"""What a custom column's function reads of its row: the exact names, or that it cannot be told. Never too few."""

import functools
import itertools
import sys
import types

import pytest

from ddbuild.source_digest import find_row_reads

_numbers = itertools.count()


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Make a function out of the statements of its body."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load_function(body, signature="row", before="", name="make"):
        module = f"row_reads_case_{next(_numbers)}"
        lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
        (tmp_path / f"{module}.py").write_text(f"{before}\ndef {name}({signature}):\n{lines}\n")
        loaded = __import__(module)
        monkeypatch.delitem(sys.modules, module)
        return getattr(loaded, name)

    return load_function


KNOWN = {
    "an entry": ('row["x"] = row["a"]\nreturn row', {"a"}),
    "an entry that may be absent": ('row["x"] = row.get("a")\nreturn row', {"a"}),
    "the default of an entry": ('row["x"] = row.get("a", row["b"])\nreturn row', {"a", "b"}),
    "whether there is an entry": ('row["x"] = "a" in row\nreturn row', {"a"}),
    "whether there is no entry": ('row["x"] = "a" not in row\nreturn row', {"a"}),
    "a part of an entry": ('row["x"] = row["a"]["b"][0].c\nreturn row', {"a"}),
    "nothing": ('row["x"] = 1\nreturn row', set()),
    "a text with entries": ("row[\"x\"] = f\"{row['a']!r:>{row['b']}}\"\nreturn row", {"a", "b"}),
    "a literal in pieces": ('row["x"] = row["a" "b"]\nreturn row', {"ab"}),
    "an entry that is changed": ('row["a"] += 1\nrow["x"] = 1\nreturn row', {"a"}),
    "an entry that is taken out": ('row["x"] = row.pop("a")\nreturn row', {"a"}),
    "an entry that is deleted": ('copy = dict(row)\ndel copy["a"]\nrow["x"] = 1\nreturn row', {"a"}),
    "an entry with a default put in": ('row["x"] = row.setdefault("a", row["b"])\nreturn row', {"a", "b"}),
    "another name": ('r = row\nr["x"] = r["a"]\nreturn r', {"a"}),
    "two names at once": ('r = s = row\nr["x"] = s["a"]\nreturn r', {"a"}),
    "a name with a type": ('r: dict = row\nr["x"] = r["a"]\nreturn r', {"a"}),
    "a name bound further down": ("for _ in range(2):\n    if _:\n        b['a']\n    b = row\nreturn row", {"a"}),
    "a copy": ('r = row.copy()\nr["x"] = r["a"]\nreturn r', {"a"}),
    "a dict of it": ('r = dict(row, y=row["b"])\nr["x"] = r["a"]\nreturn r', {"a", "b"}),
    "a display of it": ('return {**row, "x": row["a"]}', {"a"}),
    "a display with computed names": ('return {**row, row["a"]: row["b"]}', {"a", "b"}),
    "a union": ('return row | {"x": row["a"]}', {"a"}),
    "a display in a display": ('return {**{**row, "y": row["b"]}, "x": row["a"]}', {"a", "b"}),
    "a union in a display": ('return {**(row | {"y": row["b"]}), "x": row["a"]}', {"a", "b"}),
    "a display in a dict": ('return dict({**row, "x": row["a"]})', {"a"}),
    "a dict in a display": ('return {**dict(row, y=row["b"]), "x": row["a"]}', {"a", "b"}),
    "a display in a union": ('return {**row, "y": row["b"]} | {"x": row["a"]}', {"a", "b"}),
    "a display of two": ('return {**row, **row["a"]}', {"a"}),
    "an update": ('row.update({"x": row["a"]}, y=row["b"])\nreturn row', {"a", "b"}),
    "a walk over an entry": ('row["x"] = [each for each in row["a"] if each != row["b"]]\nreturn row', {"a", "b"}),
    "a branch": ('if row["a"]:\n    return {**row, "x": row["b"]}\nreturn row | {"x": 1}', {"a", "b"}),
    "a match over an entry": ('match row["a"]:\n    case {"b": b}:\n        row["x"] = b\nreturn row', {"a"}),
    "a guard": ('match 1:\n    case 1 if row["a"]:\n        row["x"] = 1\nreturn row', {"a"}),
    "a walrus of an entry": ('row["x"] = (a := row["a"]) + a\nreturn row', {"a"}),
    "a function inside": ('def make():\n    return row["a"]\nrow["x"] = make()\nreturn row', {"a"}),
    "a lambda inside": ('row["x"] = (lambda t: t + row["a"])(row["b"])\nreturn row', {"a", "b"}),
    "a default of a function inside": ('def make(t=row["a"]):\n    return t\nrow["x"] = make()\nreturn row', {"a"}),
    "a name bound after a function inside": (
        'def make():\n    return b["a"]\nb = row\nrow["x"] = make()\nreturn row',
        {"a"},
    ),
    "names of names": (
        'for _ in range(2):\n    if _:\n        row["x"] = a["b"]\n    a = b = row\n    a = b\nreturn row',
        {"b"},
    ),
    "an entry that fails": ('try:\n    row["x"] = row["a"]\nexcept KeyError:\n    row["x"] = 0\nreturn row', {"a"}),
    "an entry handed on": ('row["x"] = len(row["a"])\nreturn row', {"a"}),
    "a fresh dict": ('return {"x": row["a"]}', {"a"}),
}
KNOWN |= {
    "a list of its own": ('row["x"] = []\na = list(row["a"])\na.append(1)\nreturn row', {"a"}),
    "parts of a text": ('a = row["a"].split()\na.append("b")\nrow["x"] = a\nreturn row', {"a"}),
    "a text that grows": ('a = row["a"]\na += "!"\nrow["x"] = a\nreturn row', {"a"}),
    "a copy of a list": ('a = [*row["a"]]\na.append(1)\nrow["x"] = a\nreturn row', {"a"}),
    "a list beside it": ('a = []\nfor each in row["a"]:\n    a.append(each)\nrow["x"] = a\nreturn row', {"a"}),
}


@pytest.mark.parametrize("case", KNOWN)
def test_the_names_that_a_function_reads_are_found(load, case):
    body, names = KNOWN[case]
    assert find_row_reads(load(body)) == names


UNKNOWN = {
    "a name that is computed": 'row["x"] = row["a" + "b"]\nreturn row',
    "a name in a variable": 'k = "a"\nrow["x"] = row[k]\nreturn row',
    "a name that is a template": 'row["x"] = row[f"a"]\nreturn row',
    "a name in a variable to get": 'k = "a"\nrow["x"] = row.get(k)\nreturn row',
    "a name in a keyword": 'row["x"] = row.get(key="a")\nreturn row',
    "a name in star-arguments": 'row["x"] = row.get(*["a"])\nreturn row',
    "a name in a variable, tested": 'k = "a"\nrow["x"] = k in row\nreturn row',
    "items": 'row["x"] = str(row.items())\nreturn row',
    "keys": 'row["x"] = str(row.keys())\nreturn row',
    "values": 'row["x"] = list(row.values())\nreturn row',
    "a method that is kept": 'g = row.get\nrow["x"] = g("a")\nreturn row',
    "a special method": 'row["x"] = row.__getitem__("a")\nreturn row',
    "popitem": 'row["x"] = row.popitem()\nreturn row',
    "its length": 'row["x"] = len(row)\nreturn row',
    "its truth": 'row["x"] = 1 if row else 0\nreturn row',
    "a walk over it": 'row["x"] = [k for k in row]\nreturn row',
    "a loop over it": 'for k in row:\n    pass\nrow["x"] = k\nreturn row',
    "an entry for each name": 'row["x"] = [row[k] for k in ("a",)]\nreturn row',
    "a call": 'row["x"] = str(row)\nreturn row',
    "a call with stars": 'row["x"] = max(*row)\nreturn row',
    "a call with two stars": 'row["x"] = dict(**row)\nreturn row',
    "a call with a copy": 'row["x"] = str({**row})\nreturn row',
    "a call with a keyword": 'row["x"] = "{r}".format(r=row)\nreturn row',
    "a template": 'row["x"] = f"{row}"\nreturn row',
    "a template that names it": 'row["x"] = f"{row=}"\nreturn row',
    "an old template": 'row["x"] = "%(a)s" % row\nreturn row',
    "a template with stars": 'row["x"] = "{a}".format(**row)\nreturn row',
    "itemgetter": 'import operator\nrow["x"] = operator.itemgetter("a")(row)\nreturn row',
    "getattr": 'row["x"] = getattr(row, "get")("a")\nreturn row',
    "a tuple": 'r, _ = row, 1\nrow["x"] = r["a"]\nreturn row',
    "its names unpacked": 'a, *b = row\nrow["x"] = a\nreturn row',
    "a list": 'r = [row]\nrow["x"] = r[0]["a"]\nreturn row',
    "a loop over a list with it": 'for r in [row]:\n    row["x"] = r["a"]\nreturn row',
    "a choice": 'r = row or {}\nrow["x"] = r["a"]\nreturn row',
    "a ternary": 'r = row if 1 else {}\nrow["x"] = r["a"]\nreturn row',
    "a walrus": 'row["x"] = (r := row)["a"]\nreturn row',
    "a walrus in a comprehension": 'row["x"] = [r["a"] for _ in [1] if (r := row)]\nreturn row',
    "a match": 'match row:\n    case {"a": a}:\n        row["x"] = a\nreturn row',
    "a with": 'import contextlib\nwith contextlib.nullcontext(row) as r:\n    row["x"] = r["a"]\nreturn row',
    "an attribute": 'class Box: pass\nbox = Box()\nbox.row = row\nrow["x"] = box.row["a"]\nreturn row',
    "an entry of another dict": 'box = {}\nbox["row"] = row\nrow["x"] = box["row"]["a"]\nreturn row',
    "a name in a class": 'class Box:\n    r = row\nrow["x"] = Box.r["a"]\nreturn row',
    "a copy in a class": 'class Box:\n    r = {**row}\nrow["x"] = Box.r["a"]\nreturn row',
    "a name in a nested class": 'class Box:\n    class In:\n        r = row\nrow["x"] = Box.In.r["a"]\nreturn row',
    "a global": 'global kept\nkept = row\nrow["x"] = peek()\nreturn row',
    "a global in a function inside": (
        'def keep():\n    global kept\n    kept = row\nkeep()\nrow["x"] = peek()\nreturn row'
    ),
    "its variables": 'row["x"] = locals()["row"]["a"]\nreturn row',
    "its variables by another way": 'row["x"] = vars()["row"]["a"]\nreturn row',
    "its variables by the module": 'import builtins\nrow["x"] = builtins.locals()["row"]["a"]\nreturn row',
    "its frame": 'import sys\nrow["x"] = sys._getframe().f_locals["row"]["a"]\nreturn row',
    "evaluated text": 'row["x"] = eval("row[\'a\']")\nreturn row',
    "executed text": "exec(\"row['x'] = row['a']\")\nreturn row",
    "a function inside with a default": 'def make(r=row):\n    return r["a"]\nrow["x"] = make()\nreturn row',
    "a function inside that gives it": 'def give():\n    return row\nrow["x"] = give()["a"]\nreturn row',
    "a function inside that gives a copy": 'def give():\n    return {**row}\nrow["x"] = give()["a"]\nreturn row',
    "a function inside that gives another name": (
        'def give():\n    return b\nb = row\nrow["x"] = give()["a"]\nreturn row'
    ),
    "a lambda that gives it": 'row["x"] = (lambda: row)()["a"]\nreturn row',
    "a generator": 'row["x"] = next(r for r in iter([row]))["a"]\nreturn row',
    "a generator function inside": 'def give():\n    yield row\nrow["x"] = next(give())["a"]\nreturn row',
    "a function inside with the same name": 'def make(row):\n    return row["a"]\nrow["x"] = make({})\nreturn row',
    "a comparison": 'row["x"] = row == {"a": 1}\nreturn row',
    "a chain of comparisons": 'row["x"] = "a" in row in [1]\nreturn row',
    "a union from the left": 'return {"x": 1} | row',
    "a union in place": 'r = {}\nr |= row\nrow["x"] = r["a"]\nreturn row',
    "an update of another": 'r = {}\nr.update(row)\nrow["x"] = r["a"]\nreturn row',
    "an update with itself": 'row.update(row)\nrow["x"] = 1\nreturn row',
    "a display beside itself": 'return {**row, "x": 1, "y": row}',
    "names of names in a loop": (
        'for _ in range(3):\n    if _ > 1:\n        row["x"] = a.items()\n    a = b\n    b = row\nreturn row'
    ),
    "names of names in a function inside": (
        'def peek():\n    c = b\n    return c.items()\nb = row\nrow["x"] = peek()\nreturn row'
    ),
    "a name bound with two": 'a = (b := row)\nrow["x"] = a["a"]\nreturn row',
    "what is raised": "raise ValueError(row)",
    "what is checked": "assert row\nreturn row",
    "what is awaited of it": 'row["x"] = row()\nreturn row',
    "deleting what is computed": 'copy = dict(row)\nfor k in ["a"]:\n    del copy[k]\nreturn row',
}


UNKNOWN |= {
    "a list that is added to": 'row["a"].append(1)\nrow["x"] = 1\nreturn row',
    "a list with a name that is added to": 'a = row["a"]\na.append(1)\nrow["x"] = a\nreturn row',
    "a list that may be absent": 'a = row.get("a") or []\na.extend([1])\nrow["x"] = a\nreturn row',
    "a list with a name of a name": 'a = row["a"]\nb = a\nb.sort()\nrow["x"] = 1\nreturn row',
    "a list in a copy": 'r = {**row}\nr["a"].append(1)\nr["x"] = 1\nreturn r',
    "a part that is set": 'row["a"]["b"] = 1\nrow["x"] = 1\nreturn row',
    "a part that is counted up": 'row["a"]["b"] += 1\nrow["x"] = 1\nreturn row',
    "a part that is deleted": 'del row["a"][0]\nrow["x"] = 1\nreturn row',
    "a deep part": 'a = row["a"]["b"]\na[0]["c"] = 1\nrow["x"] = 1\nreturn row',
    "each part": 'for each in row["a"]:\n    each["b"] = 1\nrow["x"] = 1\nreturn row',
    "each part with its number": 'for n, each in enumerate(row["a"]):\n    each["b"] = n\nrow["x"] = 1\nreturn row',
    "each value": 'for name, each in row["a"].items():\n    each["b"] = 1\nrow["x"] = 1\nreturn row',
    "each part in a comprehension": 'row["x"] = [each.pop("b") for each in row["a"]]\nreturn row',
    "a list that grows": 'a = row["a"]\na += [1]\nrow["x"] = 1\nreturn row',
    "one of two": 'a, b = row["a"], 1\na.append(b)\nrow["x"] = 1\nreturn row',
    "one of either": 'a = row["a"] if row["b"] else row["c"]\na.append(1)\nrow["x"] = 1\nreturn row',
    "a walrus of a list": '(a := row["a"]).append(1)\nrow["x"] = 1\nreturn row',
    "in a function inside": 'def add():\n    row["a"].append(1)\nadd()\nrow["x"] = 1\nreturn row',
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_function_that_may_read_more_is_told_apart(load, case):
    assert find_row_reads(load(UNKNOWN[case])) is None


def test_a_name_that_hides_dict_makes_no_copy(load):
    body = 'r = dict(row)\nrow["x"] = 1\nreturn row'
    assert find_row_reads(load(body)) == frozenset()
    assert find_row_reads(load(body, before="dict = print")) is None
    assert find_row_reads(load(body, signature="row, dict=print")) is None


def test_any_name_of_the_row_will_do(load):
    assert find_row_reads(load('given["x"] = given["a"]\nreturn given', signature="given")) == {"a"}
    assert find_row_reads(load('given["x"] = given["a"]\nreturn given', signature="given, /, row=None")) == {"a"}


def test_other_arguments_are_not_the_row(load):
    body = 'row["x"] = models["judge"].ask(generator_params.prompt, row["a"])\nreturn row'
    assert find_row_reads(load(body, signature="row, generator_params, models")) == {"a"}


def test_an_async_function_is_read_like_any_other(load):
    body = 'async def make(row):\n    row["x"] = await ask(row["a"])\n    return row\nreturn make'
    assert find_row_reads(load(body, signature="")()) == {"a"}


def test_a_lambda_is_read_like_any_other(load):
    assert find_row_reads(load('return lambda row: {**row, "x": row["a"]}', signature="")()) == {"a"}
    assert find_row_reads(load('return lambda row: {**row, "x": str(row)}', signature="")()) is None


def test_a_closure_is_read_like_any_other(load):
    body = 'def make(row):\n    row["x"] = prefix + row["a"]\n    return row\nreturn make'
    assert find_row_reads(load(body, signature="prefix")("p")) == {"a"}


def test_a_name_of_the_function_around_may_not_hold_the_row(load):
    body = (
        'kept = None\ndef make(row):\n    nonlocal kept\n    kept = row\n    row["x"] = 1\n    return row\nreturn make'
    )
    assert find_row_reads(load(body, signature="")()) is None


def test_a_wrapper_hides_what_is_read(load):
    make = load('row["x"] = row["a"]\nreturn row')

    @functools.wraps(make)
    def wrapper(row):
        return make(row)

    def bare(row):
        return make(row)

    assert find_row_reads(wrapper) is None
    assert find_row_reads(bare) is None


def test_only_plain_functions_with_a_row_can_be_told(load):
    make = load('row["x"] = row["a"]\nreturn row')

    class Maker:
        def make(self, row):
            return {**row, "x": 1}

        def __call__(self, row):
            return row

    for each in (Maker().make, Maker(), functools.partial(make), len, Maker, None):
        assert find_row_reads(each) is None
    assert find_row_reads(load("return {}", signature="")) is None
    assert find_row_reads(load("return rows[0]", signature="*rows")) is None


def test_a_function_without_source_cannot_be_told():
    code = compile("def make(row):\n    return {**row, 'x': row['a']}\n", "<nowhere>", "exec").co_consts[0]
    assert find_row_reads(types.FunctionType(code, {})) is None


def test_a_function_that_its_file_no_longer_has_cannot_be_told(load):
    make = load('row["x"] = row["a"]\nreturn row')
    source = make.__code__.co_filename
    with open(source) as file:
        text = file.read()
    with open(source, "w") as file:
        file.write(text.replace('"a"', '"b"'))
    assert find_row_reads(make) is None
