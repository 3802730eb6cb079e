"""Which entries of a row a function reads, told from its syntax.

Data Designer hands a custom column's function the whole row, whatever it declares. What the function reads of it can be
told where it only takes entries by constant names, and hands the row on to nobody: `row["name"]`, `row.get("name")`,
`"name" in row`, a copy of the row with new entries. Anything else reads whatever happens to be there. So does what
changes a list or a dictionary that it finds in the row.
"""

from __future__ import annotations

import ast
import inspect
import types
from typing import Any

from ddbuild.source_digest.ownership import locate_code
from ddbuild.source_digest.row_changes import changes_entries
from ddbuild.source_digest.source_file import open_source

__all__ = ["find_row_reads"]

_TAKERS = frozenset({"get", "pop", "setdefault"})
# What can read the variables of a function by their names.
_SEERS = frozenset({"locals", "vars", "globals", "eval", "exec", "currentframe", "_getframe", "f_locals"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def find_row_reads(function: Any) -> frozenset[str] | None:
    """Return the names that `function` may read of its first argument, a dict; None where that cannot be told."""
    if not isinstance(function, types.FunctionType) or inspect.unwrap(function) is not function:
        return None
    code = function.__code__
    source = open_source(locate_code(code, function.__globals__), function.__globals__)
    try:
        found = source.find_function(code) if source is not None else None
    except (SyntaxError, ValueError, RecursionError):
        return None
    if found is None or not found.is_current or not code.co_argcount:
        return None
    # A name that means something else here is no copy of a row.
    is_dict_known = "dict" not in {*code.co_varnames, *code.co_freevars, *code.co_cellvars, *function.__globals__}
    walk = _Walk(code.co_varnames[0], is_dict_known=is_dict_known)
    walk.enter(found.node)
    return None if walk.is_lost else frozenset(walk.names)


class _Walk:
    """Follows the row, and its copies, through one function."""

    def __init__(self, row: str, *, is_dict_known: bool) -> None:
        self._rows = {row}
        self._is_dict_known = is_dict_known
        self.names: set[str] = set()
        self.is_lost = False

    def enter(self, function: _Function) -> None:
        body = [ast.Return(function.body)] if isinstance(function, ast.Lambda) else function.body
        nodes = [each for node in body for each in ast.walk(node)]
        # A name may be bound further down than where it is read: in a loop, or in a function inside.
        known = 0
        while known < len(self._rows):
            known = len(self._rows)
            for each in nodes:
                self._bind(each)
        for each in nodes:
            self.is_lost |= self._is_shared(each)
        # What it changes in place is read by whoever comes next, itself included.
        self.is_lost |= changes_entries(nodes, self._is_name)
        for node in body:
            self._visit(node)

    def _bind(self, node: ast.AST) -> None:
        if self._binds_row(node):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            self._rows.update(target.id for target in targets if isinstance(target, ast.Name))

    def _binds_row(self, node: ast.AST) -> bool:
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            return False
        return node.value is not None and self._is_row(node.value)

    def _is_shared(self, node: ast.AST) -> bool:
        """Whether somebody else can see a name of the row."""
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            return bool(self._rows.intersection(node.names))
        return isinstance(node, ast.ClassDef) and any(map(self._binds_row, ast.walk(node)))

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Return) and node.value is not None and self._is_row(node.value):
            self._visit_copy(node.value)
        elif isinstance(node, ast.Assign) and self._is_row(node.value):
            if any(not isinstance(target, ast.Name) for target in node.targets):
                self.is_lost = True
            self._visit_copy(node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None and self._is_row(node.value):
            self.is_lost |= not isinstance(node.target, ast.Name)
            self._visit_copy(node.value)
        elif isinstance(node, ast.Subscript) and self._is_name(node.value):
            # What is deleted has to be there.
            self._take(node.slice, is_read=not isinstance(node.ctx, ast.Store))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
            if self._is_name(node.target.value):
                self._take(node.target.slice, is_read=True)
            else:
                self._visit(node.target)
            self._visit(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and self._is_name(node.func.value):
            self._visit_method(node, node.func.attr)
        elif isinstance(node, ast.Compare) and any(map(self._is_name, node.comparators)):
            known = len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn))
            self._take(node.left, is_read=True) if known else self._lose()
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            self._visit_inner(node)
        elif self._is_name(node) or _name_of(node) in _SEERS:
            self._lose()
        else:
            for child in ast.iter_child_nodes(node):
                self._visit(child)

    def _visit_inner(self, node: _Function) -> None:
        arguments = node.args
        own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        if self._rows.intersection(each.arg for each in own if each is not None):
            self._lose()
        # What it returns goes who knows where.
        for child in ast.walk(node):
            if isinstance(child, (ast.Return, ast.Yield, ast.Await)) and child.value and self._is_row(child.value):
                self._lose()
        for child in ast.iter_child_nodes(node):
            self._visit(child)

    def _visit_method(self, node: ast.Call, name: str) -> None:
        if name == "update":
            rest: list[ast.AST] = [*node.args, *node.keywords]
        elif name in _TAKERS and node.args and not node.keywords:
            self._take(node.args[0], is_read=True)
            rest = list(node.args[1:])
        else:
            self._lose()
            return
        for child in rest:
            self._visit(child)

    def _visit_copy(self, node: ast.expr) -> None:
        """Look at what is added to a copy of the row."""
        if self._is_name(node):
            return
        if isinstance(node, ast.Dict):
            for name, value in zip(node.keys, node.values, strict=True):
                if name is not None:
                    self._visit(name)
                    self._visit(value)
                elif self._is_row(value):
                    self._visit_copy(value)
                else:
                    self._visit(value)
        elif isinstance(node, ast.BinOp):
            self._visit_copy(node.left)
            self._visit(node.right)
        elif isinstance(node, ast.Call):
            for each in node.args:
                self._visit_copy(each)
            for keyword in node.keywords:
                self._visit(keyword.value)

    def _is_name(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._rows

    def _is_row(self, node: ast.expr) -> bool:
        """Whether an expression is the row or a shallow copy of it."""
        if isinstance(node, ast.Dict):
            return any(name is None and self._is_row(value) for name, value in zip(node.keys, node.values, strict=True))
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.BitOr) and self._is_row(node.left)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                return node.func.attr == "copy" and self._is_name(node.func.value) and not node.args
            return (
                isinstance(node.func, ast.Name)
                and node.func.id == "dict"
                and self._is_dict_known
                and len(node.args) == 1
                and self._is_row(node.args[0])
            )
        return self._is_name(node)

    def _take(self, name: ast.expr, *, is_read: bool) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            if is_read:
                self.names.add(name.value)
        elif is_read:
            self._lose()
        else:
            self._visit(name)

    def _lose(self) -> None:
        self.is_lost = True


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None
