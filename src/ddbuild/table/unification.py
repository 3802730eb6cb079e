"""One parquet file with one schema out of many pieces: Data Designer's batches, parents, tables, text files.

Data Designer reads a folder of batches with the first one's schema, which turns 1.6 into 2 and drops fields of structs
where a column's type drifts. So whatever is handed to a stage went through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ddbuild.table.conform import conform_batch
from ddbuild.table.logical_type import logical_type, reject_repeated_names
from ddbuild.table.parquet_file import ParquetSink, name_index_columns, open_parquet, read_batches
from ddbuild.table.schema_merge import HINT, merge_schemas
from ddbuild.table.table_error import TableError

__all__ = ["Part", "concat", "make_part", "parquet_part", "unify", "write_parts"]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that come before others: what they are called in messages, their logical schema, and how to read them."""

    name: str
    schema: pa.Schema
    read: Callable[[], Iterator[pa.RecordBatch]]


def unify(files: Sequence[Path], destination: Path, *, names: Sequence[str] | None = None) -> int:
    """Write the rows of parquet files, one after the other, as one parquet file; return their number.

    A column that some files lack is null there. Types that drift are promoted where no value is lost: null to
    anything, integers and floats to wider ones and to double if it holds each integer exactly, structs to all fields
    of all, units of time to the finest. An index of pandas without a name is dropped; one with a name stays a column.

    Args:
        files: The files in order; they may have no rows.
        destination: Where the file goes, atomically; equal files give equal bytes.
        names: What messages call the files, if not by their file names.

    Raises:
        TableError: a file cannot be read, or a column has no common type; the message names types and files.
    """
    parts = [parquet_part(file, name) for file, name in zip(files, names or [f.name for f in files], strict=True)]
    return write_parts(parts, destination)


def concat(files: Sequence[Path], destination: Path, *, names: Sequence[str] | None = None) -> int:
    """Write the rows of several targets one after the other, by the rules of `unify`; return their number.

    Raises:
        TableError: as `unify`.
    """
    parts = [parquet_part(file, name) for file, name in zip(files, names or [f.name for f in files], strict=True)]
    return write_parts(parts, destination, hint="give the column one type in every target that is concatenated")


def write_parts(parts: Sequence[Part], destination: Path, *, hint: str = HINT) -> int:
    """Write the rows of `parts` as one parquet file with their merged schema; return their number.

    Raises:
        TableError: there is no column, a column has no common type, or a value does not fit it.
    """
    if not parts:
        raise TableError("there is no parquet file to read")
    schema = merge_schemas(((part.name, part.schema) for part in parts), hint=hint)
    if not schema.names:
        raise TableError(f"`{parts[0].name}` has no columns")
    with ParquetSink(destination, schema) as sink:
        for part in parts:
            for batch in part.read():
                sink.write(conform_batch(batch, schema, part.name))
    return sink.rows


def parquet_part(path: Path, name: str | None = None) -> Part:
    """Return the rows of a parquet file, without an index that pandas wrote.

    Raises:
        TableError: the file cannot be read.
    """
    called = name or path.name

    def read() -> Iterator[pa.RecordBatch]:
        with open_parquet(path, called) as file:
            yield from read_batches(file, called)

    with open_parquet(path, called) as file:
        return make_part(called, file.schema_arrow, read)


def make_part(name: str, schema: pa.Schema, read: Callable[[], Iterator[pa.RecordBatch]]) -> Part:
    """Return a part of batches of `schema`, which may have any types and pandas' metadata.

    Raises:
        TableError: two columns have one name, or a type cannot be stored.
    """
    reject_repeated_names(schema.names, f"`{name}`")
    dropped = name_index_columns(schema)
    fields = [pa.field(f.name, logical_type(f.type, f.name)) for f in schema if f.name not in dropped]
    return Part(name, pa.schema(fields), read)
