"""One type out of several: what a column is when its type drifts between files.

Promotion never loses a value: null gives way to anything, integers and floats widen, structs get the fields of all.
Whether each single value fits is checked later, when it is cast. What has no common type is an error that says which
files hold which type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.types as pt

from ddbuild.table.logical_type import name_type
from ddbuild.table.table_error import TableError, list_names

__all__ = ["HINT", "merge_schemas", "merge_types"]

HINT = "make the column return one type in every row"

_UNITS = ("s", "ms", "us", "ns")
_Variants = dict[pa.DataType, list[str]]


def merge_schemas(schemas: Iterable[tuple[str, pa.Schema]], *, hint: str = HINT) -> pa.Schema:
    """Return one schema for the rows of all: the first one's columns, then those that others add, in their order.

    Args:
        schemas: The schema of each file, of logical types, with the name of the file for messages.
        hint: What to do about a column without a common type.

    Raises:
        TableError: a column has no common type, or there is no column at all.
    """
    columns: dict[str, _Variants] = {}
    for name, schema in schemas:
        for field in schema:
            columns.setdefault(field.name, {}).setdefault(field.type, []).append(name)
    merged = {name: merge_types(name, kinds, hint=hint) for name, kinds in columns.items()}
    return pa.schema([pa.field(name, _drop_empty_structs(type_)) for name, type_ in merged.items()])


def merge_types(path: str, variants: Mapping[pa.DataType, list[str]], *, hint: str = HINT) -> pa.DataType:
    """Return the type that holds the values of all `variants`, logical types with the files where they occur.

    Raises:
        TableError: there is no such type; `path` is the column's name in the message.
    """
    kinds = {type_: files for type_, files in variants.items() if not pt.is_null(type_)}
    if not kinds:
        return pa.null()
    types = list(kinds)
    if len(types) == 1:
        return types[0]
    if all(pt.is_struct(type_) for type_ in types):
        fields: dict[str, _Variants] = {}
        for type_, files in kinds.items():
            for i in range(type_.num_fields):
                field = type_.field(i)
                fields.setdefault(field.name, {}).setdefault(field.type, []).extend(files)
        merged = {name: merge_types(f"{path}.{name}", inner, hint=hint) for name, inner in fields.items()}
        return pa.struct([pa.field(name, type_) for name, type_ in merged.items()])
    if all(pt.is_map(type_) for type_ in types):
        keys, items = _collect(kinds, "key_type"), _collect(kinds, "item_type")
        return pa.map_(merge_types(f"{path}{{}}", keys, hint=hint), merge_types(f"{path}{{}}", items, hint=hint))
    if all(pt.is_list(type_) for type_ in types):
        return pa.list_(merge_types(f"{path}[]", _collect(kinds, "value_type"), hint=hint))
    promoted = _promote(types)
    if promoted is None:
        raise _describe_conflict(path, kinds, hint)
    return promoted


def _collect(kinds: _Variants, part: str) -> _Variants:
    inner: _Variants = {}
    for type_, files in kinds.items():
        inner.setdefault(getattr(type_, part), []).extend(files)
    return inner


def _promote(types: list[pa.DataType]) -> pa.DataType | None:
    """Return the common type of several different types that are not nested, or None."""
    if all(pt.is_integer(type_) for type_ in types):
        return _widen_integers(types)
    if all(pt.is_floating(type_) for type_ in types):
        return max(types, key=lambda type_: type_.bit_width)
    if all(pt.is_integer(type_) or pt.is_floating(type_) for type_ in types):
        return pa.float64()
    if all(pt.is_integer(type_) or pt.is_decimal(type_) for type_ in types):
        return _widen_decimals(types)
    if all(pt.is_timestamp(type_) or pt.is_date(type_) for type_ in types):
        return _widen_timestamps([type_ for type_ in types if pt.is_timestamp(type_)], types)
    if all(pt.is_duration(type_) for type_ in types):
        return pa.duration(_finest(types))
    if all(pt.is_time(type_) for type_ in types):
        unit = _finest(types)
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)
    if all(pt.is_binary(type_) or pt.is_fixed_size_binary(type_) for type_ in types):
        return pa.binary()
    return None


def _widen_integers(types: list[pa.DataType]) -> pa.DataType:
    signed = [type_.bit_width for type_ in types if pt.is_signed_integer(type_)]
    unsigned = [type_.bit_width for type_ in types if pt.is_unsigned_integer(type_)]
    if not signed:
        return max(types, key=lambda type_: type_.bit_width)
    # An unsigned number needs the next wider signed type; of uint64 the cast checks each value.
    width = min(64, max([*signed, *(2 * bits for bits in unsigned)]))
    return {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[width]


def _widen_decimals(types: list[pa.DataType]) -> pa.DataType | None:
    scale = max(type_.scale for type_ in types if pt.is_decimal(type_))
    digits = max(type_.precision - type_.scale if pt.is_decimal(type_) else 20 for type_ in types)
    if digits + scale <= 38:
        return pa.decimal128(digits + scale, scale)
    return pa.decimal256(digits + scale, scale) if digits + scale <= 76 else None


def _widen_timestamps(stamps: list[pa.DataType], types: list[pa.DataType]) -> pa.DataType | None:
    zones = {type_.tz for type_ in stamps}
    if None in zones:
        return pa.timestamp(_finest(stamps)) if len(zones) == 1 else None
    if len(stamps) < len(types):
        return None
    return pa.timestamp(_finest(stamps), tz=zones.pop() if len(zones) == 1 else "UTC")


def _finest(types: list[pa.DataType]) -> str:
    return _UNITS[max(_UNITS.index(type_.unit) for type_ in types)]


def _drop_empty_structs(type_: pa.DataType) -> pa.DataType:
    """Return `type_` with null for structs that have no field in any row, which no parquet file can hold."""
    if pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        return pa.struct([pa.field(f.name, _drop_empty_structs(f.type)) for f in fields]) if fields else pa.null()
    if pt.is_list(type_):
        return pa.list_(_drop_empty_structs(type_.value_type))
    if pt.is_map(type_):
        return pa.map_(type_.key_type, _drop_empty_structs(type_.item_type))
    return type_


def _describe_conflict(path: str, kinds: _Variants, hint: str) -> TableError:
    named: dict[str, list[str]] = {}
    for type_, files in kinds.items():
        named.setdefault(name_type(type_), []).extend(files)
    types = list(named)
    words = types[0] if len(types) == 1 else f"{', '.join(types[:-1])} and {types[-1]}"
    facts = {name: list_names(files) for name, files in named.items()}
    return TableError(f"column `{path}` has values of several types: {words}", facts=facts, hint=hint)
