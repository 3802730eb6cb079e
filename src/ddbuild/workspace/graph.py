"""The graph as scripts and notebooks make it, and as a workspace is loaded into it."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ddbuild.errors import GraphError, Location, UsageError
from ddbuild.graph.graph import TargetGraph, shorten
from ddbuild.graph.targets import SeedSpec, Target
from ddbuild.label import Label
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields
from ddbuild.workspace.modules import Importer
from ddbuild.workspace.overrides import Override, make_override
from ddbuild.workspace.reads import Reads
from ddbuild.workspace.settings import Settings
from ddbuild.workspace.target_fields import make_source, make_stage, make_transform
from ddbuild.workspace.wording import list_words

__all__ = ["Graph"]


class Graph(TargetGraph):
    """Targets of a script, or those of a workspace (`Graph.load`), by label.

    The `add_...` methods take what `stage`, `source` and `transform` take in a BUILD.py. Their targets are the root
    package's; a bare name in `depends_on` is one of them. Relative paths start from `root`, by default the current
    folder. `settings` are those of the workspace, None in a script; `overrides` the reviewed rows that its build files
    name.
    """

    def __init__(self, root: Path | str | None = None, *, settings: Settings | None = None) -> None:
        super().__init__()
        self.root = Path(root or ".").resolve()
        self.settings = settings
        self.overrides: dict[Label, Override] = {}
        self._importers: list[Importer] = []
        self._script: BuildFile | None = None

    @classmethod
    def load(cls, path: Path | str | None = None) -> Graph:
        """Return the validated graph of the workspace that `path` (the current folder, if None) lies in.

        Raises:
            GraphError: there is no workspace, or something in it is wrong.
        """
        # The loader makes graphs of this class.
        from ddbuild.workspace.loader import load_workspace

        return load_workspace(None if path is None else Path(path)).graph

    def add_stage(
        self,
        name: str,
        config: Any = None,
        *,
        num_records: int | None = None,
        depends_on: Sequence[str | Label] = (),
        seed: str | SeedSpec | None = None,
        sampling_strategy: Literal["ordered", "shuffle"] = "ordered",
        selection_strategy: Any = None,
        on_success: Callable[[Path], Path | str] | str | None = None,
        on_success_version: str | None = None,
        output: str = "final",
        output_processors: Sequence[Any] = (),
        allow_empty: bool = False,
        min_yield: float | None = None,
        reuse: Literal["auto", "off"] | Mapping[str, bool] = "auto",
        version: str | None = None,
        salt: str | None = None,
        **unknown: Any,
    ) -> Label:
        """Add one Data Designer run with its boundary and return its label; `ddbuild.stage` tells the arguments.

        Raises:
            GraphError: an argument is unknown or wrong, or the name is taken.
        """
        values = {key: value for key, value in locals().items() if key not in ("self", "name", "unknown", "__class__")}
        return self._add("stage", name, {**values, **unknown}, make_stage)

    def add_source(
        self,
        name: str,
        files: str | Path | Sequence[str | Path] | None = None,
        *,
        format: Literal["parquet", "csv", "jsonl"] | None = None,
        salt: str | None = None,
        **unknown: Any,
    ) -> Label:
        """Add rows that people keep in files and return their label; `ddbuild.source` tells the arguments.

        Raises:
            GraphError: an argument is unknown or wrong, or the name is taken.
        """
        return self._add("source", name, {"files": files, "format": format, "salt": salt, **unknown}, make_source)

    def add_transform(
        self,
        name: str,
        function: Callable[[Mapping[str, Path]], Any] | str | None = None,
        *,
        depends_on: Sequence[str | Label] = (),
        allow_empty: bool = False,
        version: str | None = None,
        salt: str | None = None,
        **unknown: Any,
    ) -> Label:
        """Add rows that a function makes and return their label; `ddbuild.transform` tells the arguments.

        Raises:
            GraphError: an argument is unknown or wrong, or the name is taken.
        """
        values = {key: value for key, value in locals().items() if key not in ("self", "name", "unknown", "__class__")}
        return self._add("transform", name, {**values, **unknown}, make_transform)

    def add_override(self, target: str | Label, file: Path | str) -> None:
        """Take the rows in `file`, which a person has reviewed, for what `target` would make.

        Raises:
            GraphError: there is no such file, or the target is overridden already.
        """
        script = self._open_script()
        location = _locate_caller(script.importer)
        fields = Fields(f"the override of `{target}`", {"file": file}, lambda field: location, "script")
        self.override(make_override(target, fields, script))

    def override(self, override: Override) -> None:
        """Add what a build file has declared.

        Raises:
            GraphError: the target is overridden already.
        """
        other = self.overrides.setdefault(override.label, override)
        if other is not override:
            facts = {"first": str(other.location), "second": str(override.location)}
            raise GraphError(f"`{shorten(str(override.label))}` is overridden twice", facts=facts)

    def to_yaml(self, path: Path | str | None = None, package: str = "") -> str:
        """Return a BUILD.yaml that declares the targets of `package`, and write it to `path` where one is given.

        Loaded in the package's folder it makes the same keys. Configs are written out, functions of the workspace's
        files as `file.py:function`; paths start from the package's folder.

        Raises:
            GraphError: something in a target is Python that no file of the workspace has by a name.
        """
        # PyYAML takes longer to import than a load of a workspace without a BUILD.yaml does.
        from ddbuild.workspace.yaml_writer import write_yaml

        text = write_yaml(self, package)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def validate(self) -> None:
        """Check the shape of the graph, and that its functions are still those of their files.

        Raises:
            GraphError: an unknown parent, an ambiguous short label, a cycle; or the workspace was edited and loaded
                again since, and keys can no longer tell what this graph's functions do.
        """
        superseded = sorted(
            importer.relative(str(file)) for importer in self._importers for file in importer.superseded
        )
        if superseded:
            raise GraphError(
                "this graph was loaded before its files changed, and they have been loaded again since",
                facts={"changed": list_words(f"`{file}`" for file in superseded)},
                hint="use the newer graph",
            )
        super().validate()
        for override in self.overrides.values():
            try:
                self.find(override.label)
            except UsageError as error:
                facts = {"build file": str(override.location)} if override.location else {}
                message = f"an override is of `{override.label}`, which no build file defines"
                raise GraphError(message, facts=facts, hint=error.hint) from None

    def hold(self, importer: Importer) -> None:
        """Let the names and sources of the importer's modules go with this graph, which has functions of theirs."""
        self._importers.append(importer)
        # Neither must that wait for the end of the process, nor happen there.
        weakref.finalize(self, importer.close).atexit = False

    def _add(
        self, kind: str, name: Any, values: Mapping[str, Any], make: Callable[[object, Fields, BuildFile], Target]
    ) -> Label:
        script = self._open_script()
        location = _locate_caller(script.importer)
        return self.add(make(name, Fields(f"{kind} `{name}`", values, lambda field: location, "script"), script))

    def _open_script(self) -> BuildFile:
        if self._script is None:
            importer = Importer(self.root, Reads())
            self.hold(importer)
            self._script = BuildFile(
                self.root / "script", "", importer, "script", self.settings.build.min_yield if self.settings else 0.9
            )
        return self._script


def _locate_caller(importer: Importer) -> Location | None:
    """Return the line of the script that called; None for one that is in no file, as a notebook's."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ddbuild":
        frame = frame.f_back
    filename = os.path.abspath(frame.f_code.co_filename)  # noqa: PTH100 - a name of code may be no path
    if not Path(filename).is_file():
        return None
    importer.note_script(Path(filename))
    return Location(importer.relative(filename), frame.f_lineno)
