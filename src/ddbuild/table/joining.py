"""Joins of parquet files, larger than memory, in an order that does not depend on chance.

DuckDB sees the join keys only, and answers with pairs of row numbers, sorted by the left row and then the right one.
The rows themselves are gathered with arrow, so that no type has to survive a journey through SQL: DuckDB knows no
durations, cuts nanoseconds off times with a zone, and makes doubles of long decimals.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ddbuild.suggestion import suggest
from ddbuild.table.conform import conform_batch
from ddbuild.table.logical_type import name_type
from ddbuild.table.parquet_file import GROUP_BYTES, GROUP_ROWS, ParquetSink, open_parquet, read_batches
from ddbuild.table.schema_merge import merge_types
from ddbuild.table.table_error import TableError, list_names, shorten_reason
from ddbuild.table.unification import Part, parquet_part

__all__ = ["join"]

JoinKind = Literal["inner", "left", "outer", "cross"]

_WORDS = {"inner": "INNER JOIN", "left": "LEFT JOIN", "outer": "FULL JOIN"}
_MEMORY = "1GB"


def join(
    files: Sequence[Path],
    on: Sequence[str],
    how: JoinKind,
    destination: Path,
    *,
    names: Sequence[str] | None = None,
) -> int:
    """Write the join of parquet files, from left to right, as one parquet file; return the number of rows.

    Rows come in the order of the left file, those with one left row in the order of the right file, and rows of an
    outer join that have no left row at the end. Null and NaN match nothing. The columns `on` are there
    once, then come the other columns of each file. Keys of different number types are compared as numbers.

    Args:
        files: At least two files.
        on: The columns that have to be equal; none for a cross join.
        how: inner, left, outer or cross.
        destination: Where the file goes; temporary files, about as large as the uncompressed rows, are put beside it.
        names: What messages call the files, if not by their file names.

    Raises:
        TableError: a file lacks a key, keys have no common type, or two files have another column of the same name.
    """
    names = list(names or [file.name for file in files])
    parts = [parquet_part(file, name) for file, name in zip(files, names, strict=True)]
    keys = list(dict.fromkeys(on))
    if len(parts) < 2:
        raise TableError("a join needs at least two tables", facts={"given": list_names(names)})
    if bool(keys) == (how == "cross"):
        raise TableError("a cross join has no key columns" if keys else f"the {how} join has no key columns")
    _check_columns(parts, keys)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".join-") as folder:
            left = parts[0]
            for step, right in enumerate(parts[1:], start=1):
                target = destination if step == len(parts) - 1 else Path(folder) / f"{step}.parquet"
                rows = _join_two(left, right, keys, how, target, Path(folder) / f"step-{step}")
                if target != destination:
                    left = parquet_part(target, " and ".join(names[: step + 1]))
    except (pa.ArrowException, OSError) as error:
        raise TableError("the tables cannot be joined", facts={"reason": shorten_reason(error)}) from error
    return rows


def _check_columns(parts: Sequence[Part], keys: Sequence[str]) -> None:
    owners: dict[str, list[str]] = {}
    for part in parts:
        for key in keys:
            if key not in part.schema.names:
                close = suggest(key, part.schema.names)
                facts = {"columns": list_names(part.schema.names, limit=8)}
                hint = f"did you mean `{close}`?" if close else None
                raise TableError(f"`{part.name}` has no column `{key}` to join on", facts=facts, hint=hint)
        for name in part.schema.names:
            if name not in keys:
                owners.setdefault(name, []).append(part.name)
    shared = {name: found for name, found in owners.items() if len(found) > 1}
    if shared:
        raise TableError(
            "the joined tables have columns of the same name",
            facts={name: f"in {' and '.join(found)}" for name, found in shared.items()},
            hint="join on these columns too, or rename or drop them in a transform first",
        )


def _join_two(left: Part, right: Part, keys: Sequence[str], how: JoinKind, target: Path, folder: Path) -> int:
    folder.mkdir()
    types = {key: _merge_key(key, left, right) for key in keys}
    with (
        _Spool(left, types, folder / "left") as left_rows,
        _Spool(right, types, folder / "right") as right_rows,
    ):
        others = [field for field in right_rows.schema if field.name not in types]
        schema = pa.schema([*left_rows.schema, *others])
        rows = max(1, min(GROUP_ROWS, GROUP_BYTES // max(1, left_rows.row_bytes + right_rows.row_bytes)))
        if how == "cross":
            pairs = _pair_all(len(left_rows), len(right_rows), rows)
        else:
            pairs = _pair_equal(folder, len(keys), how, rows)
        with ParquetSink(target, schema) as sink:
            for left_places, right_places in pairs:
                taken = dict(left_rows.take(left_places))
                for name, column in right_rows.take(right_places):
                    taken[name] = pc.coalesce(taken[name], column) if name in types else column
                sink.write(pa.RecordBatch.from_arrays([taken[name] for name in schema.names], schema=schema))
    return sink.rows


def _merge_key(key: str, left: Part, right: Part) -> pa.DataType:
    variants: dict[pa.DataType, list[str]] = {}
    for part in (left, right):
        variants.setdefault(part.schema.field(key).type, []).append(part.name)
    type_ = merge_types(key, variants, hint="give the column one type in every table that is joined")
    if pt.is_nested(type_) or pt.is_decimal256(type_):
        raise TableError(f"column `{key}` has the type {name_type(type_)}, which cannot be joined on")
    return type_


class _Spool:
    """The rows of a part in an uncompressed file, where any of them can be reached, and the keys in a parquet file.

    The file is one that this process has just written, so it may be memory-mapped: rows stay on disk until they are
    taken, and the system can drop them again.
    """

    def __init__(self, part: Part, keys: dict[str, pa.DataType], path: Path) -> None:
        self.schema = pa.schema([pa.field(f.name, keys.get(f.name, f.type)) for f in part.schema])
        self._path = path.with_suffix(".arrow")
        key_schema = pa.schema([(f"key{i}", _sql_type(type_)) for i, type_ in enumerate(keys.values())])
        starts = [0]
        with (
            pa.ipc.new_file(str(self._path), self.schema) as rows,
            ParquetSink(path.with_suffix(".parquet"), key_schema) if keys else nullcontext() as sink,
        ):
            for batch in self._conform(part):
                rows.write_batch(batch)
                starts.append(starts[-1] + batch.num_rows)
                if sink is not None:
                    columns = [_sql_values(batch.column(batch.schema.get_field_index(key))) for key in keys]
                    sink.write(pa.RecordBatch.from_arrays(columns, schema=key_schema))
        self._starts = np.array(starts, dtype=np.int64)

    def _conform(self, part: Part) -> Iterator[pa.RecordBatch]:
        for batch in part.read():
            if batch.num_rows:
                yield conform_batch(batch, self.schema, part.name)

    def __enter__(self) -> _Spool:
        self._map = pa.memory_map(str(self._path))
        reader = pa.ipc.open_file(self._map)
        self._batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        return self

    def __exit__(self, *_: object) -> None:
        self._batches = []
        self._map.close()

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def row_bytes(self) -> int:
        """The average size of a row."""
        return self._path.stat().st_size // max(1, len(self))

    def take(self, places: pa.Array) -> Iterator[tuple[str, pa.Array]]:
        """Yield each column's name and its values in the rows `places`, null where a place is null."""
        known = places.drop_null().to_numpy()
        owners = np.searchsorted(self._starts, known, side="right") - 1
        order = np.argsort(owners, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(owners[order])) + 1) if len(order) else []
        pieces = [(self._batches[owners[group[0]]], known[group] - self._starts[owners[group[0]]]) for group in groups]
        ranks = np.empty(len(known), dtype=np.int64)
        ranks[order] = np.arange(len(known))
        back = _spread(ranks, places)
        for i, field in enumerate(self.schema):
            taken = [batch.column(i).take(pa.array(rows)) for batch, rows in pieces]
            gathered = pa.concat_arrays(taken) if taken else pa.array([], field.type)
            yield field.name, gathered.take(back)


