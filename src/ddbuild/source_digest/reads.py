"""What a piece of source reads from outside itself: free names with the attributes taken of them, and imports.

Works on syntax alone, by Python's rules of scope. Where it cannot know, it names too much rather than too little.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ddbuild.source_digest.normalized_source import Definition, FunctionNode

__all__ = ["FROM_ROOT", "Chain", "ImportRead", "Reads", "find_reads", "find_reads_of_definition", "list_bound_names"]

Chain = tuple[str, ...]
"""A free name and the attributes taken of it: `helpers.score.cache` is `("helpers", "score", "cache")`."""

FROM_ROOT = -1
"""The level of an import that looks in the workspace's root and not beside the importing file."""

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class ImportRead:
    """Something taken from an imported module: `attributes` () is the module itself, None nothing but its import."""

    level: int
    module: str
    attributes: Chain | None


@dataclass(slots=True)
class Reads:
    """The reads of one piece of source; `chains` maps to the first line that reads them."""

    chains: dict[Chain, int] = field(default_factory=dict)
    imports: dict[ImportRead, int] = field(default_factory=dict)


def find_reads(statements: Iterable[ast.stmt]) -> Reads:
    """Return what statements at the top of a module read; names that they bind themselves count as well."""
    finder = _Finder()
    scope = _Scope("module", None)
    finder.visit_block(list(statements), scope)
    finder.add_unused_imports(scope)
    return finder.reads


def find_reads_of_definition(node: Definition) -> Reads:
    """Return what a function or class reads; a function's defaults are left out, since their values are kept."""
    finder = _Finder()
    outside = _Scope("module", None)
    if isinstance(node, ast.ClassDef):
        finder.visit_class(node, outside)
    else:
        finder.visit_function(node, outside, with_defaults=False)
    return finder.reads


