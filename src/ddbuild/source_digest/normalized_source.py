"""The canonical encoding of Python source: what is left when layout, comments and function docstrings are gone.

Two pieces of source have one encoding exactly when they parse to the same program, on every Python that ddbuild runs
on: positions, empty fields and the ways to spell a literal are dropped. It names no file, line or module.
"""

from __future__ import annotations

import ast
import copy
import struct
from collections.abc import Iterator, Sequence

__all__ = ["Definition", "FunctionNode", "encode_definition", "encode_source", "mentions_docstrings"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Definition = FunctionNode | ast.ClassDef

_BLOCKS = frozenset({"body", "orelse", "finalbody"})
# `ctx` follows from the place of a name, `kind` is the `u` of u"text", comments on types are comments.
_DROPPED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def encode_definition(node: Definition, *, keep_docstrings: bool = False) -> bytes:
    """Return the encoding of a definition that is looked at for itself.

    A function's own name is left out, and of its defaults only that they are there: their values are digested beside
    the source. A class keeps both, since rows can show its name and its defaults are evaluated inside it.
    """
    if isinstance(node, ast.ClassDef):
        return encode_source(node, keep_docstrings=keep_docstrings)
    bare = copy.copy(node)
    if not isinstance(bare, ast.Lambda):
        bare.name = ""
    bare.args = copy.copy(node.args)
    bare.args.defaults = [ast.Constant(...) for _ in node.args.defaults]
    bare.args.kw_defaults = [default and ast.Constant(...) for default in node.args.kw_defaults]
    return encode_source(bare, keep_docstrings=keep_docstrings)


def encode_source(node: ast.AST, *, keep_docstrings: bool = False) -> bytes:
    """Return the encoding of `node` as it stands."""
    # A stack of its own, since a sum of a thousand terms is a tree a thousand levels deep.
    pieces: list[bytes] = []
    stack: list[bytes | ast.AST | list[object]] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, bytes):
            pieces.append(item)
        elif isinstance(item, ast.AST):
            stack.extend(reversed(list(_split_node(item, keep_docstrings))))
        else:
            pieces.append(b"[" + len(item).to_bytes(4, "big"))
            stack.extend(entry if isinstance(entry, ast.AST) else _encode_atom(entry) for entry in reversed(item))
    return b"".join(pieces)


def mentions_docstrings(node: ast.AST) -> bool:
    """Return whether code in `node` can read a docstring: it says `__doc__`, or calls `getdoc`."""
    for child in ast.walk(node):
        match child:
            case ast.Attribute(attr="__doc__" | "getdoc") | ast.Name(id="__doc__" | "getdoc"):
                return True
            case ast.Constant(value="__doc__"):
                return True
    return False


def _split_node(node: ast.AST, keep_docstrings: bool) -> Iterator[bytes | ast.AST | list[object]]:
    yield b"(" + _sized(type(node).__name__.encode())
    for field, value in ast.iter_fields(node):
        if field in _DROPPED_FIELDS:
            continue
        if isinstance(value, list):
            if field in _BLOCKS:
                value = _clean_block(node, field, value, keep_docstrings)
            elif isinstance(node, ast.JoinedStr):
                value = _join_literals(value)
            if not value:
                continue
        elif value is None and not isinstance(node, ast.Constant):
            continue
        if field == "format_spec" and isinstance(value, ast.JoinedStr) and not _join_literals(value.values):
            continue
        yield b"." + _sized(field.encode())
        yield value if isinstance(value, (ast.AST, list)) else _encode_atom(value)
    yield b")"


def _clean_block(node: ast.AST, field: str, block: Sequence[ast.stmt], keep_docstrings: bool) -> list[ast.stmt]:
    """Drop statements without any effect: `pass`, `...` and bare literals, apart from the strings that are read."""
    kept = []
    for index, statement in enumerate(block):
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            is_text = isinstance(statement.value.value, str)
            # Pydantic reads the docstring of a class, and the strings below its fields.
            is_read = isinstance(node, ast.ClassDef) or (
                keep_docstrings
                and index == 0
                and field == "body"
                and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module))
            )
            if not (is_text and is_read):
                continue
        kept.append(statement)
    return kept


def _join_literals(values: Sequence[ast.expr]) -> list[ast.expr]:
    """Join neighbouring literals of an f-string, which Python versions split in different ways."""
    joined: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if not value.value:
                continue
            last = joined[-1] if joined else None
            if isinstance(last, ast.Constant):
                joined[-1] = ast.Constant(str(last.value) + value.value)
                continue
        joined.append(value)
    return joined


def _encode_atom(value: object) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"T" if value else b"F"
        case int():
            return b"i" + _sized(hex(value).encode())
        case float():
            return b"f" + struct.pack(">d", value)
        case complex():
            return b"c" + struct.pack(">dd", value.real, value.imag)
        case str():
            return b"s" + _sized(value.encode("utf-8", "surrogatepass"))
        case bytes():
            return b"b" + _sized(value)
        case _ if value is ...:
            return b"."
    raise TypeError(f"`{type(value).__name__}` is no part of a syntax tree")


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
