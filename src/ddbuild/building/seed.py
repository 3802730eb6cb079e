"""The one parquet file that seeds a stage: its parent's output, or what is made of several parents'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ddbuild import table
from ddbuild.building.failures import call_user_function
from ddbuild.graph.targets import Concat, Join, SeedSpec, Stage
from ddbuild.label import Label

__all__ = ["make_seed"]


def make_seed(
    stage: Stage, spec: SeedSpec, files: Mapping[str, Path], destination: Path, copy: Callable[[Path, Path], None]
) -> int:
    """Write the seed of `stage` to `destination` and return its rows.

    `files` are the parents' outputs by the role that they have in the stage's action; `copy` clones a file.

    Raises:
        TableError: the parents cannot be concatenated or joined, or a function returned no table.
        BuildError: a seed function raised.
    """
    if isinstance(spec, Label):
        copy(files["seed"], destination)
        return table.count_rows([destination])
    if isinstance(spec, Concat):
        return table.concat([files[f"concat:{position}"] for position in range(len(spec.parents))], destination)
    if isinstance(spec, Join):
        ordered = [files[f"join:{position}"] for position in range(len(spec.parents))]
        return table.join(ordered, spec.on, spec.how, destination)
    given = {role.removeprefix("name:"): path for role, path in files.items() if role.startswith("name:")}
    value = call_user_function(spec, given, subject=f"the seed function of `{stage.label}`")
    return table.write_result(value, destination)
