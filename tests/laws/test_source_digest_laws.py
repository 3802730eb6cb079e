"""Laws of source digests: layout never counts, content always does."""

from __future__ import annotations

import ast
import io
import tokenize
import types

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ddbuild.source_digest import digest_function, digest_value
from ddbuild.source_digest.normalized_source import encode_source

SOURCE = '''\
import math

LIMIT = 11


class Rules:
    """Rules."""

    low = 12

    def accept(self, value, most=13):
        """Accept."""
        return self.low < value < most


def score(value, scale=14):
    # score a value
    if value > LIMIT:
        return [scale * item + 15 for item in range(value) if item != 16]
    text = f"{value:>17} of {scale}"
    return (lambda item: item + 18)(math.floor(value)), text


def keep(path, rules=Rules(), *, limit=19):
    """Keep."""
    total = 20
    while total > 21:
        total -= 22
        try:
            yield score(total)
        except (ValueError, KeyError) as error:
            raise RuntimeError("no 23") from error
    match total:
        case 24 | 25:
            yield {"a": 26, **{"b": 27}}
        case _:
            yield rules.accept(total) and limit
'''
# A statement may begin on these lines: between them, layout is free.
LINES = SOURCE.splitlines()
NUMBERS = [str(number) for number in range(11, 28)]

quick = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("laws")


def digest(folder, source):
    file = folder / "callbacks.py"
    file.write_text(source)
    module = types.ModuleType("callbacks")
    module.__file__ = str(file)
    exec(compile(source, str(file), "exec"), module.__dict__)
    return digest_function(module.keep, root=folder, subject="a law")


@quick
@given(
    places=st.lists(st.integers(0, len(LINES)), max_size=8),
    comment=st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), max_size=12),
    blanks=st.integers(0, 3),
)
def test_comments_and_blank_lines_never_count(folder, places, comment, blanks):
    lines = list(LINES)
    for place in sorted(places, reverse=True):
        lines[place:place] = ["", "    " * (place % 4) + f"# {comment}"] + [""] * blanks
    assert digest(folder, "\n".join(lines) + "\n") == digest(folder, SOURCE)


@quick
@given(st.data())
def test_spaces_and_line_breaks_between_words_never_count(folder, data):
    """Every bracket may be stretched over lines, every operator may stand between spaces."""
    pieces, row, column, depth, inside_text = [], 1, 0, 0, 0
    for word in tokenize.generate_tokens(io.StringIO(SOURCE).readline):
        if word.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        if word.start[0] > row:
            row, column = word.start[0], 0
        pieces.append(" " * (word.start[1] - column))
        # Since Python 3.12 an f-string is several words.
        inside_text -= tokenize.tok_name[word.type] == "FSTRING_END"
        if depth and not inside_text and word.type != tokenize.NL and data.draw(st.integers(0, 9)) == 0:
            pieces.append(data.draw(st.sampled_from([" ", "\n", "  # why\n", "\n\n      "])))
        depth += (word.string in "([{") - (word.string in ")]}") if word.type == tokenize.OP else 0
        inside_text += tokenize.tok_name[word.type] == "FSTRING_START"
        pieces.append(word.string)
        row, column = word.end
        if word.type in (tokenize.NEWLINE, tokenize.NL):
            row, column = row + 1, 0
    source = "".join(pieces)
    assume(source != SOURCE)
    assert digest(folder, source) == digest(folder, SOURCE)


@quick
@given(number=st.sampled_from(NUMBERS), other=st.integers(100, 999))
@example(number="11", other=111)
def test_changing_any_constant_changes_the_digest(folder, number, other):
    changed = SOURCE.replace(number, str(other))
    assert changed != SOURCE
    assert digest(folder, changed).identity != digest(folder, SOURCE).identity


@pytest.mark.filterwarnings("ignore:.*invalid decimal literal:SyntaxWarning")
@quick
@given(st.data())
def test_source_that_parses_to_another_tree_has_another_encoding(data):
    """Encodings are equal exactly where syntax trees are, apart from docstrings and statements without effect."""
    words = list(tokenize.generate_tokens(io.StringIO(SOURCE).readline))
    index = data.draw(st.sampled_from([i for i, word in enumerate(words) if word.type in (tokenize.NAME, tokenize.OP)]))
    other = data.draw(st.sampled_from(["x", "None", "+", "-", "not", "and", "(", ",", "await"]))
    lines = SOURCE.splitlines(keepends=True)
    word = words[index]
    line = lines[word.start[0] - 1]
    lines[word.start[0] - 1] = line[: word.start[1]] + other + line[word.end[1] :]
    try:
        before, after = ast.parse(SOURCE), ast.parse("".join(lines))
    except SyntaxError:
        assume(False)
    equal = ast.dump(before) == ast.dump(after)
    assert (encode_source(before, keep_docstrings=True) == encode_source(after, keep_docstrings=True)) == equal


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=20,
)


def spell(value):
    """Write a value with its types, in which `==` is blind to 1, 1.0 and True."""
    if isinstance(value, dict):
        return ("dict", sorted(((spell(key), spell(item)) for key, item in value.items()), key=repr))
    if isinstance(value, (list, tuple, frozenset)):
        items = [spell(item) for item in value]
        return (type(value).__name__, sorted(items, key=repr) if isinstance(value, frozenset) else items)
    return (type(value).__name__, repr(value).replace("-nan", "nan"))


@quick
@given(plain, plain)
def test_values_have_one_digest_exactly_if_they_are_the_same(one, other):
    equal = spell(one) == spell(other)
    assert (digest_value(one, root=None, subject="x") == digest_value(other, root=None, subject="x")) == equal


@quick
@given(plain)
def test_a_copy_has_the_digest_of_its_original(value):
    copied = eval(repr(value), {"nan": float("nan"), "inf": float("inf")})
    assert digest_value(copied, root=None, subject="x") == digest_value(value, root=None, subject="x")
