"""Whatever a user's function returned, as one parquet file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from ddbuild.table.parquet_file import GROUP_ROWS, list_folder
from ddbuild.table.table_error import TableError, shorten_reason
from ddbuild.table.unification import Part, make_part, unify, write_parts

__all__ = ["write_result"]

_EXPECTED = (
    "a pyarrow Table or RecordBatchReader, a pandas DataFrame, or the path of a parquet file or a folder of them"
)


def write_result(value: object, destination: Path) -> int:
    """Write what a transform, callback or seed function returned as one parquet file; return the number of rows.

    It may be a pyarrow Table, RecordBatch or RecordBatchReader, a pandas DataFrame, or the path of a parquet file or
    of a folder with parquet files directly in it, which are taken in the order of their names. Files follow the rules
    of `unify`. `destination` may be the file that was returned.

    Raises:
        TableError: it is something else, cannot be read, or has a column without one type.
    """
    if isinstance(value, (str, os.PathLike)):
        return _write_path(Path(value), destination)
    if isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    elif (frame := _as_frame(value)) is not None:
        # pandas takes half a second to import, and a value of its type proves that this has happened already.
        from ddbuild.table.data_frame import table_from_frame

        value = table_from_frame(frame)
    if isinstance(value, pa.Table):
        return write_parts([_table_part(value)], destination)
    if isinstance(value, pa.RecordBatchReader):
        return write_parts([_reader_part(value)], destination)
    raise TableError(
        "the function returned something that is no table", facts={"expected": _EXPECTED, "given": _describe(value)}
    )


def _write_path(path: Path, destination: Path) -> int:
    if path.is_dir():
        files = list_folder(path)
        if not files:
            raise TableError(
                f"the returned folder `{path.name}` has no parquet files",
                hint="put `*.parquet` directly into the folder, not into folders below it",
            )
        return unify(files, destination)
    if not path.exists():
        raise TableError(f"the returned path `{path.name}` does not exist")
    return unify([path], destination)


def _as_frame(value: object) -> Any:
    pandas = sys.modules.get("pandas")
    return value if pandas is not None and isinstance(value, pandas.DataFrame) else None


def _table_part(table: pa.Table) -> Part:
    return make_part("table", table.schema, lambda: iter(table.to_batches(max_chunksize=GROUP_ROWS)))


def _reader_part(reader: Any) -> Part:
    def read() -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except pa.ArrowException as error:
                facts = {"reason": shorten_reason(error)}
                raise TableError("the returned RecordBatchReader failed", facts=facts) from error
            yield batch

    return make_part("reader", reader.schema, read)


def _describe(value: object) -> str:
    kind = type(value)
    if value is None:
        return "None"
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]} "
    return f"{module}{kind.__qualname__}"
