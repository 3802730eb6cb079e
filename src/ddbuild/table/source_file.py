"""Files that people keep, as one parquet file: parquet, CSV or JSONL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ddbuild.table.parquet_file import open_parquet
from ddbuild.table.table_error import TableError, list_names
from ddbuild.table.unification import Part, parquet_part, write_parts

__all__ = ["import_files"]

SourceFormat = Literal["parquet", "csv", "jsonl"]

_SUFFIXES: dict[str, SourceFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def import_files(files: Sequence[Path], format: SourceFormat | None, destination: Path) -> int:
    """Write the rows of source files, one file after the other, as one parquet file; return their number.

    Files that differ follow the rules of `unify`: a column that a file lacks is null there, types are promoted where no
    value is lost. CSV cells have no type of their own, so that of a column is found over all cells of all files: see
    `csv_file` for what is a number, a date, text or null. JSONL values keep their JSON type.

    Args:
        files: The files in order, all of one format.
        format: The format, or None to tell it from the suffix.
        destination: Where the file goes.

    Raises:
        TableError: a file is empty, of another format, or damaged, or a column has no common type.
    """
    if not files:
        raise TableError("the source has no files")
    format = format or _guess_format(files)
    for file in files:
        _check_content(file, format)
    return write_parts(_read_parts(files, format), destination)


def _read_parts(files: Sequence[Path], format: SourceFormat) -> list[Part]:
    if format == "parquet":
        return [parquet_part(file) for file in files]
    if format == "csv":
        from ddbuild.table.csv_file import csv_parts

        return csv_parts(files)
    from ddbuild.table.jsonl_file import jsonl_parts

    return [part for file in files for part in jsonl_parts(file)]


def _guess_format(files: Sequence[Path]) -> SourceFormat:
    formats: dict[str, list[str]] = {}
    for file in files:
        format = _SUFFIXES.get(file.suffix.lower())
        if format is None:
            hint = 'say which it is: `format="parquet"`, "csv" or "jsonl"'
            raise TableError(f"`{file.name}` has no suffix of parquet, CSV or JSONL", hint=hint)
        formats.setdefault(format, []).append(file.name)
    if len(formats) > 1:
        facts = {format: list_names(names) for format, names in formats.items()}
        raise TableError("the source has files of several formats", facts=facts, hint="make it one source per format")
    return _SUFFIXES[files[0].suffix.lower()]


def _check_content(file: Path, format: SourceFormat) -> None:
    if file.is_dir():
        raise TableError(f"`{file.name}` is a folder, and a file is needed", hint=f"write `{file.name}/*.{format}`")
    if format == "parquet":
        with open_parquet(file):
            return
    try:
        with file.open("rb") as handle:
            start = handle.read(4)
    except FileNotFoundError:
        raise TableError(f"`{file.name}` does not exist") from None
    except OSError as error:
        raise TableError(f"`{file.name}` cannot be read", facts={"reason": error.strerror or str(error)}) from error
    if start == b"PAR1":
        raise TableError(f"`{file.name}` is a parquet file, not {format.upper()}", hint='write `format="parquet"`')
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError(f"`{file.name}` is not UTF-8 text", hint="save it as UTF-8")
