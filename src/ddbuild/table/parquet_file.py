"""Parquet files: open them, read them in batches, write them.

Every failure to read becomes a TableError that names the file. Memory is bounded: columns are read through small
buffers, batches hold about 64 MB, and row groups are written as soon as they are full. Files are never memory-mapped,
because one that is cut short on a network file system would then kill the process.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ddbuild.table.logical_type import logical_type, name_type
from ddbuild.table.table_error import TableError, shorten_reason

__all__ = [
    "ParquetSink",
    "choose_batch_rows",
    "count_rows",
    "list_folder",
    "list_paths",
    "name_index_columns",
    "open_parquet",
    "read_batches",
    "read_schema",
    "read_some",
    "replace_when_done",
]

GROUP_ROWS = 65536
GROUP_BYTES = 64 << 20
_READ_BUFFER = 1 << 20
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


def count_rows(paths: Path | Sequence[Path]) -> int:
    """Return how many rows the parquet files have together, from their footers alone."""
    total = 0
    for path in list_paths(paths):
        with open_parquet(path) as file:
            total += int(file.metadata.num_rows)
    return total


def read_schema(path: Path) -> dict[str, str]:
    """Return the columns of a parquet file in order, each with the name of its logical type for messages."""
    with open_parquet(path) as file:
        return {field.name: name_type(logical_type(field.type, field.name)) for field in file.schema_arrow}


def list_paths(paths: Path | Sequence[Path]) -> list[Path]:
    """Return one path or several as a list."""
    return [paths] if isinstance(paths, Path) else list(paths)


def list_folder(folder: Path) -> list[Path]:
    """Return the parquet files directly in `folder`, sorted by name, without hidden ones."""
    files = (path for path in folder.glob("*.parquet") if not path.name.startswith(".") and path.is_file())
    return sorted(files, key=lambda path: path.name)


@contextmanager
def open_parquet(path: Path, name: str | None = None) -> Iterator[Any]:
    """Yield `path` as a pyarrow ParquetFile; it is called `name` in messages, or by its file name.

    Raises:
        TableError: there is no such file, or it is no complete parquet file.
    """
    name = name or path.name
    if path.is_dir():
        raise TableError(f"`{name}` is a folder, and a parquet file is needed")
    with _reading(name):
        file = pq.ParquetFile(path, buffer_size=_READ_BUFFER, pre_buffer=False)
    with file:
        yield file


def read_batches(file: Any, name: str, *, groups: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open ParquetFile, or of some row groups, in batches of about 64 MB and at most 65,536 rows.

    Raises:
        TableError: the file is damaged, or there are fewer rows in it than its footer says.
    """
    metadata = file.metadata
    missing = sum(
        metadata.row_group(i).num_rows for i in (range(metadata.num_row_groups) if groups is None else groups)
    )
    with _reading(name):
        batches = file.iter_batches(batch_size=choose_batch_rows(metadata), row_groups=groups)
    while True:
        with _reading(name):
            batch = next(batches, None)
        if batch is None:
            break
        missing -= batch.num_rows
        yield batch
    if missing:
        raise TableError(f"`{name}` is damaged", facts={"rows missing": str(missing)})


def read_some(file: Any, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open ParquetFile with only `columns`, in batches of at most 65,536 rows.

    Raises:
        TableError: the file is damaged.
    """
    with _reading(name):
        batches = file.iter_batches(batch_size=GROUP_ROWS, columns=list(columns))
    while True:
        with _reading(name):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def choose_batch_rows(metadata: Any) -> int:
    """Return how many rows of a file make a batch of about 64 MB."""
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return max(1, min(GROUP_ROWS, GROUP_BYTES * int(metadata.num_rows) // max(int(size), 1)))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"`{name}` does not exist") from None
    except (pa.ArrowException, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TableError(
            f"`{name}` cannot be read as a parquet file", facts={"reason": shorten_reason(reason)}
        ) from error


def name_index_columns(schema: pa.Schema) -> set[str]:
    """Return the columns that pandas' metadata call an index and that nobody named, as in `__index_level_0__`.

    They number rows, so they are no data. An index with a name stays a column, and so does a column that is
    merely called `__index_level_0__`.
    """
    try:
        found = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):
        return set()
    return {name for name in found if isinstance(name, str) and _UNNAMED_INDEX.fullmatch(name)}


@contextmanager
def replace_when_done(destination: Path) -> Iterator[Path]:
    """Yield a path beside `destination` that replaces it at the end; after an error nothing remains of it."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


class ParquetSink:
    """A parquet file being written: zstd, row groups of 65,536 rows or 64 MB, equal rows in equal bytes.

    As a context manager it puts the file at `destination` when the block ends, and nothing there when it fails.
    """

    def __init__(self, destination: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._destination = destination
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def __enter__(self) -> Self:
        with self._writing(), ExitStack() as stack:
            temporary = stack.enter_context(replace_when_done(self._destination))
            self._writer = pq.ParquetWriter(temporary, self._schema, compression="zstd")
            self._replacing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with self._writing(), self._replacing:
                self._flush()
                self._writer.close()
        else:
            with suppress(pa.ArrowException, OSError):
                self._writer.close()
            self._replacing.__exit__(kind, error, trace)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add the rows of `batch`, which has exactly the schema of the file."""
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, GROUP_ROWS - self._pending_rows)
            self._pending.append(piece)
            self._pending_rows += piece.num_rows
            self._pending_bytes += piece.nbytes
            start += piece.num_rows
            if self._pending_rows == GROUP_ROWS or self._pending_bytes >= GROUP_BYTES:
                with self._writing():
                    self._flush()
        self.rows += batch.num_rows

    def _flush(self) -> None:
        if self._pending:
            # One chunk, so that the pages do not depend on how the rows came in.
            table = pa.Table.from_batches(self._pending, schema=self._schema).combine_chunks()
            self._writer.write_table(table, row_group_size=GROUP_ROWS)
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise TableError(
                f"`{self._destination.name}` cannot be written", facts={"reason": shorten_reason(reason)}
            ) from error
