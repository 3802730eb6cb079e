"""Content digests: xxh3_128 of bytes, files, and of values in one canonical, typed encoding.

The encoding is injective (a tag and a length before each value), so different values never meet, and it depends on
nothing but the values: not on the order of a dict or set, the process, PYTHONHASHSEED, the host or the folder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import NewType

import xxhash

__all__ = ["Digest", "Key", "digest_bytes", "digest_file", "digest_of", "encode_canonical"]

Digest = NewType("Digest", str)
"""`xxh3_128:<32 hex digits>` of some content."""

Key = NewType("Key", str)
"""32 hex digits that name everything that may change an action's rows."""

_CHUNK = 1 << 20


def digest_bytes(data: bytes | bytearray | memoryview) -> Digest:
    """Return the digest of `data`."""
    return Digest("xxh3_128:" + xxhash.xxh3_128_hexdigest(data))


def digest_file(path: Path) -> Digest:
    """Return the digest of the bytes of the file `path`, read once in chunks of 1 MiB."""
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
    hasher = xxhash.xxh3_128()
    for piece in _encode(value):
        hasher.update(piece)
    return Digest("xxh3_128:" + hasher.hexdigest())


def encode_canonical(value: object) -> bytes:
    """Return the canonical encoding of None, bool, int, float, str, bytes, and of sequences, mappings and sets of them.

    A list and a tuple are different; so are 1, 1.0 and True. Every NaN is the same NaN.

    Raises:
        TypeError: any other type, named in the message.
    """
    return b"".join(_encode(value))


def _encode(value: object) -> Iterator[bytes]:
    if value is None:
        yield b"N"
    elif isinstance(value, bool):
        yield b"T" if value else b"F"
    elif type(value) is int:
        yield from _sized(b"i", str(value).encode())
    elif type(value) is float:
        yield b"f" + (struct.pack(">d", value) if value == value else b"nan     ")
    elif type(value) is str:
        yield from _sized(b"s", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray)):
        yield from _sized(b"b", bytes(value))
    elif type(value) in (list, tuple):
        items: list[object] | tuple[object, ...] = value  # type: ignore[assignment]
        yield (b"l" if type(value) is list else b"t") + len(items).to_bytes(8, "big")
        for item in items:
            yield from _encode(item)
    elif isinstance(value, Mapping):
        entries = sorted((encode_canonical(name), encode_canonical(item)) for name, item in value.items())
        yield b"d" + len(entries).to_bytes(8, "big")
        for name, item in entries:
            yield from (name, item)
    elif isinstance(value, Set):
        members = sorted(encode_canonical(member) for member in value)
        yield b"e" + len(members).to_bytes(8, "big")
        yield from members
    else:
        raise TypeError(f"`{type(value).__module__}.{type(value).__qualname__}` has no canonical encoding")


def _sized(tag: bytes, data: bytes) -> tuple[bytes, bytes]:
    return tag + len(data).to_bytes(8, "big"), data
