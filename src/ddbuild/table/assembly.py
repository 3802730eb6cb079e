"""Rows put together from several files: each column takes the value of each row from wherever that is.

Columns are gathered one at a time and spooled, so that memory holds the largest column and not the table.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from ddbuild.table.conform import conform
from ddbuild.table.logical_type import logical_type
from ddbuild.table.parquet_file import GROUP_ROWS, ParquetSink, open_parquet, read_some
from ddbuild.table.schema_merge import merge_schemas
from ddbuild.table.table_error import TableError

__all__ = [
    "Piece",
    "Samples",
    "SourceColumn",
    "assemble",
    "find_floated",
    "read_columns",
    "read_numbers",
    "write_samples",
]

Numbers = Any
"""A one-dimensional array of int64."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One column of some rows: `sheets` are lists of files that follow one another; the first that has it counts."""

    sheets: Sequence[Sequence[Path]]
    column: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column to be: `numbers` says for each row which one of the pieces' rows, numbered through, it takes.

    With `as_float` integers become floating point numbers, as pandas makes of those beside nulls.
    """

    pieces: Sequence[Piece]
    numbers: Numbers
    as_float: bool = False


def assemble(columns: Mapping[str, SourceColumn | Numbers], destination: Path, *, as_pandas: bool = False) -> int:
    """Write the columns, all of one length, as one parquet file; return the number of rows.

    A column may also be an array of numbers. With `as_pandas` texts have the type that Data Designer's files give them.

    Raises:
        TableError: a file cannot be read, or the pieces of a column have no common type.
    """
    spool = Path(tempfile.mkdtemp(prefix="ddbuild-"))
    try:
        fields = []
        for place, (name, column) in enumerate(columns.items()):
            if isinstance(column, SourceColumn):
                type_, blocks = _gather(name, column)
            else:
                type_, blocks = pa.int64(), (pa.array(block) for block in _cut(column))
            if as_pandas and pt.is_string(type_):
                type_ = pa.large_string()
            fields.append(pa.field(name, type_))
            schema = pa.schema([pa.field("values", type_)])
            with pa.OSFile(str(spool / f"{place}"), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
                for block in blocks:
                    writer.write_batch(pa.RecordBatch.from_arrays([block.cast(type_)], schema=schema))
        return _join(spool, pa.schema(fields), destination)
    except pa.ArrowException as error:
        raise TableError("kept and new rows cannot be put together", facts={"reason": str(error)}) from error
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def find_floated(file: Path, numbers: Numbers) -> set[str]:
    """Return the columns whose integers pandas makes floating point numbers of, since `numbers` has a row without one.

    Raises:
        TableError: the file cannot be read.
    """
    wanted = np.unique(numbers)
    found = set()
    with open_parquet(file) as opened:
        names = [field.name for field in opened.schema_arrow if pt.is_integer(field.type)]
        start = 0
        for batch in read_some(opened, file.name, names) if names else ():
            low, high = np.searchsorted(wanted, [start, start + batch.num_rows])
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                if values.null_count and values.take(pa.array(wanted[low:high] - start)).null_count:
                    found.add(name)
            start += batch.num_rows
    return found


def read_numbers(file: Path, column: str) -> Numbers:
    """Return a column of integers.

    Raises:
        TableError: the file cannot be read.
    """
    with open_parquet(file) as opened:
        parts = [
            batch.column(0).to_numpy(zero_copy_only=False).astype(np.int64)
            for batch in read_some(opened, file.name, [column])
        ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def read_columns(file: Path, columns: Sequence[str]) -> dict[str, list[object]]:
    """Return columns as Python's own values.

    Raises:
        TableError: the file cannot be read.
    """
    found: dict[str, list[object]] = {name: [] for name in columns}
    with open_parquet(file) as opened:
        for batch in read_some(opened, file.name, columns):
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                found[name] += values.to_pylist()
    return found


@dataclass(slots=True)
class Samples:
    """Numbers for samples: where a cell was made first, and in which row; the same wherever the cell is kept."""

    _origins: dict[str, int] = field(default_factory=dict)
    _noted: dict[str, list[Numbers]] = field(default_factory=dict)

    def read(self, file: Path | None, unit: str, rows: int, origin: str) -> Numbers:
        """Return the numbers of the cells of `unit` in a kept result that calls its own ones `origin`.

        `file` is what `write_samples` has written for it; without one, all cells are its own.

        Raises:
            TableError: the file cannot be read, or has other rows.
        """
        if file is None:
            return self._number(origin) + np.arange(rows, dtype=np.int64)
        with open_parquet(file) as opened:
            if {f"{unit} from", f"{unit} row"} - set(opened.schema_arrow.names):
                raise TableError(f"`{file.name}` does not know the column `{unit}`")
            parts = []
            for batch in read_some(opened, file.name, [f"{unit} from", f"{unit} row"]):
                places = batch.column(0).dictionary_encode()
                bases = np.array([self._number(name or origin) for name in places.dictionary.to_pylist()] or [0])
                parts.append(bases[places.indices.to_numpy()] + batch.column(1).to_numpy())
        numbers = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        if len(numbers) != rows:
            raise TableError(f"`{file.name}` has {len(numbers)} rows, and {rows} are needed")
        return numbers

    def note(self, units: Mapping[str, Numbers]) -> None:
        """Note that there are these samples of units."""
        for unit, numbers in units.items():
            self._noted.setdefault(unit, []).append(numbers)

    def has_new(self, units: Mapping[str, Numbers]) -> bool:
        """Return whether there is a sample of a unit that was not noted so far."""
        for unit, numbers in units.items():
            for noted in self._noted.get(unit, []):
                if len(numbers):
                    numbers = numbers[~np.isin(numbers, noted)]
            if len(numbers):
                return True
        return False

    def name(self, numbers: Numbers) -> tuple[Any, Numbers]:
        """Return the origins' names and the rows of samples; a number below 0 is a sample made just now."""
        names = np.array([*self._origins, ""], dtype=object)
        places = np.where(numbers < 0, len(names) - 1, numbers >> _ROW_BITS)
        return names[places], np.where(numbers < 0, np.arange(len(numbers)), numbers & ((1 << _ROW_BITS) - 1))

    def _number(self, origin: str) -> int:
        return self._origins.setdefault(origin, len(self._origins)) << _ROW_BITS


