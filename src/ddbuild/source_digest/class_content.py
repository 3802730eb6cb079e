"""What a user's class is made of: its definition in a file, and the attributes that stand in no definition."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ddbuild.source_digest.encoding import encode_tagged, encode_text
from ddbuild.source_digest.ownership import Ownership, locate_code, unwrap_method
from ddbuild.source_digest.reads import Reads, list_bound_names
from ddbuild.source_digest.source_file import SourceFile, fingerprint_code

__all__ = ["ClassContent", "look_into_class"]

OpenFile = Callable[[str, Mapping[str, Any] | None], SourceFile | None]

# What metaclasses, `abc` and `typing` keep in a class; it follows from the definition and differs between versions.
_MACHINERY = frozenset({"_abc_impl", "_is_protocol", "_is_runtime_protocol"})
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


@dataclass(slots=True)
class ClassContent:
    """A class, taken apart.

    `attributes` are values with whether the definition tells enough, should the value have no content; `cells` are
    the closures of its methods. Without a definition (`namedtuple`, `create_model`), `attributes` are all there is.
    """

    source: SourceFile | None = None
    line: int | None = None
    definitions: list[bytes] = field(default_factory=list)
    documented: list[bytes] = field(default_factory=list)
    reads: list[Reads] = field(default_factory=list)
    cells: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, tuple[Any, bool]] = field(default_factory=dict)
    mentions_docstrings: bool = False

    def encode(self, keep_docstrings: bool) -> list[bytes]:
        """Return the canonical encodings of its definitions."""
        return self.documented if keep_docstrings else self.definitions


def look_into_class(kind: type, namespace: Mapping[str, Any], open_file: OpenFile, owner: Ownership) -> ClassContent:
    """Return what makes a class of the user's."""
    content = ClassContent()
    functions = {name: unwrap_method(value) for name, value in list(vars(kind).items())}
    file = namespace.get("__file__")
    if not isinstance(file, str):
        files = [
            locate_code(function.__code__, function.__globals__)
            for found in functions.values()
            for function in found
            if function.__qualname__.startswith(kind.__qualname__ + ".")
        ]
        file = next((name for name in files if not name.startswith("<string>") and owner.owns_file(name)), None)
    source = None if file is None else open_file(file, namespace)
    inside = _Definition(kind, source, functions)
    content.attributes = _list_attributes(kind, inside)
    if source is not None and inside.nodes:
        content.source, content.line = source, inside.nodes[0].lineno
        stale = [encode_text(fingerprint_code(code)) for code in inside.stale]
        for node in inside.nodes:
            content.definitions.append(encode_tagged("definition", [source.encode(node, keep_docstrings=False)]))
            content.documented.append(encode_tagged("definition", [source.encode(node, keep_docstrings=True)]))
            content.reads.append(source.find_reads(node))
            content.mentions_docstrings |= source.mentions_docstrings(node)
        content.definitions += stale
        content.documented += stale
    else:
        content.definitions = content.documented = [encode_text(kind.__name__)]
    for name in sorted(inside.methods):
        for function in inside.methods[name]:
            for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                if variable != "__class__":
                    try:
                        content.cells.setdefault(variable, cell.cell_contents)
                    except ValueError:
                        continue  # not bound yet: undefined
    return content


class _Definition:
    """The definition of a class in a file, with the methods that stand in it and those of them that no longer do."""

    def __init__(self, kind: type, source: SourceFile | None, functions: Mapping[str, list[Any]]) -> None:
        own = {
            name: [f for f in found if f.__qualname__.startswith(kind.__qualname__ + ".")]
            for name, found in functions.items()
        }
        here = {
            name: [f for f in found if source is not None and locate_code(f.__code__, f.__globals__) == source.path]
            for name, found in own.items()
        }
        lines = {function.__code__.co_firstlineno for found in here.values() for function in found}
        first_line = vars(kind).get("__firstlineno__")
        self.nodes = [] if source is None else source.find_classes(kind.__qualname__, lines)
        if isinstance(first_line, int):
            exact = [
                node
                for node in self.nodes
                if min([node.lineno, *(d.lineno for d in node.decorator_list)]) == first_line
            ]
            self.nodes = exact or self.nodes
        self.methods = here if self.nodes else {}
        self.bound = {name for node in self.nodes for statement in node.body for name in list_bound_names(statement)}
        self.stale = [
            function.__code__
            for name in sorted(self.methods)
            for function in self.methods[name]
            if source is not None and not source.is_compiled_from(function.__code__)
        ]


def _list_attributes(kind: type, definition: _Definition) -> dict[str, tuple[Any, bool]]:
    """Return the attributes whose values say more than the definition, or may do so."""
    has_definition = bool(definition.nodes)
    is_enum = issubclass(kind, enum.Enum)
    is_model = any(f"{base.__module__}.{base.__qualname__}" == "pydantic.main.BaseModel" for base in kind.__mro__)
    found: dict[str, tuple[Any, bool]] = {}
    for name, value in list(vars(kind).items()):
        is_bound = name in definition.bound
        if (name.startswith("__") and name.endswith("__")) or name in _MACHINERY or isinstance(value, _SLOTS):
            continue
        if is_enum and (isinstance(value, kind) or (name.startswith("_") and name.endswith("_"))):
            continue
        if is_model and has_definition and not is_bound:
            continue  # pydantic's own
        if definition.methods.get(name):
            continue  # stands in the definition
        found[name] = (value, is_bound or type(kind) is not type)
    if not has_definition:
        if is_enum:
            found["members"] = ({member.name: member.value for member in kind}, False)  # type: ignore[attr-defined]
        for name in ("__annotations__", "__pydantic_fields__", "__dataclass_fields__"):
            value = vars(kind).get(name)
            if value and not (name == "__annotations__" and is_model):
                found[name] = (_read_fields(value) if name == "__dataclass_fields__" else value, False)
    return found


def _read_fields(fields: Mapping[str, Any]) -> dict[str, object]:
    return {name: (item.type, repr(item.default), item.default_factory) for name, item in fields.items()}
