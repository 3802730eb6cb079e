"""Config objects as plain data with one canonical form, and the digests of the functions found in them.

What is plain depends on content alone: sets become sorted lists, enums their values, a file below the workspace its
place there. A function becomes the name of its place and is digested apart, by its source.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel

from ddbuild.digest import Digest, encode_canonical
from ddbuild.errors import UnhashableError
from ddbuild.source_digest import digest_function, digest_value

__all__ = ["PlainWriter", "to_json"]

_WRAPPER = "data_designer.config.custom_column"


class PlainWriter:
    """Writes values of one config as plain data; `functions` gathers the digests of functions met on the way.

    Where `version` is given it stands in for whatever cannot be hashed.
    """

    def __init__(self, *, root: Path | None, subject: str, version: str | None = None) -> None:
        self._root = root
        self._subject = subject
        self._version = version
        self.functions: list[tuple[str, str, Digest]] = []

    def write(self, value: Any, place: str, *, without: Set[str] = frozenset()) -> Any:
        """Return `value`, found at `place` ("column words"), as None, bools, numbers, texts, bytes, lists and dicts.

        `without` names the fields of a model that are left out.

        Raises:
            UnhashableError: there is something in `value` that has no content to hash.
        """
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if isinstance(value, Enum):
            return self.write(value.value, place)
        if isinstance(value, BaseModel):
            return self._write_model(value, place, without)
        if isinstance(value, Mapping):
            return {self._write_name(name): self.write(item, f"{place}.{name}") for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.write(item, f"{place}.{position}") for position, item in enumerate(value)]
        if isinstance(value, Set):
            return sorted((self.write(item, place) for item in value), key=encode_canonical)
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        if isinstance(value, (timedelta, Decimal, complex)):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, PurePath):
            return self._write_path(value)
        if isinstance(value, (str, int, float)):
            return type(value).__mro__[-2](value)
        if inspect.isroutine(value):
            return self._write_function(value, place)
        return self._write_object(value, place)

    def _write_model(self, model: BaseModel, place: str, without: Set[str]) -> dict[str, Any]:
        names = [name for name in type(model).model_fields if name not in without]
        plain = {name: self.write(getattr(model, name), f"{place}.{name}") for name in names}
        for name, item in (model.model_extra or {}).items():
            plain[name] = self.write(item, f"{place}.{name}")
        if not type(model).__module__.startswith("data_designer."):
            hidden = {name: item for name, item in (model.__pydantic_private__ or {}).items() if item is not None}
            if hidden:
                plain["private"] = {name: self.write(item, f"{place}.{name}") for name, item in hidden.items()}
            plain["class"] = self._write_object(type(model), place)
        return plain

    def _write_function(self, function: Any, place: str) -> dict[str, Any]:
        metadata = getattr(function, "custom_column_metadata", None)
        # The decorator's own wrapper adds nothing to what is decorated.
        if getattr(function, "__globals__", {}).get("__name__") == _WRAPPER and hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        try:
            source = digest_function(function, root=self._root, subject=f"{place} of {self._subject}")
        except UnhashableError:
            if self._version is None:
                raise
        else:
            self.functions.append(("function", place, source.digest))
            for reference, digest in source.references.items():
                self.functions.append(("function", f"{place} -> {reference}", digest))
        return {"function": place} | ({"metadata": self.write(metadata, place)} if metadata else {})

    def _write_object(self, value: Any, place: str) -> dict[str, Any]:
        try:
            return {"digest": digest_value(value, root=self._root, subject=f"{place} of {self._subject}")}
        except UnhashableError:
            if self._version is None:
                raise
            return {"version": self._version}

    def _write_path(self, path: PurePath) -> str:
        if self._root is not None and path.is_relative_to(self._root):
            return "//" + path.relative_to(self._root).as_posix()
        return path.as_posix()

    def _write_name(self, name: Any) -> Any:
        if isinstance(name, Enum):
            return self._write_name(name.value)
        return name if type(name) in (bool, int, float, str) else str(name)


def to_json(plain: Any) -> Any:
    """Return plain data as Data Designer's own JSON dump has it: names as texts, bytes as hexadecimal digits."""
    if isinstance(plain, dict):
        return {str(name): to_json(item) for name, item in plain.items()}
    if isinstance(plain, list):
        return [to_json(item) for item in plain]
    return plain.hex() if isinstance(plain, bytes) else plain
