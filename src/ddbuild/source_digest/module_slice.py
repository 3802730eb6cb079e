"""The part of a module that something imported from it depends on, by syntax alone, for imports inside functions.

Such a module is not looked at by value: it may not be loaded yet, and loading it for a key could cost more than a hit
saves. A slice keeps every statement that acts when the module is imported, and drops definitions that nothing reads.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ddbuild.source_digest.encoding import encode_tagged
from ddbuild.source_digest.normalized_source import encode_source, mentions_docstrings
from ddbuild.source_digest.ownership import Ownership, find_imported_file
from ddbuild.source_digest.reads import ImportRead, find_reads, list_bound_names
from ddbuild.source_digest.source_file import SourceFile

__all__ = ["EVERYTHING", "NAMESPACE_READERS", "ModuleSlice", "resolve_import", "slice_modules"]

EVERYTHING = "*"
"""The name that asks for a whole module."""

NAMESPACE_READERS = frozenset({"globals", "eval", "exec"})
"""Builtins that can read any name of the module that calls them."""

_Request = tuple[str, str, str | None]
"""The name of a module, its file, and a name asked of it: EVERYTHING, or None to have it imported only."""


@dataclass(slots=True)
class ModuleSlice:
    """What one module contributes; `names` are the names asked of it."""

    name: str
    source: SourceFile
    names: set[str] = field(default_factory=set)
    statements: list[ast.stmt] = field(default_factory=list)
    imports: list[tuple[int, str, str, str]] = field(default_factory=list)

    @property
    def mentions_docstrings(self) -> bool:
        """Whether its code can read docstrings."""
        return any(mentions_docstrings(statement) for statement in self.statements)

    def encode(self, keep_docstrings: bool) -> bytes:
        """Return the canonical encoding of the kept statements."""
        pieces = [encode_source(statement, keep_docstrings=keep_docstrings) for statement in self.statements]
        return encode_tagged(
            "module", [encode_tagged("statement", [piece]) for piece in pieces] + self._encode_imports()
        )

    def _encode_imports(self) -> list[bytes]:
        return [repr(taken).encode() for taken in self.imports]


def resolve_import(read: ImportRead, importer: str, owner: Ownership) -> list[_Request]:
    """Return what an import in the file `importer` asks of the user's modules, the packages around them included."""
    requests: list[_Request] = []
    parts = read.module.split(".") if read.module else []
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        file = find_imported_file(read.level, package, importer, owner)
        if file is not None:
            requests.append((package, file, None))
    file = find_imported_file(read.level, read.module, importer, owner)
    if read.attributes and (file is None or Path(file).name == "__init__.py"):
        # What is taken of a package may be a module in it.
        inner = ImportRead(read.level, ".".join([*parts, read.attributes[0]]), read.attributes[1:])
        if find_imported_file(inner.level, inner.module, importer, owner) is not None:
            requests += resolve_import(inner, importer, owner)
    if file is not None:
        asked = None if read.attributes is None else (*read.attributes, EVERYTHING)[0]
        requests.append((read.module or Path(file).parent.name, file, asked))
    return requests


def slice_modules(
    requests: Iterable[_Request], owner: Ownership, open_file: Callable[[str], SourceFile]
) -> dict[str, ModuleSlice]:
    """Return the slices that the requests need, by file, and those that these need in turn."""
    slices: dict[str, ModuleSlice] = {}
    waiting = list(requests)
    while waiting:
        name, file, asked = waiting.pop()
        part = slices.get(file)
        if part is None:
            part = slices[file] = ModuleSlice(name, open_file(file))
        elif asked is None or asked in part.names or EVERYTHING in part.names:
            continue
        if asked is not None:
            part.names.add(asked)
        for read in _cut(part, owner):
            waiting += resolve_import(read, file, owner)
    return slices


