"""Whether a value that was kept in a parquet file is still the value that was kept.

A file has one type for a column: the number 2 beside 2.5 comes back as 2.0, a field that one dictionary lacks comes
back as None. What reads such a value would not read what it read before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from ddbuild.table.array_parts import unwrap
from ddbuild.table.parquet_file import open_parquet, read_some

__all__ = ["ALWAYS_KEPT", "ValueKind", "find_changed_by_keeping", "find_uncertain"]

ValueKind = Literal["plain", "json", "any"]
"""What a column may hold: texts and numbers of one type, what a model's JSON has, or what a function returns."""

ALWAYS_KEPT = frozenset({"plain"})
"""The kinds whose values come back as they were."""


def find_changed_by_keeping(sheets: Sequence[Sequence[Path]], name: str, rows: Any, kind: ValueKind) -> Any:
    """Return for each of `rows`, ascending, whether the value of the column `name` may not be what it was.

    `sheets` are lists of files that follow one another; the first one that has the column counts.

    Raises:
        TableError: a file cannot be read.
    """
    parts = []
    for sheet in sheets:
        start = 0
        for path in sheet:
            with open_parquet(path) as file:
                if name not in file.schema_arrow.names:
                    break
                for batch in read_some(file, path.name, [name]):
                    low, high = np.searchsorted(rows, [start, start + batch.num_rows])
                    if low < high:
                        array = unwrap(batch.column(0)).take(pa.array(rows[low:high] - start))
                        parts.append(_find_changed(array, kind))
                    start += batch.num_rows
        else:
            return np.concatenate(parts) if parts else np.zeros(len(rows), dtype=bool)
    return np.ones(len(rows), dtype=bool)


def find_uncertain(file: Path, columns: Sequence[str]) -> str | None:
    """Return the first of `columns` with integers inside of lists or structs, and a null anywhere; None without one.

    pandas makes floating point numbers of them in whichever batch the null is.

    Raises:
        TableError: the file cannot be read.
    """
    with open_parquet(file) as opened:
        schema = opened.schema_arrow
        nested = [n for n in columns if n in schema.names and _has_integers(schema.field(n).type, inside=False)]
        for batch in read_some(opened, file.name, nested) if nested else ():
            for name, array in zip(batch.schema.names, batch.columns, strict=True):
                if array.null_count or any(_has_null(value) for value in array.to_pylist()):
                    return str(name)
    return None


def _has_integers(type_: Any, *, inside: bool) -> bool:
    if pt.is_nested(type_):
        return any(_has_integers(type_.field(i).type, inside=True) for i in range(type_.num_fields))
    return inside and bool(pt.is_integer(type_))


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_null, value))
    return value is None


def _find_changed(array: Any, kind: ValueKind) -> Any:
    if pt.is_string(array.type) or pt.is_large_string(array.type) or pt.is_boolean(array.type):
        return np.zeros(len(array), dtype=bool)
    if pt.is_integer(array.type) or pt.is_null(array.type):
        return np.zeros(len(array), dtype=bool)
    if kind == "json" and (pt.is_nested(array.type) or pt.is_floating(array.type)):
        return np.array([value is not None and _is_doubtful(value) for value in array.to_pylist()], dtype=bool)
    if pt.is_floating(array.type):
        return np.array([value is None or _is_doubtful(value) for value in array.to_pylist()], dtype=bool)
    return np.ones(len(array), dtype=bool)


def _is_doubtful(value: Any) -> bool:
    """Whether JSON may have had something else: a field that was not there, or an integer."""
    if isinstance(value, dict):
        return not value or any(map(_is_doubtful, value.values()))
    if isinstance(value, list):
        return any(map(_is_doubtful, value))
    return value is None or (isinstance(value, float) and value.is_integer())
