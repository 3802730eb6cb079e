"""The file of a snapshot: `<workspace>/.ddbuild/snapshot/<caller>`, written whole and read in pieces.

    magic, length and digest of the head | head | one record a target

The head has what every answer depends on, the labels of the workspace and a table of where each one's record is; so a
question about one of ten thousand targets reads two pieces. Both are in Python's `marshal`, which is as fast as it
gets and only good for the very Python that wrote it: that is part of the caller. Each piece is digested, so a torn
file is no snapshot; who can write the file can write the build files too, and needs no trick.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from ddbuild.file_state import blake2b, digest_text, sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["FOLDER", "Snapshot", "describe_caller", "index_labels", "name_file", "open_snapshot", "write_snapshot"]

FOLDER = os.path.join(".ddbuild", "snapshot")  # noqa: PTH118 - pathlib takes long to import

_MAGIC = b"ddbuild snapshot 1\n"
_MOST_FILES = 8
_FIRST_READ = 1 << 16
_ENTRY = 20
_FRONT = len(_MAGIC) + 8 + 16
_RELATIVE = ("DDBUILD_CACHE_DIR", "DDBUILD_SHARED_CACHE")


class Snapshot:
    """An open snapshot; its fields are those that `write_snapshot` tells about."""

    __slots__ = (
        "_data",
        "_file",
        "_table",
        "caller",
        "current_folder",
        "groups",
        "inputs",
        "labels",
        "moment",
        "root",
        "said",
        "tiers",
        "uses",
    )

    def __init__(self, file: int) -> None:
        self._file = file
        front = os.read(file, _FIRST_READ)
        if not front.startswith(_MAGIC) or len(front) < _FRONT:
            raise ValueError("no snapshot")
        size = int.from_bytes(front[len(_MAGIC) : len(_MAGIC) + 8], "little")
        self._data = _FRONT + size
        head = front[_FRONT : self._data]
        if len(head) < size:
            head += os.pread(file, size - len(head), len(front))
        if _digest(head, 16) != front[_FRONT - 16 : _FRONT]:
            raise ValueError("a torn snapshot")
        (
            self.caller,
            self.root,
            self.moment,
            self.current_folder,
            self.said,
            self.tiers,
            self.inputs,
            self.labels,
            self.groups,
            self.uses,
            self._table,
        ) = marshal.loads(head)

    def read(self, index: int) -> Any:
        """Return the record of the target with this number; None where there is none."""
        entry = self._table[_ENTRY * index : _ENTRY * (index + 1)]
        size = int.from_bytes(entry[8:12], "little")
        if not size:
            return None
        return marshal.loads(self.read_raw(index))

    def read_raw(self, index: int) -> bytes:
        """Return the record of the target with this number as it stands in the file; empty where there is none."""
        entry = self._table[_ENTRY * index : _ENTRY * (index + 1)]
        size = int.from_bytes(entry[8:12], "little")
        data = os.pread(self._file, size, self._data + int.from_bytes(entry[:8], "little"))
        if size and _digest(data, 8) != entry[12:]:
            raise ValueError("a torn record")
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def open_snapshot(root: str, caller: Any) -> Snapshot:
    """Return the snapshot of the workspace `root` for this caller.

    Raises:
        OSError: there is none.
        ValueError: it is torn, or another workspace's, or of a time to come.
    """
    file = os.open(os.path.join(root, FOLDER, name_file(caller)), os.O_RDONLY | os.O_CLOEXEC)  # noqa: PTH118
    try:
        snapshot = Snapshot(file)
        if snapshot.caller != caller or snapshot.root != root or not snapshot.moment <= time.time_ns():
            raise ValueError("another snapshot")
    except BaseException:
        os.close(file)
        raise
    return snapshot


def write_snapshot(
    *,
    caller: Any,
    root: str,
    moment: int,
    current_folder: str | None,
    said: str,
    tiers: tuple[str, str | None, bool],
    inputs: Any,
    labels: Sequence[str],
    groups: Sequence[Sequence[int]],
    uses: Sequence[tuple[Sequence[int], str]],
    records: Sequence[bytes],
    file: int,
    path: str,
) -> None:
    """Write a snapshot into the open `file` at `path`, and put it in its place.

    Args:
        caller: What `describe_caller` said when the process began.
        root: The workspace.
        moment: When the inputs were looked at, in nanoseconds.
        current_folder: The folder that the command was typed in, where that matters.
        said: What loading and planning printed.
        tiers: The folders of the local and of the shared tier, and whether the latter is written to.
        inputs: What `check.inputs_hold` compares.
        labels: All labels of the workspace, by package and name.
        groups: Targets, by number, whose results were found together and count only together.
        uses: For targets, by number, that were built together: the name of the note that says when they were last used.
        records: For each label `(parents, group, steps, answer)` in `marshal`'s form, or nothing.
        file: A new file beside its place.
        path: Its path.
    """
    table = bytearray()
    offset = 0
    for record in records:
        table += offset.to_bytes(8, "little") + len(record).to_bytes(4, "little")
        table += _digest(record, 8) if record else bytes(8)
        offset += len(record)
    lines = ("\n" + "\n".join(labels) + "\n").encode()
    content: Any = (
        *(caller, root, moment, current_folder, said, tiers, inputs),
        *(lines, tuple(map(tuple, groups)), tuple(uses), bytes(table)),
    )
    head = marshal.dumps(content)
    with os.fdopen(file, "wb") as stream:
        stream.write(_MAGIC + len(head).to_bytes(8, "little") + _digest(head, 16) + head)
        stream.writelines(records)
    folder = os.path.dirname(path)  # noqa: PTH120
    os.replace(path, os.path.join(folder, name_file(caller)))  # noqa: PTH105, PTH118
    _prune(folder)


def index_labels(labels: bytes) -> list[str]:
    """Return the labels that a snapshot has, in the order of their numbers."""
    return labels[1:-1].decode().split("\n") if len(labels) > 2 else []


def describe_caller(
    folder: str, cache_dir: str | None, shared_cache: str | None, shared_mode: str | None
) -> tuple[Any, ...] | None:
    """Return all that tells one way of calling ddbuild from another: this Python, its settings, the flags for caches.

    `folder` is what relative paths start from. None is a call that has no snapshot: where a cache is depends on the
    folder that one happens to be in.
    """
    environ = os.environ
    if any((environ.get(name) or "/")[0] not in "/~" for name in _RELATIVE):
        return None
    python = sorted(f"{name}={value}" for name, value in environ.items() if name.startswith("PYTHON"))
    host = os.uname()
    return (
        sys.version,
        sys.executable,
        sign(sys.executable),
        sys.prefix,
        tuple(sys.path),
        tuple(map(int, sys.flags)),
        digest_text("\0".join(python)),
        os.getuid(),
        host.nodename,
        host.machine,
        _absolute(folder, cache_dir),
        _absolute(folder, shared_cache),
        shared_mode,
    )


def name_file(caller: Any) -> str:
    """Return the name of the file for a caller."""
    return _digest(repr(caller).encode("utf-8", "surrogateescape"), 12).hex()


def _absolute(folder: str, path: str | None) -> str | None:
    return None if path is None else os.path.normpath(os.path.join(folder, path))  # noqa: PTH118


def _digest(data: bytes, size: int) -> bytes:
    return blake2b(data, digest_size=size).digest()


def _prune(folder: str) -> None:
    """Remove what has not been written for longest, of files and of what killed processes have left."""
    with os.scandir(folder) as entries:
        found = sorted(((entry.stat().st_mtime_ns, entry.path) for entry in entries), reverse=True)
    for _, path in found[_MOST_FILES:]:
        os.unlink(path)  # noqa: PTH108