def _cut(part: ModuleSlice, owner: Ownership) -> Iterable[ImportRead]:
    """Choose the statements that a slice keeps; return what they import."""
    body = [statement for statement in part.source.tree.body if not _is_guarded(statement)]
    imports = [
        node for statement in body for node in _walk_top(statement) if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    library = _list_library_names(imports, part.source.path, owner)
    bound: dict[str, int] = {}
    for statement in body:
        for name in list_bound_names(statement):
            bound[name] = bound.get(name, 0) + 1
    inert = [
        not isinstance(statement, (ast.Import, ast.ImportFrom))
        and _is_inert(statement, library, bound)
        and all(bound[name] == 1 for name in list_bound_names(statement))
        for statement in body
    ]
    needed = set(part.names)
    while True:
        whole = EVERYTHING in needed or any(name in needed and name not in bound for name in NAMESPACE_READERS)
        kept = [
            index
            for index, statement in enumerate(body)
            if not isinstance(statement, (ast.Import, ast.ImportFrom))
            and (whole or not inert[index] or not needed.isdisjoint(list_bound_names(statement)))
        ]
        reads = find_reads([*imports, *(body[index] for index in kept)])
        names = {chain[0] for chain in reads.chains}
        if names <= needed:
            break
        needed |= names
    # Definitions that only wait to be read have no order.
    acting = [body[index] for index in kept if not inert[index]]
    waiting = sorted((body[index] for index in kept if inert[index]), key=lambda node: sorted(list_bound_names(node)))
    part.statements = [*acting, *waiting]
    part.imports = sorted(
        (getattr(node, "level", 0), getattr(node, "module", "") or "", alias.name, alias.asname or alias.name)
        for node in imports
        for alias in node.names
        if alias.name == "*" or (alias.asname or alias.name).partition(".")[0] in needed
    )
    return [*reads.imports, *_pass_on(imports, part.names)]


def _pass_on(imports: Iterable[ast.Import | ast.ImportFrom], names: set[str]) -> Iterable[ImportRead]:
    """Yield the imports behind names that are asked of a module and that it only imports itself."""
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom) and alias.name == "*":
                yield ImportRead(node.level, node.module or "", ())
            elif EVERYTHING in names or (alias.asname or alias.name).partition(".")[0] in names:
                if isinstance(node, ast.ImportFrom):
                    yield ImportRead(node.level, node.module or "", (alias.name,))
                else:
                    yield ImportRead(0, alias.name, ())


def _is_guarded(statement: ast.stmt) -> bool:
    """Return whether a statement does nothing when the module is imported."""
    match statement:
        case ast.If(
            test=ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")]), orelse=[]
        ):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=[]):
            return True
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return True
    return False


def _walk_top(statement: ast.stmt) -> Iterable[ast.AST]:
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _list_library_names(imports: Iterable[ast.stmt], file: str, owner: Ownership) -> set[str]:
    names = set()
    for node in imports:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if find_imported_file(0, alias.name, file, owner) is None:
                    names.add(alias.asname or alias.name.partition(".")[0])
        elif (
            isinstance(node, ast.ImportFrom) and find_imported_file(node.level, node.module or "", file, owner) is None
        ):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _is_inert(statement: ast.stmt, library: set[str], bound: dict[str, int]) -> bool:
    """Return whether a statement only binds names, so that without a reader it could as well not be there.

    A call counts as inert where a library or a builtin gets nothing of the module: then it cannot change the module.
    """

    def is_foreign(function: ast.AST) -> bool:
        given = [child.id for child in ast.walk(function) if isinstance(child, ast.Name)]
        if isinstance(function, ast.Call) and any(name in bound and name not in library for name in given):
            return False
        while isinstance(function, (ast.Attribute, ast.Call)):
            function = function.value if isinstance(function, ast.Attribute) else function.func
        if isinstance(function, ast.Name):
            return function.id in library or (function.id not in bound and hasattr(builtins, function.id))
        return isinstance(function, (ast.Constant, ast.JoinedStr))

    def is_calm(*nodes: ast.AST | None) -> bool:
        return all(
            is_foreign(child)
            if isinstance(child, ast.Call)
            else not isinstance(child, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr))
            for node in nodes
            if node is not None
            for child in _walk_top(node)  # type: ignore[arg-type]
        )

    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            defaults = [*statement.args.defaults, *statement.args.kw_defaults]
            return is_calm(*defaults) and all(is_foreign(decorator) for decorator in statement.decorator_list)
        case ast.ClassDef():
            around = [*statement.decorator_list, *statement.bases]
            return (
                not statement.keywords
                and all(is_foreign(node.value if isinstance(node, ast.Subscript) else node) for node in around)
                and all(_is_inert(child, library, bound) for child in statement.body)
            )
        case ast.Assign():
            return all(isinstance(target, ast.Name) for target in statement.targets) and is_calm(statement.value)
        case ast.AnnAssign():
            return isinstance(statement.target, ast.Name) and is_calm(statement.value)
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return True
    return type(statement).__name__ == "TypeAlias"
