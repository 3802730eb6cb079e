"""What the names in a Python file mean: which scope binds them, and what its imports lead to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Comprehension", "Function", "Import", "Scope", "ScopeMaker", "list_outside"]

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Import:
    """What an import binds to a name: the module `parts`, or `name` in it; `level` counts the dots in front."""

    parts: tuple[str, ...]
    level: int = 0
    name: str | None = None


@dataclass(slots=True)
class Scope:
    """A module, a function or a class, with the names that it binds.

    `orderless` are those bound to a set, `views` those bound to the keys or items of a dictionary.
    """

    parent: Scope | None
    is_class: bool = False
    is_function: bool = False
    bound: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    imports: dict[str, list[Import]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    orderless: set[str] = field(default_factory=set)
    views: set[str] = field(default_factory=set)

    def find(self, name: str) -> Scope | None:
        """Return the scope that binds `name` for code in this one; None where none does."""
        scope: Scope | None = self
        if name in self.shared:
            while scope is not None and scope.parent is not None:
                scope = scope.parent
        while scope is not None:
            if (name in scope.bound or name in scope.imports) and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None

    @property
    def module(self) -> Scope:
        """The scope of the whole file."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope


class ScopeMaker:
    """The scopes of one file, by the node that opens them."""

    def __init__(self, tree: ast.Module) -> None:
        self._scopes: dict[int, Scope] = {}
        self.assignments: list[tuple[Scope, list[ast.expr], ast.expr]] = []
        self.module = self._open(tree, None)
        for node in tree.body:
            self._visit(node, self.module)

    def of(self, node: ast.AST) -> Scope:
        """Return the scope that a function or a class opens."""
        return self._scopes[id(node)]

    def all(self) -> Iterable[Scope]:
        """Return all scopes of the file."""
        return self._scopes.values()

    def list_imports(self) -> Iterator[Import]:
        """Yield what is imported anywhere in the file, under a name."""
        for scope in self._scopes.values():
            for found in scope.imports.values():
                yield from found

    def _open(self, node: ast.AST, parent: Scope | None) -> Scope:
        scope = Scope(parent, isinstance(node, ast.ClassDef), isinstance(node, Function | Comprehension))
        self._scopes[id(node)] = scope
        return scope

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scope.bound.add(node.name)
        if isinstance(node, Function):
            inner = self._open(node, scope)
            arguments = node.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
            inner.bound.update(each.arg for each in every if each is not None)
            for each in list_outside(node):
                self._visit(each, scope)
            for each in node.body if isinstance(node.body, list) else [node.body]:
                self._visit(each, inner)
            return
        if isinstance(node, ast.ClassDef):
            inner = self._open(node, scope)
            for each in list_outside(node):
                self._visit(each, scope)
            for each in node.body:
                self._visit(each, inner)
            return
        if isinstance(node, Comprehension):
            inner = self._open(node, scope)
            self._visit(node.generators[0].iter, scope)
            for each in ast.iter_child_nodes(node):
                self._visit(each, inner)
            return
        self._bind(node, scope)
        if isinstance(node, ast.Assign):
            self.assignments.append((scope, node.targets, node.value))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)) and node.value is not None:
            self.assignments.append((scope, [node.target], node.value))
        for each in ast.iter_child_nodes(node):
            self._visit(each, scope)

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            scope.bound.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            if isinstance(node, ast.Global):
                scope.shared.update(node.names)
                scope.module.bound.update(node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            scope.bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            scope.bound.add(node.rest)
        elif isinstance(node, ast.Import):
            for each in node.names:
                parts = tuple(each.name.split("."))
                self._add(scope, each.asname or parts[0], Import(parts if each.asname else parts[:1]))
        elif isinstance(node, ast.ImportFrom):
            parts = tuple(node.module.split(".")) if node.module else ()
            for each in node.names:
                if each.name == "*":
                    scope.stars.append(Import(parts, node.level))
                else:
                    self._add(scope, each.asname or each.name, Import(parts, node.level, each.name))

    def _add(self, scope: Scope, name: str, found: Import) -> None:
        place = scope.module if name in scope.shared else scope
        place.imports.setdefault(name, []).append(found)


def list_outside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what of a function or a class runs where it is defined, annotations excepted."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield from node.decorator_list
    if isinstance(node, ast.ClassDef):
        yield from node.bases
        yield from (each.value for each in node.keywords)
    if isinstance(node, Function):
        yield from node.args.defaults
        yield from (each for each in node.args.kw_defaults if each is not None)
