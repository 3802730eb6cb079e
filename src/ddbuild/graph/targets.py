"""The kinds of targets and what a user says of each: plain values, without behaviour.

Owns no defaults that depend on a workspace and never touches a file, a config or a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ddbuild.errors import Location
from ddbuild.label import Label

__all__ = [
    "Concat",
    "Join",
    "SeedSpec",
    "Source",
    "SourceFormat",
    "Stage",
    "Target",
    "Transform",
    "kind_of",
]

JoinKind = Literal["inner", "left", "outer", "cross"]
SourceFormat = Literal["parquet", "csv", "jsonl"]


@dataclass(frozen=True, slots=True)
class Concat:
    """A seed made of the rows of several parents, one after the other, in this order."""

    parents: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A seed made by joining parents from left to right on the columns `on`."""

    parents: tuple[Label, ...]
    on: tuple[str, ...]
    how: JoinKind = "inner"


SeedSpec = Label | Concat | Join | Callable[[Mapping[str, Path]], Any]
"""What makes one seed of several parents; a function gets `{parent's name: parquet file}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One Data Designer run with its boundary.

    `config` is a DataDesignerConfigBuilder, a DataDesignerConfig, or a function without arguments that returns one;
    paths have become functions by the time a stage is in a graph. `num_records` None means as many as the seed has.
    `version` stands in for functions that cannot be hashed; `on_success_version` adds to the callback's identity.
    `reuse` "off" asks for every row anew; a mapping says of single columns that they are made row by row, without
    effects of their own (True), or are not to be reused (False).
    """

    label: Label
    config: Any
    num_records: int | None = None
    depends_on: tuple[Label, ...] = ()
    seed: SeedSpec | None = None
    sampling_strategy: Literal["ordered", "shuffle"] = "ordered"
    selection_strategy: Any = None
    on_success: Callable[[Path], Any] | None = None
    on_success_version: str | None = None
    output: str = "final"
    output_processors: tuple[Any, ...] = ()
    allow_empty: bool = False
    min_yield: float = 0.9
    reuse: Literal["auto", "off"] | Mapping[str, bool] = "auto"
    version: str | None = None
    salt: str | None = None
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows that people keep in files: parquet, CSV or JSONL, all of one format.

    `files` are absolute paths or glob patterns, in the order written; what a pattern finds is sorted by name.
    """

    label: Label
    files: tuple[str, ...]
    format: SourceFormat | None = None
    salt: str | None = None
    location: Location | None = None

    @property
    def depends_on(self) -> tuple[Label, ...]:
        """A source has no parents."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A function from `{parent's name: parquet file}` to a table.

    The table is a pyarrow Table, a pandas DataFrame, or the path of a parquet file or of a folder of them.
    """

    label: Label
    function: Callable[[Mapping[str, Path]], Any]
    depends_on: tuple[Label, ...] = ()
    allow_empty: bool = False
    version: str | None = None
    salt: str | None = None
    location: Location | None = None


Target = Stage | Source | Transform


def kind_of(target: Target) -> Literal["stage", "source", "transform"]:
    """Return the word for `target` in messages and documents."""
    return type(target).__name__.lower()  # type: ignore[return-value]
