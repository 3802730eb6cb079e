"""JSONL files: one JSON object a line, read in chunks of whole lines.

Each chunk has the types that its values have in JSON, and chunks and files are merged by the rules of `unify`. Nothing
is guessed: text that looks like a date or a number stays text. Objects are structs, arrays lists, a missing key null,
an object that has no key in any row null. Python's NaN and Infinity are read as numbers. A line that cannot be read is
an error with its number; so is an integer that a column of floats cannot hold.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pjson
import pyarrow.types as pt

from ddbuild.table.logical_type import logical_type
from ddbuild.table.table_error import TableError, shorten_reason
from ddbuild.table.unification import Part

__all__ = ["jsonl_parts"]

_CHUNK = 16 << 20
_MARK = b"\xef\xbb\xbf"
_OPEN, _CLOSE = b"{}"
_DIGITS = bytes(ord("0") if 48 <= byte <= 57 else ord(" ") for byte in range(256))
_SIXTEEN = b"0" * 16
_LONG_INTEGER = re.compile(rb"(?<![\d.])\d{16,}(?![\d.eE])")
_PARSE_ERROR = re.compile(r"JSON parse error: (?P<what>.*?)(?: in row (?P<row>\d+))?$")
_CHANGED = re.compile(r"Column\((?P<path>.*)\) changed from (?P<before>\w+) to (?P<after>\w+)")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Whole lines of a file: where they start, how many bytes they are, and how many lines come before."""

    file: Path
    offset: int
    size: int
    lines_before: int


def jsonl_parts(file: Path) -> list[Part]:
    """Return the rows of a JSONL file in parts, which may differ in their types.

    Raises:
        TableError: the file is empty or has a line that is no JSON object; the message has file and line.
    """
    parts = []
    with _opening(file) as handle:
        offset, lines_before = 0, 0
        while lines := handle.readlines(_CHUNK):
            data = b"".join(lines)
            chunk = _Chunk(file, offset, len(data), lines_before)
            table = _parse(chunk, lines, None)
            if table is not None:
                parts.append(_make_part(chunk, table.schema))
            offset += len(data)
            lines_before += len(lines)
    if not parts:
        raise TableError(f"`{file.name}` is empty")
    return parts


def _make_part(chunk: _Chunk, guessed: pa.Schema) -> Part:
    # pyarrow guesses timestamps, and parses again without guessing where it is told the types.
    schema = pa.schema([pa.field(f.name, _undo_guess(logical_type(f.type, f.name))) for f in guessed])

    def read() -> Iterator[pa.RecordBatch]:
        with _opening(chunk.file) as handle:
            handle.seek(chunk.offset)
            lines = io.BytesIO(handle.read(chunk.size)).readlines()
        table = _parse(chunk, lines, schema)
        if table is None or table.schema.names != schema.names:
            raise TableError(f"`{chunk.file.name}` changed while it was read")
        yield from table.to_batches()

    return Part(chunk.file.name, schema, read)


def _undo_guess(type_: pa.DataType) -> pa.DataType:
    if pt.is_timestamp(type_):
        return pa.string()
    if pt.is_list(type_):
        return pa.list_(_undo_guess(type_.value_type))
    if pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        return pa.struct([pa.field(field.name, _undo_guess(field.type)) for field in fields])
    return type_


