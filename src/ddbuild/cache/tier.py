"""One tier: a folder with blobs, action results, families and leases.

Reading never raises: what cannot be read is not there, and `on_trouble` is told if that is not the whole truth.
Writing raises OSError. Nothing is created before something is written.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ddbuild.cache.actions import Actions
from ddbuild.cache.cas import Cas, ContentError, SourceError
from ddbuild.cache.disk import Disk, Identity, identify
from ddbuild.cache.families import Families
from ddbuild.cache.layout import Layout
from ddbuild.cache.lease import BEAT_SECONDS, EXPIRY_SECONDS, Lease, Leases, Watch
from ddbuild.cache.publish import Publisher
from ddbuild.cache.result import ActionResult, Blob
from ddbuild.cache.signing import Trust
from ddbuild.digest import Key

__all__ = ["Tier", "TierName"]

TierName = Literal["local", "shared"]

_SWEEP_LIMIT = 256


class Tier:
    """The tier in `folder`; with a `trust` it has only results that this one takes, and signs those that it gets.

    `disk` and the lease times are for tests. From several threads and processes at once all of it is safe.
    """

    def __init__(
        self,
        folder: Path,
        name: TierName,
        writable: bool = True,
        *,
        trust: Trust | None = None,
        disk: Disk | None = None,
        beat_seconds: float = BEAT_SECONDS,
        expiry_seconds: float = EXPIRY_SECONDS,
    ) -> None:
        self.folder = folder
        self.name = name
        self.writable = writable
        self.trust = trust
        self.layout = Layout(folder)
        self.disk = disk or Disk()
        self.on_trouble: Callable[[OSError], None] = _ignore
        self._publisher = Publisher(self.layout, self.disk, for_team=name == "shared")
        self._cas = Cas(self.layout, self.disk, self._publisher)
        self._actions = Actions(self.layout, self.disk, self._publisher, self._tell, trust)
        self._families = Families(self.layout, self.disk, self._publisher, self._tell)
        self._leases = Leases(
            self.layout, self.disk, self._publisher, beat_seconds=beat_seconds, expiry_seconds=expiry_seconds
        )
        self._sweeping = threading.Lock()
        self._swept = False

    # Blobs

    def blob_path(self, blob: Blob) -> Path:
        """Return where the blob lies, or would."""
        return self.layout.blob(blob.digest)

    def has(self, blob: Blob, *, certain: bool = False) -> bool:
        """Return whether the blob is there with its size; `certain` as in `Cas.check`."""
        try:
            return self._cas.check(blob, certain=certain)
        except OSError as error:
            self._tell(error)
            return False

    def check(self, blob: Blob) -> bool:
        """Return whether the blob is there with its size for certain, or raise OSError where that cannot be told."""
        return self._cas.check(blob, certain=True)

    def is_gone(self, blob: Blob) -> bool:
        """Return whether the blob is missing for certain, or raise OSError where that cannot be told."""
        self._get_ready()
        return self._cas.is_gone(blob)

    def holds(self, result: ActionResult) -> bool:
        """Return whether every blob of `result` is there with its size."""
        return all(self.has(blob) for blob in result.blobs)

    def open_blob(self, blob: Blob) -> int:
        """Open a blob of the right size for reading, or raise OSError; its digest is not compared."""
        return self._cas.open(blob)

    def put_file(self, path: Path) -> Blob:
        """Copy a file into the tier; SourceError if it is the file that cannot be read."""
        self._get_ready()
        return self._cas.put_file(path)

    def put_bytes(self, data: bytes) -> Blob:
        """Keep some bytes."""
        self._get_ready()
        return self._cas.put_bytes(data)

    def copy_blob(self, blob: Blob, source: Tier, *, sha256: bytes | None = None) -> None:
        """Copy a blob of another tier, if it has this SHA-256, where one is given.

        Raises:
            SourceError: `source` cannot read it; in VANISHED if it is not there, EINVAL if it has another size.
            ContentError: its bytes are not those of `blob`, or not those with the SHA-256.
            OSError: this tier cannot write it.
        """
        self._get_ready()
        try:
            fd = source.open_blob(blob)
        except OSError as error:
            raise SourceError(error.errno, error.strerror, error.filename) from error
        try:
            self._cas.put_open(fd, source.disk, blob, sha256)
        finally:
            with suppress(OSError):  # nothing was written to it
                source.disk.close(fd)

    def hash_blob(self, blob: Blob) -> bytes:
        """Return the SHA-256 of a blob.

        Raises:
            ContentError: its bytes are not those of `blob`.
            OSError: it cannot be read.
        """
        fd = self._cas.open(blob)
        try:
            found, sha256 = self._cas.hash_open(fd)
        finally:
            self.disk.close(fd)
        if found != blob:
            raise ContentError(f"{blob.digest} of {blob.size} bytes is {found.digest} of {found.size}")
        return sha256

    def check_bytes(self, blob: Blob) -> None:
        """Read all of a blob.

        Raises:
            ContentError: its bytes are not those of `blob`.
            OSError: it cannot be read.
        """
        fd = self._cas.open(blob)
        try:
            found = self._cas.digest(fd)
        finally:
            self.disk.close(fd)
        if found != blob:
            raise ContentError(f"{blob.digest} of {blob.size} bytes is {found.digest} of {found.size}")

    def verify_blob(self, blob: Blob, *, sha256: bytes | None = None) -> bool:
        """Read a blob that is there and return whether it is what its name says; quarantine it if it is not.

        With `sha256` it also has to have that.

        Raises:
            OSError: it cannot be read.
        """
        fd = self._cas.open(blob)
        try:
            judged = identify(self.disk.fstat(fd))
            if sha256 is None:
                good = self._cas.digest(fd) == blob
            else:
                good = self._cas.hash_open(fd) == (blob, sha256)
        finally:
            self.disk.close(fd)
        if not good:
            self.quarantine_blob(blob, judged)
        return good

    def quarantine_blob(self, blob: Blob, judged: Identity | None = None) -> None:
        """Take a damaged blob away, as far as that is allowed here; with `judged`, only if it is still that file."""
        try:
            self._get_ready()
            self._cas.quarantine(blob, judged)
        except OSError as error:
            self._tell(error)

    # Action results

    def read_action(self, key: str, retry: int = 0, *, certain: bool = False) -> ActionResult | None:
        """Return the result kept under `key`; None if it is missing, torn, of a newer schema or cannot be read.

        `certain` as in `Actions.read`.
        """
        return self._actions.read(key, retry, certain=certain)

    def write_action(
        self,
        key: str,
        result: ActionResult,
        retry: int = 0,
        *,
        is_complete: Callable[[ActionResult], bool] | None = None,
    ) -> ActionResult:
        """Keep `result` under `key` unless a complete one is kept there; return the one that is.

        Its blobs are in this tier already, or in another that readers of this one look into too; `is_complete` says
        the same of a result that is found, and raises OSError where it cannot tell.
        """
        self._get_ready()
        self._cas.sync(result.blobs)
        return self._actions.write(key, result, retry, is_complete or self._is_complete)

    def replace_action(self, key: str, result: ActionResult, retry: int = 0) -> None:
        """Keep `result` under `key` whatever is kept there: for a local tier that adopts what the team has."""
        self._get_ready()
        self._actions.replace(key, result, retry)

    def remove_action(self, key: str, retry: int = 0) -> bool:
        """Remove the result kept under `key`; return whether there was one. Its blobs stay until they are swept.

        Raises:
            OSError: the folder cannot be written.
        """
        return self._actions.remove(key, retry)

    def _is_complete(self, result: ActionResult) -> bool:
        return not any(self._cas.is_gone(blob) for blob in result.blobs)

    # Families

    def record_family(self, family: str, num_records: int, key: str) -> None:
        """Note that `key` is the member of `family` with `num_records` records."""
        self._get_ready()
        self._families.record(family, num_records, key)

    def family_members(self, family: str) -> dict[int, Key]:
        """Return the key of each noted number of records."""
        return self._families.members(family)

    # Leases

    def try_lease(self, key: str, watch: Watch) -> Lease | None:
        """Return the lease on `key`, or None while `watch` sees another holder alive; OSError where there are none."""
        self._get_ready()
        return self._leases.try_acquire(key, watch)

    # Work folders

    def make_folder(self, folder: Path) -> None:
        """Create a folder inside the tier, or raise OSError."""
        self._get_ready()
        self._publisher.in_folder(folder, lambda: self.disk.open_folder(folder))

    def _get_ready(self) -> None:
        if not self.writable:
            raise OSError(errno.EROFS, "the cache is not to be written to", str(self.folder))
        if self._swept or not self._sweeping.acquire(blocking=False):
            return
        try:
            if not self._swept:
                self._publisher.sweep(self.layout.tmp, _SWEEP_LIMIT)
                self._leases.sweep(_SWEEP_LIMIT)
                self._swept = True
        finally:
            self._sweeping.release()

    def _tell(self, error: OSError) -> None:
        self.on_trouble(error)


def _ignore(error: OSError) -> None:
    """Leave trouble untold where nobody has asked to hear of it."""
