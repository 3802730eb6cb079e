"""Rows between targets, for tools that do not bring them along themselves: sources, transforms, seeds of several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import pandas as pd

from ddbuild.graph.graph import TargetGraph, parents_of
from ddbuild.graph.targets import Concat, Join, Source, Stage, Transform
from ddbuild.label import Label

Outputs = Mapping[Label, pd.DataFrame]


def sort_targets(graph: TargetGraph) -> list[Label]:
    """Return the targets in the order of the build file, parents first."""
    order: list[Label] = []
    waiting = list(graph)
    while waiting:
        label = next(each for each in waiting if set(parents_of(graph[each])) <= set(order))
        order.append(label)
        waiting.remove(label)
    return order


def read_source(target: Source) -> pd.DataFrame:
    """Return the rows of a source's CSV files."""
    return pd.concat([pd.read_csv(file) for file in target.files], ignore_index=True)


def run_transform(target: Transform, outputs: Outputs) -> pd.DataFrame:
    """Return what the function makes of the parents."""
    with tempfile.TemporaryDirectory() as name:
        given = {}
        for label in target.depends_on:
            given[label.name] = Path(name, f"{label.name}.parquet")
            outputs[label].to_parquet(given[label.name])
        made: pd.DataFrame = target.function(given)
        return made


def make_seed(stage: Stage, outputs: Outputs) -> pd.DataFrame | None:
    """Return the rows that `stage` starts from; None where it has no parent."""
    spec = stage.seed
    if spec is None and not stage.depends_on:
        return None
    if isinstance(spec, Concat):
        return pd.concat([outputs[label] for label in spec.parents], ignore_index=True)
    if isinstance(spec, Join):
        on, how = list(spec.on), spec.how
        return reduce(lambda left, right: left.merge(right, on=on, how=how), (outputs[each] for each in spec.parents))
    label = spec if isinstance(spec, Label) else stage.depends_on[0]
    return outputs[label]


def call_back(function: Callable[[Path], object], folder: Path) -> pd.DataFrame:
    """Return the rows that a callback keeps of the finished stage in `folder`."""
    return pd.read_parquet(str(function(folder)))
