"""The canonical encoding of values: plain data by content, objects by class and attributes, code by reference.

Grows `ddbuild.digest`'s encoding by what functions keep in globals, closures and defaults. What has no content to look
at is refused, never left out. It depends on nothing but the values: not on identity, set order, folder or module names.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import os
import sys
import types
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any, Protocol

from ddbuild.digest import digest_bytes
from ddbuild.source_digest.encoding import SCALARS, encode_int, encode_tagged, encode_text
from ddbuild.source_digest.library_data import find_content, is_known_by_name
from ddbuild.source_digest.ownership import Ownership, name_external

__all__ = ["CodeReader", "RefusedValueError", "Trail", "ValueEncoder", "format_trail"]

Trail = tuple[Any, str, object] | None
"""The way into a value, outermost step last: `(way to what holds it, format of the step, key)`."""


class CodeReader(Protocol):
    """Stands for the code that the encoder meets in values."""

    def refer(self, code: Any, trail: Trail) -> bytes:
        """Return the encoding that stands for a module, a class or a function."""


# A container's encoding above this size is replaced by its digest, so that what is shared costs its size only once.
_SEAL_ABOVE = 256

_CODE_TYPES = (types.ModuleType, type, types.FunctionType)
_NATIVE_CALLABLES = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_TYPING_MODULES = ("typing", "types", "typing_extensions")
# Types of the standard library whose pickled form is their content; others hide files, threads or time.
_REDUCED_MODULES = frozenset(
    {
        "_collections",
        "_operator",
        "_random",
        "argparse",
        "array",
        "builtins",
        "collections",
        "csv",
        "dataclasses",
        "enum",
        "inspect",
        "ipaddress",
        "operator",
        "random",
        "statistics",
        "string",
        "textwrap",
        "types",
    }
)
_CONTAINERS: tuple[type, ...] = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex)
# Bases without hidden state, apart from the containers.
_PLAIN_BASES = frozenset(
    {
        "abc.ABC",
        "builtins.object",
        "collections.Counter",
        "collections.OrderedDict",
        "pydantic.main.BaseModel",
        "typing.Generic",
        "typing.Protocol",
    }
)


class RefusedValueError(Exception):
    """Something in a value has no content that can be digested."""

    def __init__(self, value: object, trail: Trail) -> None:
        super().__init__(f"cannot digest a `{type(value).__name__}`")
        self.value = value
        self.trail = trail


class ValueEncoder:
    """Encodes values one after the other; `reader` gives what stands for modules, classes and functions in them.

    Paths below `root` are taken relative to it. `ordered` says whether the order of a dict counts: code that loops
    over a dict sees it, configuration by name does not.
    """

    def __init__(self, reader: CodeReader, owner: Ownership, *, root: str | None = None, ordered: bool = True) -> None:
        self._reader = reader
        self._owner = owner
        self._root = root
        self._ordered = ordered
        self._open: dict[int, int] = {}
        self._lowest_cycle = sys.maxsize
        # The values are kept beside their encodings, so that no other object takes over an id.
        self._sealed: dict[int, tuple[object, bytes]] = {}

    def encode(self, value: object, trail: Trail = None) -> bytes:
        """Return the encoding of `value`.

        Raises:
            RefusedValueError: something in it has no content.
        """
        if type(value) is str and self._root is not None and (inside := self._find_inside(value)) is not None:
            return encode_tagged("text in workspace", [encode_text(inside)])
        scalar = SCALARS.get(type(value))
        if scalar is not None:
            return scalar(value)
        known = self._sealed.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, (*_CODE_TYPES, *_NATIVE_CALLABLES)):
            return self._encode_code(value, trail)
        level = self._open.get(id(value))
        if level is not None:
            self._lowest_cycle = min(self._lowest_cycle, level)
            return encode_tagged("cycle") + encode_int(len(self._open) - level)
        depth = len(self._open)
        self._open[id(value)] = depth
        try:
            encoding = self._encode_whole(value, trail)
        finally:
            del self._open[id(value)]
        if len(encoding) > _SEAL_ABOVE:
            encoding = b"#" + digest_bytes(encoding).encode()
            if self._lowest_cycle >= depth:
                self._sealed[id(value)] = (value, encoding)
        if self._lowest_cycle >= depth:
            self._lowest_cycle = sys.maxsize
        return encoding

    def encode_attributes(self, attributes: Mapping[str, object], trail: Trail) -> bytes:
        """Return the encoding of named values, in the order of their names."""
        pieces = []
        for name in sorted(attributes):
            pieces += [encode_text(name), self.encode(attributes[name], (trail, ".%s", name))]
        return encode_tagged("attributes", pieces)

    # Containers

    def _encode_whole(self, value: Any, trail: Trail) -> bytes:
        kind = type(value)
        if kind is list or kind is tuple:
            return encode_tagged(kind.__name__, self._encode_items(value, trail))
        if kind is dict or kind is types.MappingProxyType:
            return self._encode_dict(value, trail)
        if kind is set or kind is frozenset:
            return encode_tagged("set", self._encode_members(value, trail))
        if issubclass(kind, PurePath):
            return self._encode_path(value)
        if issubclass(kind, enum.Enum):
            parts = [self._reader.refer(kind, trail), encode_text(str(value.name)), self.encode(value.value, trail)]
            return encode_tagged("enum", parts)
        # A class of the user's own may add something to a logger or a lock that rows are made of.
        if value is os.environ or (is_known_by_name(value) and not self._owner.owns_class(kind)):
            return encode_tagged("named", [encode_text(kind.__name__)])
        if self._owner.owns_class(kind):
            return self._encode_object(value, trail)
        return self._encode_library_value(value, trail)

    def _encode_items(self, items: Iterable[object], trail: Trail) -> list[bytes]:
        pieces = []
        for index, item in enumerate(items):
            scalar = SCALARS.get(type(item))
            pieces.append(scalar(item) if scalar else self.encode(item, (trail, "[%s]", index)))
        return pieces

    def _encode_dict(self, value: Mapping[object, object], trail: Trail) -> bytes:
        keys = list(value)
        if not self._ordered:
            keys.sort(key=self._rank)
        pieces = []
        for position, key in enumerate(keys):
            step = (trail, "[%r]", key) if type(key) in (str, int, bytes) else (trail, "[#%s]", position)
            pieces += [self.encode(key, step), self.encode(value[key], step)]
        return encode_tagged("dict", pieces)

    def _encode_members(self, members: Iterable[object], trail: Trail) -> list[bytes]:
        # The members are put in order first: what they refer to is named in the order in which it is met.
        ranked = sorted(members, key=self._rank)
        return sorted(self._encode_items(ranked, trail))

    def _rank(self, member: object) -> bytes:
        scalar = SCALARS.get(type(member))
        return scalar(member) if scalar else self._ranker.encode(member)

    @cached_property
    def _ranker(self) -> ValueEncoder:
        if isinstance(self._reader, _RankReader):
            return self
        return ValueEncoder(_RankReader(), self._owner, root=self._root, ordered=self._ordered)

    # Objects

    def _encode_object(self, value: Any, trail: Trail) -> bytes:
        """Encode an object of a user's class: the class, what it inherits from a container, and its attributes."""
        kind = type(value)
        for base in kind.__mro__:
            if self._owner.owns_class(base) or base in _CONTAINERS or issubclass(base, BaseException):
                continue
            name = f"{base.__module__}.{base.__qualname__}"
            if name not in _PLAIN_BASES and any(
                method in vars(base) for method in ("__reduce__", "__reduce_ex__", "__getstate__")
            ):
                raise RefusedValueError(value, trail)
        return encode_tagged("object", [self._reader.refer(kind, trail), self._encode_content(value, trail)])

    def _encode_content(self, value: Any, trail: Trail) -> bytes:
        pieces = []
        for container in _CONTAINERS:
            if isinstance(value, container):
                pieces.append(self.encode(_copy_plain(value, container), trail))
                break
        if isinstance(value, BaseException):
            pieces.append(self.encode(value.args, (trail, ".%s", "args")))
        pieces.append(self.encode_attributes(_list_attributes(value), trail))
        return encode_tagged("content", pieces)

    def _encode_library_value(self, value: Any, trail: Trail) -> bytes:
        kind = type(value)
        name = encode_text(f"{kind.__module__}.{kind.__qualname__}")
        if isinstance(value, types.MethodType):
            return self._encode_method(value, trail)
        if isinstance(value, (functools.partial, functools.partialmethod)):
            arguments = self.encode_attributes(value.keywords, trail)
            return encode_tagged(
                "partial", [self.encode(value.func, (trail, ".%s", "func")), self.encode(value.args, trail), arguments]
            )
        if isinstance(value, (staticmethod, classmethod)):
            return encode_tagged("method", [name, self.encode(value.__func__, (trail, ".%s", "__func__"))])
        if isinstance(value, property):
            return encode_tagged("method", [name, self.encode((value.fget, value.fset, value.fdel), trail)])
        if kind.__name__ == "_lru_cache_wrapper":
            parameters = self.encode(value.cache_parameters(), trail)
            return encode_tagged("cached", [parameters, self.encode(value.__wrapped__, (trail, ".%s", "__wrapped__"))])
        if kind.__module__ in _TYPING_MODULES and kind is not types.SimpleNamespace:
            return self._encode_type(value, trail)
        content = find_content(value)
        if content is not None:
            return encode_tagged("content", [encode_text(content[0]), self.encode(content[1], trail)])
        if self._is_found_by_name(value):
            return encode_tagged("library", [encode_text(name_external(value))])
        if kind.__module__.partition(".")[0] in _REDUCED_MODULES:
            return self._encode_reduced(value, trail)
        is_transparent = hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__")
        is_model = any(f"{base.__module__}.{base.__qualname__}" == "pydantic.main.BaseModel" for base in kind.__mro__)
        if is_transparent or is_model or isinstance(value, _CONTAINERS):
            return encode_tagged("library object", [name, self._encode_content(value, trail)])
        raise RefusedValueError(value, trail)

    def _encode_reduced(self, value: Any, trail: Trail) -> bytes:
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise RefusedValueError(value, trail) from error
        if isinstance(reduced, str):
            return encode_tagged("library", [encode_text(f"{type(value).__module__}.{reduced}")])
        function, arguments, state, items, entries = (*reduced, None, None, None)[:5]
        if function is copyreg.__newobj__:  # type: ignore[attr-defined]
            function, arguments = arguments[0], arguments[1:]
        plain = (function, arguments, state, None if items is None else list(items))
        mapping = None if entries is None else dict(entries)
        return encode_tagged("reduced", [self.encode(plain, trail), self.encode(mapping, trail)])

    def _encode_method(self, value: types.MethodType, trail: Trail) -> bytes:
        if self._is_found_by_name(value):
            return encode_tagged("library", [encode_text(name_external(value))])
        return encode_tagged(
            "bound",
            [
                self.encode(value.__func__, (trail, ".%s", "__func__")),
                self.encode(value.__self__, (trail, ".%s", "self")),
            ],
        )

    def _encode_code(self, value: Any, trail: Trail) -> bytes:
        owner = None if isinstance(value, _CODE_TYPES) else getattr(value, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            return self._reader.refer(value, trail)
        # A method of a value, as in `sep.join` or `table.get`: its name, and the value.
        if isinstance(owner, type) or self._is_found_by_name(value):
            return encode_tagged("library", [encode_text(name_external(value))])
        name = encode_text(value.__name__)
        return encode_tagged("bound native", [name, self.encode(owner, (trail, ".%s", "self"))])

    def _is_found_by_name(self, value: Any) -> bool:
        """Return whether a library's module has `value` under its own name, so that the name says all."""
        name = getattr(value, "__name__", None)
        if not isinstance(name, str):
            return False
        modules = {getattr(value, "__module__", None), type(value).__module__, type(value).__module__.partition(".")[0]}
        owner = getattr(value, "__self__", None)
        if owner is not None:
            modules |= {type(owner).__module__, type(owner).__module__.rpartition(".")[0]}
        for module in modules:
            loaded = sys.modules.get(module) if isinstance(module, str) else None
            if loaded is not None and not self._owner.owns_module(loaded.__name__):
                held = getattr(loaded, name, None)
                if held is value or (isinstance(value, types.MethodType) and held == value):
                    return True
        return False

    def _encode_type(self, value: Any, trail: Trail) -> bytes:
        """Encode what stands in annotations: generic aliases, unions, type variables, special forms."""
        arguments = getattr(value, "__args__", None)
        if isinstance(arguments, tuple):
            origin = getattr(value, "__origin__", None)
            parts = (None if origin is None else origin, arguments, getattr(value, "__metadata__", ()))
            return encode_tagged("generic", [self.encode(part, trail) for part in parts])
        if type(value).__name__ == "TypeAliasType":
            return encode_tagged("alias", [encode_text(value.__name__), self.encode(value.__value__, trail)])
        for attribute in ("__forward_arg__", "__name__", "_name"):
            name = getattr(value, attribute, None)
            if isinstance(name, str):
                return encode_tagged("type", [encode_text(name)])
        raise RefusedValueError(value, trail)

    def _find_inside(self, text: str) -> str | None:
        """Return a path below `root` that is written as text, `os.path.dirname(__file__)`, relative to it."""
        if text.startswith("/"):
            for root in (self._root, os.path.realpath(self._root or "")):
                if root and (text == root or text.startswith(root + "/")):
                    return text[len(root) :].lstrip("/")
        return None

    def _encode_path(self, value: PurePath) -> bytes:
        # A key must not depend on where the workspace lies.
        if self._root is not None:
            for root in (self._root, os.path.realpath(self._root)):
                if value.is_relative_to(root):
                    return encode_tagged("path in workspace", [encode_text(value.relative_to(root).as_posix())])
        return encode_tagged("path", [encode_text(value.as_posix())])


def format_trail(trail: Trail) -> str:
    """Return the way into a value as an expression: `['strict'][0].scorer`."""
    steps = []
    while trail is not None:
        trail, form, key = trail
        steps.append(form % (key,))
    return "".join(reversed(steps))


def _copy_plain(value: Any, container: Any) -> object:
    """Return what an object of a subclass holds as a `container`, past whatever the subclass overrides."""
    if container is dict:
        return dict(dict.items(value))
    if container is str:
        return str.__str__(value)
    if container in (int, float, complex):
        return container.__pos__(value)
    return container(container.__iter__(value))


def _list_attributes(value: Any) -> dict[str, object]:
    kind = type(value)
    found: dict[str, object] = {}
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in [slots] if isinstance(slots, str) else list(slots):
            name = f"_{base.__name__.lstrip('_')}{slot}" if slot.startswith("__") and not slot.endswith("__") else slot
            if hasattr(value, name):
                found[name] = getattr(value, name)
    found.update(getattr(value, "__dict__", {}))
    wanted = {
        name: content
        for name, content in found.items()
        # `functools.update_wrapper` copies a function's own names to objects.
        if not (name.startswith("__") and name.endswith("__"))
        and not isinstance(getattr(kind, name, None), functools.cached_property)
    }
    for name in ("__wrapped__", "__pydantic_extra__", "__pydantic_private__"):
        if found.get(name):
            wanted[name] = found[name]
    return wanted


class _RankReader:
    """Stands for code by what tells it apart for putting a set in order, without a look at it."""

    def refer(self, code: Any, trail: Trail) -> bytes:
        position = (0, 0)
        if isinstance(code, types.FunctionType):
            columns = [column or 0 for _, _, column, _ in code.__code__.co_positions()]
            position = (code.__code__.co_firstlineno, max(columns, default=0))
        parts = [encode_text(getattr(code, "__qualname__", "")), *map(encode_int, position)]
        return encode_tagged("code", parts)
