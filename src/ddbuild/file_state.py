"""What tells that a file or a folder is still what it was, without reading it again.

A signature has the inode, the size and both times of a file. Restoring the modification time after an edit is easy;
the change time (`ctime`) tells, because no program can set it. What neither tells is a second edit within one tick of
the file system's clock: so a signature only counts once the file has been left alone for longer than that
(`is_settled`), which is git's rule for its index.

Imported on every start of the command line: this module takes nothing that is not there anyway.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    Signature = tuple[int, int, int, int, int, int]
    Listing = Literal["all", "packages", "modules"]

try:
    # `hashlib` would bring OpenSSL along, which takes longer than all the rest.
    from _blake2 import blake2b
except ImportError:  # pragma: no cover - another Python
    from hashlib import blake2b

__all__ = [
    "NO_PACKAGES",
    "ask",
    "blake2b",
    "digest_entries",
    "digest_text",
    "is_file",
    "is_folder",
    "is_settled",
    "list_folder",
    "sign",
]

NO_PACKAGES = frozenset({"ddbuild-out", "__pycache__", "node_modules"})
"""Folders in which no package is looked for."""

_PACKAGE_FILES = frozenset({"BUILD.py", "BUILD.yaml", "BUILD.yml", "ddbuild.toml", "pyvenv.cfg"})
_MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd", ".pth", ".egg-link", ".zip", ".egg", ".dist-info", ".egg-info")

_MILLISECOND = 1_000_000
_FINE_GRAIN = 100 * _MILLISECOND
_COARSE_GRAIN = 3_000 * _MILLISECOND

# The real one, also while something watches what this process looks at.
_stat = os.stat


def sign(path: str) -> Signature | None:
    """Return the signature of what `path` leads to; None where nothing is there that this user can see."""
    try:
        return _pack(_stat(path))
    except (OSError, ValueError):
        return None


def ask(path: str) -> Signature | None:
    """Return the signature of `path` like `sign`, by opening it or the folder that it would be in.

    A network file system's client may answer from what it remembers, for a minute, unless something is opened.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        try:
            os.close(os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))  # noqa: PTH120
        except (OSError, ValueError):
            return None
        return sign(path)
    try:
        return _pack(os.fstat(file))
    finally:
        os.close(file)


def is_file(signature: Signature | None) -> bool:
    """Return whether a signature is a regular file's."""
    return signature is not None and signature[0] & 0o170000 == 0o100000


def is_folder(signature: Signature | None) -> bool:
    """Return whether a signature is a folder's."""
    return signature is not None and signature[0] & 0o170000 == 0o040000


def is_settled(signature: Signature, moment: int) -> bool:
    """Return whether any change since `moment`, in nanoseconds, must have given another signature.

    A file system that counts finer than milliseconds has a clock that ticks at least every ten; the others may count
    in seconds, or in two of them.
    """
    modified, changed = signature[4], signature[5]
    grain = _FINE_GRAIN if changed % _MILLISECOND else _COARSE_GRAIN
    return max(modified, changed) < moment - grain


def digest_text(value: str) -> str:
    """Return a digest from which a short secret cannot be computed back as easily as from a fast hash."""
    return "blake2b:" + blake2b(value.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _pack(found: os.stat_result) -> Signature:
    return (found.st_mode, found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def list_folder(path: str, kind: Listing) -> str | None:
    """Return the digest of what a folder lists, None where it cannot be listed; `kind` as in `digest_entries`."""
    try:
        with os.scandir(path) as entries:
            return digest_entries(entries, kind)
    except (OSError, ValueError):
        return None


def digest_entries(entries: Iterable[Any], kind: Listing) -> str:
    """Return a digest of the names in a folder, with what is a folder and what is a link.

    `kind` says for whom: "all" names, those that make "packages" of the workspace, or those that an import finds
    ("modules").
    """
    names = []
    for entry in entries:
        name = entry.name
        folder = entry.is_dir(follow_symlinks=False)
        if kind == "packages":
            wanted = name in _PACKAGE_FILES or (folder and name[0] != "." and name not in NO_PACKAGES)
        elif kind == "modules":
            wanted = name.endswith(_MODULE_SUFFIXES) or (name.isidentifier() and name != "__pycache__")
        else:
            wanted = True
        if wanted:
            names.append(name + ("/" if folder else "@" if entry.is_symlink() else ""))
    if kind != "all":
        # Whoever lists a folder may depend on the order in which the names come.
        names.sort()
    return digest_text("\0".join(names))
