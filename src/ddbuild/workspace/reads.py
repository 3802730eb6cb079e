"""What loading looked at: files, folders, environment variables.

A later snapshot asks this record whether loading again could give another graph. Besides ddbuild's own reads it holds
those of users' code, seen while it runs (`watch.py`): a prompt that a BUILD.py reads from a text file is as much an
input as the BUILD.py. What C++ libraries open by themselves (pyarrow, duckdb) is not seen; that users' code has used
one is (`executed.py`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.digest import Digest, digest_bytes
from ddbuild.file_state import digest_entries, digest_text, sign
from ddbuild.workspace.executed import Executed
from ddbuild.workspace.watch import copy_environment, is_installed, is_standard, watching

if TYPE_CHECKING:
    from ddbuild.file_state import Listing, Signature

__all__ = ["Reads"]


class Reads:
    """A growing record; one for each load.

    `files` maps a path to the digest of the bytes that were read, or to None where users' code opened it (or looked
    for it in vain). `folders` are those whose entries were listed. `environment` maps a variable to a one-way digest
    of its value, None where it was unset: values may be secrets.

    What follows is for snapshots. `seen` has the signature that each path had when it was first looked at, None where
    nothing was there. `listings` has the signature of each listed folder, by what its names were wanted for;
    `packages` the digest of what a folder had in packages. `links` are paths that were asked for themselves,
    `accesses` what was asked for with a mode. `said` is what was printed. `surprises` say why the same load may
    come out differently another time. `started` is when the record was begun, `modules` what was imported by then,
    `imported` what was by the end of what was recorded, `executed` the functions that were called.
    """

    def __init__(self) -> None:
        self.started = time.time_ns()
        self.modules = frozenset(sys.modules)
        self.imported = set(self.modules)
        self._imports = len(self.modules)
        self.files: dict[Path, Digest | None] = {}
        self.folders: set[Path] = set()
        self.environment: dict[str, str | None] = {}
        self.seen: dict[str, Signature | None] = {}
        self.listings: dict[tuple[str, Listing], Signature | None] = {}
        self.packages: dict[str, str | None] = {}
        self.links: dict[str, str | None] = {}
        self.accesses: dict[tuple[str, int], bool] = {}
        self.written: set[str] = set()
        self.said: list[str] = []
        self.surprises: set[str] = set()
        self.uses_current_folder = False
        self.uses_all_names = False
        # A variable that a build file sets follows from the build file; what it was before is what counts.
        self._before = copy_environment()
        self.executed = Executed()

    def add_file(self, path: Path, content: bytes) -> None:
        """Note that `content` is what `path` held when it was read."""
        self.files[path] = digest_bytes(content)
        self.see_open(str(path))

    def add_folder(self, path: Path, entries: Iterable[Any] | None = None) -> None:
        """Note that the entries of `path` were listed to find packages; `entries` None is a folder that cannot be."""
        self.folders.add(path)
        self.packages[str(path)] = None if entries is None else digest_entries(entries, "packages")

    def add_variable(self, name: str, value: str | None) -> None:
        """Note that the variable `name` was looked up and had this value."""
        self.environment[name] = None if value is None else digest_text(value)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note whatever this process opens, lists or looks up inside the block; other threads' reads come along."""
        with watching(self), self.executed.noting():
            yield
        if len(sys.modules) != self._imports:
            self._imports = len(sys.modules)
            self.imported.update(sys.modules)

    def value_before(self, name: str) -> str | None:
        """Return the value that the variable `name` had when the record was begun."""
        return self._before.get(name)

    def names_before(self) -> list[str]:
        """Return the names of the variables that there were when the record was begun, in the order they had."""
        return list(self._before)

    # What follows is called for each thing that is seen.

    def see_open(self, path: str) -> None:
        """Note a file that is read."""
        if path in self.written or is_standard(path):
            return
        if not is_installed(path):
            self.files.setdefault(Path(path), None)
        self.see_stat(path)

    def see_write(self, path: str) -> None:
        """Note a file that is written: what was not read before is no input."""
        if path not in self.seen:
            self.written.add(path)

    def see_stat(self, path: str) -> None:
        """Note what is there, whoever asks about it."""
        if path not in self.seen and not self._is_ours(path):
            self.seen[path] = sign(path)

    def see_link(self, path: str) -> None:
        """Note where a link leads, or that it is none."""
        if path not in self.links and not self._is_ours(path):
            self.links[path] = read_link(path)
            if self.links[path] is None:
                self.see_stat(path)

    def see_access(self, path: str, mode: int) -> None:
        """Note whether something may be used in a certain way."""
        if not self._is_ours(path):
            self.accesses[path, mode] = may_use(path, mode)

    def see_list(self, path: str, kind: Listing) -> None:
        """Note a folder whose names are wanted."""
        if self._is_ours(path) or is_installed(os.path.join(path, "")):  # noqa: PTH118 - that itself, too
            return
        if kind == "all":
            self.folders.add(Path(path))
        self.listings.setdefault((path, kind), sign(path))

    def see_variable(self, name: str) -> None:
        """Note a variable that was looked up."""
        self.add_variable(name, self._before.get(name))

    def see_names(self) -> None:
        """Note that somebody looked through all variables."""
        self.uses_all_names = True

    def see_current_folder(self) -> None:
        """Note that the folder matters in which the command was typed."""
        self.uses_current_folder = True

    def see_text(self, text: str) -> None:
        """Note what is printed."""
        self.said.append(text)

    def see_surprise(self, what: str) -> None:
        """Note what could make another load come out differently."""
        self.surprises.add(what)

    def _is_ours(self, path: str) -> bool:
        """Whether a path belongs to what was written or made since the record was begun."""
        return bool(self.written) and (path in self.written or any(path.startswith(f"{w}/") for w in self.written))


_read_link, _may_use = os.readlink, os.access


def read_link(path: str) -> str | None:
    """Return where the link `path` leads; None where it is none."""
    try:
        return _read_link(path)
    except (OSError, ValueError):
        return None


def may_use(path: str, mode: int) -> bool:
    """Return whether this user may use `path` in the way of `mode`, as `os.access` takes it."""
    try:
        return _may_use(path, mode)
    except (OSError, ValueError):
        return False
