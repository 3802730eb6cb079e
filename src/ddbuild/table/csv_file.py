"""CSV files: types that fit every cell, found by reading all of it.

pyarrow's own inference looks at the first block only, so every cell is read as text here: once to see which types fit,
once to convert. The rules:

- A column is `int64`, `double`, `bool` (the words true and false), `date` (2024-05-01) or `timestamp`
  (2024-05-01 10:00:00, no time zone), the first of these that every cell fits, in all files of a source; else text.
- As in pandas and DuckDB, 007 is the number 7. Numbers that a column of numbers could not hold exactly, such as ids of
  twenty digits, leave the column text; so do hexadecimal numbers, a + before a phone number, dates in other forms.
- An empty cell is null; `""` is empty text in a column of text, and null in any other.
- NA, N/A, NULL, null, None and #N/A are null in a column of numbers, bools or dates, and the words that they are in
  a column of text. nan and inf are numbers. A column without any value is text.
- The first row names the columns. UTF-8, with or without a byte order mark; commas; blank lines are skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from ddbuild.table.logical_type import reject_repeated_names
from ddbuild.table.table_error import TableError, shorten_reason
from ddbuild.table.unification import Part

__all__ = ["csv_parts"]

_BLOCKS = (8 << 20, 64 << 20, 1 << 30)
_NULL_WORDS = pa.array(["", "NA", "N/A", "n/a", "NULL", "null", "None", "#N/A"])
_BOOL_WORDS = pa.array(["true", "false"])


def csv_parts(files: Sequence[Path]) -> list[Part]:
    """Return the rows of CSV files with the types that fit every cell of every file.

    Raises:
        TableError: a file is empty, has no rows or no usable header, or cannot be parsed; the message names it.
    """
    headers = {file: _read_header(file) for file in files}
    guesses: dict[str, _Guess] = {}
    for file in files:
        rows = 0
        for batch in _read_text(file, headers[file]):
            rows += batch.num_rows
            for name, cells in zip(batch.schema.names, batch.columns, strict=True):
                guesses.setdefault(name, _Guess()).look_at(cells)
        if not rows:
            raise TableError(f"`{file.name}` has a header and no rows")
    types = {name: guess.type for name, guess in guesses.items()}
    return [_typed_part(file, pa.schema([(name, types[name]) for name in headers[file]])) for file in files]


def _typed_part(file: Path, schema: pa.Schema) -> Part:
    def read() -> Iterator[pa.RecordBatch]:
        for batch in _read_text(file, schema.names):
            arrays = []
            for field, cells in zip(schema, batch.columns, strict=True):
                array = _CONVERSIONS[field.type](cells)
                if array is None:
                    raise TableError(f"`{file.name}` changed while it was read")
                arrays.append(array)
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return Part(file.name, schema, read)


class _Guess:
    """The types that every cell seen so far fits."""

    def __init__(self) -> None:
        self._candidates = [type_ for type_ in _CONVERSIONS if type_ != pa.string()]
        self._has_value = False

    @property
    def type(self) -> pa.DataType:
        return self._candidates[0] if self._candidates and self._has_value else pa.string()

    def look_at(self, cells: pa.Array) -> None:
        if not self._candidates:
            return
        fitting = []
        for type_ in self._candidates:
            array = _CONVERSIONS[type_](cells)
            if array is not None:
                fitting.append(type_)
                self._has_value = self._has_value or array.null_count < len(array)
        self._candidates = fitting


def _drop_null_words(cells: pa.Array) -> pa.Array:
    words = pc.is_in(cells, value_set=_NULL_WORDS)
    return pc.if_else(words, pa.scalar(None, pa.string()), cells) if pc.any(words).as_py() else cells


def _cast_or_none(cells: pa.Array, type_: pa.DataType) -> pa.Array | None:
    try:
        return cells.cast(type_)
    except pa.ArrowException:
        return None


def _to_integers(cells: pa.Array) -> pa.Array | None:
    array = _cast_or_none(_drop_null_words(cells), pa.int64())
    # arrow reads 0x1F as 31
    if array is not None and pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py():
        return None
    return array


def _to_doubles(cells: pa.Array) -> pa.Array | None:
    cells = _drop_null_words(cells)
    array = _cast_or_none(cells, pa.float64())
    if array is None or pc.any(pc.starts_with(cells, "+")).as_py():
        return None
    long = cells.filter(pc.match_substring_regex(cells, "^-?[0-9]{16,}$"))
    if any(int(float(text)) != int(text) for text in long.to_pylist() if text is not None):
        return None
    # 1e999 and 12e34567 are identifiers rather than infinity
    endless = cells.filter(pc.is_inf(array))
    return None if any("inf" not in text.lower() for text in endless.to_pylist() if text is not None) else array


def _to_bools(cells: pa.Array) -> pa.Array | None:
    cells = pc.utf8_lower(_drop_null_words(cells))
    words = pc.is_in(cells.drop_null(), value_set=_BOOL_WORDS)
    return cells.cast(pa.bool_()) if pc.all(words, min_count=0).as_py() else None


def _to_dates(cells: pa.Array) -> pa.Array | None:
    return _cast_or_none(_drop_null_words(cells), pa.date32())


def _to_timestamps(cells: pa.Array) -> pa.Array | None:
    return _cast_or_none(_drop_null_words(cells), pa.timestamp("us"))


_CONVERSIONS: dict[pa.DataType, Callable[[pa.Array], pa.Array | None]] = {
    pa.int64(): _to_integers,
    pa.float64(): _to_doubles,
    pa.bool_(): _to_bools,
    pa.date32(): _to_dates,
    pa.timestamp("us"): _to_timestamps,
    pa.string(): lambda cells: cells,
}


def _read_header(file: Path) -> list[str]:
    with _parsing(file.name):
        if not file.stat().st_size:
            raise TableError(f"`{file.name}` is empty")
        names = list(_open(file, []).schema.names)
    for place, name in enumerate(names, start=1):
        if not name:
            raise TableError(
                f"`{file.name}` has a column without a name",
                facts={"column": str(place)},
                hint="an index of pandas has no name: write the file with `index=False`",
            )
    reject_repeated_names(names, f"`{file.name}`")
    return names


def _read_text(file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `file` in batches, each cell as text or, where it is empty and not quoted, null."""
    last = None
    with _parsing(file.name):
        for batch in _read_blocks(file, names):
            if batch.num_rows:
                yield batch
                last = batch
        if last is not None:
            _reject_open_quote(file, last)


