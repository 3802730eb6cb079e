"""pandas DataFrames: the only door to pandas.

A column of Python objects is looked at before arrow sees it, because arrow silently makes dates of datetimes, 1.0 of
True and bytes of text where they are mixed.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ddbuild.digest import Digest
from ddbuild.table.conform import conform_batch
from ddbuild.table.logical_type import reject_repeated_names
from ddbuild.table.parquet_file import open_parquet
from ddbuild.table.row_digest import digest_batches
from ddbuild.table.schema_merge import HINT
from ddbuild.table.table_error import TableError, shorten_reason
from ddbuild.table.unification import make_part

__all__ = ["digest_frame", "read_frame", "table_from_frame"]

_NUMBERS = {"int", "float"}


def digest_frame(frame: pd.DataFrame) -> Digest:
    """Return the digest that `digest_rows` gives the file that `write_result` makes of `frame`.

    Raises:
        TableError: `frame` cannot be stored in a parquet file.
    """
    table = table_from_frame(frame)
    part = make_part("frame", table.schema, lambda: iter(table.to_batches()))
    return digest_batches(part.schema, (conform_batch(batch, part.schema, part.name) for batch in part.read()))


def read_frame(path: Path) -> pd.DataFrame:
    """Return the rows of a parquet file as a DataFrame.

    Raises:
        TableError: the file cannot be read.
    """
    with open_parquet(path) as file:
        try:
            frame: pd.DataFrame = file.read().to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"`{path.name}` cannot be read", facts={"reason": shorten_reason(error)}) from error
    return frame


def table_from_frame(frame: pd.DataFrame) -> pa.Table:
    """Return `frame` as an arrow table: NaN of pandas is null, an index without a name is dropped.

    Raises:
        TableError: a column has values of several types or of one that cannot be stored, or no usable name.
    """
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            hint = "rename the columns: `frame.columns = [...]`"
            raise TableError(f"the DataFrame has a column named {name!r}, which is not text", hint=hint)
    reject_repeated_names(names, "the DataFrame")
    for name in names:
        _check_column(name, frame[name])
    keep_index = any(name is not None for name in frame.index.names)
    try:
        return pa.Table.from_pandas(frame, preserve_index=keep_index, nthreads=1)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise _find_bad_column(frame, error) from error


def _check_column(name: str, column: pd.Series[Any]) -> None:
    if isinstance(column.dtype, (pd.PeriodDtype, pd.IntervalDtype)):
        hint = f"convert it first, as in `frame[{name!r}].astype(str)`"
        raise TableError(f"column `{name}` has the type `{column.dtype}`, which a parquet file cannot hold", hint=hint)
    if column.dtype != object:
        return
    kinds: dict[str, set[str]] = {}
    _collect_kinds(column, name, kinds)
    for path, found in kinds.items():
        if len(found) > 1 and found != _NUMBERS:
            raise TableError(f"column `{path}` has values of several types: {_list_words(found)}", hint=HINT)


def _list_words(words: Iterable[str]) -> str:
    *most, last = sorted(words)
    return f"{', '.join(most)} and {last}"


def _collect_kinds(values: Iterable[Any], path: str, kinds: dict[str, set[str]]) -> None:
    """Add the kinds of `values` under `path`, and those inside lists and dicts under `path[]` and `path.name`."""
    found = kinds.setdefault(path, set())
    for value in values:
        kind = _KINDS.get(type(value))
        if kind is None:
            kind = _find_kind(value)
        if kind == "null":
            continue
        found.add(kind)
        if kind == "dict":
            for key, item in value.items():
                _collect_kinds((item,), f"{path}.{key}", kinds)
        elif kind == "list" and not (isinstance(value, np.ndarray) and value.dtype != object):
            _collect_kinds(value, f"{path}[]", kinds)


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    str: "str",
    bytes: "bytes",
    dict: "dict",
    list: "list",
    tuple: "list",
    datetime.datetime: "datetime",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "timedelta",
    decimal.Decimal: "Decimal",
}


def _find_kind(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "null" if value != value else "float"
    if value is pd.NaT or value is pd.NA:
        return "null"
    if isinstance(value, np.bool_):
        return "bool"
    if isinstance(value, (int, np.integer)):
        return "int"
    if isinstance(value, str):
        return "str"
    if isinstance(value, (datetime.datetime, np.datetime64)):
        return "datetime"
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        return "timedelta"
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, (np.ndarray, set, frozenset)):
        return "list"
    return type(value).__name__


def _find_bad_column(frame: pd.DataFrame, error: Exception) -> TableError:
    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as reason:
            facts = {"reason": shorten_reason(reason)}
            return TableError(f"column `{name}` cannot be stored in a parquet file", facts=facts, hint=HINT)
    return TableError("the DataFrame cannot be stored in a parquet file", facts={"reason": shorten_reason(error)})
