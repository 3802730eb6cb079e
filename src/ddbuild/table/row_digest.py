"""The content digest of rows: blind to everything about a parquet file but its columns and their values.

Each column is one tree of hashers, with a node for every list, struct and value in its type. A node hashes up to three
canonical streams: one byte a value for "is not null", eight bytes for each length of a list, string or binary, and the
bytes of the values, with nulls as zeros and one NaN for all. A stream is the plain concatenation over batches, so it
does not depend on where batches, row groups and files begin. Lists hand only the items of lists that are not null to
the node below, so nothing that lies unused in a buffer is ever hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import xxhash

from ddbuild.digest import Digest, digest_of
from ddbuild.table.array_parts import list_items, list_lengths, map_entries, struct_fields, unwrap
from ddbuild.table.logical_type import describe_type, is_list_like, logical_type, reject_repeated_names
from ddbuild.table.parquet_file import list_paths, open_parquet, read_batches
from ddbuild.table.table_error import TableError

__all__ = ["digest_batches", "digest_rows"]

_VERSION = "rows/1"
_ONES = memoryview(b"\x01" * 65536)
_NAN = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}


def digest_rows(paths: Path | Sequence[Path]) -> Digest:
    """Return the digest of the rows of a parquet file, or of several that follow one another.

    It tells apart any two values, also null, empty and NaN, 0.0 and -0.0, 1 and 1.0; and any order of rows and columns.
    It is blind to compression, encodings, row groups, the split into files, dictionaries, the widths of offsets,
    nullability and all metadata. Memory is bounded by a batch.

    Raises:
        TableError: a file cannot be read, or the files have different columns or types.
    """
    hasher: _RowHasher | None = None
    first = ""
    for path in list_paths(paths):
        with open_parquet(path) as file:
            if hasher is None:
                hasher, first = _RowHasher(file.schema_arrow, path.name), path.name
            elif hasher.columns != _describe_columns(file.schema_arrow, path.name):
                raise TableError(f"`{path.name}` has other columns than `{first}`", hint="unify the files first")
            for batch in read_batches(file, path.name):
                hasher.update(batch)
    if hasher is None:
        raise TableError("there is no parquet file to read")
    return hasher.finish()


def digest_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Digest:
    """Return the digest that `digest_rows` would give a parquet file of these batches."""
    hasher = _RowHasher(schema, "table")
    for batch in batches:
        hasher.update(batch)
    return hasher.finish()


def _describe_columns(schema: pa.Schema, name: str) -> list[tuple[str, object]]:
    reject_repeated_names(schema.names, f"`{name}`")
    return [(field.name, describe_type(logical_type(field.type, field.name))) for field in schema]


class _RowHasher:
    def __init__(self, schema: pa.Schema, name: str) -> None:
        self.columns = _describe_columns(schema, name)
        self._nodes = [_Node(logical_type(field.type, field.name)) for field in schema]
        self._rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        for node, array in zip(self._nodes, batch.columns, strict=True):
            node.update(array)

    def finish(self) -> Digest:
        columns = [[name, kind, node.finish()] for (name, kind), node in zip(self.columns, self._nodes, strict=True)]
        return digest_of([_VERSION, self._rows, columns])


class _Node:
    """The streams of one column, or of one part of a nested column; `type_` is a logical type."""

    __slots__ = ("_data", "_lengths", "_type", "_valid", "children")

    def __init__(self, type_: pa.DataType) -> None:
        self._type = type_
        self._valid = xxhash.xxh3_128()
        self._lengths = xxhash.xxh3_128()
        self._data = xxhash.xxh3_128()
        self.children: list[_Node] = []
        if pt.is_struct(type_):
            self.children = [_Node(type_.field(i).type) for i in range(type_.num_fields)]
        elif pt.is_map(type_):
            self.children = [_Node(type_.key_type), _Node(type_.item_type)]
        elif pt.is_list(type_):
            self.children = [_Node(type_.value_type)]

    def finish(self) -> list[object]:
        streams = [hasher.digest() for hasher in (self._valid, self._lengths, self._data)]
        return [*streams, [child.finish() for child in self.children]]

    def update(self, array: pa.Array) -> None:
        if len(array) == 0:
            return
        array = unwrap(array)
        valid = self._hash_validity(array)
        if pt.is_null(self._type):
            return
        if pt.is_struct(self._type):
            self._update_children(struct_fields(array))
        elif pt.is_map(self._type):
            entries = map_entries(array)
            self._hash_lengths(list_lengths(entries))
            self._update_children(struct_fields(list_items(entries)))
        elif is_list_like(array.type):
            self._hash_lengths(list_lengths(array))
            self._update_children([list_items(array)])
        elif pt.is_string(self._type) or pt.is_binary(self._type):
            self._hash_bytes(array, valid)
        elif pt.is_boolean(self._type):
            self._data.update(_view_values(pc.fill_null(array, False).cast(pa.uint8())).data)
        else:
            self._hash_fixed(array, valid)

    def _update_children(self, parts: list[pa.Array]) -> None:
        for child, part in zip(self.children, parts, strict=True):
            child.update(part)

    def _hash_validity(self, array: pa.Array) -> np.ndarray[Any, Any] | None:
        """Hash one byte a value and return them as bools, or None where nothing is null."""
        if array.null_count == 0:
            for start in range(0, len(array), len(_ONES)):
                self._valid.update(_ONES[: len(array) - start])
            return None
        valid = _view_values(array.is_valid().cast(pa.uint8()))
        self._valid.update(valid.data)
        return valid.view(np.bool_)

    def _hash_lengths(self, lengths: np.ndarray[Any, Any]) -> None:
        self._lengths.update(np.ascontiguousarray(lengths, dtype="<i8").data)

    def _hash_bytes(self, array: pa.Array, valid: np.ndarray[Any, Any] | None) -> None:
        offsets, data = _view_bytes(array)
        lengths = np.diff(offsets)
        if valid is not None:
            unused = lengths[~valid]
            if unused.any():
                compact, data = _view_bytes(array.drop_null())
                data = data[compact[0] : compact[-1]]
            else:
                data = data[offsets[0] : offsets[-1]]
            lengths = np.where(valid, lengths, 0)
        else:
            data = data[offsets[0] : offsets[-1]]
        self._hash_lengths(lengths)
        self._data.update(data)

    def _hash_fixed(self, array: pa.Array, valid: np.ndarray[Any, Any] | None) -> None:
        if array.type != self._type:
            array = array.cast(self._type)
        if array.type.bit_width == 0:
            return
        values = _view_values(array)
        nans = None
        if pt.is_floating(self._type):
            found = np.isnan(values.view(f"f{values.itemsize}"))
            nans = found if found.any() else None
        if valid is not None or nans is not None:
            values = values.copy()
        if nans is not None:
            values[nans] = _NAN[values.itemsize]
        if valid is not None:
            values[~valid] = 0
        self._data.update(values.data)


def _view_values(array: pa.Array) -> np.ndarray[Any, Any]:
    """Return the values of a fixed-width array, nulls included, as numbers or rows of bytes, without a copy."""
    width = array.type.bit_width // 8
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8)
    raw = raw[array.offset * width : (array.offset + len(array)) * width]
    return raw.view(f"<u{width}") if width in (1, 2, 4, 8) else raw.reshape(-1, width)


def _view_bytes(array: pa.Array) -> tuple[np.ndarray[Any, Any], memoryview]:
    """Return the offsets of a string or binary array, one more than values, and the bytes that they point into."""
    _, offsets, data = array.buffers()
    dtype = "<i8" if pt.is_large_string(array.type) or pt.is_large_binary(array.type) else "<i4"
    if offsets is None or len(array) == 0:
        return np.zeros(1, dtype=dtype), memoryview(b"")
    view = np.frombuffer(offsets, dtype=dtype)[array.offset : array.offset + len(array) + 1]
    return view, memoryview(b"" if data is None else data)
