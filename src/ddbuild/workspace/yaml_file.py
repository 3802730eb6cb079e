"""BUILD.yaml: targets by kind and name, with the line of each field at hand for messages.

    stages:
      judged:
        config: judge.yaml
        depends_on: [":conversations"]
        on_success: callbacks.py:keep_good

The only module that reads YAML (`yaml_writer` writes it). It composes the tree of nodes with the safe loader, which
makes plain values only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from ddbuild.errors import GraphError
from ddbuild.graph.targets import Target
from ddbuild.suggestion import suggest
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields
from ddbuild.workspace.overrides import make_override
from ddbuild.workspace.target_fields import make_source, make_stage, make_transform
from ddbuild.workspace.wording import describe_value, list_words

__all__ = ["OVERRIDES", "SECTIONS", "read_yaml_file"]

_MAKERS: Mapping[str, tuple[str, Callable[[object, Fields, BuildFile], Target]]] = {
    "stages": ("stage", make_stage),
    "sources": ("source", make_source),
    "transforms": ("transform", make_transform),
}

OVERRIDES = "overrides"

SECTIONS = (*_MAKERS, OVERRIDES)
"""The top-level keys of a build file."""

_RAW_KEYS = ("seed", "selection_strategy")
"""Fields whose own keys are taken as written: to YAML 1.1 the `on` of a join is the truth value."""


def read_yaml_file(build_file: BuildFile, content: bytes) -> None:
    """Add the targets that `content` declares to `build_file`.

    Top-level keys that begin with `x-` are left alone, as in Compose: they can hold anchors.

    Raises:
        GraphError: the file is not YAML, or says something that no target can be.
    """
    _Reader(build_file).read(content)


_BARE_LABEL = "expected the node content, but found ':'"
"""What PyYAML says to `[:personas]`."""


class _Reader:
    def __init__(self, build_file: BuildFile) -> None:
        self._build_file = build_file
        self._name = build_file.shown

    def read(self, content: bytes) -> None:
        try:
            self._loader = yaml.SafeLoader(content.decode())
            document = self._loader.get_single_node()
            if document is None:
                return
            self._check_duplicates(document)
            for key, value in self._entries(document, f"`{self._name}`"):
                self._read_section(key, value)
        except UnicodeDecodeError:
            facts = {"build file": str(self._build_file.at(None))}
            raise GraphError(f"`{self._name}` is not UTF-8 text", facts=facts) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            facts = {"build file": str(self._build_file.at(mark.line + 1 if mark else None))}
            hint = 'put labels in quotes between brackets: `[":personas"]`' if error.problem == _BARE_LABEL else None
            raise GraphError(f"`{self._name}` is not valid YAML: {error.problem}", facts=facts, hint=hint) from None
        except yaml.YAMLError as error:
            reason = str(error).splitlines()[0]
            facts = {"build file": str(self._build_file.at(None))}
            raise GraphError(f"`{self._name}` is not valid YAML: {reason}", facts=facts) from None

    def _read_section(self, key: yaml.Node, value: yaml.Node) -> None:
        section = self._text(key)
        if section.startswith("x-"):
            return
        if section == OVERRIDES:
            self._read_overrides(value)
            return
        if section not in _MAKERS:
            meant = suggest(section, SECTIONS)
            hint = f"did you mean `{meant}`?" if meant else None
            raise self._error(
                f"a build file has {list_words(f'`{name}`' for name in SECTIONS)}, no `{section}`", key, hint
            )
        if self._is_nothing(value):
            return
        kind, make = _MAKERS[section]
        for name_node, fields_node in self._entries(value, f"`{section}`"):
            name = self._text(name_node)
            subject = f"{kind} `{name}`"
            lines: dict[str | None, int] = {None: name_node.start_mark.line + 1}
            values: dict[str, Any] = {}
            for field_node, value_node in self._entries(fields_node, subject):
                field = self._text(field_node)
                lines[field] = field_node.start_mark.line + 1
                values[field] = self._construct(value_node, raw_keys=field in _RAW_KEYS)
            fields = Fields(subject, values, self._locator(lines), "yaml")
            self._build_file.targets.append(make(name, fields, self._build_file))

    def _read_overrides(self, node: yaml.Node) -> None:
        for target, value in [] if self._is_nothing(node) else self._entries(node, f"`{OVERRIDES}`"):
            location = self._build_file.at(target.start_mark.line + 1)
            subject = f"the override of `{self._text(target)}`"
            fields = Fields(subject, {"file": self._construct(value)}, lambda field, at=location: at, "yaml")  # type: ignore[misc]
            self._build_file.overrides.append(make_override(self._text(target), fields, self._build_file))

    def _locator(self, lines: Mapping[str | None, int]) -> Callable[[str | None], Any]:
        return lambda field: self._build_file.at(lines.get(field, lines[None]))

    def _entries(self, node: yaml.Node, subject: str) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            got = describe_value(self._construct(node))
            raise self._error(f"{subject} must be a mapping, got {got}", node)
        # Resolves `<<: *defaults`.
        self._loader.flatten_mapping(node)
        entries: list[tuple[yaml.Node, yaml.Node]] = node.value
        return entries

    def _construct(self, node: yaml.Node, raw_keys: bool = False) -> Any:
        if raw_keys and isinstance(node, yaml.MappingNode):
            return {self._text(key): self._construct(value) for key, value in self._entries(node, "")}
        return self._loader.construct_object(node, deep=True)

    def _text(self, key: yaml.Node) -> str:
        if isinstance(key, yaml.ScalarNode):
            return str(key.value)
        raise self._error("a key must be a text", key)

    def _is_nothing(self, node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and self._construct(node) is None

    def _check_duplicates(self, document: yaml.Node) -> None:
        seen: set[int] = set()
        stack = [document]
        while stack:
            node = stack.pop()
            if id(node) in seen or isinstance(node, yaml.ScalarNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                stack.extend(node.value)
                continue
            first: dict[str, yaml.Node] = {}
            for key, value in node.value:
                stack.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (other := first.setdefault(key.value, key)) is not key:
                    raise self._error(f"`{key.value}` is written twice, first on line {other.start_mark.line + 1}", key)

    def _error(self, message: str, node: yaml.Node, hint: str | None = None) -> GraphError:
        location = self._build_file.at(node.start_mark.line + 1)
        return GraphError(message, facts={"build file": str(location)}, hint=hint)
