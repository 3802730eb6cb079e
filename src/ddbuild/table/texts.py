"""Texts in a parquet file, at any depth of lists, structs and maps: find those with a mark in them, and change them.

Whoever asks gets each text once, decides in Python what becomes of it, and hands back a mapping; the rows themselves
are only ever touched by arrow, batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ddbuild.table.array_parts import list_items, list_offsets, map_entries, struct_fields
from ddbuild.table.conform import conform_batch
from ddbuild.table.parquet_file import ParquetSink
from ddbuild.table.unification import parquet_part

__all__ = ["list_texts", "order_columns", "rewrite"]


def list_texts(path: Path, marks: Sequence[str]) -> set[str]:
    """Return the texts in the cells of a parquet file that contain one of `marks`, each once.

    Raises:
        TableError: the file cannot be read.
    """
    part = parquet_part(path)
    places = [position for position, field in enumerate(part.schema) if _holds_texts(field.type)]
    found: set[str] = set()
    if not places or not marks:
        return found
    schema = pa.schema([part.schema.field(position) for position in places])
    for batch in part.read():
        for column in conform_batch(batch, schema, part.name).columns:
            for leaf in _leaves(column):
                found.update(leaf.filter(_contains(leaf, marks)).unique().to_pylist())
    return found


def order_columns(path: Path, order: Sequence[str]) -> list[str]:
    """Return the columns of a parquet file as `order` wants them; those that it does not name come first, as they are.

    Raises:
        TableError: the file cannot be read.
    """
    names = parquet_part(path).schema.names
    known = set(names)
    wanted = [name for name in dict.fromkeys(order) if name in known]
    return [name for name in names if name not in set(wanted)] + wanted


def rewrite(
    path: Path,
    destination: Path,
    *,
    columns: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> int:
    """Write rows of a parquet file with some texts replaced by others; return their number.

    Args:
        path: The file to read.
        destination: Where the file goes, atomically; it may be `path`.
        columns: The columns to take, in this order; all as they are where left out.
        texts: What stands in the place of each text that is a whole value, at whatever depth.
        limit: How many rows to take from the start; all where left out.

    Raises:
        TableError: the file cannot be read, or `destination` cannot be written.
    """
    part = parquet_part(path)
    names = part.schema.names if columns is None else columns
    schema = pa.schema([part.schema.field(name) for name in names])
    old = pa.array(list(texts or {}), pa.string())
    new = pa.array(list((texts or {}).values()), pa.string())
    with ParquetSink(destination, schema) as sink:
        for batch in part.read():
            if limit is not None:
                batch = batch.slice(0, limit - sink.rows)
            batch = conform_batch(batch, schema, part.name)
            if len(old):
                arrays = [_replace(column, old, new) for column in batch.columns]
                batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            sink.write(batch)
            if sink.rows == limit:
                break
    return sink.rows


def _holds_texts(type_: pa.DataType) -> bool:
    if pt.is_struct(type_):
        return any(_holds_texts(type_.field(i).type) for i in range(type_.num_fields))
    if pt.is_map(type_):
        return _holds_texts(type_.key_type) or _holds_texts(type_.item_type)
    return _holds_texts(type_.value_type) if pt.is_list(type_) else bool(pt.is_string(type_))


def _contains(array: pa.Array, marks: Sequence[str]) -> pa.Array:
    return reduce(pc.or_, (pc.match_substring(array, mark) for mark in marks))


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the arrays of texts in a column of a logical type."""
    if not _holds_texts(array.type):
        return
    if pt.is_struct(array.type):
        for part in struct_fields(array):
            yield from _leaves(part)
    elif pt.is_map(array.type):
        yield from _leaves(list_items(map_entries(array)))
    elif pt.is_list(array.type):
        yield from _leaves(list_items(array))
    else:
        yield array


def _replace(array: pa.Array, old: pa.Array, new: pa.Array) -> pa.Array:
    type_ = array.type
    if not _holds_texts(type_):
        return array
    if pt.is_struct(type_):
        parts = [_replace(part, old, new) for part in struct_fields(array)]
        fields = [type_.field(i) for i in range(type_.num_fields)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)
    if pt.is_map(type_):
        entries = map_entries(array)
        keys, items = (_replace(part, old, new) for part in struct_fields(list_items(entries)))
        return pa.MapArray.from_arrays(list_offsets(entries), keys, items, type_)
    if pt.is_list(type_):
        return pa.ListArray.from_arrays(list_offsets(array), _replace(list_items(array), old, new), type=type_)
    places = pc.index_in(array, value_set=old)
    return array if places.null_count == len(array) else pc.coalesce(new.take(places), array)
