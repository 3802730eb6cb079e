"""Content digests: xxh3_128 of bytes, files, and of values in one canonical, typed encoding.

The encoding is injective (a tag and a length before each value), so different values never meet, and it depends on
nothing but the values: not on the order of a dict or set, the process, PYTHONHASHSEED, the host or the folder.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set
from pathlib import Path
from typing import NewType

import xxhash

__all__ = ["Digest", "Key", "digest_bytes", "digest_file", "digest_of", "encode_canonical"]

Digest = NewType("Digest", str)
"""`xxh3_128:<32 hex digits>` of some content."""

Key = NewType("Key", str)
"""32 hex digits that name everything that may change an action's rows."""

_CHUNK = 1 << 19  # fits into the second-level cache, so that what was read is hashed from there


def digest_bytes(data: bytes | bytearray | memoryview) -> Digest:
    """Return the digest of `data`."""
    return Digest("xxh3_128:" + xxhash.xxh3_128_hexdigest(data))


def digest_file(path: Path) -> Digest:
    """Return the digest of the bytes of the file `path`, read once, in chunks."""
    hasher = xxhash.xxh3_128()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return Digest("xxh3_128:" + hasher.hexdigest())


def digest_of(value: object) -> Digest:
    """Return the digest of the canonical encoding of `value`.

    Raises:
        TypeError: `value` holds something that `encode_canonical` does not know.
    """
    return digest_bytes(encode_canonical(value))


def encode_canonical(value: object) -> bytes:
    """Return the canonical encoding of None, bool, int, float, str, bytes, and of sequences, mappings and sets of them.

    A list and a tuple are different; so are 1, 1.0 and True. Every NaN is the same NaN.

    Raises:
        TypeError: any other type, named in the message.
    """
    encoded = bytearray()
    _encode(value, encoded)
    return bytes(encoded)


def _encode(value: object, encoded: bytearray) -> None:
    # One growing buffer: keys are made of thousands of small pieces.
    kind = type(value)
    if kind is str:
        _add(b"s", value.encode("utf-8", "surrogatepass"), encoded)  # type: ignore[attr-defined]
    elif value is None:
        encoded += b"N"
    elif kind is bool:
        encoded += b"T" if value else b"F"
    elif kind is int:
        _add(b"i", str(value).encode(), encoded)
    elif kind is float:
        encoded += b"f" + (struct.pack(">d", value) if value == value else b"nan     ")
    elif isinstance(value, (bytes, bytearray)):
        _add(b"b", value, encoded)
    elif kind is list or kind is tuple:
        items: list[object] | tuple[object, ...] = value  # type: ignore[assignment]
        encoded += (b"l" if kind is list else b"t") + len(items).to_bytes(8, "big")
        for item in items:
            _encode(item, encoded)
    elif isinstance(value, Mapping):
        entries = sorted((encode_canonical(name), encode_canonical(item)) for name, item in value.items())
        encoded += b"d" + len(entries).to_bytes(8, "big")
        for name, item in entries:
            encoded += name + item
    elif isinstance(value, Set):
        members = sorted(encode_canonical(member) for member in value)
        encoded += b"e" + len(members).to_bytes(8, "big")
        encoded += b"".join(members)
    else:
        raise TypeError(f"`{kind.__module__}.{kind.__qualname__}` has no canonical encoding")


def _add(tag: bytes, data: bytes | bytearray, encoded: bytearray) -> None:
    encoded += tag + len(data).to_bytes(8, "big")
    encoded += data
