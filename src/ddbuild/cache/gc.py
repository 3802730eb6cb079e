"""Garbage collection of one tier, beside builds that run.

What goes
    Results, where an age or a size says so: those that were not used for longest first. Never a pinned one and what
    it was made from, nor one that was used or published within the grace period.
    Blobs that no result references. Leftovers of processes that have ended.

Ordering
    1. The action files of a result MUST go before its blobs, each by one rename: a reader sees a result, or none.
    2. A blob goes only if no action file references it *after* 1, and if it is older than the grace period: the
       blobs of a publication under way have no result yet.
    3. In the shared tier, the blobs of a result that went less than a grace period ago stay: somebody may have read
       the result just before. In the local tier that is told by the notes of uses, which are read last of all.
    4. Blobs go to the trash. Action files are looked at once more, and what one of them references by now is put
       back: a publication may have met a blob that was there already.
    5. The trash is deleted a grace period later (local tier: at the end, for there an open file stays readable).

Whatever goes wrong between a build and a collection comes out as a blob that is not there, and that is a miss.
An action file that cannot be read may reference anything, so then no blob goes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ddbuild.cache.inventory import ActionFile, FileState, StoredBlob, group_results, list_actions, list_blobs
from ddbuild.cache.leftovers import Leftovers, Limits, sweep_leftovers
from ddbuild.cache.pins import find_pinned, list_pins
from ddbuild.cache.publish import Publisher
from ddbuild.cache.result import Blob
from ddbuild.cache.tier import Tier
from ddbuild.cache.trash import Trash
from ddbuild.cache.uses import read_uses

__all__ = ["GRACE_SECONDS", "GcPolicy", "GcReport", "RemovedResult", "collect_garbage", "read_clock"]

GRACE_SECONDS = 3600.0

_USES_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class GcPolicy:
    """What is to go: results not used for `older_than` seconds, and more of them until `max_bytes` are enough.

    `grace` is how long, in seconds, a build may take between two looks at one thing.
    """

    max_bytes: int | None = None
    older_than: float | None = None
    grace: float = GRACE_SECONDS
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RemovedResult:
    """A result that went, or would; `age` in seconds since it was last used."""

    key: str
    label: str
    rows: int
    size: int
    age: float


@dataclass(slots=True)
class GcReport:
    """What a collection did, or would do.

    `blobs` and `blob_bytes` went out of the CAS. Of these `freed` bytes are free now, `waiting` ones will be after a
    later collection, not before `grace` seconds, and `linked` ones when somebody's workspace lets go of them too.
    `kept_bytes` stay, `excess` of them more than was asked for. `blocked` says why no blob could go.
    """

    results: list[RemovedResult] = field(default_factory=list)
    blobs: int = 0
    blob_bytes: int = 0
    freed: int = 0
    waiting: int = 0
    linked: int = 0
    grace: float = 0.0
    put_back: int = 0
    pinned: int = 0
    kept_results: int = 0
    kept_bytes: int = 0
    excess: int = 0
    blocked: str | None = None
    leftovers: Leftovers = field(default_factory=Leftovers)


def collect_garbage(
    tier: Tier,
    policy: GcPolicy,
    *,
    has_elsewhere: Callable[[Blob], bool] | None = None,
    now: float | None = None,
    on_step: Callable[[str], None] | None = None,
) -> GcReport:
    """Remove from `tier` what `policy` says and what nobody needs, and return what that was.

    Args:
        tier: The tier.
        policy: What is to go.
        has_elsewhere: Whether the other tier has a blob. Given for a local tier: results whose blobs are nowhere go.
        now: The file server's time, for tests.
        on_step: Told what is being done.

    Raises:
        OSError: the tier cannot be read or written.
    """
    if now is None:
        now = time.time() if policy.dry_run else read_clock(tier)
    return _Collection(tier, policy, now, on_step or _ignore).run(has_elsewhere)


def read_clock(tier: Tier) -> float:
    """Return the time that the tier's file server gives to a new file.

    Raises:
        OSError: the tier cannot be written.
    """
    publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
    temp = publisher.create()
    try:
        assert temp.fd is not None
        return tier.disk.fstat(temp.fd).st_mtime
    finally:
        publisher.discard(temp)


class _Collection:
    def __init__(self, tier: Tier, policy: GcPolicy, now: float, on_step: Callable[[str], None]) -> None:
        self._tier = tier
        self._policy = policy
        self._now = now
        self._on_step = on_step
        self._hold = policy.grace if tier.name == "shared" else 0.0
        self._trash = Trash(tier, now)
        self._files: dict[Path, ActionFile] = {}
        self._uses: dict[str, float] = {}
        self._uses_read = float("-inf")
        self.report = GcReport(grace=self._hold)

    def run(self, has_elsewhere: Callable[[Blob], bool] | None) -> GcReport:
        report, policy = self.report, self._policy
        self._on_step("looking at results")
        self._look()
        groups = group_results(list(self._files.values()))
        self._on_step("looking at blobs")
        blobs = list(list_blobs(self._tier))
        pinned = find_pinned(list_pins(self._tier), groups) & groups.keys()
        report.pinned = len(pinned)
        uses = read_uses(self._tier)
        ages = {}
        for key, files in groups.items():
            ages[key] = self._now - max(uses.get(key, 0.0), *(file.touched for file in files))
        free = [key for key in groups if key not in pinned and ages[key] > policy.grace]
        free.sort(key=lambda key: (-ages[key], key))
        sizes = {blob.digest: blob.size for blob in blobs if blob.regular}
        chosen = _Choice(self._files.values(), groups, sizes, self._garbage(blobs))
        for key in free:
            if (policy.older_than is not None and ages[key] > policy.older_than) or _is_lost(
                groups[key], sizes, has_elsewhere
            ):
                chosen.take(key)
        if policy.max_bytes is not None:
            for key in free:
                if chosen.bytes <= policy.max_bytes:
                    break
                chosen.take(key)
        self._on_step("removing results")
        for key, size in chosen.taken.items():
            if policy.dry_run or self._retire(key, groups[key]):
                report.results.append(_describe(key, groups[key], size, ages[key]))
            else:
                chosen.bytes += size
        held: set[str] = set()
        if policy.dry_run:
            gone = [file for key in chosen.taken for file in groups[key]]
            for file in gone:
                del self._files[file.path]
            held = _blobs_of(gone) if self._hold else held
        else:
            self._look()
        self._sweep_blobs(blobs, held)
        kept = {file.name for file in self._files.values()}
        limits = Limits(grace=policy.grace)
        if policy.older_than is not None:
            limits = replace(
                limits,
                work=min(limits.work, policy.older_than),
                quarantine=min(limits.quarantine, policy.older_than),
            )
        report.leftovers = sweep_leftovers(self._tier, self._now, limits, kept, dry_run=policy.dry_run)
        report.freed += report.leftovers.bytes
        report.kept_results = len(groups) - len(report.results)
        report.kept_bytes = chosen.bytes
        report.excess = max(0, chosen.bytes - policy.max_bytes) if policy.max_bytes is not None else 0
        return report

    def _look(self) -> None:
        """Read what results there are now; what is known and unchanged is not read again."""
        self._files = {file.path: file for file in list_actions(self._tier, self._files)}

    def _references(self) -> set[str]:
        return _blobs_of(self._files.values()).union(*(file.references for file in self._files.values()))

    def _garbage(self, blobs: Iterable[StoredBlob]) -> set[str]:
        referenced = self._references()
        return {blob.digest for blob in blobs if blob.digest not in referenced and self._is_old(blob)}

    def _is_old(self, blob: StoredBlob) -> bool:
        return blob.regular and self._now - blob.touched > self._policy.grace

    def _retire(self, key: str, files: list[ActionFile]) -> bool:
        """Take away what one key has; False if somebody has just written there, or has used it since."""
        if time.monotonic() - self._uses_read > _USES_SECONDS:
            self._uses, self._uses_read = read_uses(self._tier), time.monotonic()
        if self._now - self._uses.get(key, 0.0) <= self._policy.grace:
            return False
        # The last attempt first, for an attempt is only found if all those before it are there.
        for file in sorted(files, key=lambda file: (file.retry, file.is_alias), reverse=True):
            if self._trash.take("a", file.path, file.identity) is None:
                return False
        return True

    def _sweep_blobs(self, blobs: list[StoredBlob], held: set[str]) -> None:
        report = self.report
        unreadable = [file for file in self._files.values() if file.state is FileState.UNREADABLE]
        if unreadable:
            report.blocked = f"`{unreadable[0].path}` cannot be read, and may be the result that a blob belongs to"
            return
        referenced = self._references()
        for run in self._trash.list_runs():
            if self._now - run.when < self._hold:
                held |= self._trash.list_references(run)
        self._on_step("removing blobs")
        for blob in blobs:
            if blob.digest in referenced or not self._is_old(blob):
                continue
            if blob.digest in held:
                report.waiting += blob.size
            elif self._policy.dry_run or self._trash.take("c", blob.path, blob.identity) is not None:
                report.blobs, report.blob_bytes = report.blobs + 1, report.blob_bytes + blob.size
        self._empty_trash()

    def _empty_trash(self) -> None:
        report, dry_run = self.report, self._policy.dry_run
        if not dry_run:
            self._look()
        wanted = self._references()
        for run in self._trash.list_runs():
            mine = run == self._trash.run
            if not dry_run:
                report.put_back += self._trash.put_back(run, wanted)
            age = self._now - run.when
            over = age >= self._hold if self._hold else (mine or run.is_abandoned or age >= self._policy.grace)
            # Another collection that is still under way has not yet put back what it must.
            if over and not run.is_under_way:
                freed, linked = self._trash.measure(run) if dry_run else self._trash.empty(run)
                report.freed += freed
                report.linked += linked
            else:
                report.waiting += sum(self._trash.measure(run))


class _Choice:
    """Which results go, and how many bytes stay once they have."""

    def __init__(
        self,
        files: Iterable[ActionFile],
        groups: dict[str, list[ActionFile]],
        sizes: dict[str, int],
        garbage: set[str],
    ) -> None:
        self._groups = groups
        self._sizes = sizes
        self._counts: Counter[str] = Counter()
        self.taken: dict[str, int] = {}
        self.bytes = sum(size for digest, size in sizes.items() if digest not in garbage)
        for file in files:
            self.bytes += file.size
            self._counts.update(file.references)
        for key in groups:
            self._counts.update(_blobs_of(groups[key]))

    def take(self, key: str) -> None:
        if key in self.taken:
            return
        size = sum(file.size for file in self._groups[key])
        for digest in _blobs_of(self._groups[key]):
            self._counts[digest] -= 1
            if not self._counts[digest]:
                size += self._sizes.get(digest, 0)
        self.taken[key] = size
        self.bytes -= size


def _blobs_of(files: Iterable[ActionFile]) -> set[str]:
    return {digest for file in files if file.facts for digest, _ in file.facts.blobs}


def _is_lost(files: list[ActionFile], sizes: dict[str, int], has_elsewhere: Callable[[Blob], bool] | None) -> bool:
    """Whether a result of the local tier has a blob that is nowhere; False where that cannot be told."""
    if has_elsewhere is None:
        return False
    missing = {blob for file in files if file.facts for blob in file.facts.blobs if blob[0] not in sizes}
    try:
        return any(not has_elsewhere(Blob(digest=digest, size=size)) for digest, size in missing)
    except OSError:
        return False


def _describe(key: str, files: list[ActionFile], size: int, age: float) -> RemovedResult:
    facts = next(file.facts for file in files if file.facts is not None)
    return RemovedResult(key, facts.label, facts.rows, size, age)


def _ignore(step: str) -> None:
    """Leave it untold."""
