"""What an answer depends on, out of what was seen while the workspace was loaded and a plan was made.

What was seen has to be the same now as it was then, or there is no snapshot: a file may have been edited after it was
read. And it has to be settled, so that a later change shows in its signature; what is not is compared by content,
where it is known which content was read, and else there is no snapshot either.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.digest import digest_file
from ddbuild.file_state import (
    digest_entries,
    digest_text,
    is_file,
    is_folder,
    is_settled,
    list_folder,
    sign,
)
from ddbuild.workspace.reads import Reads, may_use, read_link
from ddbuild.workspace.watch import is_standard

if TYPE_CHECKING:
    from ddbuild.file_state import Listing, Signature

__all__ = ["NoSnapshotError", "collect_inputs", "list_above"]

_BEFORE = 3_000_000_000
"""How long before the record was begun a module may have been imported, in nanoseconds."""

_ALWAYS = ("HOME", "DATA_DESIGNER_HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_FAMILIES = ("DDBUILD_", "DATA_DESIGNER_", "NEMO_")
_OUR_SWITCHES = ("DDBUILD_NO_SNAPSHOT", "DDBUILD_EXPLAIN_SNAPSHOT")
_PLAIN_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
"""The names of variables that are kept as they are. Any other one that is not set may be a secret, tried as a name."""

_NO_PACKAGES = digest_entries([], "packages")
_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "fuse")

_WORKSPACE_MODULES = "ddbuild_workspace_"


class NoSnapshotError(Exception):
    """There is no snapshot to be taken, and the text says why."""


def collect_inputs(
    reads: Reads, moment: int, is_ours: Callable[[str], bool], made: Collection[str] = ()
) -> tuple[Any, ...]:
    """Return what `check.inputs_hold` compares, as plain data.

    Args:
        reads: What was seen.
        moment: Now, in nanoseconds, by the clock that gives files their times.
        is_ours: Says which paths are ddbuild's own, and no inputs.
        made: Folders that a build makes where they are not there: those of the tiers, and those above them.

    Raises:
        NoSnapshotError: something has changed meanwhile, or may have, or another load may differ by itself.
    """
    return _Collection(reads, moment, is_ours, made).collect()


class _Collection:
    def __init__(self, reads: Reads, moment: int, is_ours: Callable[[str], bool], made: Collection[str]) -> None:
        self._reads = reads
        self._moment = moment
        self._is_ours = is_ours
        self._made = made
        self._remote = find_remote_devices()
        self._files: dict[str, Signature] = {}
        self._asked: dict[str, Signature] = {}
        self._unsure: dict[str, tuple[int, str]] = {}
        self._absent: set[str] = set()
        self._places: set[str] = set()
        self._folders: dict[tuple[str, Listing], tuple[Signature | None, str | None, bool]] = {}

    def collect(self) -> tuple[Any, ...]:
        reads = self._reads
        for path, before in reads.seen.items():
            if not self._is_ours(path):
                self._add_seen(path, before)
        for (path, kind), before in reads.listings.items():
            if not self._is_ours(path):
                self._add_listing(path, kind, before)
        for path, names in reads.packages.items():
            self._add_package_folder(path, names)
        self._add_modules()
        self._add_search_path()
        links = {path: text for path, text in reads.links.items() if text is not None and not self._is_ours(path)}
        accesses = {key: allowed for key, allowed in reads.accesses.items() if not self._is_ours(key[0])}
        if any(read_link(path) != text for path, text in links.items()):
            raise NoSnapshotError("a link has changed meanwhile")
        if any(may_use(*key) != allowed for key, allowed in accesses.items()):
            raise NoSnapshotError("a permission has changed meanwhile")
        covered = {folder for path in (*self._files, *self._asked, *self._unsure) for folder in list_above(path)}
        sought = {path for path in self._absent if self._remote and self._is_remote(path)}
        return (
            tuple(self._files.items()),
            tuple(self._asked.items()),
            tuple((path, *content) for path, content in self._unsure.items()),
            tuple(self._absent - sought),
            tuple(sought),
            tuple(self._places - covered),
            tuple((*key, *state) for key, state in self._folders.items()),
            tuple(links.items()),
            tuple((*key, allowed) for key, allowed in accesses.items()),
            tuple(self._list_variables().items()),
            digest_text("\0".join(reads.names_before())) if reads.uses_all_names else None,
        )

    def _add_seen(self, path: str, before: Signature | None) -> None:
        now = sign(path)
        if is_folder(now) and (is_folder(before) or (before is None and path in self._made)):
            # What is in it was asked for, or listed, by itself.
            self._places.add(path)
        elif now != before:
            raise NoSnapshotError(f"`{path}` has changed meanwhile")
        elif now is None:
            self._absent.add(path)
        else:
            self._add_file(path, now)

    def _is_remote(self, path: str) -> bool:
        """Whether a path where nothing is would be on another machine."""
        found = next((signature for above in list_above(path) if (signature := sign(above)) is not None), None)
        return found is not None and found[2] in self._remote

    def _add_file(self, path: str, now: Signature) -> None:
        if not is_file(now):
            raise NoSnapshotError(f"`{path}` is no regular file")
        files = self._asked if now[2] in self._remote else self._files
        if is_settled(now, self._reads.started):
            files[path] = now
            return
        digest = self._reads.files.get(Path(path))
        if digest is None or digest_file(Path(path)) != digest:
            raise NoSnapshotError(f"`{path}` had just been written when it was read")
        if is_settled(now, self._moment):
            files[path] = now
        else:
            self._unsure[path] = (now[3], digest)

    def _add_settled(self, path: str, now: Signature, before: int) -> None:
        if path in self._files or path in self._asked or path in self._unsure:
            return
        if not is_settled(now, before):
            raise NoSnapshotError(f"`{path}` has just been written")
        self._files[path] = now

    def _add_listing(self, path: str, kind: Listing, before: Signature | None) -> None:
        now = sign(path)
        if now != before:
            raise NoSnapshotError(f"`{path}` has other files meanwhile")
        if now is None:
            self._absent.add(path)
        elif not is_settled(now, self._reads.started):
            raise NoSnapshotError(f"`{path}` had just been written to when it was listed")
        else:
            self._folders[path, kind] = (now, list_folder(path, kind), now[2] in self._remote)

    def _add_package_folder(self, path: str, names: str | None) -> None:
        if self._is_ours(path) and path not in self._made:
            # Inside of a tier; each build puts something there, and none a build file.
            return
        now = sign(path)
        if (found := list_folder(path, "packages")) != names:
            if self._list_what_was(path) != names:
                raise NoSnapshotError(f"`{path}` has other packages meanwhile")
            names = found
        proves = now if now is not None and is_settled(now, self._moment) else None
        self._folders[path, "packages"] = (proves, names, now is not None and now[2] in self._remote)

    def _list_what_was(self, path: str) -> str | None:
        """Return the digest of the packages in a folder without the folders that a build has made in it.

        What the next load finds in them is added.

        Raises:
            NoSnapshotError: somebody else has put something there.
        """
        try:
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError:
            return None
        made = [entry.path for entry in entries if entry.path in self._made]
        for folder in made:
            if folder not in self._reads.packages:
                if self._list_what_was(folder) != _NO_PACKAGES:
                    raise NoSnapshotError(f"`{folder}` has packages meanwhile")
                self._folders[folder, "packages"] = (None, list_folder(folder, "packages"), False)
        return digest_entries(
            (each for each in entries if each.path not in made and not self._is_ours(each.path)), "packages"
        )

    def _add_modules(self) -> None:
        """Add the files of all modules that were imported by the end of the plan, Python's own excepted.

        Where byte code is at hand Python opens no source, so that none was seen.
        """
        reads = self._reads
        for name in reads.imported:
            file = getattr(sys.modules.get(name), "__dict__", {}).get("__file__")
            if not isinstance(file, str) or name == "__main__" or name.startswith(_WORKSPACE_MODULES):
                continue
            if is_standard(file) or not os.path.isabs(file):  # noqa: PTH117
                continue
            for place in (file, *list_above(file)):
                # A module may be in an archive.
                if is_file(now := sign(place)) and now is not None:
                    self._add_settled(place, now, reads.started - (_BEFORE if name in reads.modules else 0))
                    break

    def _add_search_path(self) -> None:
        """Add the places that imports look in: what is installed there, and what could hide it."""
        before = self._reads.started - _BEFORE
        for place in dict.fromkeys(sys.path):
            if not os.path.isabs(place):  # noqa: PTH117
                raise NoSnapshotError("modules are looked for in the current folder")
            now = sign(place)
            if now is None:
                self._absent.add(place)
            elif not is_folder(now):
                self._add_settled(place, now, before)
            elif (place, "modules") not in self._folders:
                if not is_settled(now, before):
                    raise NoSnapshotError(f"`{place}` has just been written to")
                self._folders[place, "modules"] = (now, list_folder(place, "modules"), False)
                for file in _list_files(place, (".pth",)):
                    if (signature := sign(file)) is not None:
                        self._add_settled(file, signature, before)
        environment = os.path.join(sys.prefix, "pyvenv.cfg")  # noqa: PTH118
        if (signature := sign(environment)) is not None:
            self._add_settled(environment, signature, before)

    def _list_variables(self) -> dict[str, str | None]:
        reads = self._reads
        variables = dict(reads.environment)
        for name in (*_ALWAYS, *(name for name in reads.names_before() if name.startswith(_FAMILIES))):
            value = reads.value_before(name)
            variables.setdefault(name, None if value is None else digest_text(value))
        return {
            name if digest is not None or _PLAIN_NAME.fullmatch(name) else digest_text(name): digest
            for name, digest in variables.items()
            if name not in _OUR_SWITCHES
        }


def find_remote_devices() -> frozenset[int]:
    """Return the devices of the network file systems that are mounted, as far as this machine tells."""
    found = set()
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0].startswith(_REMOTE):
            major, _, minor = before.split(" ")[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def _list_files(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names: Iterable[str] = [entry.name for entry in entries if entry.name.lower().endswith(suffixes)]
    except OSError:
        return
    yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118


def list_above(path: str) -> Iterator[str]:
    """Yield the folders that `path` lies in, the nearest first."""
    while (above := os.path.dirname(path)) != path:  # noqa: PTH120
        yield above
        path = above
