"""What declares targets: one build file while it is loaded, or a script."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ddbuild.errors import Location
from ddbuild.graph.targets import Target
from ddbuild.workspace.modules import Importer

if TYPE_CHECKING:
    from ddbuild.workspace.overrides import Override

__all__ = ["BuildFile", "Syntax"]

Syntax = Literal["python", "yaml", "script"]


@dataclass(slots=True)
class BuildFile:
    """A package's build file; `package` is its path below the workspace, "" for the root.

    For a script, `file` is any name in the folder that relative paths start from, and the package is the root.
    """

    file: Path
    package: str
    importer: Importer
    syntax: Syntax
    min_yield: float = 0.9
    targets: list[Target] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that paths in the file are relative to."""
        return self.file.parent

    @property
    def shown(self) -> str:
        """The file as messages name it."""
        return self.importer.relative(str(self.file))

    @property
    def fact(self) -> str:
        """What a message calls the place of a declaration."""
        return "script" if self.syntax == "script" else "build file"

    def at(self, line: int | None) -> Location:
        """Return the location of a line of the file."""
        return Location(self.shown, line)
