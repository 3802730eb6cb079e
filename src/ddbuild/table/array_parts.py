"""The parts of nested arrays, with slices, null parents and unused buffers already taken into account."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

__all__ = ["list_items", "list_lengths", "list_offsets", "map_entries", "struct_fields", "unwrap"]


def unwrap(array: pa.Array) -> pa.Array:
    """Return the values of an extension array, a dictionary or a view, and any other array as it is."""
    while isinstance(array, (pa.ExtensionArray, pa.DictionaryArray)):
        array = array.storage if isinstance(array, pa.ExtensionArray) else array.dictionary_decode()
    if pt.is_string_view(array.type) or pt.is_binary_view(array.type):
        type_ = pa.large_string() if pt.is_string_view(array.type) else pa.large_binary()
        try:
            return array.cast(type_)
        except pa.ArrowNotImplementedError:  # by pyarrow before 18
            return pa.array(array.to_pylist(), type_)
    return array


def struct_fields(array: pa.Array) -> list[pa.Array]:
    """Return the fields of a struct array, null where the struct is null."""
    fields: list[pa.Array] = array.flatten()
    return fields


def map_entries(array: pa.Array) -> pa.Array:
    """Return a map array as a list array of structs of `key` and `value`."""
    entries = pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
    # `array.view(list of structs)` would do, but pyarrow 24 then makes items of the null type too short, and ends the
    # process when they are used. The offsets are copied because a null mask wants them without a slice.
    offsets = pa.array(array.offsets.to_numpy())
    return pa.ListArray.from_arrays(offsets, entries, mask=array.is_null() if array.null_count else None)


def list_lengths(array: pa.Array) -> np.ndarray[Any, Any]:
    """Return the lengths of the lists of an array, 0 for null."""
    lengths: np.ndarray[Any, Any] = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return lengths


def list_offsets(array: pa.Array) -> pa.Array:
    """Return offsets into `list_items`, null where a list is null."""
    offsets = np.zeros(len(array) + 1, dtype=np.int64)
    np.cumsum(list_lengths(array), out=offsets[1:])
    mask = None
    if array.null_count:
        mask = np.append(array.is_null().to_numpy(zero_copy_only=False), False)
    return pa.array(offsets.astype(np.int32), mask=mask)


def list_items(array: pa.Array) -> pa.Array:
    """Return the items of all lists that are not null, one after the other."""
    return array.flatten()
