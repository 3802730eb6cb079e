"""What a text in a build file can point to: a config file, `file.py`, `file.py:function`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddbuild.errors import GraphError, Location
from ddbuild.suggestion import suggest
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields, check_call
from ddbuild.workspace.user_code import running_user_code
from ddbuild.workspace.wording import describe_value, list_words

__all__ = ["ConfigFile", "ConfigFunction", "InlineConfig", "find_function", "read_config", "read_function"]

DEFAULT_FUNCTION = "load_config_builder"
"""The function of a Python config file that Data Designer's own command line calls."""

_DOCUMENTS = (".yaml", ".yml", ".json")
_EXPECTED = "a DataDesignerConfigBuilder, a DataDesignerConfig, a path, or a function that returns one of the first two"
_FUNCTION = re.compile(r"(?P<path>.+\.py)(?::(?P<name>[^:]*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A Data Designer config in a YAML or JSON file."""

    path: Path


@dataclass(frozen=True, slots=True)
class InlineConfig:
    """A Data Designer config written inside a build file; relative paths in it start from `folder`."""

    content: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True, slots=True)
class ConfigFunction:
    """A function without arguments that returns a builder or a config: `function`, or `name` in the file `file`.

    A file is imported at the first call, so that configs of targets that nobody asks for cost nothing.
    """

    subject: str
    location: Location | None
    build_file: BuildFile = field(repr=False)
    function: Callable[[], Any] | None = None
    file: Path | None = None
    name: str = DEFAULT_FUNCTION

    def __call__(self) -> Any:
        """Return what the function returns.

        Raises:
            GraphError: the file has no such function, or the function raised, or it returned something else.
        """
        function = self.function
        if function is None:
            assert self.file is not None
            function = find_function(self.build_file, self.file, self.name, self.location)
        with running_user_code(self.build_file, self.subject, self.location):
            config = function()
        if not is_config(config):
            raise GraphError(
                f"{self.subject} must return a DataDesignerConfigBuilder or a DataDesignerConfig, "
                f"got {describe_value(config)}",
                facts={self.build_file.fact: str(self.location)} if self.location else None,
            )
        return config


def is_config(value: object) -> bool:
    """Return whether `value` is a builder or a config of Data Designer, without importing it."""
    return any(
        base.__name__ in ("DataDesignerConfigBuilder", "DataDesignerConfig")
        and base.__module__.partition(".")[0] == "data_designer"
        for base in type(value).__mro__
    )


def read_config(fields: Fields, build_file: BuildFile) -> Any:
    """Return the field `config` as a stage holds it: a builder, a config, or one of this module's three types."""
    value = fields.values.get("config")
    if value is None:
        raise fields.error(f"{fields.subject} has no `config`", "config", f"a config is {_EXPECTED}")
    if is_config(value):
        return value
    if isinstance(value, Mapping):
        return InlineConfig(value, build_file.folder)
    location = fields.where("config")
    if callable(value):
        function = check_call(value, 0, "", "config", fields)
        return ConfigFunction(f"`config` of {fields.subject}", location, build_file, function=function)
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(text, str) or not text:
        raise fields.wrong("config", _EXPECTED, value)
    if (match := _FUNCTION.fullmatch(text)) is not None:
        file = _find_file(match["path"], "config", fields, build_file, (".py",))
        name = _check_function_name(match["name"], text, "config", fields)
        subject = f"`{build_file.importer.relative(str(file))}:{name}`"
        return ConfigFunction(subject, location, build_file, file=file, name=name)
    if "://" in text:
        raise fields.error(f"`config` of {fields.subject} is `{text}`, and configs are read from local files", "config")
    return ConfigFile(_find_file(text, "config", fields, build_file, (*_DOCUMENTS, ".py")))


def read_function(field: str, what: str, fields: Fields, build_file: BuildFile) -> Callable[..., Any] | None:
    """Return the function of one argument that the field holds or names as `file.py:function`; None if left out."""
    value = fields.values.get(field)
    if isinstance(value, str):
        match = _FUNCTION.fullmatch(value)
        if match is None or match["name"] is None:
            raise fields.wrong(field, "a function, or `file.py:function`", value)
        name = _check_function_name(match["name"], value, field, fields)
        file = _find_file(match["path"], field, fields, build_file, (".py",))
        value = find_function(build_file, file, name, fields.where(field))
    return None if value is None else check_call(value, 1, what, field, fields)


def find_function(build_file: BuildFile, file: Path, name: str, location: Location | None) -> Callable[..., Any]:
    """Return the function `name` of the Python file `file`.

    Raises:
        GraphError: the file cannot be imported, or has no such function.
    """
    shown = build_file.importer.relative(str(file))
    with running_user_code(build_file, f"`{shown}`", location):
        module = build_file.importer.import_file(file)
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    facts = {build_file.fact: str(location)} if location else {}
    if hasattr(module, name):
        raise GraphError(f"`{name}` in `{shown}` must be a function, got {describe_value(function)}", facts=facts)
    there = [
        key
        for key, value in vars(module).items()
        if callable(value) and not key.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    facts["it has"] = list_words(f"`{key}`" for key in there) if there else "no function"
    meant = suggest(name, there)
    raise GraphError(
        f"`{shown}` has no function `{name}`", facts=facts, hint=f"did you mean `{meant}`?" if meant else None
    )


def _check_function_name(name: str | None, text: str, field: str, fields: Fields) -> str:
    if name is None:
        return DEFAULT_FUNCTION
    if not name.isidentifier():
        raise fields.error(f"`{text}` in `{field}` of {fields.subject} does not name a function after the `:`", field)
    return name


def _find_file(text: str, field: str, fields: Fields, build_file: BuildFile, suffixes: tuple[str, ...]) -> Path:
    path = Path(os.path.normpath(build_file.folder / text))
    if path.suffix.lower() not in suffixes:
        message = f"`{field}` of {fields.subject} names `{text}`, which does not end in {list_words(suffixes, 'or')}"
        raise fields.error(message, field)
    if path.is_file():
        return path
    if path.is_dir():
        raise fields.error(f"`{field}` of {fields.subject} names `{text}`, which is a folder", field)
    near = [entry.name for entry in path.parent.glob("*") if entry.suffix in suffixes] if path.parent.is_dir() else []
    meant = suggest(path.name, near)
    hint = f"did you mean `{Path(text).with_name(meant)}`?" if meant else None
    shown = build_file.importer.relative(str(path))
    raise fields.error(f"`{field}` of {fields.subject} names `{text}`, and there is no file `{shown}`", field, hint)
