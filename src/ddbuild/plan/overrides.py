"""Rows that a person has reviewed, standing in for what a target would make.

An overridden target has no parents and one action, which reads the person's files as a source does. So everything
below it goes by the content of those files: rows equal to the kept ones rerun nothing, and no other rule bends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ddbuild.errors import UsageError
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Source, Stage, Target, Transform
from ddbuild.label import Label

__all__ = ["cut_parents", "read_override"]


def read_override(label: Label, path: Path) -> Source:
    """Return the files at `path` that stand in for the output of `label`: one file, or the parquet files of a folder.

    Raises:
        UsageError: nothing with rows is there.
    """
    place = path.expanduser().absolute()
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.glob("*.parquet") if file.is_file() and not file.name.startswith("."))
    if not files or not files[0].is_file():
        raise UsageError(
            f"there are no rows to take for `{label}`",
            facts={"looked for": str(place)},
            hint="name a parquet, CSV or JSONL file, or a folder of parquet files",
        )
    return Source(label=label, files=tuple(map(str, files)))


def cut_parents(graph: TargetGraph, labels: Collection[Label]) -> TargetGraph:
    """Return `graph` with the targets `labels` left without parents; `graph` itself where there are none."""
    if not labels:
        return graph
    cut = TargetGraph()
    for label, target in graph.targets.items():
        cut.add(_strip(target) if label in labels else target)
    return cut


def _strip(target: Target) -> Target:
    """Return `target` with what is left of it once its rows are given: its name, its config, its policies."""
    if isinstance(target, Stage):
        return replace(target, depends_on=(), seed=None, output="final", output_processors=(), on_success=None)
    if isinstance(target, Transform):
        return replace(target, depends_on=())
    return target
