"""How a file gets its final name: the one place that knows in which order the disk is asked, and why.

Write Ordering
    1. A file MUST be written under a name in `tmp/`, get its mode, be fsynced and closed before it gets a final
       name; so a final name never leads to half a file, not even after a power failure.
    2. A final name MUST be given without replacing what has it (link, or what stands in for it). Two writers of one
       name: one wins, and the other is told.
    3. The blobs of an action result MUST have their final names, and their folders be fsynced, before the action
       result gets its own.
    4. What is damaged MUST be renamed away, never unlinked, and only if it is still the file that was judged.

Folders appear with their final mode, by exclusive rename, so that nobody meets one that only its maker can use. A
folder is never put over another.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ddbuild.cache.disk import NO_HARD_LINKS, VANISHED, Disk, Identity, identify
from ddbuild.cache.layout import Layout
from ddbuild.cache.process import name_for_this_process, owner_of_name

__all__ = ["BOXED", "FILE_MODE", "FOLDER_MODE", "Publisher", "Temp", "WithoutLinks", "boxed"]

FILE_MODE = 0o444
FOLDER_MODE = 0o2775
BOXED = "result.json"

T = TypeVar("T")

WithoutLinks = Literal["rename", "box", "refuse"]

_TRIES = 8
_MODE_SECONDS = 0.05
_NO_EXCLUSIVE_RENAME = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
_NO_MODES = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.EROFS})
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})


def boxed(path: Path) -> Path:
    """Return where the file `path` lies in a folder that has neither hard links nor exclusive renames.

    There it is published inside a folder of its own, because moving a folder onto one that is not empty fails.
    """
    return path.with_name(f"{path.name}.d") / BOXED


@dataclass(slots=True)
class Temp:
    """A file that is being written, under a name in `tmp/`; `fd` is None once it is closed."""

    path: Path
    fd: int | None


class Publisher:
    """Creates, seals, publishes and takes away files of one tier."""

    def __init__(self, layout: Layout, disk: Disk, *, for_team: bool) -> None:
        self._layout = layout
        self._disk = disk
        self._for_team = for_team
        self._has_exclusive_renames = True

    # Folders

    def make_folder(self, folder: Path) -> None:
        """Create `folder` with the mode that a team needs, and what is missing above it; no harm if it is there.

        A team's folder itself is only created where its parent is there: a share that is not mounted must not turn
        into a folder on the local disk.
        """
        try:
            made = self._make_one_folder(folder)
        except OSError as error:
            if error.errno not in VANISHED or folder.parent == folder.parent.parent:
                raise
            if folder == self._layout.folder and self._for_team:
                raise
            self.make_folder(folder.parent)
            made = self._make_one_folder(folder)
        if made:
            self.sync_folder(folder.parent)

    def _make_one_folder(self, folder: Path) -> bool:
        if self._has_exclusive_renames:
            fresh = folder.with_name(f".new-{name_for_this_process()}")
            self._disk.make_folder(fresh)
            try:
                self._open_to_group(folder, fresh)
                self._disk.rename_exclusive(fresh, folder)
                return True
            except OSError as error:
                with suppress(OSError):
                    self._disk.remove_folder(fresh)
                if error.errno in _TAKEN:
                    return False
                if error.errno not in _NO_EXCLUSIVE_RENAME:
                    raise
                self._has_exclusive_renames = False
        # NFS. A plain rename would do, but put one empty folder over another, and other hosts would go on looking
        # into the one that is gone. So here others may meet the folder before it has its mode: see `in_folder`.
        try:
            self._disk.make_folder(folder)
        except FileExistsError:
            return False
        self._open_to_group(folder, folder)
        return True

    def _open_to_group(self, place: Path, folder: Path) -> None:
        if not self._opens_to_group(place):
            return
        try:
            self._disk.chmod(folder, FOLDER_MODE)
        except OSError as error:
            if error.errno not in _NO_MODES:
                raise

    def _opens_to_group(self, folder: Path) -> bool:
        root = self._layout.folder
        if folder != root and root not in folder.parents:
            return False
        if self._for_team:
            return True
        # A local tier is private unless somebody has opened its folder to a group.
        try:
            mode = self._disk.lstat(root).st_mode
        except OSError:
            return False
        return mode & 0o2020 == 0o2020

    def sync_folder(self, folder: Path) -> None:
        """Bring the names in `folder` to the disk, where the file system has a way to ask for it."""
        try:
            self._disk.fsync_folder(folder)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise

    # Files on their way in

    def create(self) -> Temp:
        """Return a new empty file in `tmp/`."""
        path = self._layout.tmp / name_for_this_process()
        return Temp(path, self.in_folder(path.parent, lambda: self._disk.open_new(path)))

    def write(self, temp: Temp, data: bytes | memoryview) -> None:
        """Append all of `data` to the file."""
        assert temp.fd is not None
        view = memoryview(data)
        while view:
            view = view[self._disk.write(temp.fd, view) :]

    def seal(self, temp: Temp, *, durable: bool = True) -> None:
        """Make the file read-only for everybody, bring it to the disk if it is to be `durable`, and close it."""
        assert temp.fd is not None
        try:
            self._disk.chmod_fd(temp.fd, FILE_MODE)
        except OSError as error:
            if error.errno not in _NO_MODES:
                raise
        # After the mode, so that the mode is on the disk too: an unreadable blob would be one for the whole team.
        if durable:
            self._disk.fsync(temp.fd)
        fd, temp.fd = temp.fd, None
        self._disk.close(fd)

    def create_sealed(self, data: bytes, *, durable: bool = True) -> Temp:
        """Return a sealed file with these bytes."""
        temp = self.create()
        try:
            self.write(temp, data)
            self.seal(temp, durable=durable)
        except BaseException:
            self.discard(temp)
            raise
        return temp

    def discard(self, temp: Temp) -> None:
        """Remove the file's name in `tmp/`, as far as that works."""
        fd, temp.fd = temp.fd, None
        with suppress(OSError):
            if fd is not None:
                self._disk.close(fd)
        with suppress(OSError):
            self._disk.unlink(temp.path)

    # Final names

    def place(self, temp: Temp, final: Path, *, without_links: WithoutLinks) -> bool:
        """Give a sealed file its final name if nobody has it; return whether the name leads to this file now.

        If True the name in `tmp/` is gone; if False it is still there. `without_links` says what to do in a folder
        that has neither hard links nor exclusive renames: `rename` where whoever has the name has the same bytes,
        `box` it in a folder of its own where the first must win, or `refuse` with the error that link() gave.
        """
        return self.in_folder(final.parent, lambda: self._place_linked(temp, final, without_links))

    def _place_linked(self, temp: Temp, final: Path, without_links: WithoutLinks) -> bool:
        try:
            self._disk.link(temp.path, final)
        except OSError as error:
            # A reply can get lost and the request be sent again: then the answer is about our own success.
            if not self._is_linked(temp):
                if error.errno in _TAKEN:
                    return False
                if error.errno in NO_HARD_LINKS:
                    return self._place_renamed(temp, final, without_links, error)
                raise
        self.discard(temp)
        return True

    def _is_linked(self, temp: Temp) -> bool:
        try:
            # Opened, because an NFS client only then asks for the count of links anew.
            fd = self._disk.open_read(temp.path)
        except OSError:
            return False
        try:
            return self._disk.fstat(fd).st_nlink >= 2
        except OSError:
            return False
        finally:
            self._disk.close(fd)

    def _place_renamed(self, temp: Temp, final: Path, without_links: WithoutLinks, link_error: OSError) -> bool:
        try:
            self._disk.rename_exclusive(temp.path, final)
            return True
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            if error.errno not in _NO_EXCLUSIVE_RENAME:
                raise
        if without_links == "refuse":
            raise link_error
        if without_links == "box":
            return self._place_boxed(temp, boxed(final).parent)
        try:
            self._disk.lstat(final)
            return False
        except OSError as error:
            if error.errno not in VANISHED:
                raise
        self._disk.rename(temp.path, final)
        return True

    def _place_boxed(self, temp: Temp, final: Path) -> bool:
        box = temp.path.with_name(f"{temp.path.name}.d")
        with suppress(FileExistsError):
            self._disk.make_folder(box)
        self._open_to_group(box, box)
        with suppress(FileNotFoundError):  # moved in by an earlier try
            self._disk.rename(temp.path, box / BOXED)
        self.sync_folder(box)
        try:
            self._disk.rename(box, final)
            return True
        except OSError as error:
            if error.errno in _TAKEN:
                with suppress(OSError):
                    self._disk.unlink(box / BOXED)
                    self._disk.remove_folder(box)
                return False
            raise

    def replace(self, temp: Temp, final: Path) -> None:
        """Give a sealed file its final name, in one step and over what has it."""

        self.in_folder(final.parent, lambda: self._disk.rename(temp.path, final))
        self.sync_folder(final.parent)

    def in_folder(self, folder: Path, act: Callable[[], T]) -> T:
        """Do `act`; if it fails because `folder` is missing, or has not got its mode yet, see to that and try again."""
        for _ in range(_TRIES):
            try:
                return act()
            except OSError as error:
                trouble = error
            if trouble.errno in VANISHED:
                try:
                    self.make_folder(folder)
                    continue
                except OSError as error:
                    trouble = error
            if trouble.errno not in VANISHED and not (trouble.errno == errno.EACCES and self._wait_for_mode(folder)):
                raise trouble
        return act()

    def _wait_for_mode(self, folder: Path) -> bool:
        """Return whether a folder on the way was without its mode, because its maker has just made it, or has died."""
        while folder != self._layout.folder and self._opens_to_group(folder):
            try:
                status = self._disk.lstat(folder)
                if status.st_mode & 0o070 != 0o070:
                    if status.st_uid == os.geteuid():
                        self._disk.chmod(folder, FOLDER_MODE)
                    else:
                        time.sleep(_MODE_SECONDS)
                    return True
            except OSError:
                pass
            folder = folder.parent
        return False

    # Files on their way out

    def take_away(self, path: Path, folder: Path, judged: Identity | None, *, inside: str = "") -> Path | None:
        """Move what is at `path` into `folder` under a new name, and return that; None if it was not moved.

        With `judged`, only if it is still that file, or a folder with that file `inside`: another one, which somebody
        has published in the meantime, is put back.
        """
        destination = folder / f"{path.name}.{name_for_this_process()}"
        if not self._move_into(folder, path, destination):
            return None
        if judged is None or self._is(destination / inside, judged):
            return destination
        if inside:
            # Only where a folder is not moved onto one that is not empty.
            with suppress(OSError):
                self._disk.rename(destination, path)
            return None
        try:
            self._disk.link(destination, path)
            self._disk.unlink(destination)
        except OSError:
            with suppress(OSError):
                self._disk.rename_exclusive(destination, path)
        return None

    def _move_into(self, folder: Path, path: Path, destination: Path) -> bool:
        """Move `path` into `folder`, which is made if need be; False if `path` is not there."""
        was_there = False
        for _ in range(_TRIES):
            try:
                self._disk.rename(path, destination)
                return True
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
                trouble = error
            if was_there:
                return False
            try:
                # NFS: once it was opened, a folder that only seemed to be missing is there.
                self._disk.open_folder(folder)
                was_there = True
            except OSError:
                try:
                    self.make_folder(folder)
                except OSError as error:
                    # Perhaps taken away again, by a collection of garbage.
                    if error.errno not in VANISHED:
                        raise
                    trouble = error
        raise trouble

    def _is(self, path: Path, judged: Identity) -> bool:
        try:
            return identify(self._disk.lstat(path)) == judged
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            return False

    def remove(self, path: Path, judged: Identity) -> bool:
        """Unlink a file if it is still the one that was `judged`; return whether it was."""
        moved = self.take_away(path, self._layout.tmp, judged)
        if moved is not None:
            with suppress(OSError):
                self._disk.unlink(moved)
        return moved is not None

    def quarantine(self, path: Path, judged: Identity | None, *, inside: str = "") -> bool:
        """Take a damaged entry away, for a person to look at, and return whether it was; the rest as in `take_away`."""
        return self.take_away(path, self._layout.quarantine, judged, inside=inside) is not None

    def sweep(self, folder: Path, limit: int) -> int:
        """Remove what ended processes of this machine left in `folder`, looking at `limit` names; return how many."""
        try:
            names = self._disk.list_folder(folder, limit)
        except OSError:
            return 0
        swept = 0
        for name in names:
            owner = owner_of_name(name.removesuffix(".d"))
            if owner is None or not owner.is_gone:
                continue
            with suppress(OSError):
                if stat.S_ISDIR(self._disk.lstat(folder / name).st_mode):
                    with suppress(OSError):
                        self._disk.unlink(folder / name / BOXED)
                    self._disk.remove_folder(folder / name)
                else:
                    self._disk.unlink(folder / name)
                swept += 1
        return swept
