"""Rows that a person has reviewed, as a build file declares them: what they stand in for, and where they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ddbuild.errors import Location
from ddbuild.label import Label
from ddbuild.suggestion import suggest
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields, is_name, read_label

__all__ = ["Override", "make_override"]

_EXPECTED = "the path of a parquet, CSV or JSONL file, or of a folder of parquet files"


@dataclass(frozen=True, slots=True)
class Override:
    """The file, or folder of parquet files, at `path` stands in for what `label` would make."""

    label: Label
    path: Path
    location: Location | None = None


def make_override(target: object, fields: Fields, build_file: BuildFile) -> Override:
    """Return the override of `target`, a label or the name of a target of this package, by the field `file`.

    Raises:
        GraphError: `target` is no label, or there is no such file.
    """
    if isinstance(target, str) and is_name(target):
        target = Label(build_file.package, target)
    label = read_label(target, build_file.package, "override", fields)
    value = fields.values.get("file")
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(text, str) or not text:
        raise fields.wrong("file", _EXPECTED, value)
    path = Path(os.path.normpath(build_file.folder / Path(text).expanduser()))
    if not path.exists():
        near = [entry.name for entry in path.parent.glob("*")] if path.parent.is_dir() else []
        meant = suggest(path.name, near)
        hint = (
            f"did you mean `{Path(text).with_name(meant)}`?" if meant else f"export rows with `ddbuild export {label}`"
        )
        shown = build_file.importer.relative(str(path))
        raise fields.error(f"{fields.subject} is by `{text}`, and there is no file `{shown}`", "file", hint)
    return Override(label, path, fields.where(None))
