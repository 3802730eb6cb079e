"""Whether a function changes what it finds in a row, told from its syntax.

Data Designer hands a function a copy of its row, yet the lists and dictionaries in it are the ones that other columns
read. What a function adds to such a list is there when it runs once more.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

__all__ = ["changes_entries"]

_CHANGERS = frozenset(
    {
        "add",
        "append",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    }
)
_GETTERS = frozenset({"get", "items", "keys", "pop", "setdefault", "values"})
_WALKERS = frozenset({"enumerate", "iter", "next", "reversed", "zip"})
_PARTS = ast.Subscript | ast.Attribute | ast.Starred


def changes_entries(nodes: Iterable[ast.AST], is_row: Callable[[ast.AST], bool]) -> bool:
    """Return whether code changes something that an entry of a row holds; `is_row` knows the names of the row.

    What is handed to other functions is taken to be left as it is.
    """
    return _Walk(list(nodes), is_row).find()


class _Walk:
    def __init__(self, nodes: list[ast.AST], is_row: Callable[[ast.AST], bool]) -> None:
        self._nodes = nodes
        self._is_row = is_row
        self._names: set[str] = set()

    def find(self) -> bool:
        """Find the names that entries have, then look at what becomes of them."""
        known = -1
        while known < len(self._names):
            known = len(self._names)
            for node in self._nodes:
                self._bind(node)
        return any(map(self._is_change, self._nodes))

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            pairs = [(node.target, node.value)]
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            pairs = [(node.target, node.iter)]
        else:
            return
        for target, value in pairs:
            if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
                pairs += list(zip(target.elts, value.elts, strict=False))
            elif self._is_entry(value):
                bound = (each for each in ast.walk(target) if isinstance(each, ast.Name))
                self._names.update(each.id for each in bound if isinstance(each.ctx, ast.Store))

    def _is_change(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            return self._is_entry(node.value)
        if isinstance(node, ast.AugAssign) and isinstance(node.value, (ast.List, ast.Dict, ast.Set, ast.ListComp)):
            return self._is_entry(node.target)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGERS:
            return self._is_entry(node.func.value)
        return False

    def _is_entry(self, node: ast.AST) -> bool:
        """Whether an expression gives what an entry of the row holds, or a part of that."""
        if isinstance(node, ast.Name):
            return node.id in self._names
        if isinstance(node, _PARTS):
            return self._is_row(node.value) or self._is_entry(node.value)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                inner = node.func.value
                return node.func.attr in _GETTERS and (self._is_row(inner) or self._is_entry(inner))
            is_walk = isinstance(node.func, ast.Name) and node.func.id in _WALKERS
            return is_walk and any(map(self._is_entry, node.args))
        if isinstance(node, ast.BoolOp):
            return any(map(self._is_entry, node.values))
        if isinstance(node, ast.IfExp):
            return self._is_entry(node.body) or self._is_entry(node.orelse)
        return isinstance(node, ast.NamedExpr) and self._is_entry(node.value)