_ROW_BITS = 40


def write_samples(samples: Samples, units: Mapping[str, Numbers], destination: Path) -> None:
    """Write for each row where the cells of each unit were made first; a number below 0 is one made just now.

    Raises:
        TableError: the file cannot be written.
    """
    columns: dict[str, Any] = {}
    for unit, numbers in units.items():
        names, rows = samples.name(numbers)
        columns[f"{unit} from"] = pa.array(names, pa.string())
        columns[f"{unit} row"] = pa.array(rows)
    table = pa.table(columns)
    with ParquetSink(destination, table.schema) as sink:
        for batch in table.to_batches(GROUP_ROWS):
            sink.write(batch)


def _gather(name: str, column: SourceColumn) -> tuple[Any, Iterator[Any]]:
    wanted, back = np.unique(column.numbers, return_inverse=True)
    found: list[tuple[Piece, list[Any]]] = []
    start = 0
    for piece in column.pieces:
        low, high = np.searchsorted(wanted, [start, start + piece.rows])
        if low < high:
            found.append((piece, _take(piece, wanted[low:high] - start)))
        start += piece.rows
    schemas = [
        (f"{piece.column}", pa.schema([pa.field(name, logical_type(array.type, name))]))
        for piece, arrays in found
        for array in arrays[:1]
    ]
    type_ = merge_schemas(schemas).field(0).type if schemas else pa.null()
    chunks = [conform(array, type_, path=name, source=piece.column) for piece, arrays in found for array in arrays]
    if column.as_float and pt.is_integer(type_):
        type_ = pa.float64()
        chunks = [chunk.cast(type_, safe=False) for chunk in chunks]
    # Offsets of 32 bits end at 2 GB, and the blocks that are taken are far smaller.
    wide = pa.large_string() if pt.is_string(type_) else type_
    whole = pa.chunked_array([chunk.cast(wide) if wide != type_ else chunk for chunk in chunks], wide).combine_chunks()
    return type_, (
        whole.take(pa.array(block)).cast(type_) if wide != type_ else whole.take(pa.array(block))
        for block in _cut(back)
    )


def _take(piece: Piece, rows: Numbers) -> list[Any]:
    for sheet in piece.sheets:
        arrays: list[Any] = []
        start = 0
        for path in sheet:
            with open_parquet(path) as file:
                if piece.column not in file.schema_arrow.names:
                    break
                for batch in read_some(file, path.name, [piece.column]):
                    low, high = np.searchsorted(rows, [start, start + batch.num_rows])
                    if low < high:
                        arrays.append(batch.column(0).take(pa.array(rows[low:high] - start)))
                    start += batch.num_rows
        else:
            return arrays
    raise TableError(f"a kept table has no column `{piece.column}` any more")


def _cut(numbers: Numbers) -> Iterator[Numbers]:
    for start in range(0, len(numbers), GROUP_ROWS):
        yield numbers[start : start + GROUP_ROWS]


def _join(spool: Path, schema: Any, destination: Path) -> int:
    with ExitStack() as stack, ParquetSink(destination, schema) as sink:
        readers = []
        for place in range(len(schema)):
            file = stack.enter_context(pa.OSFile(str(spool / f"{place}"), "rb"))
            readers.append(stack.enter_context(pa.ipc.open_stream(file)))
        for batches in zip(*readers, strict=True):
            sink.write(pa.RecordBatch.from_arrays([batch.column(0) for batch in batches], schema=schema))
    return sink.rows
