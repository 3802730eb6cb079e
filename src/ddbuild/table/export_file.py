"""Rows for people and other tools: parquet, CSV and JSONL files, and a few rows to look at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.types as pt

from ddbuild.table.parquet_file import count_rows, open_parquet, read_batches, replace_when_done
from ddbuild.table.plain_value import list_values, make_plain, plain_rows
from ddbuild.table.table_error import TableError

__all__ = ["export", "read_rows"]

ExportFormat = Literal["parquet", "csv", "jsonl"]

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def export(path: Path, destination: Path, format: ExportFormat) -> int:
    """Write the rows of the parquet file `path` to `destination`, atomically; return their number.

    Parquet is copied. In CSV a null is an empty cell, empty text `""`, and a list or struct JSON text. In CSV and JSONL
    dates are ISO 8601, binary is base64, durations are seconds, decimals keep their digits, and NaN and infinity are
    null, because JSON has no word for them.

    Raises:
        TableError: `path` cannot be read, or `destination` cannot be written.
    """
    rows = count_rows(path)
    try:
        with replace_when_done(destination) as temporary:
            if format == "parquet":
                shutil.copyfile(path, temporary)
            elif format == "csv":
                _write_csv(path, temporary)
            else:
                _write_jsonl(path, temporary)
    except OSError as error:
        reason = error.strerror or str(error)
        raise TableError(f"`{destination.name}` cannot be written", facts={"reason": reason}) from error
    return rows


def read_rows(path: Path, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """Return at most `limit` rows of a parquet file after its first `offset` ones, as values that JSON can say.

    They are those that an export as JSONL has. Row groups before `offset` are not read.

    Raises:
        TableError: the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    with open_parquet(path) as file:
        first, skip = 0, max(offset, 0)
        groups = file.metadata.num_row_groups
        while first < groups and skip >= file.metadata.row_group(first).num_rows:
            skip -= file.metadata.row_group(first).num_rows
            first += 1
        if first == groups:
            return rows
        for batch in read_batches(file, path.name, groups=range(first, groups)):
            if len(rows) >= limit:
                break
            piece = batch.slice(min(skip, batch.num_rows), limit - len(rows))
            skip = max(0, skip - batch.num_rows)
            rows += plain_rows(piece)
    return rows


def _write_csv(path: Path, destination: Path) -> None:
    with open_parquet(path) as file, destination.open("wb") as handle:
        schema = pa.schema([pa.field(field.name, _csv_type(field.type)) for field in file.schema_arrow])
        if len(schema) == 1:
            # A null alone on its line would be a blank line, which readers skip: everything in quotes instead.
            schema = pa.schema([pa.field(schema.names[0], pa.string())])
        with pcsv.CSVWriter(handle, schema) as writer:
            for batch in read_batches(file, path.name):
                columns = [_csv_column(column) for column in batch.columns]
                if len(columns) == 1:
                    columns = [pc.fill_null(columns[0].cast(pa.string()), "")]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _csv_type(type_: pa.DataType) -> pa.DataType:
    return _csv_column(pa.array([], type_)).type


def _csv_column(array: pa.Array) -> pa.Array:
    plain = make_plain(array)
    if not pt.is_nested(plain.type):
        return plain
    return pa.array([None if value is None else _to_json(value) for value in list_values(plain)], pa.string())


def _write_jsonl(path: Path, destination: Path) -> None:
    with open_parquet(path) as file, destination.open("w", encoding="utf-8", newline="\n") as handle:
        for batch in read_batches(file, path.name):
            handle.writelines(_to_json(row) + "\n" for row in plain_rows(batch))
