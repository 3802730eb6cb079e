"""The query language: patterns, `deps(x)`, `rdeps(x)`, and `+`, `-`, `^` (and) between them.

deps(//judged)             everything that //judged is made from, itself included
rdeps(//personas)          everything that is made from //personas
rdeps(//a) ^ deps(//b)     what lies between them
"""

from __future__ import annotations

import re

from ddbuild.errors import UsageError
from ddbuild.graph.graph import TargetGraph
from ddbuild.label import Label, parse_pattern
from ddbuild.suggestion import suggest

__all__ = ["run_query"]

_TOKEN = re.compile(r"\s*(?:([a-z_]+)\s*\(|([()])|([+^-])(?=\s)|([^\s()]+))")
_FUNCTIONS = ("deps", "rdeps")


def run_query(graph: TargetGraph, text: str, *, package: str = "") -> list[Label]:
    """Return the labels that the expression `text` chooses, parents before children.

    Raises:
        UsageError: the expression is malformed or names something unknown.
    """
    tokens = _tokenize(text)
    labels, rest = _parse_expression(graph, tokens, package, text)
    if rest:
        raise UsageError(f"`{text}` is not a query", facts={"unexpected": rest[0][1]})
    return graph.sort(labels)


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        assert match is not None, "the last alternative takes whatever is no space"
        for kind, value in zip(("function", "bracket", "operator", "pattern"), match.groups(), strict=True):
            if value is not None:
                tokens.append((kind, value))
        position = match.end()
    return tokens


def _parse_expression(
    graph: TargetGraph, tokens: list[tuple[str, str]], package: str, text: str
) -> tuple[set[Label], list[tuple[str, str]]]:
    labels, tokens = _parse_term(graph, tokens, package, text)
    while tokens and tokens[0][0] == "operator":
        operator = tokens[0][1]
        other, tokens = _parse_term(graph, tokens[1:], package, text)
        labels = {"+": labels | other, "-": labels - other, "^": labels & other}[operator]
    return labels, tokens


def _parse_term(
    graph: TargetGraph, tokens: list[tuple[str, str]], package: str, text: str
) -> tuple[set[Label], list[tuple[str, str]]]:
    if not tokens:
        raise UsageError(f"`{text}` is not a query", facts={"expected": "a label, a pattern, deps(...) or rdeps(...)"})
    kind, value = tokens[0]
    if kind == "pattern":
        return set(graph.resolve([parse_pattern(value, package=package)])), tokens[1:]
    if kind == "function" and value not in _FUNCTIONS:
        near = suggest(value, _FUNCTIONS)
        raise UsageError(
            f"`{value}` is not a query function",
            facts={"known": ", ".join(_FUNCTIONS)},
            hint=f"did you mean `{near}(...)`?" if near else None,
        )
    if kind == "function" or value == "(":
        labels, rest = _parse_expression(graph, tokens[1:], package, text)
        if not rest or rest[0][1] != ")":
            raise UsageError(f"`{text}` is not a query", hint="a `)` is missing")
        if value == "deps":
            labels = graph.ancestors(labels)
        elif value == "rdeps":
            labels = graph.descendants(labels)
        return labels, rest[1:]
    raise UsageError(f"`{text}` is not a query", facts={"unexpected": value})
