"""The content-addressed store of one tier: blobs by digest.

A blob that has its final name is whole (see `publish.py`) and never changes. Its size is compared whenever it is
looked at; its digest whenever its bytes pass through here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import xxhash

from ddbuild.cache.disk import VANISHED, Disk, Identity, identify, look_again
from ddbuild.cache.layout import Layout
from ddbuild.cache.publish import Publisher, Temp
from ddbuild.cache.result import Blob

__all__ = ["Cas", "ContentError", "SourceError"]

_CHUNK = 1 << 19  # fits into the second-level cache, so that what was read is hashed from there
_TRIES = 8


class SourceError(OSError):
    """What was to be put could not be read; everything else that putting raises is trouble of the tier itself."""


class ContentError(Exception):
    """The bytes that were read are not those of the blob that was asked for."""


class Cas:
    """The blobs of one tier."""

    def __init__(self, layout: Layout, disk: Disk, publisher: Publisher) -> None:
        self._layout = layout
        self._disk = disk
        self._publisher = publisher

    def check(self, blob: Blob, *, certain: bool) -> bool:
        """Return whether the blob is there with its size, as a regular file.

        Unless it is to be `certain`, an NFS client may remember for a minute a blob that is gone: good enough for a
        lookup, whose caller opens the blob later, but not where something is left unwritten because of it.

        Raises:
            OSError: it cannot be told, which is not the same as no.
        """
        status = self._status(self._layout.blob(blob.digest), certain)
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == blob.size

    def is_gone(self, blob: Blob) -> bool:
        """Return whether the blob is missing, or not what it should be, so surely that its result may be taken away.

        An NFS 3 client can miss that a folder has changed twice within one tick of the server's clock, and deny for
        half a minute a blob that is there. Only what creates a name asks the server: a folder, which is no blob.

        Raises:
            OSError: it cannot be told.
        """
        if self.check(blob, certain=True):
            return False
        path = self._layout.blob(blob.digest)
        try:
            self._publisher.in_folder(path.parent, lambda: self._disk.make_folder(path))
        except FileExistsError:
            return not self.check(blob, certain=True)
        with suppress(OSError):
            self._disk.remove_folder(path)
        return True

    def open(self, blob: Blob) -> int:
        """Open a blob for reading.

        Raises:
            OSError: it cannot be read; in VANISHED if it is not there, EINVAL if it is no regular file of its size.
        """
        path = self._layout.blob(blob.digest)
        try:
            fd = self._disk.open_read(path)
        except OSError as error:
            if error.errno not in VANISHED or not look_again(self._disk, path, self._layout.folder):
                raise
            fd = self._disk.open_read(path)
        try:
            status = self._disk.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != blob.size:
                raise OSError(errno.EINVAL, "not the file that the cache has written", str(path))
        except BaseException:
            self._disk.close(fd)
            raise
        return fd

    def put_file(self, path: Path) -> Blob:
        """Copy a file into the store.

        Raises:
            SourceError: `path` cannot be read, or is no regular file.
        """
        try:
            fd = self._disk.open_source(path)
        except OSError as error:
            raise SourceError(error.errno, error.strerror, error.filename) from error
        try:
            if not stat.S_ISREG(self._disk.fstat(fd).st_mode):
                raise SourceError(errno.EINVAL, "not a regular file", str(path))
            return self.put_open(fd, self._disk)
        finally:
            with suppress(OSError):  # nothing was written to it
                self._disk.close(fd)

    def put_open(self, fd: int, source: Disk, expected: Blob | None = None, sha256: bytes | None = None) -> Blob:
        """Copy what `fd`, an open file of the disk `source`, holds into the store.

        Raises:
            SourceError: it cannot be read.
            ContentError: it is not `expected`, or has not this SHA-256.
        """
        return self._put(lambda temp: self._copy(fd, source, temp), expected, sha256)

    def put_bytes(self, data: bytes) -> Blob:
        """Keep some bytes."""

        def write(temp: Temp) -> Blob:
            self._publisher.write(temp, data)
            return _blob(xxhash.xxh3_128(data), len(data))

        return self._put(write, None)

    def quarantine(self, blob: Blob, judged: Identity | None = None) -> None:
        """Take a blob away that is not what its name says; with `judged`, only if it is still that file."""
        self._publisher.quarantine(self._layout.blob(blob.digest), judged)

    def sync(self, blobs: Iterable[Blob]) -> None:
        """Bring the names of the blobs to the disk."""
        for folder in sorted({self._layout.blob(blob.digest).parent for blob in blobs}):
            try:
                self._publisher.sync_folder(folder)
            except OSError as error:
                if error.errno not in VANISHED:  # a blob that is in the other tier only
                    raise

    def digest(self, fd: int) -> Blob:
        """Return the blob that the rest of an open file makes."""
        hasher, size = xxhash.xxh3_128(), 0
        view = memoryview(bytearray(_CHUNK))
        while count := self._disk.read_into(fd, view):
            hasher.update(view[:count])
            size += count
        return _blob(hasher, size)

    def hash_open(self, fd: int) -> tuple[Blob, bytes]:
        """Return the blob that the rest of an open file makes, and its SHA-256."""
        hasher, strong, size = xxhash.xxh3_128(), hashlib.sha256(), 0
        view = memoryview(bytearray(_CHUNK))
        while count := self._disk.read_into(fd, view):
            hasher.update(view[:count])
            strong.update(view[:count])
            size += count
        return _blob(hasher, size), strong.digest()

    def _has_hash(self, temp: Temp, sha256: bytes) -> bool:
        fd = self._disk.open_read(temp.path)
        try:
            return self.hash_open(fd)[1] == sha256
        finally:
            self._disk.close(fd)

    def _put(self, fill: Callable[[Temp], Blob], expected: Blob | None, sha256: bytes | None = None) -> Blob:
        temp = self._publisher.create()
        try:
            blob = fill(temp)
            if expected is not None and blob != expected:
                raise ContentError(f"{expected.digest} of {expected.size} bytes is {blob.digest} of {blob.size}")
            if sha256 is not None and not self._has_hash(temp, sha256):
                raise ContentError(f"{blob.digest} has another SHA-256 than what was signed")
            if self._has_whole(blob):
                self._publisher.discard(temp)
                return blob
            self._publisher.seal(temp)
            for _ in range(_TRIES):
                if self._publisher.place(temp, self._layout.blob(blob.digest), without_links="rename"):
                    return blob
                if self._has_whole(blob):
                    self._publisher.discard(temp)
                    return blob
        except BaseException:
            self._publisher.discard(temp)
            raise
        self._publisher.discard(temp)
        raise OSError(errno.EBUSY, "others keep changing it", str(self._layout.blob(blob.digest)))

    def _has_whole(self, blob: Blob) -> bool:
        """Return whether somebody has put the blob; something else under its name is quarantined."""
        path = self._layout.blob(blob.digest)
        status = self._status(path, certain=True)
        if status is None:
            return False
        if stat.S_ISREG(status.st_mode) and status.st_size == blob.size:
            return True
        self._publisher.quarantine(path, identify(status))
        return False

    def _status(self, path: Path, certain: bool) -> os.stat_result | None:
        if not certain:
            try:
                return self._disk.lstat(path)
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
        if not look_again(self._disk, path, self._layout.folder):
            return None
        try:
            return self._disk.lstat(path)
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            return None

    def _copy(self, fd: int, source: Disk, temp: Temp) -> Blob:
        assert temp.fd is not None
        try:
            self._disk.clone(fd, temp.fd)
        except OSError:
            pass
        else:
            # Read from the clone: the source may be written to meanwhile.
            return self.digest(temp.fd)
        hasher, size = xxhash.xxh3_128(), 0
        view = memoryview(bytearray(_CHUNK))
        while True:
            try:
                count = source.read_into(fd, view)
            except OSError as error:
                raise SourceError(error.errno, error.strerror, error.filename) from error
            if not count:
                return _blob(hasher, size)
            hasher.update(view[:count])
            self._publisher.write(temp, view[:count])
            size += count


def _blob(hasher: xxhash.xxh3_128, size: int) -> Blob:
    return Blob(digest="xxh3_128:" + hasher.hexdigest(), size=size)
