"""The plain content of values whose types belong to a library: dates and numbers, arrays, tables in memory.

Types are known by the name of their module, so that nothing is imported to test for them: a value of a library's type
cannot exist before somebody else imported that library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["find_content", "is_known_by_name", "is_random_source"]

_Content = Callable[[Any], object]


def find_content(value: object) -> tuple[str, object] | None:
    """Return the name of a type and the plain content of `value`, or None where ddbuild does not know the type."""
    for base in type(value).__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        content = _CONTENTS.get(name)
        if content is not None:
            return name, content(value)
    return None


def is_known_by_name(value: object) -> bool:
    """Return whether `value` holds nothing that rows are made of: a logger, a lock, a console."""
    for base in type(value).__mro__:
        module, name = base.__module__.partition(".")[0], base.__name__
        if module in ("_thread", "threading") and name not in ("Thread", "Timer"):
            return True
        if module in ("logging", "loguru", "structlog", "_contextvars", "contextvars") or base.__module__ in (
            "asyncio.locks",
            "rich.console",
        ):
            return True
    return False


def is_random_source(value: object) -> bool:
    """Return whether `value` is a random number generator, whose state is no part of what a user wrote."""
    return any(
        f"{base.__module__.partition('.')[0]}.{base.__name__}"
        in ("random.Random", "numpy.Generator", "numpy.RandomState", "numpy.BitGenerator", "faker.Faker")
        for base in type(value).__mro__
    )


def _read_array(value: Any) -> object:
    if value.dtype.hasobject or value.dtype.kind == "T":
        return (str(value.dtype), value.shape, value.ravel().tolist())
    return (str(value.dtype), value.shape, value.tobytes())


def _read_series(value: Any) -> object:
    dtype = value.dtype
    categories = getattr(dtype, "categories", None)
    if getattr(dtype, "kind", "O") in "biufcmM" and type(dtype).__module__.startswith("numpy"):
        content = _read_array(value.to_numpy())
    else:
        content = value.tolist()
    return (str(dtype), None if categories is None else (categories.tolist(), bool(dtype.ordered)), content)


def _read_index(value: Any) -> object:
    if type(value).__name__ == "MultiIndex":
        return (list(value.names), value.tolist())
    return (list(value.names), _read_series(value))


def _read_frame(value: Any) -> object:
    columns = [_read_series(value.iloc[:, position]) for position in range(value.shape[1])]
    return (_read_index(value.columns), _read_index(value.index), columns)


def _read_arrow_table(value: Any) -> object:
    columns = [value.column(position).to_pylist() for position in range(value.num_columns)]
    return ([(field.name, str(field.type)) for field in value.schema], columns)


def _read_field(value: Any) -> object:
    return (dict(value._attributes_set), list(value.metadata))


_CONTENTS: dict[str, _Content] = {
    "datetime.datetime": lambda value: (value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo),
    "datetime.date": lambda value: value.isoformat(),
    "datetime.time": lambda value: (value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo),
    "datetime.timedelta": lambda value: (value.days, value.seconds, value.microseconds),
    "datetime.timezone": lambda value: (value.utcoffset(None), value.tzname(None)),
    "zoneinfo.ZoneInfo": lambda value: value.key,
    "decimal.Decimal": lambda value: str(value),
    "fractions.Fraction": lambda value: (value.numerator, value.denominator),
    "uuid.UUID": lambda value: value.int,
    "re.Pattern": lambda value: (value.pattern, value.flags),
    "numpy.generic": lambda value: _read_array(value),
    "numpy.ndarray": _read_array,
    "numpy.dtype": str,
    "numpy.Generator": lambda value: value.bit_generator.state,
    "numpy.RandomState": lambda value: value.get_state(),
    "numpy.BitGenerator": lambda value: value.state,
    "pandas.DataFrame": _read_frame,
    "pandas.Series": lambda value: (value.name, _read_index(value.index), _read_series(value)),
    "pandas.Index": _read_index,
    "pandas.Timestamp": lambda value: (value.isoformat(), value.fold, str(value.tz)),
    "pandas.Timedelta": lambda value: value.isoformat(),
    "pandas.NAType": lambda value: None,
    "pandas.NaTType": lambda value: None,
    "pandas.Period": lambda value: (str(value), value.freqstr),
    "pandas.Interval": lambda value: (value.left, value.right, value.closed),
    "pyarrow.Table": _read_arrow_table,
    "pyarrow.RecordBatch": _read_arrow_table,
    "pyarrow.ChunkedArray": lambda value: (str(value.type), value.to_pylist()),
    "pyarrow.Array": lambda value: (str(value.type), value.to_pylist()),
    "pyarrow.Scalar": lambda value: (str(value.type), value.as_py()),
    "pyarrow.DataType": str,
    "pyarrow.Schema": lambda value: [(field.name, str(field.type)) for field in value],
    "pydantic.FieldInfo": _read_field,
    "pydantic_core.PydanticUndefinedType": lambda value: None,
}