def _read_blocks(file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches; where a row is longer than a block, start again with larger ones and skip what was yielded."""
    done = 0
    for block in _BLOCKS:
        skip = done
        try:
            for batch in _open(file, names, block):
                rows = batch.slice(min(skip, batch.num_rows))
                skip -= batch.num_rows - rows.num_rows
                done += rows.num_rows
                yield rows
            return
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block == _BLOCKS[-1]:
                raise


def _open(file: Path, names: list[str], block: int | None = None) -> Any:
    """Return a reader of `file` whose columns `names` are text; without a block size the first that holds a row."""
    if block is None:
        for block in _BLOCKS[:-1]:
            try:
                return _open(file, names, block)
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error):
                    raise
        block = _BLOCKS[-1]
    return pcsv.open_csv(
        file,
        # Only a single thread counts rows, for messages.
        read_options=pcsv.ReadOptions(block_size=block, use_threads=False),
        parse_options=pcsv.ParseOptions(newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


@contextmanager
def _parsing(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"`{name}` does not exist") from None
    except OSError as error:
        raise TableError(f"`{name}` cannot be read", facts={"reason": error.strerror or str(error)}) from error
    except pa.ArrowException as error:
        raise _describe_failure(name, str(error)) from error


def _describe_failure(name: str, text: str) -> TableError:
    if "cannot infer number of columns" in text or "Empty CSV" in text:
        return TableError(f"`{name}` has no rows")
    if "invalid UTF8" in text:
        return TableError(f"`{name}` is not UTF-8 text", hint="save it as UTF-8")
    row = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", text)
    if row:
        facts = {"row": f"{row[1]}, counted from the header", "reason": f"{row[3]} cells under {row[2]} columns"}
        return TableError(f"`{name}` has a row that does not fit its header", facts=facts)
    return TableError(f"`{name}` cannot be read as CSV", facts={"reason": shorten_reason(text)})


def _reject_open_quote(file: Path, last: pa.RecordBatch) -> None:
    """Raise a TableError if the last cell began with a quote that nothing closes: it swallowed rows."""
    text = last.column(last.num_columns - 1)[-1].as_py()
    if not text or "\n" not in text:
        return
    raw = b'"' + text.replace('"', '""').encode()
    with file.open("rb") as handle:
        handle.seek(-min(len(raw), file.stat().st_size), os.SEEK_END)
        if handle.read() == raw:
            first = shorten_reason(text)
            raise TableError(f"`{file.name}` has a quote that is never closed", facts={"after": f'"{first}'})
