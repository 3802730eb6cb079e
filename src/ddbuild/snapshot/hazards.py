"""What loading may depend on that no record of reads tells: the clock, chance, files that a library opens by itself.

Looked at is all code of users that ran while the workspace was loaded, whoever called it, and nothing else: what a
callback does is no matter here. In that code each name has to lead to something that is known to come out the same
(`repeatable.py`), and things that would hide where a name leads are not known. So nothing else can be reached: it would
have to be got from somewhere.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

from ddbuild.snapshot.follow import Found, follow
from ddbuild.snapshot.orderless import BLIND_TO_ORDER, KEEP_INSIDE, SETS, Orderless, unroll
from ddbuild.snapshot.repeatable import BUILTINS, CALL_ATTRIBUTES, CALLED_ONLY, is_forbidden_attribute, judge
from ddbuild.snapshot.scopes import Comprehension, Import, Scope, list_outside
from ddbuild.snapshot.user_files import UserFile, UserFiles

__all__ = ["find_hazards"]

_STATED = frozenset({"st_mode", "st_mtime", "st_mtime_ns", "st_size"})
_STATS = frozenset({"stat", "lstat"})
_RUN_A_DESIGNER = frozenset({"create", "preview"})
_DESIGNER = frozenset({"interface", "essentials"})
_ASK_PANDAS = frozenset({"now", "today", "sample"})
_MOST_TEXT = 60
_UNORDERED = "a set, which is in another order each time,"


def find_hazards(code: Iterable[CodeType], root: Path) -> list[str]:
    """Return what the users' code among `code`, all that ran while `root` was loaded, may depend on, in words.

    Raises:
        OSError: a file of it cannot be read.
        SyntaxError: a file of it has become another one.
    """
    files = UserFiles(code, root)
    walk = _Walk(files)
    lookers = [_Looker(walk, files, file) for file in files.files.values()]
    for looker in lookers:
        looker.look_at_file()
    if walk.uses_called_only and walk.uses_classes:
        walk.hazards.add("the class of a date, or of a source of chance, may be got from it")
    if walk.uses_pandas and walk.asks_pandas:
        walk.hazards.add(f"pandas may take `{walk.asks_pandas}` for the time, for chance, or for code")
    return sorted(walk.hazards)


class _Walk:
    """What is found, in all files."""

    def __init__(self, files: UserFiles) -> None:
        self.hazards: set[str] = set()
        self.uses_called_only = False
        self.uses_classes = False
        self.uses_pandas = False
        self.asks_pandas = ""
        self.has_designer = any(
            found.name == "DataDesigner" or not _DESIGNER.isdisjoint((*found.parts, found.name))
            for file in files.files.values()
            for found in file.scopes.list_imports()
        )
        self.orderless = Orderless(files)


class _Looker:
    """Goes through the code of one file that ran.

    There is a method `_look_at_...` for each kind of node of which more is to be known than what it consists of.
    """

    def __init__(self, walk: _Walk, files: UserFiles, file: UserFile) -> None:
        self._walk = walk
        self._files = files
        self._file = file

    def look_at_file(self) -> None:
        """Look at the modules and functions that ran."""
        if not self._file.has_all:
            self._walk.hazards.add(f"`{self._file.shown}` is not what was run")
        if not self._file.has_module and str(self._file.path) != getattr(sys.modules["__main__"], "__file__", None):
            self._walk.hazards.add(f"`{self._file.shown}` was imported before the workspace was loaded")
        for unit in self._file.units:
            scope = self._file.scopes.of(unit)
            self._look_all(unit.body if isinstance(unit.body, list) else [unit.body], scope)

    def _look_all(self, nodes: Iterable[ast.AST], scope: Scope) -> None:
        for node in nodes:
            self._look(node, scope)

    def _look(self, node: ast.AST, scope: Scope, *, any_order: bool = False) -> None:
        """Look at `node`, which runs; `any_order` says that the order does not matter if it is a set."""
        if not any_order and self._is_set(node, scope):
            self._tell(node, _UNORDERED)
        look: Callable[[Any, Scope], None] | None = getattr(self, f"_look_at_{type(node).__name__.lower()}", None)
        if look is not None:
            look(node, scope)
        else:
            self._look_all(ast.iter_child_nodes(node), scope)

    # Definitions: what is inside of a function runs only when that is called.

    def _look_at_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        self._look_all(list_outside(node), scope)
        arguments = node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        for each in (*(argument.annotation for argument in every if argument is not None), node.returns):
            self._look_at_type(each, scope)

    _look_at_asyncfunctiondef = _look_at_functiondef

    def _look_at_lambda(self, node: ast.Lambda, scope: Scope) -> None:
        self._look_all(list_outside(node), scope)

    def _look_at_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        self._look_all(list_outside(node), scope)
        self._look_all(node.body, self._file.scopes.of(node))

    def _look_at_listcomp(self, node: Comprehension, scope: Scope) -> None:
        first = node.generators[0]
        self._look(first.iter, scope)
        inner = self._file.scopes.of(node)
        for each in ast.iter_child_nodes(node):
            nodes = ast.iter_child_nodes(each) if each is first else [each]
            self._look_all((one for one in nodes if one is not first.iter), inner)

    _look_at_setcomp = _look_at_dictcomp = _look_at_generatorexp = _look_at_listcomp

    def _look_at_import(self, node: ast.Import, scope: Scope) -> None:
        """Nothing is used yet."""

    def _look_at_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        if any(each.name == "*" for each in node.names):
            found = Import(tuple((node.module or "").split(".")) if node.module else (), node.level)
            if self._files.find(self._file, found) is None:
                self._tell(node, f"all of `{node.module}`")

    def _look_at_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        self._look_at_type(node.annotation, scope)
        self._look(node.target, scope)
        if node.value is not None:
            self._look_at_value(node.value, [node.target], scope)

    def _look_at_type(self, node: ast.AST | None, scope: Scope) -> None:
        """Look at a type: it may be anybody's, but pydantic checks values by it, also by the clock."""
        if isinstance(node, (ast.Name, ast.Attribute)):
            base, names = unroll(node)
            if isinstance(base, ast.Name):
                for chain in follow(self._files, self._file, scope, base.id, names).chains:
                    if chain[0] in ("pydantic", "annotated_types"):
                        self._judge(node, chain, is_type=True)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError, ValueError):
                self._look_at_type(ast.parse(node.value.strip(), mode="eval").body, scope)
        elif isinstance(node, (ast.Subscript, ast.BinOp, ast.Tuple, ast.List, ast.Starred)):
            for each in ast.iter_child_nodes(node):
                self._look_at_type(each, scope)
        elif isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            self._look(node, scope)

    # Names, and what is asked for on them.

    def _look_at_constant(self, node: ast.Constant, scope: Scope) -> None:
        if isinstance(node.value, str) and node.value.strip().lower() in _ASK_PANDAS:
            self._walk.asks_pandas = node.value

    def _look_at_name(self, node: ast.Name, scope: Scope) -> None:
        if isinstance(node.ctx, ast.Load):
            self._look_at_chain(node, node.id, [], scope)

    def _look_at_attribute(self, node: ast.Attribute, scope: Scope) -> None:
        value = node.value
        method = value.func if isinstance(value, ast.Call) else None
        if node.attr in _STATED and isinstance(method, ast.Attribute) and method.attr in _STATS:
            # Of all that `stat` tells, this is in a signature.
            self._look(method.value, scope)
            self._look_all((each for each in ast.iter_child_nodes(value) if each is not method), scope)
            return
        self._look_up(node, scope)

    def _look_up(self, node: ast.expr, scope: Scope, *, is_called: bool = False) -> None:
        base, names = unroll(node)
        for name in names:
            self._check_attribute(node, name)
        if isinstance(base, ast.Name):
            self._look_at_chain(node, base.id, names, scope, is_called=is_called)
        else:
            self._look(base, scope, any_order=bool(names) and names[0] in KEEP_INSIDE)

    def _check_attribute(self, node: ast.AST, name: str) -> None:
        if is_forbidden_attribute(name) or name in _STATS:
            self._tell(node, f"`{_shorten(node)}`")
        if name == "__class__":
            self._walk.uses_classes = True
        if name == "query":
            self._walk.asks_pandas = name

    def _look_at_matchclass(self, node: ast.MatchClass, scope: Scope) -> None:
        for name in node.kwd_attrs:
            self._check_attribute(node, name)
        self._look_all((*node.patterns, *node.kwd_patterns), scope)
        self._look_at_class(node.cls, scope)

    def _look_at_chain(
        self, node: ast.expr, name: str, names: Sequence[str], scope: Scope, *, is_called: bool = False
    ) -> None:
        found = follow(self._files, self._file, scope, name, names)
        if found.is_unknown:
            self._look_at_builtin(node, name, is_called=is_called and not names)
            return
        binding = scope.find(name)
        if binding is not None and not binding.is_function and _is_hidden_hazard(name):
            self._tell(node, f"`{name}`, which Python has too,")
        for rest in found.of_sets:
            if rest and rest[0] not in KEEP_INSIDE:
                self._tell(node, _UNORDERED)
        for module in found.modules:
            self._tell(node, f"the module `{module}` as a value")
        is_read = isinstance(getattr(node, "ctx", None), ast.Load)
        for chain in found.chains:
            if is_read:
                self._judge(node, chain, is_called=is_called)
            else:
                self._tell(node, f"and changes `{'.'.join(chain)}`")

    def _look_at_builtin(self, node: ast.expr, name: str, *, is_called: bool) -> None:
        if name == "type":
            self._walk.uses_classes = True
        if name not in BUILTINS and not _is_error(name):
            self._tell(node, f"`{name}`")
        elif name in ("getattr", *SETS) and not is_called:
            self._tell(node, f"`{name}` as a value")

    def _judge(self, node: ast.AST, chain: Sequence[str], *, is_called: bool = False, is_type: bool = False) -> None:
        is_allowed, full, rest = judge(chain)
        self._walk.uses_pandas |= full.startswith("pandas.")
        if not is_allowed:
            self._tell(node, f"`{full}`")
        elif full in CALLED_ONLY and not is_type:
            self._walk.uses_called_only = True
            is_made = is_called and not rest
            if not is_made and not (rest and rest[0] in CALL_ATTRIBUTES and full.startswith("datetime.")):
                self._tell(node, f"`{'.'.join([full, *rest])}`")

    # Calls.

    def _look_at_call(self, node: ast.Call, scope: Scope) -> None:
        arguments: list[ast.AST] = [*node.args, *node.keywords]
        builtin = node.func.id if isinstance(node.func, ast.Name) and scope.find(node.func.id) is None else None
        if builtin == "getattr":
            arguments = self._look_at_getattr(node, scope) or arguments
        elif builtin in ("isinstance", "issubclass") and len(arguments) == 2:
            self._look_at_class(arguments.pop(), scope)
        elif builtin in BLIND_TO_ORDER and len(arguments) == len(node.args) == 1:
            self._look(arguments.pop(), scope, any_order=True)
        elif isinstance(node.func, ast.Attribute):
            arguments = self._look_at_method(node, node.func, scope)
        if isinstance(node.func, (ast.Name, ast.Attribute)):
            self._look_up(node.func, scope, is_called=True)
            self._look_at_seed(node, scope)
        else:
            self._look(node.func, scope)
        self._look_all(arguments, scope)

    def _look_at_method(self, node: ast.Call, method: ast.Attribute, scope: Scope) -> list[ast.AST]:
        """Look at what depends on how a method is called, and return the arguments that are left to look at."""
        name = method.attr
        says = bool(node.args) and not (isinstance(node.args[0], ast.Constant) and node.args[0].value is None)
        if (name in ("seed", "timestamp") and not says) or (name in _RUN_A_DESIGNER and self._walk.has_designer):
            self._tell(node, f"`.{name}()`")
        if name in KEEP_INSIDE and self._is_set(method.value, scope):
            for each in node.args:
                self._look(each, scope, any_order=True)
            return list(node.keywords)
        return [*node.args, *node.keywords]

    def _look_at_seed(self, node: ast.Call, scope: Scope) -> None:
        base, names = unroll(node.func)
        if isinstance(base, ast.Name):
            for chain in follow(self._files, self._file, scope, base.id, names).chains:
                is_seeded = len(node.args) == 1 and isinstance(node.args[0], ast.Constant)
                if judge(chain)[1] == "random.Random" and not (is_seeded and node.args[0].value is not None):  # type: ignore[attr-defined]
                    self._tell(node, "`random.Random` without a seed that is written there")

    def _look_at_getattr(self, node: ast.Call, scope: Scope) -> list[ast.AST]:
        name = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else None
        if not isinstance(name, str):
            self._tell(node, "`getattr` with a name that is not written there")
            return []
        self._look(ast.copy_location(ast.Attribute(node.args[0], name, ast.Load()), node), scope)
        return [*node.args[2:], *node.keywords, ast.Pass()]

    def _look_at_class(self, node: ast.AST, scope: Scope) -> None:
        """Look at what something is only compared with."""
        if isinstance(node, (ast.Tuple, ast.List)):
            for each in node.elts:
                self._look_at_class(each, scope)
        elif isinstance(node, ast.BinOp):
            self._look_at_class(node.left, scope)
            self._look_at_class(node.right, scope)
        elif isinstance(node, ast.Name) and node.id in SETS and scope.find(node.id) is None:
            return
        else:
            base, names = unroll(node)
            found = follow(self._files, self._file, scope, base.id, names) if isinstance(base, ast.Name) else Found()
            if not found.chains or found.modules:
                self._look(node, scope)
            for chain in found.chains:
                self._judge(node, chain, is_type=True)

    # Sets: what they hold is in another order in each process.

    def _is_set(self, node: ast.AST, scope: Scope) -> bool:
        return self._walk.orderless.is_set(self._file, node, scope)

    def _look_at_binop(self, node: ast.BinOp, scope: Scope) -> None:
        # If it is a set itself, that has been told where it matters.
        is_set = self._is_set(node, scope)
        for each in (node.left, node.right):
            self._look(each, scope, any_order=is_set)

    def _look_at_ifexp(self, node: ast.IfExp, scope: Scope) -> None:
        self._look(node.test, scope, any_order=True)
        for each in (node.body, node.orelse):
            self._look(each, scope, any_order=True)

    def _look_at_boolop(self, node: ast.BoolOp, scope: Scope) -> None:
        for each in node.values:
            self._look(each, scope, any_order=True)

    def _look_at_unaryop(self, node: ast.UnaryOp, scope: Scope) -> None:
        self._look(node.operand, scope, any_order=isinstance(node.op, ast.Not))

    def _look_at_if(self, node: ast.If, scope: Scope) -> None:
        self._look(node.test, scope, any_order=True)
        self._look_all((*node.body, *node.orelse), scope)

    def _look_at_compare(self, node: ast.Compare, scope: Scope) -> None:
        for each in (node.left, *node.comparators):
            self._look(each, scope, any_order=True)

    def _look_at_assign(self, node: ast.Assign, scope: Scope) -> None:
        self._look_all(node.targets, scope)
        self._look_at_value(node.value, node.targets, scope)

    def _look_at_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        self._look(node.target, scope)
        self._look_at_value(node.value, [node.target], scope)

    def _look_at_value(self, node: ast.expr, targets: list[ast.expr], scope: Scope) -> None:
        """Look at what is assigned: a set may have a name, by which it is known again, and nothing else."""
        has_name = all(isinstance(each, ast.Name) and not (scope.find(each.id) or scope).is_class for each in targets)
        self._look(node, scope, any_order=has_name)

    def _tell(self, node: ast.AST, what: str) -> None:
        self._walk.hazards.add(f"`{self._file.shown}:{getattr(node, 'lineno', 0)}` uses {what} while it is loaded")


def _is_hidden_hazard(name: str) -> bool:
    return hasattr(builtins, name) and name not in BUILTINS and not _is_error(name)


def _is_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _shorten(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= _MOST_TEXT and "\n" not in text else f"...{text[-_MOST_TEXT:]}"
