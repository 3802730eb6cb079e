"""One file of Python source, and the way from a function or class in memory to the syntax that made it.

The text is what is on disk now, never a stale line cache, unless somebody pinned a text for that name (a loader that
took a snapshot, a notebook's cell). A function whose code is no longer what its file says is told apart.
"""

from __future__ import annotations

import ast
import copy
import linecache
import stat
import time
import tokenize
import types
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ddbuild.digest import Digest, digest_of
from ddbuild.source_digest.normalized_source import (
    Definition,
    FunctionNode,
    encode_definition,
    encode_source,
    mentions_docstrings,
)
from ddbuild.source_digest.reads import Reads, find_reads_of_definition, list_bound_names

__all__ = ["FoundFunction", "SourceFile", "fingerprint_code", "open_source"]

# A file changed this shortly before it was read can change again without a new time stamp.
_UNSURE_NS = 2_000_000_000
# Top-level await is what notebooks allow in a cell.
_COMPILE_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

_Span = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FoundFunction:
    """The syntax of a function; `is_current` is False where its code in memory is not what that syntax compiles to."""

    node: FunctionNode
    is_current: bool


class SourceFile:
    """The text of one file, parsed when first needed; immutable, so that results can be kept for each of its nodes."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._encodings: dict[tuple[int, bool], bytes] = {}
        self._reads: dict[int, Reads] = {}
        self._mentions: dict[int, bool] = {}
        # By the identity of code objects, which are kept beside: they are slow to compare.
        self._found: dict[int, tuple[types.CodeType, FoundFunction | None]] = {}

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax of the whole file.

        Raises:
            SyntaxError: the text is not Python.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(self.text)

    def encode(self, node: Definition, *, keep_docstrings: bool) -> bytes:
        """Return the canonical encoding of a definition in this file."""
        known = self._encodings.get((id(node), keep_docstrings))
        if known is None:
            known = self._encodings[id(node), keep_docstrings] = encode_definition(
                node, keep_docstrings=keep_docstrings
            )
        return known

    def encode_binding(self, name: str) -> bytes:
        """Return the canonical encoding of the statements at the top of this file that bind `name`."""
        return b"".join(encode_source(statement) for statement in self.find_bindings(name))

    def find_reads(self, node: Definition) -> Reads:
        """Return what a definition in this file reads from outside itself."""
        known = self._reads.get(id(node))
        if known is None:
            known = self._reads[id(node)] = find_reads_of_definition(node)
        return known

    def mentions_docstrings(self, node: Definition) -> bool:
        """Return whether code in a definition in this file can read docstrings."""
        known = self._mentions.get(id(node))
        if known is None:
            is_possible = "__doc__" in self.text or "getdoc" in self.text
            known = self._mentions[id(node)] = is_possible and mentions_docstrings(node)
        return known

    def find_bindings(self, name: str) -> list[ast.stmt]:
        """Return the statements at the top of this file that bind `name`, in their order."""
        return self._bindings.get(name, [])

    @cached_property
    def imported_names(self) -> Mapping[str, tuple[ast.ImportFrom, str]]:
        """The names that nothing in this file binds but `from module import name`, with that statement and name."""
        found: dict[str, tuple[ast.ImportFrom, str]] = {}
        for name, statements in self._bindings.items():
            imports = [
                (node, alias.name)
                for statement in statements
                for node in ast.walk(statement)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
                if (alias.asname or alias.name) == name
            ]
            if len(imports) == len(statements) == 1 and isinstance(statements[0], ast.ImportFrom):
                found[name] = imports[0]
        return found

    def find_function(self, code: types.CodeType) -> FoundFunction | None:
        """Return the syntax that made `code`, or None where this file has none that could have."""
        if id(code) not in self._found:
            self._found[id(code)] = (code, self._find_function(code))
        return self._found[id(code)][1]

    def _find_function(self, code: types.CodeType) -> FoundFunction | None:
        fingerprint = fingerprint_code(code)
        same = [known for known in self._codes[code.co_name] if fingerprint_code(known) == fingerprint]
        here = [known for known in same if known.co_firstlineno == code.co_firstlineno]
        exact = [known for known in here if _measure_code(known) == _measure_code(code)]
        # A file may have been edited above a function since it was imported: the same code, further down.
        moved = [known for known in same if known.co_qualname == code.co_qualname]
        for known in (exact or here or moved)[:1]:
            node = self._find_node(known)
            if node is not None:
                return FoundFunction(node, is_current=True)
        node = self._find_node(code)
        return None if node is None else FoundFunction(node, is_current=False)

    def find_classes(self, qualname: str, lines: set[int]) -> list[ast.ClassDef]:
        """Return the definitions that can have made a class, of which functions in it begin at `lines`.

        There are several where a file defines a class twice, in two branches, and nothing tells which one was taken.
        """
        candidates = self._classes.get(qualname, [])
        chosen = [
            node
            for node in candidates
            if lines and all(_first_line(node) <= line <= (node.end_lineno or 0) for line in lines)
        ]
        return chosen or candidates

    def is_compiled_from(self, code: types.CodeType) -> bool:
        """Return whether some function of this file compiles to `code`."""
        fingerprint = fingerprint_code(code)
        return any(fingerprint_code(known) == fingerprint for known in self._codes[code.co_name])

    @cached_property
    def _bindings(self) -> Mapping[str, list[ast.stmt]]:
        bindings = defaultdict(list)
        for statement in self.tree.body:
            for name in list_bound_names(statement):
                bindings[name].append(statement)
        return dict(bindings)

    @cached_property
    def _functions(self) -> Mapping[tuple[str, int], list[FunctionNode]]:
        functions: defaultdict[tuple[str, int], list[FunctionNode]] = defaultdict(list)
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions[node.name, _first_line(node)].append(node)
            elif isinstance(node, ast.Lambda):
                functions["<lambda>", node.lineno].append(node)
        return dict(functions)

    @cached_property
    def _classes(self) -> Mapping[str, list[ast.ClassDef]]:
        classes = defaultdict(list)
        stack: list[tuple[ast.AST, str]] = [(self.tree, "")]
        while stack:
            node, prefix = stack.pop()
            if isinstance(node, ast.ClassDef):
                classes[prefix + node.name].append(node)
                prefix += node.name + "."
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                prefix += f"{getattr(node, 'name', '<lambda>')}.<locals>."
            stack.extend((child, prefix) for child in ast.iter_child_nodes(node))
        return {name: sorted(nodes, key=_first_line) for name, nodes in classes.items()}

    @cached_property
    def _codes(self) -> defaultdict[str, list[types.CodeType]]:
        codes: defaultdict[str, list[types.CodeType]] = defaultdict(list)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                stack = [compile(self.tree, self.path, "exec", dont_inherit=True, flags=_COMPILE_FLAGS)]
            except (SyntaxError, ValueError, RecursionError):
                return codes
        while stack:
            code = stack.pop()
            codes[code.co_name].append(code)
            stack.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
        return codes

    def _find_node(self, code: types.CodeType) -> FunctionNode | None:
        candidates = self._functions.get((code.co_name, code.co_firstlineno), [])
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        span = _measure_code(code)
        if span is None:
            # Code without columns: a constant alone, or `-X no_debug_ranges`. Then it tells what it does.
            fingerprint = fingerprint_code(code)
            candidates = [node for node in candidates if _fingerprint_lambda(node) == fingerprint]
            encodings = {encode_definition(node) for node in candidates}
            return candidates[0] if len(encodings) == 1 else None
        around = [node for node in candidates if _holds(_measure_body(node), span)]
        return min(around, key=lambda node: _size(_measure_body(node)), default=None)


def open_source(path: str, namespace: Mapping[str, Any] | None = None, *, is_loaded: bool = True) -> SourceFile | None:
    """Return the source that `path` has now, or None where there is none to be had.

    `namespace` is a module's, whose loader can have the source of what is not a plain file. For a file that is not
    loaded yet, only what is on disk counts.
    """
    text = _read_pinned(path) if is_loaded else None
    if text is not None:
        known = _files.get(path)
        if known is None or known[0] is not None or known[1].text != text:
            known = _files[path] = (None, SourceFile(path, text))
        return known[1]
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        linecache.checkcache(path)
        lines = linecache.getlines(path, None if namespace is None else dict(namespace))
        return SourceFile(path, "".join(lines)) if lines else None
    stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    known = _files.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    source = known[1] if known is not None and known[1].text == text else SourceFile(path, text)
    sure = abs(time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)) > _UNSURE_NS
    _files[path] = (stamp if sure else (), source)
    return source


def fingerprint_code(code: types.CodeType) -> Digest:
    """Return the digest of what `code` does: its instructions, constants and names, without any position."""
    known = _fingerprints.get(code)
    if known is None:
        if len(_fingerprints) > 10_000:
            _fingerprints.clear()
        known = _fingerprints[code] = digest_of(_plain_constant(code))
    return known


_files: dict[str, tuple[tuple[int, ...] | None, SourceFile]] = {}
# Code objects that differ in nothing but their file are equal, and so are their fingerprints.
_fingerprints: dict[types.CodeType, Digest] = {}


def _read_pinned(path: str) -> str | None:
    entry = linecache.cache.get(path)
    if entry is not None and len(entry) == 4 and entry[1] is None:
        return "".join(entry[2])
    return None


def _fingerprint_lambda(node: FunctionNode) -> Digest | None:
    """Return the fingerprint that a lambda has where it closes over nothing."""
    if not isinstance(node, ast.Lambda):
        return None
    bare = copy.copy(node)
    bare.args = copy.copy(node.args)
    bare.args.defaults = [ast.copy_location(ast.Constant(0), node) for _ in node.args.defaults]
    bare.args.kw_defaults = [each and ast.copy_location(ast.Constant(0), node) for each in node.args.kw_defaults]
    outer = compile(ast.Expression(bare), "", "eval", dont_inherit=True)
    return next(fingerprint_code(each) for each in outer.co_consts if isinstance(each, types.CodeType))


def _plain_constant(value: object) -> object:
    """Turn a constant of a code object into what `digest_of` takes."""
    if isinstance(value, types.CodeType):
        return (
            "code",
            value.co_code,
            value.co_exceptiontable,
            tuple(_plain_constant(constant) for constant in value.co_consts),
            (value.co_name, value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars),
            (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount),
        )
    if isinstance(value, tuple):
        return ("tuple", *(_plain_constant(item) for item in value))
    if isinstance(value, frozenset):
        return ("frozenset", {_plain_constant(item) for item in value})
    if value is None or isinstance(value, (bool, float, str, bytes)):
        return value
    return (type(value).__name__, hex(value) if isinstance(value, int) else repr(value))


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _measure_code(code: types.CodeType) -> _Span | None:
    """Return the first and last line and column of a lambda's body, as far as the code has them."""
    spans = [
        (line, column, end_line, end_column)
        for line, end_line, column, end_column in code.co_positions()
        if line is not None
        and column is not None
        and end_line is not None
        and end_column is not None
        # The instructions that open a function have no width.
        and (line, column) != (end_line, end_column)
    ]
    if not spans:
        return None
    return (*min(span[:2] for span in spans), *max(span[2:] for span in spans))


def _measure_body(node: FunctionNode) -> _Span:
    if isinstance(node, ast.Lambda):
        body = node.body
        return (body.lineno, body.col_offset, body.end_lineno or 0, body.end_col_offset or 0)
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _holds(outer: _Span, inner: _Span) -> bool:
    return outer[:2] <= inner[:2] and inner[2:] <= outer[2:]


def _size(span: _Span) -> tuple[int, int]:
    return (span[2] - span[0], span[3] - span[1])
