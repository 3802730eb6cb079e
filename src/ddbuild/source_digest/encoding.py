"""The pieces that encodings of values and references are made of: tagged, sized, and so without two readings."""

from __future__ import annotations

import struct
import types
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["SCALARS", "encode_int", "encode_tagged", "encode_text"]


def encode_tagged(tag: str, pieces: Iterable[bytes] = ()) -> bytes:
    """Return the encoding of something of the kind `tag` that consists of encoded `pieces`."""
    pieces = list(pieces)
    return b"<" + len(tag).to_bytes(1, "big") + tag.encode() + len(pieces).to_bytes(8, "big") + b"".join(pieces)


def encode_text(value: str) -> bytes:
    """Return the encoding of a string."""
    data = value.encode("utf-8", "surrogatepass")
    return b"s" + len(data).to_bytes(8, "big") + data


def encode_int(value: int) -> bytes:
    """Return the encoding of an integer of any size."""
    data = b"%x" % value
    return b"i" + len(data).to_bytes(8, "big") + data


def _encode_bytes(value: Any) -> bytes:
    data = bytes(value)
    return b"b" + len(data).to_bytes(8, "big") + data


def _encode_float(value: float) -> bytes:
    return b"f" + (struct.pack(">d", value) if value == value else b"nan     ")


SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: encode_int,
    float: _encode_float,
    complex: lambda value: b"c" + _encode_float(value.real) + _encode_float(value.imag),
    str: encode_text,
    bytes: _encode_bytes,
    bytearray: lambda value: encode_tagged("bytearray", [_encode_bytes(value)]),
    memoryview: lambda value: encode_tagged("memoryview", [_encode_bytes(value)]),
    range: lambda value: encode_tagged("range", map(encode_int, (value.start, value.stop, value.step))),
    types.EllipsisType: lambda value: b".",
    types.NotImplementedType: lambda value: b"!",
}
"""How to encode the values that hold no others, by their exact type."""