def _spread(ranks: np.ndarray[Any, Any], places: pa.Array) -> pa.Array:
    """Return `ranks` with nulls where `places` has them."""
    if not places.null_count:
        return pa.array(ranks)
    missing = places.is_null().to_numpy(zero_copy_only=False)
    spread = np.zeros(len(places), dtype=np.int64)
    spread[~missing] = ranks
    return pa.array(spread, mask=missing)


def _sql_type(type_: pa.DataType) -> pa.DataType:
    """Return a type that DuckDB compares as arrow would compare `type_`."""
    if pt.is_timestamp(type_) or pt.is_duration(type_) or pt.is_time64(type_):
        return pa.int64()
    if pt.is_time32(type_) or pt.is_null(type_):
        return pa.int32()
    if pt.is_float16(type_):
        return pa.float32()
    return pa.binary() if pt.is_fixed_size_binary(type_) else type_


def _sql_values(array: pa.Array) -> pa.Array:
    type_ = _sql_type(array.type)
    array = array.cast(type_) if array.type != type_ else array
    if not pt.is_floating(type_):
        return array
    # DuckDB finds NaN equal to NaN, or not, as the statistics of the files happen to be. The sum makes 0.0 of -0.0.
    return pc.if_else(pc.is_nan(array), pa.scalar(None, type_), pc.add(array, pa.scalar(0.0, type_)))


def _pair_all(left: int, right: int, rows: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    for start in range(0, left * right, rows):
        places = np.arange(start, min(start + rows, left * right), dtype=np.int64)
        yield pa.array(places // right), pa.array(places % right)


def _pair_equal(folder: Path, keys: int, how: JoinKind, rows: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield the row numbers of matching rows, null for a row without a match."""
    # 0.1 s to import, and only joins need it
    import duckdb

    pairs = folder / "pairs.parquet"
    equal = " AND ".join(f"l.key{i} = r.key{i}" for i in range(keys))
    left, right = (
        f"read_parquet({_quote(folder / side, glob=True)}, file_row_number = true, hive_partitioning = false)"
        for side in ("left.parquet", "right.parquet")
    )
    try:
        with duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "temp_directory": str(folder)}) as database:
            database.execute(
                f"COPY (SELECT l.file_row_number AS l, r.file_row_number AS r"
                f" FROM {left} l {_WORDS[how]} {right} r ON {equal}"
                f" ORDER BY 1 NULLS LAST, 2 NULLS LAST) TO {_quote(pairs)} (FORMAT parquet)"
            )
    except duckdb.Error as error:
        raise TableError("the tables cannot be joined", facts={"reason": shorten_reason(error)}) from error
    with open_parquet(pairs) as file:
        for batch in read_batches(file, pairs.name):
            for start in range(0, batch.num_rows, rows):
                piece = batch.slice(start, rows)
                yield piece.column(0), piece.column(1)


def _quote(path: Path, *, glob: bool = False) -> str:
    """Return `path` as a text of SQL; where a pattern is read, `*`, `?` and `[` stand for themselves."""
    text = re.sub(r"[*?[]", r"[\g<0>]", str(path)) if glob else str(path)
    return "'" + text.replace("'", "''") + "'"
