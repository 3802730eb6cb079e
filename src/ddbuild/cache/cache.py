"""The cache that a build sees: a local tier, and a shared one that may be missing, full, slow or broken.

Owns the rules between the tiers: the shared tier's content wins, blobs are verified when they cross, and trouble with
the shared tier is told once and never stops a build. Trouble with the local tier is a CacheError.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ddbuild.cache.cas import ContentError, SourceError
from ddbuild.cache.disk import VANISHED
from ddbuild.cache.lease import Holder, Lease, Watch, acquire
from ddbuild.cache.patience import Patience
from ddbuild.cache.result import ActionResult, Blob
from ddbuild.cache.tier import Tier, TierName
from ddbuild.cache.trouble import describe_local, describe_shared, reason
from ddbuild.cache.uses import note_uses
from ddbuild.cache.work import WorkFolder, claim_work
from ddbuild.digest import Key
from ddbuild.errors import CacheError

__all__ = ["Cache", "CacheLease", "CacheMissError"]

T = TypeVar("T")

_ASK_SECONDS = 30.0
_SLOWEST_BYTES_PER_SECOND = 1_000_000
_WRITES_REST_SECONDS = 60.0
_STRIPES = 64
_DOWN = frozenset({errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ENETUNREACH})


class CacheMissError(CacheError):
    """A blob that a result names is not in the cache any more, or not whole: what made it has to run again."""

    def __init__(self, blob: Blob) -> None:
        super().__init__(f"blob `{blob.digest}` is no longer in the cache", hint="build again")
        self.blob = blob


class CacheLease:
    """The leases on one key in the tiers that have them; a context manager."""

    def __init__(
        self, local: Lease | None, shared: Lease | None, release_shared: Callable[[Lease], None] = Lease.release
    ) -> None:
        self._local = local
        self._shared = shared
        self._release_shared = release_shared

    @property
    def is_held(self) -> bool:
        """Whether this build has the key to itself on this machine, as far as leases can tell."""
        return self._local is not None and self._local.is_held

    def release(self) -> None:
        """Let others in."""
        if self._shared is not None:
            self._release_shared(self._shared)
        _release(self._local)

    def __enter__(self) -> CacheLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Cache:
    """Two tiers as one; safe from many threads, beside other processes and hosts.

    `on_warning` gets a sentence for each kind of trouble, once; `ask_seconds` is how long a question to the shared
    tier may take.
    """

    def __init__(
        self,
        local: Tier,
        shared: Tier | None = None,
        on_warning: Callable[[str], None] | None = None,
        *,
        ask_seconds: float = _ASK_SECONDS,
    ) -> None:
        self.local = local
        self.shared = shared
        self._on_warning = on_warning
        self._ask_seconds = ask_seconds
        self._patience = Patience()
        self._writes_rest_until = float("-inf")
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._told_numbers: set[int | None] = set()
        self._spoiled: set[str] = set()
        self._unshared: set[tuple[str, int]] = set()
        self._unreadable: set[str] = set()
        self._greeted = False
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        local.on_trouble = self._tell_local
        if shared is not None:
            shared.on_trouble = self._tell_shared
            if shared.trust is not None:
                shared.trust.hash_blob = self._hash_for_signature
                shared.trust.on_warning = self._tell_trust

    # Results

    def find(self, key: str, retry: int = 0) -> tuple[ActionResult, TierName] | None:
        """Return the result recorded under `key` and the tier that the record counts from.

        Whether its blobs are there is only looked at where the tiers have different content. Then the shared tier's
        counts, unless that one is gone and the local one is whole.
        """
        return self._find(key, retry, certain=False)

    def _find(self, key: str, retry: int, *, certain: bool) -> tuple[ActionResult, TierName] | None:
        here = self.local.read_action(key, retry)
        there = self._ask(lambda tier: _read_shared(tier, key, retry, here, certain), None)
        if there is None:
            if here is None:
                return None
            self._unshared.add((here.key, here.retry))
            return here, "local"
        if here is None:
            self._adopt(key, there, retry)
            return there, "shared"
        if here == there:
            return here, "local"
        if _same_content(here, there):
            if self._locate(here) is not None or self._locate(there) is None:
                return here, "local"
        elif self._locate(there) is None and self._locate(here) is not None:
            return here, "local"
        self._adopt(key, there, retry)
        return there, "shared"

    def lookup(self, key: str, retry: int = 0) -> tuple[ActionResult, TierName] | None:
        """Return the result kept under `key` if all its blobs are there, and the tier that has the last of them."""
        found = self._find(key, retry, certain=False)
        if found is None:
            return None
        tier = self._locate(found[0])
        if tier is None and self.shared is not None:
            # Before that costs a build: NFS may have remembered a result that the team has replaced since.
            found = self._find(key, retry, certain=True)
            tier = None if found is None else self._locate(found[0])
        return None if found is None or tier is None else (found[0], tier)

    def publish(self, result: ActionResult, *, over: ActionResult | None = None) -> ActionResult:
        """Keep a result whose blobs have been put, under its key and its deep key; return the one that counts now.

        That is another builder's if it was first, here or in the shared tier: what depends on this result must go on
        with the one returned. With `over` a kept result with that one's content gives way: for a rebuild that a
        person has asked for.

        Raises:
            CacheMissError: a blob of the result is not there.
            CacheError: the local tier cannot be written.
        """
        if self._locate(result, certain=True) is None:
            raise CacheMissError(next((blob for blob in result.blobs if not self.local.has(blob)), result.output))

        def counts(found: ActionResult) -> bool:
            return not _gives_way(found, over) and self._locate(found, certain=True) is not None

        try:
            kept = self.local.write_action(result.key, result, result.retry, is_complete=counts)
            effective = self._share(kept, result.deep_key, over)
            if effective is not kept:
                self.local.replace_action(effective.key, effective, effective.retry)
            if result.deep_key != result.key:
                alias = effective.model_copy(update={"deep_key": result.deep_key})
                found = self.local.write_action(alias.deep_key, alias, alias.retry, is_complete=counts)
                if found.key == alias.key and not _same_content(found, alias):
                    self.local.replace_action(alias.deep_key, alias, alias.retry)
        except OSError as error:
            raise describe_local(self.local.folder, error) from error
        return effective

    def offer(self, results: Iterable[ActionResult]) -> None:
        """Give the team those of `results` that were found here and not there, as far as that works.

        They were made while the shared folder was away, or by a build that was killed before it could share them.
        """
        if not self._may_write_shared():
            return
        for result in results:
            if (result.key, result.retry) in self._unshared:
                self._unshared.discard((result.key, result.retry))
                self._share(result, result.deep_key, None)

    def _share(self, kept: ActionResult, deep_key: str, over: ActionResult | None) -> ActionResult:
        """Return what the shared tier has, or has now, in the place of `kept`; `kept` where that is not to be had."""
        seconds = self._ask_seconds + sum(blob.size for blob in kept.blobs) / _SLOWEST_BYTES_PER_SECOND
        return self._ask(lambda tier: self._share_with(tier, kept, deep_key, over), kept, seconds=seconds, writing=True)

    def _share_with(self, tier: Tier, kept: ActionResult, deep_key: str, over: ActionResult | None) -> ActionResult:
        may_write = self._may_write_shared()

        def counts(found: ActionResult) -> bool:
            if _gives_way(found, over):
                return False
            if self._is_unreadable(found):
                raise OSError(errno.EBUSY, "somebody has just put it there")
            # Taking away a result of the team's needs more than a look: see `Cas.is_gone`.
            is_there = (lambda blob: not tier.is_gone(blob)) if may_write else tier.check
            return all((self._may_pull(tier, each) and is_there(each)) or self.local.has(each) for each in found.blobs)

        there = tier.read_action(kept.key, kept.retry, certain=True)
        if there is not None and self._is_unreadable(there):
            return kept  # to others it may be whole, so it is not taken away
        if there is not None and not counts(there):
            there = None
        if may_write:
            # Also those that the team's own result has lost, and this machine still has.
            for blob in (there or kept).blobs:
                self._upload(tier, blob)
            if there is None:
                there = tier.write_action(kept.key, kept, kept.retry, is_complete=counts)
            if there.key != deep_key:
                alias = there.model_copy(update={"deep_key": deep_key})
                tier.write_action(deep_key, alias, alias.retry, is_complete=counts)
        return kept if there is None or _same_content(there, kept) else there

    def _upload(self, tier: Tier, blob: Blob) -> None:
        if tier.check(blob):
            return
        try:
            tier.copy_blob(blob, self.local)
        except (ContentError, SourceError) as error:
            self.local.quarantine_blob(blob)
            raise CacheMissError(blob) from error

    def _adopt(self, key: str, result: ActionResult, retry: int) -> None:
        """Note locally what the shared tier says, so that it counts also when that cannot be asked."""
        if not self.local.writable:
            return
        try:
            self.local.replace_action(key, result, retry)
        except OSError as error:
            self._tell_local(error)

    def _locate(self, result: ActionResult, *, certain: bool = False) -> TierName | None:
        """Return which tier has the last of the result's blobs, or None if some are nowhere."""
        missing = [blob for blob in result.blobs if not self.local.has(blob, certain=certain)]
        if not missing:
            return "local"
        seconds = self._ask_seconds + len(missing) / 50

        def has_all(tier: Tier) -> bool:
            return all(self._may_pull(tier, blob) and tier.has(blob, certain=certain) for blob in missing)

        return "shared" if self._ask(has_all, False, seconds=seconds) else None

    def _may_pull(self, tier: Tier, blob: Blob) -> bool:
        """Whether the shared tier's blob is one to take: not seen damaged, and vouched for where that is asked for."""
        if blob.digest in self._spoiled:  # and perhaps not to be taken away, in a folder that is only read
            return False
        if blob.digest in self._unreadable:
            return False
        return tier.trust is None or tier.trust.vouches_for(blob) is not None

    def _is_unreadable(self, result: ActionResult) -> bool:
        return any(blob.digest in self._unreadable and not self.local.has(blob) for blob in result.blobs)

    # Blobs

    def put_file(self, path: Path) -> Blob:
        """Copy a file into the local tier.

        Raises:
            SourceError: `path` cannot be read.
            CacheError: the local tier cannot be written.
        """
        try:
            return self.local.put_file(path)
        except SourceError:
            raise
        except OSError as error:
            raise describe_local(self.local.folder, error) from error

    def put_bytes(self, data: bytes) -> Blob:
        """Keep some bytes in the local tier."""
        try:
            return self.local.put_bytes(data)
        except OSError as error:
            raise describe_local(self.local.folder, error) from error

    def fetch(self, blob: Blob) -> Path:
        """Return a local file with the bytes of `blob`, taken from the shared tier and verified if need be.

        Raises:
            CacheMissError: no tier has it, or what they have is damaged (and is in quarantine now).
            CacheError: the local tier cannot be written.
        """
        path = self.local.blob_path(blob)
        if self.local.has(blob):
            return path
        with self._stripes[int(blob.digest[-4:], 16) % _STRIPES]:
            if self.local.has(blob):
                return path
            seconds = self._ask_seconds + blob.size / _SLOWEST_BYTES_PER_SECOND
            if self._ask(lambda tier: self._pull(tier, blob), False, seconds=seconds):
                return path
        raise CacheMissError(blob)

    def _pull(self, tier: Tier, blob: Blob) -> bool:
        if not self._may_pull(tier, blob):
            return False
        sha256 = None if tier.trust is None else tier.trust.vouches_for(blob)
        for _ in range(2):
            try:
                self.local.copy_blob(blob, tier, sha256=sha256)
                return True
            except ContentError:
                # Read once more before it is called damaged: a network can be at fault too.
                if not tier.verify_blob(blob, sha256=sha256):
                    self._spoiled.add(blob.digest)
                    self._tell("damaged", f"the shared cache `{tier.folder}` had a damaged blob, which is made again")
                    return False
            except SourceError as error:
                if error.errno == errno.EINVAL:
                    tier.quarantine_blob(blob)
                elif error.errno not in VANISHED:
                    if error.errno not in _DOWN:
                        self._unreadable.add(blob.digest)
                    raise
                elif tier.check(blob):
                    # It has a name and a size, and whoever looks again would only come back here.
                    self._unreadable.add(blob.digest)
                    self._tell("unreadable", f"the shared cache `{tier.folder}` has a blob that cannot be read")
                return False
            except OSError as error:
                raise describe_local(self.local.folder, error) from error
        return False

    def verify(self, blob: Blob) -> bool:
        """Return whether the local tier has the blob with the right bytes; what has others goes to quarantine."""
        try:
            return self.local.verify_blob(blob)
        except OSError as error:
            if error.errno not in VANISHED:
                self.local.quarantine_blob(blob)
            return False

    # Families

    def record_family(self, family: str, num_records: int, key: str) -> None:
        """Note that `key` is the member of `family` with `num_records` records, as far as that works."""
        try:
            self.local.record_family(family, num_records, key)
        except OSError as error:
            self._tell_local(error)
        self._ask(lambda tier: tier.record_family(family, num_records, key), None, writing=True, reads=False)

    def family_members(self, family: str) -> list[tuple[int, Key]]:
        """Return the noted numbers of records and their keys, smallest first; results may be gone by now.

        Notes are not signed. Where signatures are asked for, those of the shared tier say nothing.
        """
        nothing: dict[int, Key] = {}
        if self.shared is not None and self.shared.trust is not None:
            return sorted(self.local.family_members(family).items())
        members = self.local.family_members(family) | self._ask(lambda tier: tier.family_members(family), nothing)
        return sorted(members.items())

    # Uses

    def note_uses(self, request: str, keys: Collection[str]) -> None:
        """Note that a build of `request`, a name from `name_request`, came to the results under `keys`.

        For who collects garbage; where it cannot be noted, nothing is said.
        """

        def note(tier: Tier) -> None:
            with suppress(OSError):
                note_uses(tier, request, keys)

        if self.local.writable:
            note(self.local)
        self._ask(note, None, writing=True, reads=False)

    # Leases and work

    def lease(
        self,
        key: str,
        *,
        wait: Callable[[Holder], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CacheLease:
        """Return the lease on `key`, once nobody else seems to be building it; look the key up again then.

        `wait` is told of each holder that is waited for. Where leases cannot be made there are none, and no error.

        Raises:
            InterruptedBuildError: `cancelled` says so while waiting.
        """

        def step_shared(watch: Watch) -> Lease | None:
            assert self.shared is not None
            if self._patience.is_resting:
                raise TimeoutError(errno.ETIMEDOUT, "not asked")
            tier = self.shared
            lease = self._patience.call(lambda: tier.try_lease(key, watch), self._ask_seconds, too_late=_release)
            # Both tiers are one folder under two names: this build waits for nobody but itself.
            return local if lease is None and local is not None and watch.holder == local.holder else lease

        local = shared = None
        try:
            local = acquire(lambda watch: self.local.try_lease(key, watch), wait=wait, cancelled=cancelled)
        except OSError as error:
            self._tell_local(error)
        try:
            if self._may_write_shared():
                shared = acquire(step_shared, wait=wait, cancelled=cancelled)
        except OSError as error:
            self._tell_shared(error, writing=True)
        except BaseException:
            _release(local)
            raise
        return CacheLease(local, shared, self._release_shared)

    def _release_shared(self, lease: Lease) -> None:
        """Release a lease in the shared tier, or let it expire where the file server does not answer."""
        self._ask(lambda tier: lease.release(), None)
        lease.abandon()

    def claim_work(self, key: str, retry: int = 0, *, lease: CacheLease | None = None) -> WorkFolder:
        """Return the folder for an attempt at `key`, with what an interrupted one has left there.

        Raises:
            CacheError: the local tier cannot be written.
        """
        try:
            return claim_work(self.local, key, retry, alone=lease is not None and lease.is_held)
        except OSError as error:
            raise describe_local(self.local.folder, error) from error

    # Trouble

    def _may_write_shared(self) -> bool:
        return (
            self.shared is not None
            and self.shared.writable
            and not self._patience.is_resting
            and time.monotonic() >= self._writes_rest_until
            and (self.shared.trust is None or self.shared.trust.can_sign)
        )

    def _ask(
        self,
        question: Callable[[Tier], T],
        otherwise: T,
        *,
        seconds: float | None = None,
        writing: bool = False,
        reads: bool = True,
    ) -> T:
        """Return the shared tier's answer, or `otherwise` where there is none to be had."""
        tier = self.shared
        if tier is None or self._patience.is_resting or not (reads or self._may_write_shared()):
            return otherwise
        self._greet(tier)
        try:
            return self._patience.call(lambda: question(tier), seconds or self._ask_seconds)
        except OSError as error:
            self._tell_shared(error, writing=writing)
            return otherwise

    def _greet(self, tier: Tier) -> None:
        """Say once if the shared tier is not there at all."""
        with self._lock:
            if self._greeted:
                return
            self._greeted = True

        def greet() -> None:
            try:
                tier.disk.open_folder(tier.folder)
            except FileNotFoundError:
                if not tier.writable or not tier.folder.parent.is_dir():
                    raise

        try:
            self._patience.call(greet, self._ask_seconds)
        except OSError as error:
            self._tell_shared(error)

    def _tell_shared(self, error: OSError, writing: bool = False) -> None:
        assert self.shared is not None
        if error.errno in _DOWN:
            self._patience.rest()
        if writing:
            self._writes_rest_until = time.monotonic() + _WRITES_REST_SECONDS
        with self._lock:
            if error.errno in self._told_numbers:  # in reading, and now in writing as well
                return
            self._told_numbers.add(error.errno)
        self._tell(*describe_shared(self.shared.folder, error, writing))

    def _tell_trust(self, kind: str, text: str) -> None:
        assert self.shared is not None
        if kind == "untrusted":
            text = f"the shared cache `{self.shared.folder}` has results that no trusted key has signed; none is used"
        self._tell(kind, text)

    def _hash_for_signature(self, blob: Blob) -> bytes:
        try:
            return self.local.hash_blob(blob)
        except ContentError as error:
            self.local.quarantine_blob(blob)
            raise CacheMissError(blob) from error
        except OSError as error:
            raise CacheMissError(blob) from error

    def _tell_local(self, error: OSError) -> None:
        self._tell(f"local {error.errno}", f"the local cache `{self.local.folder}` gives trouble ({reason(error)})")

    def _tell(self, kind: str, text: str) -> None:
        with self._lock:
            if kind in self._told:
                return
            self._told.add(kind)
        if self._on_warning is not None:
            self._on_warning(text)


def _same_content(one: ActionResult, other: ActionResult) -> bool:
    return one.digest == other.digest and one.folder_digest == other.folder_digest


def _gives_way(found: ActionResult, over: ActionResult | None) -> bool:
    return over is not None and _same_content(found, over)


def _read_shared(tier: Tier, key: str, retry: int, here: ActionResult | None, certain: bool) -> ActionResult | None:
    there = tier.read_action(key, retry, certain=certain)
    if there is None and here is not None and here.key != key:
        # A local alias that the team has not: what the team has under the content key still counts.
        there = tier.read_action(here.key, retry, certain=certain)
        there = there and there.model_copy(update={"deep_key": key})
    return there


def _release(lease: Lease | None) -> None:
    if lease is not None:
        lease.release()
