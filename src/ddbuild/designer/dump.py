"""A config as the plain data of a config file, which makes the same keys as the config itself.

What Data Designer's own dump says, without the fields that are as they would be anyway. It says nothing of functions
but their names, and nothing of data frames; so both are refused, and what was written is loaded again and compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ddbuild.designer.config import load_config
from ddbuild.designer.describe import describe
from ddbuild.errors import GraphError

__all__ = ["dump_config", "dump_processor"]

_SECRET = "token"
_HINT = "leave it in a Python file: `config: file.py:function`"


class _Content:
    """What `load_config` takes for a config written in a build file."""

    def __init__(self, content: Mapping[str, Any], folder: Path) -> None:
        self.content = content
        self.folder = folder


def dump_config(config: Any, *, subject: str, folder: Path, root: Path | None = None) -> dict[str, Any]:
    """Return `config`, in any form that `load_config` takes, as a mapping that makes an equal config.

    Paths of seeds below `root` start from `folder`. A token for a seed is never written.

    Raises:
        GraphError: there is a function or a data frame in it, or it is wrong.
    """
    builder = load_config(config, subject=subject, folder=folder)
    built = builder.build()
    for place, field in _find(built, _is_code):
        message = f"`config` of `{subject}` cannot be written as YAML: {place} has Python in its `{field}`"
        raise GraphError(message, hint=_HINT)
    for place, field in _find(built, _has_number_keys):
        message = (
            f"`config` of `{subject}` cannot be written as YAML: {place} has numbers for keys in its `{field}`, "
            "which Data Designer reads as texts"
        )
        raise GraphError(message, hint=_HINT)
    if built.seed_config is not None and hasattr(built.seed_config.source, "df"):
        message = f"`config` of `{subject}` cannot be written as YAML: its seed is a data frame"
        raise GraphError(message, hint="write the rows to a file, and declare a source of it")
    parts = describe(builder, root=root, subject=subject).parts
    whole = built.model_dump(mode="json")
    # Plugins may have fields of which the default cannot be told; then everything is written.
    brief = {name: item for name, item in _prune(built, whole).items() if item or name == "columns"}
    for content in (brief, whole):
        _move_seed(content, folder, root)
        try:
            again = load_config(_Content(content, folder), subject=subject)
            if describe(again, root=root, subject=subject).parts == parts:
                return dict(content)
        except GraphError:
            continue
    raise GraphError(f"`config` of `{subject}` cannot be written as YAML: it comes back as another one", hint=_HINT)


def dump_processor(processor: Any, *, subject: str) -> dict[str, Any]:
    """Return an output processor, one of Data Designer's own or a mapping, as a mapping.

    Raises:
        GraphError: there is a function in it.
    """
    if isinstance(processor, Mapping):
        return dict(processor)
    for place, field in _find(processor, _is_code):
        message = f"`output_processors` of `{subject}` cannot be written as YAML: {place} has Python in its `{field}`"
        raise GraphError(message)
    return dict(_prune(processor, processor.model_dump(mode="json")))


def _find(model: BaseModel, is_meant: Callable[[Any], bool], place: str = "it") -> Iterator[tuple[str, str]]:
    """Find values in a config: where they are, and in which field."""
    if hasattr(model, "column_type"):
        place = f"column `{model.name}`"  # type: ignore[attr-defined]
    elif hasattr(model, "processor_type"):
        place = f"processor `{model.name}`"  # type: ignore[attr-defined]
    for field in type(model).model_fields:
        for value in _walk(getattr(model, field)):
            if isinstance(value, BaseModel):
                yield from _find(value, is_meant, place)
            elif is_meant(value):
                yield place, field


def _walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _walk(item)


def _is_code(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _has_number_keys(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(key, (int, float)) for key in value)


def _prune(value: Any, dumped: Any) -> Any:
    """Return `dumped`, the dump of `value`, without fields that have their defaults; words that tell kinds stay."""
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        kept = {}
        for name, item in dumped.items():
            field = type(value).model_fields.get(name)
            own = getattr(value, name, None)
            if field is not None and not field.is_required() and get_origin(field.annotation) is not Literal:
                default = _default_of(field)
                if type(own) is type(default) and own == default:
                    continue
            kept[name] = _prune(own, item)
        return kept
    if isinstance(value, (list, tuple)) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_prune(own, item) for own, item in zip(value, dumped, strict=True)]
    return dumped


def _default_of(field: Any) -> Any:
    if field.default_factory is not None and field.default_factory_takes_validated_data:
        return PydanticUndefined
    return field.get_default(call_default_factory=True)


def _move_seed(content: dict[str, Any], folder: Path, root: Path | None) -> None:
    source = (content.get("seed_config") or {}).get("source")
    if not isinstance(source, dict):
        return
    source.pop(_SECRET, None)
    path = source.get("path")
    if isinstance(path, str) and source.get("seed_type") != "hf":
        place = Path(os.path.abspath(path))  # noqa: PTH100 - patterns stay as they are
        inside = root is not None and place.is_relative_to(root)
        source["path"] = Path(os.path.relpath(place, folder)).as_posix() if inside else str(place)
