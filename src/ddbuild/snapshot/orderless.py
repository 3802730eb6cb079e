"""Which expressions are sets, whose members come in another order in each process."""

from __future__ import annotations

import ast
import os

from ddbuild.snapshot.follow import follow
from ddbuild.snapshot.scopes import Scope
from ddbuild.snapshot.user_files import UserFile, UserFiles

__all__ = ["BLIND_TO_ORDER", "KEEP_INSIDE", "SETS", "Orderless", "unroll"]

SETS = frozenset({"set", "frozenset"})
"""The functions that make a set."""

BLIND_TO_ORDER = frozenset({"all", "any", "bool", "frozenset", "len", "max", "min", "set", "sorted"})
"""Functions of one argument that return the same whatever order it has."""

_MAKE_SETS = frozenset({"copy", "difference", "intersection", "symmetric_difference", "union"})
_METHODS = frozenset({"add", "clear", "discard", "isdisjoint", "issubset", "issuperset", "remove", "update"})
KEEP_INSIDE = _MAKE_SETS | _METHODS
"""Methods of a set that do not tell its order."""


class Orderless:
    """The sets in users' files, as far as one can see: displays, calls, and the names that are bound to them."""

    def __init__(self, files: UserFiles) -> None:
        self._files = files
        self._have_order = os.environ.get("PYTHONHASHSEED", "random") not in ("", "random")
        while sum(self._note(file) for file in files.files.values()):
            # A set may be another one's, of another file.
            continue

    def is_set(self, file: UserFile, node: ast.AST, scope: Scope) -> bool:
        """Return whether an expression in `file` is a set."""
        if self._have_order:
            return False
        if isinstance(node, (ast.Name, ast.Attribute)):
            base, names = unroll(node)
            if not isinstance(base, ast.Name) or not isinstance(node.ctx, ast.Load):
                return False
            return any(not rest for rest in follow(self._files, file, scope, base.id, names).of_sets)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                return node.func.attr in _MAKE_SETS and self.is_set(file, node.func.value, scope)
            return isinstance(node.func, ast.Name) and node.func.id in SETS and scope.find(node.func.id) is None
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.BitAnd, ast.BitOr, ast.BitXor)):
            return any(self.is_set(file, each, scope) or _is_view(each, scope) for each in (node.left, node.right))
        if isinstance(node, ast.IfExp):
            return self.is_set(file, node.body, scope) or self.is_set(file, node.orelse, scope)
        if isinstance(node, ast.BoolOp):
            return any(self.is_set(file, each, scope) for each in node.values)
        return isinstance(node, (ast.Set, ast.SetComp))

    def _note(self, file: UserFile) -> bool:
        """Note which names are bound to sets, and return whether these are more than before."""
        before = sum(len(scope.orderless) + len(scope.views) for scope in file.scopes.all())
        for scope, targets, value in file.scopes.assignments:
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in names:
                place = scope.find(name) or scope
                if self.is_set(file, value, scope):
                    place.orderless.add(name)
                elif _is_view(value, scope):
                    place.views.add(name)
        return sum(len(scope.orderless) + len(scope.views) for scope in file.scopes.all()) > before


def unroll(node: ast.AST) -> tuple[ast.AST, list[str]]:
    """Return what a chain of attributes starts at, and their names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return node, names[::-1]


def _is_view(node: ast.expr, scope: Scope) -> bool:
    """Whether an expression is one of which `-` and the like make a set."""
    if isinstance(node, ast.Name):
        binding = scope.find(node.id)
        return binding is not None and node.id in binding.views
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "keys")
