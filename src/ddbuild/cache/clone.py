"""A second copy of a file, in the cheapest way that the file system offers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from ddbuild.cache.disk import Disk

__all__ = ["CloneMethod", "clone_file"]

CloneMethod = Literal["reflink", "link", "copy"]

_CHUNK = 1 << 20
_NO_REFLINKS = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV})
_NO_COPY_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


# Pairs of file systems that were seen to share no data: a try costs a file made and removed.
_known_without: set[tuple[int, int]] = set()


def clone_file(source: Path, destination: Path, *, link: bool, disk: Disk | None = None) -> CloneMethod:
    """Make `destination`, a free name in a folder that is there, a copy of `source`; return how.

    A reflink shares the data until one of the two is written to. With `link` a hard link is the second choice: then
    both are one file, read-only like a blob, and `destination` must never be written to. Otherwise the copy is a
    file like any other of this user's.

    Raises:
        OSError: `source` cannot be read or is no regular file, or `destination` cannot be written; then that is not
            there.
    """
    disk = disk or Disk()
    source_fd = disk.open_read(source)
    try:
        status = os.fstat(source_fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(source))
        if _reflink(disk, source_fd, status.st_dev, destination):
            return "reflink"
        if link:
            try:
                disk.link(source, destination)
                return "link"
            except FileExistsError:
                raise
            except OSError:
                pass  # another file system, too many links, or the file is another user's
        _copy(source_fd, destination)
        return "copy"
    finally:
        disk.close(source_fd)


def _reflink(disk: Disk, source: int, device: int, destination: Path) -> bool:
    pair = (device, destination.parent.stat().st_dev)
    if pair in _known_without:
        return False
    fd = _create(destination)
    try:
        disk.clone(source, fd)
        return True
    except OSError as error:
        if error.errno in _NO_REFLINKS:
            _known_without.add(pair)
        destination.unlink()
        return False
    finally:
        os.close(fd)


def _copy(source: int, destination: Path) -> None:
    fd = _create(destination)
    try:
        copied = _copy_in_kernel(source, fd)
        # Some file systems stop early: whatever is left is copied in the plain way.
        os.lseek(source, copied, os.SEEK_SET)
        os.lseek(fd, copied, os.SEEK_SET)
        while data := os.read(source, _CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
    except BaseException:
        destination.unlink()
        raise
    finally:
        os.close(fd)


def _copy_in_kernel(source: int, destination: int) -> int:
    copied = 0
    try:
        while count := os.copy_file_range(source, destination, 1 << 30):
            copied += count
    except OSError as error:
        if error.errno not in _NO_COPY_RANGE:
            raise
    except AttributeError:  # not Linux
        pass
    return copied


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
