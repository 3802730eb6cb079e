"""Arrays with only what JSON can say: for exports and for showing rows.

Dates and times are ISO 8601 text, durations seconds, binary base64 text, decimals text; NaN and infinity are null.
"""

from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ddbuild.table.array_parts import list_items, list_offsets, map_entries, struct_fields, unwrap
from ddbuild.table.logical_type import is_list_like

__all__ = ["list_values", "make_plain", "plain_rows"]

_SECONDS = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}


def plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of `batch` as dicts of what JSON can say; a map is a dict."""
    names = batch.schema.names
    columns = [list_values(make_plain(column)) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def list_values(array: pa.Array) -> list[Any]:
    """Return the values of an array that `make_plain` gave, with dicts for maps."""
    values: list[Any] = array.to_pylist()
    return [_make_dicts(value, array.type) for value in values] if _holds_map(array.type) else values


def _holds_map(type_: pa.DataType) -> bool:
    return bool(pt.is_map(type_)) or any(_holds_map(type_.field(i).type) for i in range(type_.num_fields))


def _make_dicts(value: Any, type_: pa.DataType) -> Any:
    if value is None:
        return None
    if pt.is_map(type_):
        return {key: _make_dicts(item, type_.item_type) for key, item in value}
    if pt.is_list(type_):
        return [_make_dicts(item, type_.value_type) for item in value]
    if pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        return {field.name: _make_dicts(value[field.name], field.type) for field in fields}
    return value


def make_plain(array: pa.Array) -> pa.Array:
    """Return `array` with only null, bool, integers, finite floats, text, and lists, structs and maps of these."""
    array = unwrap(array)
    type_ = array.type
    if pt.is_struct(type_):
        fields = [make_plain(field) for field in struct_fields(array)]
        names = [type_.field(i).name for i in range(type_.num_fields)]
        return pa.StructArray.from_arrays(fields, names=names, mask=array.is_null())
    if pt.is_map(type_):
        entries = map_entries(array)
        keys, items = (make_plain(part) for part in struct_fields(list_items(entries)))
        if not (pt.is_string(keys.type) or pt.is_integer(keys.type) or pt.is_boolean(keys.type)):
            keys = keys.cast(pa.string())
        return pa.MapArray.from_arrays(list_offsets(entries), keys, items)
    if is_list_like(type_):
        return pa.ListArray.from_arrays(list_offsets(array), make_plain(list_items(array)))
    return _make_leaf_plain(array)


def _make_leaf_plain(array: pa.Array) -> pa.Array:
    type_ = array.type
    if pt.is_floating(type_):
        values = array.cast(pa.float64()) if pt.is_float16(type_) else array
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    if pt.is_timestamp(type_):
        text = pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)
        return _drop_empty_fraction(text)
    if pt.is_time(type_):
        return _drop_empty_fraction(array.cast(pa.string()))
    if pt.is_date(type_) or pt.is_decimal(type_):
        return array.cast(pa.string())
    if pt.is_duration(type_):
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), _SECONDS[type_.unit])
    if pt.is_binary(type_) or pt.is_large_binary(type_) or pt.is_fixed_size_binary(type_):
        texts = [None if data is None else base64.b64encode(data).decode() for data in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array


def _drop_empty_fraction(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"\.0+(Z|[+-][0-9:]+)?$", r"\1")
