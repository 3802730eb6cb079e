"""What loading looked at: files, folders and environment variables.

A later snapshot asks this record whether loading again could give another graph. Besides ddbuild's own reads it holds
those of users' code, seen through Python's audit events and `os.environ`: a prompt that a BUILD.py reads from a text
file is as much an input as the BUILD.py. What C++ libraries open by themselves (pyarrow, duckdb) is not seen.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddbuild.digest import Digest, digest_bytes

__all__ = ["Reads"]


class Reads:
    """A growing record; one for each load.

    `files` maps a path to the digest of the bytes that were read, or to None where users' code opened it (or looked
    for it in vain). `folders` are those whose entries were listed. `environment` maps a variable to a one-way digest
    of its value, None where it was unset: values may be secrets.
    """

    def __init__(self) -> None:
        self.files: dict[Path, Digest | None] = {}
        self.folders: set[Path] = set()
        self.environment: dict[str, str | None] = {}

    def add_file(self, path: Path, content: bytes) -> None:
        """Note that `content` is what `path` held when it was read."""
        self.files[path] = digest_bytes(content)

    def add_folder(self, path: Path) -> None:
        """Note that the entries of `path` were listed."""
        self.folders.add(path)

    def add_variable(self, name: str, value: str | None) -> None:
        """Note that the variable `name` was looked up and had this value."""
        self.environment[name] = None if value is None else digest_variable(value)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note whatever this process opens, lists or looks up inside the block; other threads' reads come along."""
        _start(self)
        try:
            yield
        finally:
            _stop(self)


def digest_variable(value: str) -> str:
    """Return a digest from which a short secret cannot be computed back (xxh3 would allow it)."""
    return "blake2b:" + hashlib.blake2b(value.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


_LOCK = threading.Lock()
_recorders: tuple[Reads, ...] = ()
_hooked = False

_INSTALLED = (
    *(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")),  # noqa: PTH118
    "/dev/",
    "/proc/",
    "/sys/",
)


class _RecordedEnviron(type(os.environ)):  # type: ignore[misc]
    """`os.environ` while something records: every holder of that one object is seen, however it was imported."""

    def __getitem__(self, name: str) -> str:
        value: str | None = None
        try:
            value = super().__getitem__(name)
        finally:
            for reads in _recorders:
                reads.add_variable(name, value)
        return value


_PLAIN_ENVIRON = type(os.environ)


def _start(reads: Reads) -> None:
    global _recorders, _hooked
    with _LOCK:
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        _recorders = (*_recorders, reads)
        os.environ.__class__ = _RecordedEnviron


def _stop(reads: Reads) -> None:
    global _recorders
    with _LOCK:
        remaining = list(_recorders)
        remaining.remove(reads)
        _recorders = tuple(remaining)
        if not _recorders:
            os.environ.__class__ = _PLAIN_ENVIRON


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    # Hooks cannot be taken away again, so this one costs a comparison for the rest of the process.
    if not _recorders:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if (place := _place(path)) is not None:
            for reads in _recorders:
                reads.files.setdefault(place, None)
    elif event in ("os.listdir", "os.scandir"):
        path = "." if arguments[0] is None else arguments[0]
        if (place := _place(path)) is not None:
            for reads in _recorders:
                reads.folders.add(place)


def _place(path: object) -> Path | None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - it may not raise or open anything inside an audit hook
    if text.endswith(".pyc") or text.startswith(_INSTALLED):
        return None
    return Path(text)