def _parse(chunk: _Chunk, lines: list[bytes], schema: pa.Schema | None) -> pa.Table | None:
    """Return the rows of `lines`, or None where all are blank."""
    if not chunk.offset and lines[0].startswith(_MARK):
        lines = [lines[0][len(_MARK) :], *lines[1:]]
    stripped = [line.strip() for line in lines]
    filled = list(filter(None, stripped))
    if not filled:
        return None
    data = b"\n".join(filled)
    # pyarrow takes several objects on a line, and one on several lines.
    if not all(line[0] == _OPEN and line[-1] == _CLOSE for line in filled):
        raise _find_bad_line(chunk, stripped)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _bad_line(chunk, stripped, data.count(b"\n", 0, error.start), "it is not UTF-8 text") from error
    try:
        table = pjson.read_json(
            io.BytesIO(data),
            read_options=pjson.ReadOptions(block_size=len(data) + 1, use_threads=False),
            parse_options=pjson.ParseOptions(explicit_schema=schema),
        )
    except pa.ArrowException as error:
        raise _describe_failure(chunk, stripped, str(error)) from error
    if table.num_rows != len(filled):
        raise _find_bad_line(chunk, stripped)
    floats = [field for field in table.schema if _holds_float(field.type)]
    if schema is None and floats and _SIXTEEN in data.translate(_DIGITS):
        for place, line in enumerate(filled):
            if _SIXTEEN in line.translate(_DIGITS) and _LONG_INTEGER.search(line):
                row = json.loads(line)
                for field in floats:
                    reason = _find_inexact(row.get(field.name), field.type, field.name)
                    if reason:
                        raise _bad_line(chunk, stripped, place, reason)
    return table


def _holds_float(type_: pa.DataType) -> bool:
    if pt.is_list(type_):
        return _holds_float(type_.value_type)
    if pt.is_struct(type_):
        return any(_holds_float(type_.field(i).type) for i in range(type_.num_fields))
    return bool(pt.is_floating(type_))


def _find_inexact(value: Any, type_: pa.DataType, path: str) -> str | None:
    """Return what is wrong with an integer in `value` that pyarrow has made another number of, as a double."""
    parts: list[tuple[Any, pa.DataType, str]] = []
    if isinstance(value, list) and pt.is_list(type_):
        parts = [(item, type_.value_type, f"{path}[]") for item in value]
    elif isinstance(value, dict) and pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        parts = [(value.get(field.name), field.type, f"{path}.{field.name}") for field in fields]
    elif type(value) is int and pt.is_floating(type_) and int(float(value)) != value:
        return f"column `{path}` is of floats, and none is exactly {value}"
    return next(filter(None, (_find_inexact(*part) for part in parts)), None)


def _describe_failure(chunk: _Chunk, lines: list[bytes], text: str) -> TableError:
    found = _PARSE_ERROR.search(text.splitlines()[0])
    if not found or not found["row"]:
        return _find_bad_line(chunk, lines, shorten_reason(text))
    changed = _CHANGED.search(found["what"])
    if changed and changed["path"]:
        column = changed["path"].removeprefix("/").replace("/[]", "[]").replace("/", ".")
        reason = f"column `{column}` is {changed['after']} here and {changed['before']} in lines before"
    else:
        reason = shorten_reason(found["what"])
    return _bad_line(chunk, lines, int(found["row"]), reason)


def _find_bad_line(chunk: _Chunk, lines: list[bytes], reason: str = "it has not one object a line") -> TableError:
    """Return an error about the first line that alone is no JSON object, or about the file for `reason`."""
    for place, line in enumerate(filter(None, lines)):
        try:
            value = json.loads(line)
        except ValueError as error:
            return _bad_line(chunk, lines, place, shorten_reason(str(error).partition(": line")[0]))
        if not isinstance(value, dict):
            return _bad_line(chunk, lines, place, "it is no JSON object")
    return TableError(f"`{chunk.file.name}` cannot be read as JSONL", facts={"reason": reason})


def _bad_line(chunk: _Chunk, lines: list[bytes], place: int, reason: str) -> TableError:
    """Return an error about the line at `place` among those of `lines` that are not blank."""
    numbers = [number for number, line in enumerate(lines, start=chunk.lines_before + 1) if line]
    facts = {"line": str(numbers[place]), "reason": reason}
    return TableError(f"`{chunk.file.name}` has a line that cannot be read", facts=facts)


@contextmanager
def _opening(file: Path) -> Iterator[io.BufferedReader]:
    try:
        with file.open("rb") as handle:
            yield handle
    except FileNotFoundError:
        raise TableError(f"`{file.name}` does not exist") from None
    except OSError as error:
        raise TableError(f"`{file.name}` cannot be read", facts={"reason": error.strerror or str(error)}) from error
