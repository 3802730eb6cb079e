"""The file-system calls of the cache, one plain method each, so that a test can stand between and record or fail them.

Owns no policy: the order in which the calls are made is `publish.py`'s.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

__all__ = ["NO_HARD_LINKS", "VANISHED", "Disk", "Identity", "identify", "look_again", "read_small"]

NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What link() says in a folder that has no hard links, or no more of them for this file."""

VANISHED = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR})
"""What a name that is not there, or no longer, gives; NFS says ESTALE where a local disk says ENOENT."""

_FICLONE = 0x40049409
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file a name led to when it was looked at, so that a later act on that name can tell another file."""

    device: int
    inode: int
    size: int
    modified: int


def identify(status: os.stat_result) -> Identity:
    """Return the identity of the file that `status` describes."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Disk:
    """The real file system; every method is one call, and raises the OSError that the call gave."""

    def open_read(self, path: Path) -> int:
        """Open a file for reading; refuses a symlink (ELOOP), and never waits for the writer of a pipe."""
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def open_source(self, path: Path) -> int:
        """Open a file of the caller's for reading, through symlinks."""
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def open_new(self, path: Path) -> int:
        """Create a file that only its owner can reach, and open it for writing and reading."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def close(self, fd: int) -> None:
        """Close `fd`; on NFS this can be where a full disk is told."""
        os.close(fd)

    def read_into(self, fd: int, buffer: memoryview) -> int:
        """Read up to the size of `buffer`; 0 at the end."""
        return os.readv(fd, [buffer])

    def write(self, fd: int, data: memoryview) -> int:
        """Write some of `data`; return how many bytes."""
        return os.write(fd, data)

    def clone(self, source: int, destination: int) -> None:
        """Make the open file `destination` share the data of `source`, copy on write; OSError where it cannot."""
        import fcntl

        if sys.platform != "linux":
            raise OSError(errno.ENOTSUP, "no reflinks here")
        fcntl.ioctl(destination, _FICLONE, source)

    def fsync(self, fd: int) -> None:
        """Bring data and metadata of the open file to the disk."""
        os.fsync(fd)

    def fsync_folder(self, path: Path) -> None:
        """Bring the names in a folder to the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def open_folder(self, path: Path) -> None:
        """Open and close a folder: an NFS client then forgets that it has seen a name in it missing."""
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def fstat(self, fd: int) -> os.stat_result:
        """Return what the open file is."""
        return os.fstat(fd)

    def lstat(self, path: Path) -> os.stat_result:
        """Return what `path` itself is, not what it points to."""
        return os.lstat(path)

    def chmod_fd(self, fd: int, mode: int) -> None:
        """Set the mode of the open file."""
        os.fchmod(fd, mode)

    def chmod(self, path: Path, mode: int) -> None:
        """Set the mode of a folder."""
        path.chmod(mode)

    def touch(self, fd: int) -> None:
        """Set the times of the open file to the file server's now."""
        os.utime(fd)

    def link(self, source: Path, destination: Path) -> None:
        """Give the file a second name, which must be free."""
        os.link(source, destination, follow_symlinks=False)

    def rename(self, source: Path, destination: Path) -> None:
        """Move `source` to `destination`, over a file that is there."""
        source.rename(destination)

    def rename_exclusive(self, source: Path, destination: Path) -> None:
        """Move `source` to `destination`, which must be free; EINVAL or ENOSYS where the file system cannot."""
        call = _renameat2()
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(destination), _RENAME_NOREPLACE) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(source), None, str(destination))

    def unlink(self, path: Path) -> None:
        """Remove a name of a file."""
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """Create one folder, whose mode the umask cuts."""
        path.mkdir(0o777)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    def list_folder(self, path: Path, limit: int | None = None) -> list[str]:
        """Return the names in a folder, at most `limit` of them, in no order."""
        with os.scandir(path) as entries:
            return [entry.name for entry in islice(entries, limit)]


def look_again(disk: Disk, path: Path, root: Path) -> bool:
    """Open the folder of `path`, so that what other hosts have done to that name shows; False if there is no folder.

    NFS remembers for half a minute that a name was missing, and for as long that it was there, but asks anew when a
    folder is opened. Where the folder itself seems missing those above are opened first, up to the one that `root`,
    the tier's folder, lies in.
    """
    missing: list[Path] = []
    folder = path.parent
    while not _opens(disk, folder):
        if folder in (root.parent, folder.parent):
            return False
        missing.append(folder)
        folder = folder.parent
    return all(_opens(disk, folder) for folder in reversed(missing))


def _opens(disk: Disk, folder: Path) -> bool:
    try:
        disk.open_folder(folder)
    except OSError:
        return False
    return True


def read_small(disk: Disk, path: Path, limit: int) -> tuple[bytes, Identity]:
    """Return the bytes of a small regular file, and which file it was.

    Raises:
        OSError: it cannot be read; EINVAL if it is no regular file, EFBIG if it has more than `limit` bytes.
    """
    fd = disk.open_read(path)
    try:
        status = disk.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, "larger than anything that the cache writes there", str(path))
        buffer = bytearray(status.st_size + 1)
        view, count = memoryview(buffer), 0
        while count < len(buffer) and (more := disk.read_into(fd, view[count:])):
            count += more
        return bytes(view[:count]), identify(status)
    finally:
        disk.close(fd)


@lru_cache(maxsize=1)
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    call.restype = ctypes.c_int
    return call  # type: ignore[no-any-return]
