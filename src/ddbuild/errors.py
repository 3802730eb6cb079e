"""Everything that ddbuild raises, with the exit code that the command line gives it.

    DdbuildError                 exit code
    ├── UsageError               2   wrong before anything runs: the command line, a label
    │   ├── GraphError           2   build files, graph, settings, configs, sources
    │   └── UnhashableError      2   something that a key needs cannot be hashed
    ├── BuildError               1   went wrong in running: a stage, a callback, a transform
    │   └── StaleError           1   a reading command found no current result
    ├── CacheError               3   the cache itself is damaged or unusable
    └── InterruptedBuildError    8   a person or a signal stopped the build

A message is a lower-case sentence with its subject in backticks and no full stop. `facts` are printed below it,
aligned; `hint` is something that the reader can do or type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "BuildError",
    "CacheError",
    "DdbuildError",
    "GraphError",
    "InterruptedBuildError",
    "Location",
    "StaleError",
    "UnhashableError",
    "UsageError",
]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file that a user wrote; `line` counts from 1 and is None where only the file is known."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class DdbuildError(Exception):
    """The root of what ddbuild raises on purpose; anything else that escapes is a bug in ddbuild."""

    exit_code = 1

    def __init__(self, message: str, *, facts: Mapping[str, str] | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, str] = dict(facts or {})
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        width = max((len(name) for name in self.facts), default=0) + 1
        lines += [f"  {name + ':':<{width}}  {value}" for name, value in self.facts.items()]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


class UsageError(DdbuildError):
    """The request cannot be carried out as it was put; nothing has run."""

    exit_code = 2


class GraphError(UsageError):
    """A build file, a setting, a config or the graph that they make is wrong; nothing has run."""


class UnhashableError(UsageError):
    """A key needs the content of something that cannot be hashed; `version=` on the target can stand in for it."""


class BuildError(DdbuildError):
    """A target failed while it ran."""


class StaleError(BuildError):
    """A reading command needs a current result and there is none."""


class CacheError(DdbuildError):
    """A cache folder is damaged, or cannot be used at all."""

    exit_code = 3


class InterruptedBuildError(DdbuildError):
    """The build was stopped from outside; what had finished is kept."""

    exit_code = 8
