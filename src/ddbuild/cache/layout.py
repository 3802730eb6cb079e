"""Where things lie in a tier: paths from digests, keys and numbers, and nothing else.

    <folder>/v1/cas/ab/cdef...              a blob, named by its digest
    <folder>/v1/actions/ab/cdef....json     an action result, named by its key; `.<retry>.json` for a later attempt
    <folder>/v1/families/ab/cdef.../100     the key of the family's member with 100 records
    <folder>/v1/leases/<key>                who is building the key now
    <folder>/v1/work/<key>/attempt-...      unfinished work (local tier)
    <folder>/v1/pins/<key>.<workspace>.json  what a workspace wants kept, whatever its age (see pins.py)
    <folder>/v1/uses/<name>                 the keys that some build came to; its time is that of the last such build
    <folder>/v1/quarantine/                 what was found damaged, moved out of the way
    <folder>/v1/trash/                      what nobody needs any more, kept while readers may have it open
    <folder>/tmp/                           files before they are published; same file system as the rest

`v1` changes with the digest, the names or the encoding of what is stored, so programs of two versions can share a
folder without reading each other's entries. Digests and keys are checked here: no text from outside makes a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["VERSION", "Layout"]

VERSION = "v1"

_HEX = re.compile(r"[0-9a-f]{32}")
_PREFIX = "xxh3_128:"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of the tier in `folder`."""

    folder: Path

    @property
    def data(self) -> Path:
        """The folder of this version of the layout."""
        return self.folder / VERSION

    @property
    def tmp(self) -> Path:
        """The folder of files that are not published yet."""
        return self.folder / "tmp"

    @property
    def cas(self) -> Path:
        """The folder of the blobs."""
        return self.data / "cas"

    @property
    def actions(self) -> Path:
        """The folder of the action results."""
        return self.data / "actions"

    @property
    def leases(self) -> Path:
        """The folder of the leases."""
        return self.data / "leases"

    @property
    def work(self) -> Path:
        """The folder of unfinished work."""
        return self.data / "work"

    @property
    def families(self) -> Path:
        """The folder of the families."""
        return self.data / "families"

    @property
    def pins(self) -> Path:
        """The folder of what is to be kept."""
        return self.data / "pins"

    @property
    def uses(self) -> Path:
        """The folder of what was used when."""
        return self.data / "uses"

    @property
    def quarantine(self) -> Path:
        """The folder of damaged entries."""
        return self.data / "quarantine"

    @property
    def trash(self) -> Path:
        """The folder of entries on their way out."""
        return self.data / "trash"

    def blob(self, digest: str) -> Path:
        """Return the path of the blob with this digest."""
        if not digest.startswith(_PREFIX):
            raise ValueError(f"{digest!r} is no digest")
        return self._shard(self.cas, digest[len(_PREFIX) :])

    def action(self, key: str, retry: int = 0) -> Path:
        """Return the path of the result of `key`, the one after `retry` results that were turned down."""
        if retry < 0:
            raise ValueError(f"retry {retry} is negative")
        path = self._shard(self.actions, key)
        return path.with_name(f"{path.name}.{retry}.json" if retry else f"{path.name}.json")

    def family(self, family: str) -> Path:
        """Return the folder of the members of `family`."""
        return self._shard(self.families, family)

    def lease(self, key: str) -> Path:
        """Return the path of the lease on `key`."""
        return self.leases / _checked(key)

    def attempts(self, key: str, retry: int = 0) -> Path:
        """Return the folder of the unfinished attempts at `key`."""
        return self.work / (f"{_checked(key)}.{retry}" if retry else _checked(key))

    @staticmethod
    def _shard(folder: Path, name: str) -> Path:
        name = _checked(name)
        return folder / name[:2] / name[2:]


def _checked(name: str) -> str:
    if not _HEX.fullmatch(name):
        raise ValueError(f"{name!r} is not 32 hex digits")
    return name
