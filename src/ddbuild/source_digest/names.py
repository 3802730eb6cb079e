"""What a name read by a function means right now, in its module and in the modules that it names."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ddbuild.source_digest.ownership import Ownership
from ddbuild.source_digest.reads import Chain
from ddbuild.source_digest.source_file import SourceFile

__all__ = [
    "UNDEFINED",
    "Meaning",
    "is_taken_from_library",
    "list_code_names",
    "list_defaults",
    "list_layers",
    "list_settings",
    "read_cells",
    "resolve",
]

UNDEFINED: Any = object()
"""Stands for the value of a name that has none."""

# What every module has; it tells where the module lies and under which name it was loaded.
_MODULE_NAMES = frozenset(
    f"__{word}__"
    for word in ("annotations", "builtins", "cached", "dict", "file", "loader", "name", "package", "path", "spec")
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The value of the longest part of a chain that only goes through the user's modules.

    `label` is that part, `holder` the module's names that have the value under `name`, `rest` the attributes taken of
    it. `is_own` marks what every module has of itself, such as `__file__`.
    """

    label: str
    value: Any
    holder: Mapping[str, Any]
    name: str
    rest: Chain = ()
    is_own: bool = False


def resolve(chain: Chain, value: Any, namespace: Mapping[str, Any], owner: Ownership) -> Meaning:
    """Return what `chain` means where its first name has `value`, as found in `namespace`."""
    holder, used = namespace, 1
    if chain[0] in _MODULE_NAMES:
        return Meaning(chain[0], None, holder, chain[0], chain[1:], is_own=True)
    while used < len(chain) and isinstance(value, types.ModuleType) and owner.owns_module(value.__name__, vars(value)):
        name = chain[used]
        label = ".".join(chain[: used + 1])
        if name in _MODULE_NAMES:
            return Meaning(label, None, vars(value), name, chain[used + 1 :], is_own=True)
        if name not in vars(value):
            # A module with its own `__getattr__` can give anything: it counts as a whole.
            if "__getattr__" in vars(value):
                break
            return Meaning(label, UNDEFINED, vars(value), name)
        holder, value = vars(value), vars(value)[name]
        used += 1
    return Meaning(".".join(chain[:used]), value, holder, chain[used - 1], chain[used:])


def is_taken_from_library(meaning: Meaning, source: SourceFile | None, owner: Ownership) -> str | None:
    """Return `module.name` of a value that its module took from a library by name, or None where it was made here."""
    taken = None if source is None else source.imported_names.get(meaning.name)
    if taken is None or taken[0].level or not taken[0].module:
        return None
    module = sys.modules.get(taken[0].module)
    if module is None or owner.owns_module(module.__name__, vars(module)):
        return None
    is_same = getattr(module, taken[1], UNDEFINED) is meaning.value
    return f"{taken[0].module}.{taken[1]}" if is_same else None


def read_cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the variables that a function closes over, with their values; UNDEFINED where they have none yet."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            yield name, UNDEFINED


def list_defaults(function: types.FunctionType) -> dict[str, Any]:
    """Return the defaults of a function's parameters, as they are now."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    return {**dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)), **(function.__kwdefaults__ or {})}


def list_layers(thing: Any) -> list[Any]:
    """Return a callable and what is inside it, from the outside in: through methods, partials, caches, decorators."""
    layers: list[Any] = []
    while all(thing is not known for known in layers):
        layers.append(thing)
        if isinstance(thing, (types.MethodType, staticmethod, classmethod)):
            thing = thing.__func__
        elif isinstance(thing, functools.partial):
            thing = thing.func
        elif not isinstance(thing, type) and "__wrapped__" in getattr(thing, "__dict__", {}):
            thing = thing.__wrapped__
    return layers


def list_settings(wrapper: types.FunctionType) -> list[tuple[str, Any]]:
    """Return what a library's function closes over, by name: what it wraps and how."""
    registry = getattr(wrapper, "registry", None)
    if isinstance(registry, types.MappingProxyType) and hasattr(wrapper, "dispatch"):
        return [("registry", frozenset(registry.items()))]  # `functools.singledispatch`, without its caches
    return list(read_cells(wrapper))


def list_code_names(code: types.CodeType) -> set[str]:
    """Return all names that code can look up, in it and in the functions inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= list_code_names(constant)
    return names
