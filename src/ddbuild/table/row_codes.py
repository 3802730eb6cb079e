"""Two 64-bit numbers for each value of a column, equal where the values and their logical types are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
import xxhash

from ddbuild.table.array_parts import unwrap
from ddbuild.table.parquet_file import open_parquet, read_some

__all__ = ["code_columns", "number_equal"]

Codes = Any
"""An array of shape (rows, 2) of uint64."""


def code_columns(files: Sequence[Path], columns: Iterable[str], rows: Any = None) -> dict[str, Codes]:
    """Return the codes of the columns, of all rows of `files`, one after the other, or of those numbered in `rows`.

    `rows` is an array in ascending order. A column that a file lacks is left out. Integers beside nulls count as
    floating point numbers, which pandas makes of them.

    Raises:
        TableError: a file cannot be read.
    """
    found: dict[str, list[Codes]] = {name: [] for name in columns}
    start = 0
    for path in files:
        with open_parquet(path) as file:
            for name in [name for name in found if name not in file.schema_arrow.names]:
                del found[name]
            for batch in read_some(file, path.name, list(found)):
                wanted = None
                if rows is not None:
                    low, high = np.searchsorted(rows, [start, start + batch.num_rows])
                    wanted = pa.array(rows[low:high] - start)
                for name, parts in found.items():
                    array = batch.column(batch.schema.names.index(name))
                    parts.append(_code(array if wanted is None else array.take(wanted)))
                start += batch.num_rows
    return {name: _settle(parts) for name, parts in found.items()}


def number_equal(codes: Sequence[Codes]) -> Any:
    """Return one number for each row, equal where all of `codes` are; the numbers begin at 0."""
    import pandas as pd

    total = None
    for part in (half for each in codes for half in (each[:, 0], each[:, 1])):
        numbers, _ = pd.factorize(part)
        if total is None:
            total = numbers.astype(np.int64)
        else:
            # Both are smaller than the number of rows, so this does not overflow below three billion of them.
            total = pd.factorize(total * np.int64(numbers.max(initial=0) + 1) + numbers)[0].astype(np.int64)
    return total


_INTEGER, _FLOAT, _TEXT, _OTHER, _NULL, _LARGE = (np.uint64(number) for number in range(6))
_EXACT = 2**53
_LOW = (1 << 64) - 1


def _code(array: Any) -> Codes:
    array = unwrap(array)
    codes = np.empty((len(array), 2), dtype=np.uint64)
    if pt.is_integer(array.type) and not pt.is_uint64(array.type):
        codes[:, 0] = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
        codes[:, 1] = _INTEGER
    elif pt.is_floating(array.type):
        codes[:, 0] = array.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
        codes[:, 1] = _FLOAT
    elif pt.is_string(array.type) or pt.is_large_string(array.type):
        distinct = array.dictionary_encode()
        values = _hash([value.encode() for value in distinct.dictionary.to_pylist()], _TEXT)
        codes[:] = values[distinct.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]
    else:
        # The type's name keeps the time of day apart from a text that looks like it; parts of structs tell themselves.
        kind = "" if pt.is_nested(array.type) else f"{array.type} "
        codes[:] = _hash([f"{kind}{v!r}".encode("utf-8", "surrogatepass") for v in array.to_pylist()], _OTHER)[:-1]
    if array.null_count:
        codes[array.is_null().to_numpy(zero_copy_only=False)] = (0, _NULL)
    return codes


def _hash(values: Sequence[bytes], kind: Any) -> Codes:
    """Return the codes of `values`, and one more."""
    codes = np.zeros((len(values) + 1, 2), dtype=np.uint64)
    for place, value in enumerate(values):
        whole = xxhash.xxh3_128_intdigest(value)
        codes[place] = (whole & _LOW, (whole >> 64) & ~7 | int(kind))
    return codes


def _settle(parts: Sequence[Codes]) -> Codes:
    codes = np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.uint64)
    is_integer = codes[:, 1] == _INTEGER
    if is_integer.any() and not is_integer.all():
        values = codes[is_integer, 0].view(np.int64)
        # Two large ones may become one, and what a column read depends on where its batch began.
        is_exact = (values >= -_EXACT) & (values <= _EXACT)
        codes[is_integer, 0] = np.where(is_exact, values.astype(np.float64).view(np.uint64), values.view(np.uint64))
        codes[is_integer, 1] = np.where(is_exact, _FLOAT, _LARGE)
    return codes
