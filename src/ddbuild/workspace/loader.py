"""Load a workspace: find its packages, read their build files, and make one graph of what they declare."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbuild.digest import Digest
from ddbuild.errors import GraphError, UsageError
from ddbuild.file_state import NO_PACKAGES
from ddbuild.label import parse_pattern
from ddbuild.workspace.build_file import BuildFile, Syntax
from ddbuild.workspace.declarations import declaring
from ddbuild.workspace.graph import Graph
from ddbuild.workspace.locate import SETTINGS_FILE, find_workspace
from ddbuild.workspace.modules import BUILD_FILES, Importer
from ddbuild.workspace.reads import Reads
from ddbuild.workspace.settings import Settings
from ddbuild.workspace.user_code import running_user_code

__all__ = ["Workspace", "find_build_files", "find_package", "load_factory", "load_graph", "load_workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as it was loaded, with a record of what that depended on; `reads` grows when configs are made."""

    root: Path
    settings: Settings
    graph: Graph
    reads: Reads

    @property
    def read_files(self) -> Mapping[Path, Digest | None]:
        """Every file that was read so far; see `Reads.files`."""
        return self.reads.files


def load_workspace(
    start: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    reads: Reads | None = None,
) -> Workspace:
    """Load the workspace that `start` (the current folder, if None) lies in, with its settings and its graph.

    Raises:
        GraphError: there is no workspace, or something in it is wrong.
    """
    root = find_workspace(start)
    reads = Reads() if reads is None else reads
    settings = Settings.load(root, overrides, environ, reads)
    return Workspace(root, settings, load_graph(root, settings, reads), reads)


def load_graph(root: Path, settings: Settings, reads: Reads | None = None) -> Graph:
    """Return the validated graph of all packages of the workspace `root`.

    Raises:
        GraphError: a build file is wrong, or the graph is.
    """
    root = root.resolve()
    reads = Reads() if reads is None else reads
    build_files = find_build_files(root, reads)
    importer = Importer(root, reads, (file.parent for file in build_files.values()))
    graph = Graph(root, settings=settings)
    graph.hold(importer)
    for package, file in build_files.items():
        syntax: Syntax = "python" if file.suffix == ".py" else "yaml"
        build_file = BuildFile(file, package, importer, syntax, settings.build.min_yield)
        _read_build_file(build_file, reads)
        for target in build_file.targets:
            graph.add(target)
        for override in build_file.overrides:
            graph.override(override)
    graph.validate()
    return graph


def load_factory(root: Path, reference: str, reads: Reads | None = None) -> Callable[[], Any]:
    """Return the function that `[designer] factory` names as `module:function`, from the workspace or installed.

    Raises:
        GraphError: its module cannot be imported, or has no such function.
    """
    root = root.resolve()
    name, _, function_name = reference.partition(":")
    settings_file = BuildFile(root / SETTINGS_FILE, "", Importer(root, reads or Reads()), "python")
    facts = {"settings": SETTINGS_FILE}
    try:
        with running_user_code(settings_file, f"`{name}`"):
            module = settings_file.importer.import_module(name)
    except GraphError as error:
        error.facts = {**{key: value for key, value in error.facts.items() if key != "build file"}, **facts}
        raise
    function = getattr(module, function_name, None)
    if not callable(function):
        raise GraphError(f"`[designer] factory` is `{reference}`, and `{name}` has no such function", facts=facts)
    return function  # type: ignore[no-any-return]


def find_package(root: Path, folder: Path) -> str:
    """Return the package that `folder`, somewhere in the workspace `root`, belongs to: its own or the nearest above."""
    root, folder = root.resolve(), folder.resolve()
    while folder != root and folder.is_relative_to(root):
        if any((folder / name).is_file() for name in BUILD_FILES):
            return folder.relative_to(root).as_posix()
        folder = folder.parent
    return ""


def find_build_files(root: Path, reads: Reads) -> dict[str, Path]:
    """Return the build file of each package, by the package's path, sorted.

    Hidden folders, outputs, virtual environments, nested workspaces and linked folders hold no packages.

    Raises:
        GraphError: a folder has two build files, or a name that no label can have.
    """
    found: dict[str, Path] = {}
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as entries:
                listing = list(entries)
        except PermissionError:
            reads.add_folder(folder)
            continue
        reads.add_folder(folder, listing)
        names = {entry.name for entry in listing}
        if folder != root and (SETTINGS_FILE in names or "pyvenv.cfg" in names):
            continue
        if (file := _choose_build_file(root, folder, names)) is not None:
            found[folder.relative_to(root).as_posix() if folder != root else ""] = file
        stack.extend(
            folder / entry.name
            for entry in listing
            if entry.name not in NO_PACKAGES and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )
    return dict(sorted(found.items()))


def _choose_build_file(root: Path, folder: Path, names: set[str]) -> Path | None:
    there = [name for name in BUILD_FILES if name in names]
    shown = [(folder / name).relative_to(root).as_posix() for name in there]
    if len(there) > 1:
        raise GraphError(
            f"`{folder.relative_to(root).as_posix()}` has two build files" if folder != root else "two build files",
            facts={"first": shown[0], "second": shown[1]},
            hint="move the targets of one into the other",
        )
    if "BUILD.yml" in names:
        wrong = (folder / "BUILD.yml").relative_to(root).as_posix()
        raise GraphError(f"`{wrong}` is not read: a build file in YAML is named `BUILD.yaml`", hint="rename it")
    if not there:
        return None
    for part in folder.relative_to(root).parts:
        try:
            parse_pattern(f"//{part}:all")
        except UsageError:
            raise GraphError(
                f"`{part}` cannot be a package: no label can have this name",
                facts={
                    "build file": shown[0],
                    "expected": "letters, digits and _ . + -, the first one a letter, a digit or _",
                },
                hint="rename the folder",
            ) from None
    return folder / there[0]


def _read_build_file(build_file: BuildFile, reads: Reads) -> None:
    try:
        if build_file.syntax == "python":
            with running_user_code(build_file, f"`{build_file.shown}`"), declaring(build_file):
                build_file.importer.run_build_file(build_file.file)
            return
        content = build_file.file.read_bytes()
    except OSError as error:
        raise GraphError(f"`{build_file.shown}` cannot be read: {error.strerror}") from None
    reads.add_file(build_file.file, content)
    # PyYAML takes longer to import than the rest of a load does; workspaces without a BUILD.yaml go without.
    from ddbuild.workspace.yaml_file import read_yaml_file

    with reads.recording():
        read_yaml_file(build_file, content)
