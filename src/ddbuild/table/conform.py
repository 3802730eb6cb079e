"""Cast arrays to the types of a merged schema, value for value, or say which value does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from ddbuild.table.array_parts import list_items, list_offsets, map_entries, struct_fields, unwrap
from ddbuild.table.logical_type import is_list_like, name_type
from ddbuild.table.table_error import TableError, shorten_reason

__all__ = ["conform", "conform_batch"]


def conform_batch(batch: pa.RecordBatch, schema: pa.Schema, source: str) -> pa.RecordBatch:
    """Return `batch` with the columns and types of `schema`, null where it lacks one; `source` is its file's name.

    Raises:
        TableError: a value does not fit its column's type.
    """
    places = {name: i for i, name in enumerate(batch.schema.names)}
    arrays = []
    for field in schema:
        if field.name in places:
            arrays.append(conform(batch.column(places[field.name]), field.type, path=field.name, source=source))
        else:
            arrays.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def conform(array: pa.Array, type_: pa.DataType, *, path: str, source: str) -> pa.Array:
    """Return the values of `array` as the logical type `type_`, which a merge of types has given for them.

    Raises:
        TableError: a value does not fit; the message names it, the column `path` and `source`.
    """
    array = unwrap(array)
    if pt.is_null(type_) or pt.is_null(array.type):
        return pa.nulls(len(array), type_)
    if pt.is_struct(type_):
        return _conform_struct(array, type_, path, source)
    if pt.is_map(type_):
        entries = map_entries(array)
        keys, items = struct_fields(list_items(entries))
        keys = conform(keys, type_.key_type, path=f"{path}{{}}", source=source)
        items = conform(items, type_.item_type, path=f"{path}{{}}", source=source)
        return pa.MapArray.from_arrays(list_offsets(entries), keys, items, type_)
    if pt.is_list(type_) and is_list_like(array.type):
        values = conform(list_items(array), type_.value_type, path=f"{path}[]", source=source)
        return pa.ListArray.from_arrays(list_offsets(array), values, type=type_)
    return _cast(array, type_, path, source)


def _conform_struct(array: pa.Array, type_: pa.DataType, path: str, source: str) -> pa.Array:
    places = {array.type.field(i).name: i for i in range(array.type.num_fields)}
    fields = [type_.field(i) for i in range(type_.num_fields)]
    parts = struct_fields(array)
    children = []
    for field in fields:
        if field.name in places:
            child = parts[places[field.name]]
            children.append(conform(child, field.type, path=f"{path}.{field.name}", source=source))
        else:
            children.append(pa.nulls(len(array), field.type))
    return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null() if array.null_count else None)


def _cast(array: pa.Array, type_: pa.DataType, path: str, source: str) -> pa.Array:
    if array.type == type_:
        return array
    if pt.is_integer(array.type) and pt.is_floating(type_):
        _check_exact(array, path, source)
        return array.cast(type_, safe=False)
    try:
        return array.cast(type_)
    except pa.ArrowException as error:
        raise TableError(
            f"column `{path}` of `{source}` has a value that does not fit {name_type(type_)}",
            facts={"reason": shorten_reason(error)},
        ) from error


def _check_exact(array: pa.Array, path: str, source: str) -> None:
    """Raise a TableError if an integer of `array` is none of the numbers that a double can be."""
    if array.type.bit_width < 64:
        return
    values: np.ndarray[Any, Any] = array.drop_null().to_numpy()
    large = values[(values > 2**53) | (values < -(2**53))] if array.type == pa.int64() else values[values > 2**53]
    for value in large.tolist():
        if int(float(value)) != value:
            raise TableError(
                f"column `{path}` has integers in some files and floats in others, and no float is exactly {value}",
                facts={"integer": f"{value} in `{source}`"},
                hint="make the column return only integers, only floats, or text",
            )
