"""A package's targets as the BUILD.yaml that declares them: what `Graph.to_yaml` gives.

Owns what can be said in YAML, and refuses the rest by target and field: a text that loads to something else is never
written.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ddbuild.errors import GraphError, UsageError
from ddbuild.graph.targets import Concat, Join, Source, Stage, Target, kind_of
from ddbuild.label import Label
from ddbuild.workspace.modules import BUILD_FILES
from ddbuild.workspace.references import DEFAULT_FUNCTION, ConfigFile, ConfigFunction, InlineConfig
from ddbuild.workspace.wording import describe_value, list_words

if TYPE_CHECKING:
    from ddbuild.workspace.graph import Graph

__all__ = ["write_yaml"]

_SECTIONS = {"source": "sources", "stage": "stages", "transform": "transforms"}


def write_yaml(graph: Graph, package: str = "") -> str:
    """Return the BUILD.yaml of `package`; paths in it start from the package's folder.

    Raises:
        GraphError: something in a target cannot be said in YAML.
        UsageError: the graph has no such package.
    """
    targets = [target for label, target in graph.targets.items() if label.package == package]
    if not targets:
        packages = sorted({label.package for label in graph.targets})
        there = list_words(f'`"{name}"`' for name in packages) if packages else "no target"
        raise UsageError(f"the graph has no targets in the package `{package}`", facts={"it has": there})
    return _Writer(graph, package).write(targets)


class _Writer:
    def __init__(self, graph: Graph, package: str) -> None:
        self._graph = graph
        self._package = package
        self._root = graph.root
        self._folder = graph.root / package if package else graph.root
        self._min_yield = graph.settings.build.min_yield if graph.settings is not None else 0.9

    def write(self, targets: list[Target]) -> str:
        document: dict[str, Any] = {}
        for kind, section in _SECTIONS.items():
            if entries := {each.label.name: self._describe(each) for each in targets if kind_of(each) == kind}:
                document[section] = entries
        overridden = {
            label.name: self._path(override.path)
            for label, override in self._graph.overrides.items()
            if label.package == self._package
        }
        if overridden:
            document["overrides"] = overridden
        return _to_text(document)

    def _describe(self, target: Target) -> dict[str, Any]:
        if isinstance(target, Source):
            files = [self._pattern(file) for file in target.files]
            fields: dict[str, Any] = {"files": files[0] if len(files) == 1 else files, "format": target.format}
        elif isinstance(target, Stage):
            fields = self._describe_stage(target)
        else:
            fields = {
                "function": self._function(target, "function", target.function),
                "depends_on": self._labels(target.depends_on),
                "allow_empty": target.allow_empty or None,
                "version": target.version,
            }
        fields["salt"] = target.salt
        return {name: value for name, value in fields.items() if value is not None and value != []}

    def _describe_stage(self, stage: Stage) -> dict[str, Any]:
        from ddbuild.designer import dump_processor  # Data Designer is for those who have it to write

        subject = str(stage.label)
        return {
            "config": self._config(stage),
            "num_records": stage.num_records,
            "depends_on": self._labels(stage.depends_on),
            "seed": self._seed(stage),
            "sampling_strategy": None if stage.sampling_strategy == "ordered" else stage.sampling_strategy,
            "selection_strategy": _selection(stage.selection_strategy),
            "on_success": None if stage.on_success is None else self._function(stage, "on_success", stage.on_success),
            "on_success_version": stage.on_success_version,
            "output": None if stage.output == "final" else stage.output,
            "output_processors": [dump_processor(each, subject=subject) for each in stage.output_processors],
            "allow_empty": stage.allow_empty or None,
            "min_yield": None if stage.min_yield == self._min_yield else stage.min_yield,
            "reuse": None if stage.reuse == "auto" else stage.reuse if stage.reuse == "off" else dict(stage.reuse),
            "version": stage.version,
        }

    def _config(self, stage: Stage) -> Any:
        config = stage.config
        if isinstance(config, ConfigFile):
            return self._path(config.path)
        if isinstance(config, InlineConfig) and config.folder == self._folder:
            return dict(config.content)
        if isinstance(config, ConfigFunction):
            if config.file is not None:
                file = self._path(config.file)
                return file if config.name == DEFAULT_FUNCTION else f"{file}:{config.name}"
            assert config.function is not None
            if (reference := self._find(config.function)) is not None:
                return reference
        from ddbuild.designer import dump_config

        return dump_config(config, subject=str(stage.label), folder=self._folder, root=self._root)

    def _seed(self, stage: Stage) -> Any:
        seed = stage.seed
        if seed is None:
            return None
        if isinstance(seed, Label):
            return self._label(seed)
        if isinstance(seed, Concat):
            return {"concat": self._labels(seed.parents)}
        if isinstance(seed, Join):
            joined = {"join": self._labels(seed.parents), "on": list(seed.on), "how": seed.how}
            return {name: value for name, value in joined.items() if value != []}
        return self._function(stage, "seed", seed)

    def _function(self, target: Target, field: str, function: Callable[..., Any]) -> str:
        reference = self._find(function)
        if reference is None:
            raise GraphError(
                f"`{field}` of `{target.label}` cannot be written as YAML: {describe_value(function)} is no function "
                "that a Python file of the workspace has by a name",
                facts={"declared at": str(target.location)} if target.location is not None else {},
                hint="move it to the top level of a Python file beside the build file",
            )
        return reference

    def _find(self, function: Callable[..., Any]) -> str | None:
        """Return `file.py:name` for a function at the top level of a file of the workspace; None for another one."""
        name = getattr(function, "__name__", None)
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        if not isinstance(name, str) or not name.isidentifier() or not isinstance(file, str):
            return None
        path = Path(os.path.normpath(file))
        # A script would run once more if it were imported, and a BUILD.py has to give way to this file.
        is_run = getattr(module, "__name__", None) == "__main__" or path.name in BUILD_FILES
        if (
            is_run
            or path.suffix != ".py"
            or not path.is_relative_to(self._root)
            or vars(module).get(name) is not function
        ):
            return None
        return f"{self._path(path)}:{name}"

    def _labels(self, labels: tuple[Label, ...]) -> list[str]:
        return [self._label(label) for label in labels]

    def _label(self, label: Label) -> str:
        return _Quoted(f":{label.name}" if label.package == self._package else str(label))

    def _path(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._folder)).as_posix() if path.is_relative_to(self._root) else str(path)

    def _pattern(self, file: str) -> str:
        """Return a source's file, in which the folders of the workspace have been escaped, as it is written."""
        folder = glob.escape(str(self._folder))
        if Path(file).is_relative_to(glob.escape(str(self._root))):
            return Path(os.path.relpath(file, folder)).as_posix()
        return file


def _selection(selection: Any) -> dict[str, int] | None:
    """Return Data Designer's IndexRange or PartitionBlock as the mapping that stands for it."""
    if selection is None or isinstance(selection, Mapping):
        return None if selection is None else dict(selection)
    names = ("start", "end") if hasattr(selection, "end") else ("index", "num_partitions")
    return {name: getattr(selection, name) for name in names}


class _Quoted(str):
    """A text that is written in quotes: `:name` is no plain text between brackets."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _write_quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(_Quoted, _write_quoted)
_Dumper.add_representer(str, _write_text)


def _to_text(document: dict[str, Any]) -> str:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    if yaml.safe_load(text) == document:
        return text
    # Some texts do not survive as blocks.
    return yaml.dump(_plain(document), Dumper=yaml.SafeDumper, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
