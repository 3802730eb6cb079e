"""Logical types: what values are, apart from the ways in which arrow can lay them out.

`large_string`, `string_view` and a dictionary of strings are all `string` here. Every parquet file that ddbuild writes
has logical types only, so that tables with equal digests also look equal to whoever reads them. Row digests hash
`describe_type`: a change of its output changes every digest.
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.types as pt

from ddbuild.table.table_error import TableError

__all__ = ["describe_type", "is_list_like", "logical_type", "name_type", "reject_repeated_names"]

TypeDescription = tuple[object, ...]

_LEAVES = (
    pt.is_null,
    pt.is_boolean,
    pt.is_integer,
    pt.is_floating,
    pt.is_string,
    pt.is_binary,
    pt.is_fixed_size_binary,
    pt.is_date32,
    pt.is_time,
    pt.is_timestamp,
    pt.is_duration,
)


def is_list_like(type_: pa.DataType) -> bool:
    """Return whether values of `type_` are lists, of whatever layout; maps are not."""
    return bool(
        pt.is_list(type_)
        or pt.is_large_list(type_)
        or pt.is_fixed_size_list(type_)
        or pt.is_list_view(type_)
        or pt.is_large_list_view(type_)
    )


def logical_type(type_: pa.DataType, path: str) -> pa.DataType:
    """Return the logical type of `type_`; `path` is the column for messages, as in `answer.scores[]`.

    Extension types become their storage, dates days, decimals of up to 38 digits decimal128, and lists of a fixed
    size lists, because a parquet file knows no such difference.

    Raises:
        TableError: a parquet file cannot hold `type_`, or a struct names a field twice.
    """
    if isinstance(type_, pa.BaseExtensionType):
        return logical_type(type_.storage_type, path)
    if pt.is_dictionary(type_):
        return logical_type(type_.value_type, path)
    if pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        reject_repeated_names([field.name for field in fields], f"column `{path}`", "field")
        return pa.struct([pa.field(field.name, logical_type(field.type, f"{path}.{field.name}")) for field in fields])
    if pt.is_map(type_):
        return pa.map_(logical_type(type_.key_type, f"{path}{{}}"), logical_type(type_.item_type, f"{path}{{}}"))
    if is_list_like(type_):
        return pa.list_(logical_type(type_.value_type, f"{path}[]"))
    if pt.is_large_string(type_) or pt.is_string_view(type_):
        return pa.string()
    if pt.is_large_binary(type_) or pt.is_binary_view(type_):
        return pa.binary()
    if pt.is_date64(type_):
        return pa.date32()
    if pt.is_decimal(type_):
        make = pa.decimal128 if type_.precision <= 38 else pa.decimal256
        return make(type_.precision, type_.scale)
    if any(is_kind(type_) for is_kind in _LEAVES):
        return type_
    raise TableError(f"column `{path}` has the type `{type_}`, which a parquet file cannot hold")


def describe_type(type_: pa.DataType) -> TypeDescription:
    """Return a logical type as plain values, which do not depend on how a version of pyarrow spells it."""
    if pt.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        return ("struct", tuple((field.name, describe_type(field.type)) for field in fields))
    if pt.is_map(type_):
        return ("map", describe_type(type_.key_type), describe_type(type_.item_type))
    if pt.is_list(type_):
        return ("list", describe_type(type_.value_type))
    if pt.is_integer(type_):
        return ("int" if pt.is_signed_integer(type_) else "uint", type_.bit_width)
    if pt.is_floating(type_):
        return ("float", type_.bit_width)
    if pt.is_decimal(type_):
        return ("decimal", type_.precision, type_.scale)
    if pt.is_timestamp(type_):
        return ("timestamp", type_.unit, type_.tz)
    if pt.is_time(type_):
        return ("time", type_.unit)
    if pt.is_duration(type_):
        return ("duration", type_.unit)
    if pt.is_string(type_):
        return ("string",)
    if pt.is_binary(type_):
        return ("binary",)
    if pt.is_fixed_size_binary(type_):
        return ("fixed binary", type_.byte_width)
    if pt.is_boolean(type_):
        return ("bool",)
    if pt.is_date32(type_):
        return ("date",)
    if pt.is_null(type_):
        return ("null",)
    raise AssertionError(f"{type_} is no logical type")


def name_type(type_: pa.DataType) -> str:
    """Return what messages call a logical type: short, because a struct may have a hundred fields."""
    if pt.is_struct(type_):
        return "struct"
    if pt.is_map(type_):
        return "map"
    if pt.is_list(type_):
        return f"list of {name_type(type_.value_type)}"
    if pt.is_date32(type_):
        return "date"
    return str(type_)


def reject_repeated_names(names: list[str], subject: str, what: str = "column") -> None:
    """Raise a TableError about `subject` if a name occurs twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        hint = f"give each {what} its own name"
        raise TableError(f"{subject} has more than one {what} named `{repeated[0]}`", hint=hint)
