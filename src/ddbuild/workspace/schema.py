"""The JSON schema of BUILD.yaml, with which editors complete and check one.

`python -m ddbuild.workspace.schema` prints it; `docs/build.schema.json` is what it prints. Which fields there are is
said by `target_fields`, what they mean by the docstrings of `declarations`, and only their shapes in YAML here. An
editor's check is a help: what a build file may say is decided by `target_fields` alone.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from ddbuild.graph.targets import JoinKind, SourceFormat
from ddbuild.workspace import declarations
from ddbuild.workspace.target_fields import FIELDS
from ddbuild.workspace.yaml_file import OVERRIDES, SECTIONS

__all__ = ["encode_schema", "make_schema"]

_NAME = "^(?!all$)[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
_TEXT = {"type": "string", "minLength": 1}
_LABEL = {"$ref": "#/definitions/label"}
_LABELS = {"type": "array", "items": _LABEL}
_PARENTS = {**_LABELS, "minItems": 2}
_FUNCTION = {"type": "string", "pattern": r"\.py:[^:]+$"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 1}
_INDEX = {"type": "integer", "minimum": 0}


def _object(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


_SHAPES: Mapping[str, Any] = {
    "config": {
        "anyOf": [
            {"type": "string", "pattern": r"\.(yaml|yml|json|py)$|\.py:[^:]+$"},
            {"type": "object", "description": "A Data Designer config: `columns`, `model_configs`, ..."},
        ]
    },
    "num_records": _COUNT,
    "depends_on": _LABELS,
    "seed": {
        "anyOf": [
            _LABEL,
            _FUNCTION,
            _object(("concat",), concat=_PARENTS),
            _object(
                ("join",),
                join=_PARENTS,
                on={"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
                how={"enum": list(get_args(JoinKind)), "default": "inner"},
            ),
        ]
    },
    "sampling_strategy": {"enum": ["ordered", "shuffle"]},
    "selection_strategy": {
        "anyOf": [
            _object(("start", "end"), start=_INDEX, end=_INDEX),
            _object(("index", "num_partitions"), index=_INDEX, num_partitions=_COUNT),
        ]
    },
    "on_success": _FUNCTION,
    "on_success_version": _TEXT,
    "output": {"type": "string", "pattern": "^(final|processor:.+)$"},
    "output_processors": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"processor_type": _TEXT, "name": _TEXT},
            "required": ["processor_type", "name"],
        },
    },
    "allow_empty": _FLAG,
    "min_yield": {"type": "number", "minimum": 0, "maximum": 1},
    "reuse": {
        "anyOf": [{"enum": ["auto", "off", False]}, {"type": "object", "additionalProperties": {"type": "boolean"}}]
    },
    "version": _TEXT,
    "salt": _TEXT,
    "files": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
    "format": {"enum": list(get_args(SourceFormat))},
    "function": _FUNCTION,
}
"""What each field may be in YAML; a field is the same in all kinds of targets."""

_REQUIRED = {"stage": ("config",), "source": ("files",), "transform": ("function",)}


def make_schema() -> dict[str, Any]:
    """Return the schema of BUILD.yaml, for JSON schema draft 7, which editors know best."""
    kinds = {section: section.removesuffix("s") for section in SECTIONS if section != OVERRIDES}
    sections = {
        section: {
            "description": _first_line(getattr(declarations, kind)),
            "type": ["object", "null"],
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {"$ref": f"#/definitions/{kind}"},
        }
        for section, kind in kinds.items()
    }
    sections[OVERRIDES] = {
        "description": _first_line(declarations.override),
        "type": ["object", "null"],
        "additionalProperties": {**_TEXT, "description": _read_arguments(declarations.override)["file"]},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "BUILD.yaml of ddbuild",
        "type": "object",
        "properties": sections,
        # Keys that hold anchors.
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "definitions": {
            "label": {
                "description": "`:name` in this package, `//package:name` in another one.",
                "type": "string",
                "pattern": "^(:|//)",
            },
            **{kind: _describe_kind(kind) for kind in kinds.values()},
        },
    }


def encode_schema() -> str:
    """Return the schema as text that ends with a line break."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def _describe_kind(kind: str) -> dict[str, Any]:
    function = getattr(declarations, kind)
    told = _read_arguments(function)
    defaults = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    fields = {}
    for name in FIELDS[kind]:
        fields[name] = {"description": told[name], **_SHAPES[name]}
        if defaults[name] is not None and defaults[name] != ():
            fields[name]["default"] = defaults[name]
    return _object(_REQUIRED[kind], **fields)


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _read_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring of `function` tells of each argument."""
    section = (inspect.getdoc(function) or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n      .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


if __name__ == "__main__":
    print(encode_schema(), end="")
