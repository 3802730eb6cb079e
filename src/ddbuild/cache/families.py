"""The families of one tier: which keys differ in their number of records only, so that a kept result can grow.

A member is one tiny file, named by its number of records, that holds its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from ddbuild.cache.disk import VANISHED, Disk, look_again, read_small
from ddbuild.cache.layout import Layout
from ddbuild.cache.publish import Publisher
from ddbuild.digest import Key

__all__ = ["Families"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_KEY = re.compile(rb"([0-9a-f]{32})\n")
_TRIES = 4


class Families:
    """The families of one tier."""

    def __init__(self, layout: Layout, disk: Disk, publisher: Publisher, on_trouble: Callable[[OSError], None]) -> None:
        self._layout = layout
        self._disk = disk
        self._publisher = publisher
        self._on_trouble = on_trouble

    def record(self, family: str, num_records: int, key: str) -> None:
        """Note that `key` is the family's member with `num_records` records; the first note stays."""
        path = self._layout.family(family) / str(num_records)
        for _ in range(_TRIES):
            if self._read(family, num_records) is not None:
                return
            temp = self._publisher.create_sealed(key.encode() + b"\n")
            try:
                if self._publisher.place(temp, path, without_links="rename"):
                    self._publisher.sync_folder(path.parent)
                    return
            finally:
                self._publisher.discard(temp)
            if self._read(family, num_records) is None:
                self._publisher.quarantine(path, None)

    def members(self, family: str) -> dict[int, Key]:
        """Return the key of each number of records."""
        folder = self._layout.family(family)
        # The listing is fresh by itself; only the folder could be remembered as missing.
        look_again(self._disk, folder, self._layout.folder)
        try:
            names = self._disk.list_folder(folder)
        except OSError as error:
            if error.errno not in VANISHED:
                self._on_trouble(error)
            return {}
        members = {}
        for number in sorted(int(name) for name in names if _NUMBER.fullmatch(name)):
            key = self._read(family, number)
            if key is not None:
                members[number] = key
        return members

    def _read(self, family: str, number: int) -> Key | None:
        path = self._layout.family(family) / str(number)
        with suppress(OSError):
            data, _ = read_small(self._disk, path, 64)
            match = _KEY.fullmatch(data)
            return Key(match[1].decode()) if match else None
        return None