def list_bound_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds in the scope it stands in."""
    scope = _Scope("function", None)
    _bind([statement], scope)
    return scope.bound | scope.globals


@dataclass(slots=True, eq=False)
class _Scope:
    kind: Literal["module", "class", "function", "comprehension"]
    parent: _Scope | None
    bound: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    imports: dict[str, list[tuple[int, str, Chain]]] = field(default_factory=dict)
    used_imports: set[str] = field(default_factory=set)


class _Finder:
    def __init__(self) -> None:
        self.reads = Reads()

    # Scopes

    def visit_block(self, statements: list[ast.stmt], scope: _Scope) -> None:
        if scope.kind == "function":
            _bind(statements, scope)
        elif scope.kind == "module":
            # Names of a module stay free, so that their other bindings are found; only imports are followed.
            for statement in statements:
                _bind_imports(statement, scope)
        for statement in statements:
            self.visit(statement, scope)
            if scope.kind == "class":
                # A class body reads a name outside until the statement that binds it for certain.
                _bind_imports(statement, scope)
                if not isinstance(statement, (ast.If, ast.For, ast.While, ast.Try, ast.Match)):
                    scope.bound |= list_bound_names(statement)

    def visit_function(self, node: FunctionNode, scope: _Scope, *, with_defaults: bool = True) -> None:
        inner = scope
        if not isinstance(node, ast.Lambda):
            self.visit_all(node.decorator_list, scope)
            inner = self.open_type_parameters(node, scope)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [rest for rest in (node.args.vararg, node.args.kwarg) if rest]
        if with_defaults:
            self.visit_all([*node.args.defaults, *filter(None, node.args.kw_defaults)], scope)
        for argument in arguments:
            self.visit_annotation(argument.annotation, inner)
        body = _Scope("function", inner, bound={argument.arg for argument in arguments})
        if isinstance(node, ast.Lambda):
            _bind([ast.Expr(node.body)], body)
            self.visit(node.body, body)
        else:
            self.visit_annotation(node.returns, inner)
            self.visit_block(node.body, body)
            self.add_unused_imports(body)

    def visit_class(self, node: ast.ClassDef, scope: _Scope) -> None:
        self.visit_all(node.decorator_list, scope)
        inner = self.open_type_parameters(node, scope)
        self.visit_all([*node.bases, *(keyword.value for keyword in node.keywords)], inner)
        # Methods that call `super()` find their class in a scope of its own.
        body = _Scope("class", _Scope("comprehension", inner, bound={"__class__"}))
        for child in node.body:
            if isinstance(child, ast.Global):
                body.globals |= set(child.names)
        self.visit_block(node.body, body)
        self.add_unused_imports(body)

    def visit_comprehension(self, node: ast.expr, scope: _Scope) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.visit(generators[0].iter, scope)
        inner = _Scope("comprehension", scope)
        for generator in generators:
            inner.bound |= {child.id for child in ast.walk(generator.target) if isinstance(child, ast.Name)}
        for index, generator in enumerate(generators):
            self.visit_all([generator.target, *([generator.iter] if index else []), *generator.ifs], inner)
        if isinstance(node, ast.DictComp):
            self.visit_all([node.key, node.value], inner)
        else:
            self.visit(node.elt, inner)  # type: ignore[attr-defined]

    def open_type_parameters(self, node: ast.AST, scope: _Scope) -> _Scope:
        parameters: list[ast.AST] = getattr(node, "type_params", [])
        if not parameters:
            return scope
        inner = _Scope("comprehension", scope, bound={parameter.name for parameter in parameters})  # type: ignore[attr-defined]
        for parameter in parameters:
            for value in (getattr(parameter, "bound", None), getattr(parameter, "default_value", None)):
                self.visit_annotation(value, inner)
        return inner

    # Nodes

    def visit_all(self, nodes: Iterable[ast.AST], scope: _Scope) -> None:
        for node in nodes:
            self.visit(node, scope)

    def visit(self, node: ast.AST, scope: _Scope) -> None:
        while isinstance(node, ast.BinOp):  # long sums lean to the left
            self.visit(node.right, scope)
            node = node.left
        match node:
            case ast.Name():
                if isinstance(node.ctx, ast.Load):
                    self.read((node.id,), node.lineno, scope)
            case ast.Attribute():
                chain, base = _split_attributes(node)
                if isinstance(base, ast.Name):
                    self.read((base.id, *chain), base.lineno, scope)
                else:
                    self.visit(base, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self.visit_function(node, scope)
            case ast.ClassDef():
                self.visit_class(node, scope)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self.visit_comprehension(node, scope)
            case ast.AugAssign():
                if isinstance(node.target, ast.Name):
                    self.read((node.target.id,), node.lineno, scope)
                self.visit_all([node.target, node.value], scope)
            case ast.AnnAssign():
                self.visit_all([node.target, *([node.value] if node.value else [])], scope)
                if scope.kind in ("class", "module"):  # in a function nobody evaluates it
                    self.visit_annotation(node.annotation, scope)
            case ast.Call():
                self.visit_call(node, scope)
            case _ if type(node).__name__ == "TypeAlias":
                self.visit_annotation(node.value, self.open_type_parameters(node, scope))  # type: ignore[attr-defined]
            case _:
                self.visit_all(ast.iter_child_nodes(node), scope)

    def visit_call(self, node: ast.Call, scope: _Scope) -> None:
        self.visit_all(ast.iter_child_nodes(node), scope)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "super":
            self.read(("__class__",), node.lineno, scope)
        elif called in ("import_module", "__import__") and node.args:
            match node.args[0]:
                case ast.Constant(value=str(module)) if module and not module.startswith("."):
                    for level in (0, FROM_ROOT):
                        self.add_import(ImportRead(level, module, ()), node.lineno)

    def visit_annotation(self, node: ast.AST | None, scope: _Scope) -> None:
        if node is None:
            return
        for text, line in _find_quoted_types(node):
            try:
                quoted = ast.parse(text, mode="eval").body
            except (SyntaxError, ValueError):
                continue
            for name in ast.walk(quoted):
                if isinstance(name, ast.Name):
                    name.lineno = line
            self.visit(quoted, scope)
        self.visit(node, scope)

    # Names

    def read(self, chain: Chain, line: int, scope: _Scope) -> None:
        name = chain[0]
        current: _Scope | None = scope
        while current is not None:
            if name in current.globals:
                break
            hidden = current.kind == "class" and current is not scope
            if not hidden and name in current.imports:
                current.used_imports.add(name)
                for level, module, attributes in current.imports[name]:
                    self.add_import(ImportRead(level, module, attributes + chain[1:]), line)
            if not hidden and name in current.bound and name not in current.nonlocals:
                return
            current = current.parent
        self.reads.chains.setdefault(chain, line)

    def add_import(self, read: ImportRead, line: int) -> None:
        self.reads.imports.setdefault(read, line)

    def add_unused_imports(self, scope: _Scope) -> None:
        for name in sorted(scope.imports.keys() - scope.used_imports):
            for level, module, attributes in scope.imports[name]:
                # Of `from package import module` the module runs even if nothing is taken of it.
                self.add_import(ImportRead(level, module, None), 0)
                if attributes and attributes != ("*",):
                    self.add_import(ImportRead(level, f"{module}.{attributes[0]}".lstrip("."), None), 0)


def _split_attributes(node: ast.Attribute) -> tuple[Chain, ast.expr]:
    names: list[str] = []
    base: ast.expr = node
    while isinstance(base, ast.Attribute):
        names.append(base.attr)
        base = base.value
    return tuple(reversed(names)), base


def _find_quoted_types(annotation: ast.AST) -> Iterator[tuple[str, int]]:
    stack = [annotation]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
        elif isinstance(node, ast.Subscript) and "Literal" in (
            getattr(node.value, "id", ""),
            getattr(node.value, "attr", ""),
        ):
            continue  # its strings are words, not types
        else:
            stack.extend(ast.iter_child_nodes(node))


def _bind(statements: Iterable[ast.stmt], scope: _Scope) -> None:
    """Enter the names that statements of one function bind, with `global`, `nonlocal` and imports."""
    for node in _walk_scope(statements):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                scope.bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                scope.bound.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                scope.bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                scope.bound.add(name)
            case ast.Global(names=names):
                scope.globals |= set(names)
            case ast.Nonlocal(names=names):
                scope.nonlocals |= set(names)
            case ast.Import() | ast.ImportFrom():
                _bind_imports(node, scope)
    scope.bound -= scope.globals


def _bind_imports(statement: ast.stmt, scope: _Scope) -> None:
    for node in _walk_scope([statement]):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in node.names:
            taken: tuple[int, str, Chain]
            if isinstance(node, ast.ImportFrom):
                name, taken = alias.asname or alias.name, (node.level, node.module or "", (alias.name,))
            elif alias.asname:
                name, taken = alias.asname, (0, alias.name, ())
            else:
                # `import package.module` binds `package`, and runs both.
                name = alias.name.partition(".")[0]
                taken = (0, name, ())
                if "." in alias.name:
                    scope.imports.setdefault(f"import {alias.name}", []).append((0, alias.name, ()))
            if scope.kind != "module":
                scope.bound.add(name)
            entries = scope.imports.setdefault(name, [])
            if taken not in entries:
                entries.append(taken)


def _walk_scope(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of one scope, without the insides of the scopes in it; what they bind here is yielded."""
    stack = list(statements)
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            stack.extend([*node.args.defaults, *filter(None, node.args.kw_defaults)])
            stack.extend(getattr(node, "decorator_list", []))
        elif isinstance(node, ast.ClassDef):
            stack.extend([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        elif isinstance(node, _COMPREHENSIONS):
            # Only `:=` inside a comprehension binds outside of it.
            stack.extend(_find_walrus_targets(node))
            stack.append(node.generators[0].iter)
        elif type(node).__name__ == "TypeAlias":
            stack.append(node.name)  # type: ignore[attr-defined]
        else:
            stack.extend(ast.iter_child_nodes(node))


def _find_walrus_targets(comprehension: ast.AST) -> Iterator[ast.expr]:
    stack = [comprehension]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.NamedExpr):
            yield node.target
        if not isinstance(node, ast.Lambda):
            stack.extend(ast.iter_child_nodes(node))
