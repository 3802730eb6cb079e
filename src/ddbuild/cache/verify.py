"""Whether a tier holds what it says: every byte is read.

Damage is a blob that is not what its name says, an action file that is torn or under another key's name, and a result
that has a blob nowhere. All of that would be a miss, or be noticed when it is read; here it is found beforehand. What
a newer program has written, and parents that were collected since, are no damage.

Repair moves what is bad to quarantine, takes what the other tier has, and removes results that stay incomplete, so
that they are built again.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ddbuild.cache.cas import ContentError
from ddbuild.cache.disk import VANISHED, Identity, identify
from ddbuild.cache.inventory import ActionFile, FileState, StoredBlob, group_results, list_actions, list_blobs
from ddbuild.cache.publish import Publisher
from ddbuild.cache.result import Blob
from ddbuild.cache.tier import Tier
from ddbuild.cache.trouble import reason

__all__ = ["Damage", "Progress", "Repair", "VerifyReport", "verify_tier"]

DamageKind = Literal["blob", "result", "incomplete"]
Repair = Literal["healed", "quarantined", "removed"]


@dataclass(slots=True)
class Damage:
    """One thing that is wrong: which kind, what it is called, and in a few words what is the matter with it.

    `labels` are the targets whose results it belongs to. `repair` is what was done; None if it is as it was.
    """

    kind: DamageKind
    name: str
    path: Path
    what: str
    labels: tuple[str, ...] = ()
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification has come."""

    blobs: int
    blobs_total: int
    bytes: int
    bytes_total: int


@dataclass(slots=True)
class VerifyReport:
    """What was looked at and what is wrong.

    `newer` results are of a newer program, `untrusted` ones are not signed as this workspace asks for, `unreadable`
    ones could not be read by this user. `parents_gone` and `parents_changed` count recorded inputs whose result is
    not kept any more, or has other content by now: the planner sees to it that neither matters.
    """

    results: int = 0
    blobs: int = 0
    bytes: int = 0
    newer: int = 0
    untrusted: int = 0
    unreadable: int = 0
    parents_gone: int = 0
    parents_changed: int = 0
    damage: list[Damage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged, or nothing any more."""
        return all(each.repair is not None for each in self.damage)


def verify_tier(
    tier: Tier,
    other: Tier | None = None,
    *,
    repair: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> VerifyReport:
    """Read all of `tier`, and with `repair` mend what is damaged; `other` is the tier beside it.

    A result of a local tier is whole if the other tier has what is missing here.

    Raises:
        OSError: the tier cannot be listed.
    """
    return _Verification(tier, other, repair, on_progress or _ignore).run()


class _Verification:
    def __init__(self, tier: Tier, other: Tier | None, repair: bool, on_progress: Callable[[Progress], None]) -> None:
        self._tier = tier
        self._other = other
        self._repair = repair
        self._on_progress = on_progress
        self._publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
        self._labels: dict[str, set[str]] = {}
        self._hashes: dict[str, bytes] = {}
        self.report = VerifyReport()

    def run(self) -> VerifyReport:
        # Results first: what is published while the blobs are read has its blobs already, and is left for next time.
        files = list(list_actions(self._tier))
        good = [file for file in files if file.facts is not None]
        for file in good:
            assert file.facts is not None
            for digest, _ in file.facts.blobs:
                self._labels.setdefault(digest, set()).add(file.facts.label)
            self._hashes.update(file.hashes or {})
        self._check_blobs()
        for file in files:
            self._check_file(file)
        for file in good:
            self._check_result(file)
        self._check_inputs(good)
        return self.report

    # Blobs

    def _check_blobs(self) -> None:
        blobs = list(list_blobs(self._tier))
        total = sum(blob.size for blob in blobs)
        self.report.blobs = len(blobs)
        for number, blob in enumerate(blobs):
            self._on_progress(Progress(number, len(blobs), self.report.bytes, total))
            what = self._judge(blob)
            if what is not None:
                damage = self._add("blob", blob.digest, blob.path, what, self._labels.get(blob.digest, ()))
                self._mend_blob(damage, blob)
            self.report.bytes += blob.size
        self._on_progress(Progress(len(blobs), len(blobs), self.report.bytes, total))

    def _judge(self, blob: StoredBlob) -> str | None:
        """Return what is wrong with a blob; None for nothing, and for one that has gone meanwhile."""
        if not blob.regular:
            # A publication that makes sure of a name takes it for a moment.
            return "it is no file" if self._still(blob.path, blob.identity) else None
        named = Blob(digest=blob.digest, size=blob.size)
        sha256 = self._hashes.get(blob.digest)
        try:
            if sha256 is not None:
                return None if self._tier.hash_blob(named) == sha256 else "it is not the one that was signed"
            self._tier.check_bytes(named)
        except ContentError:
            return "its bytes are others"
        except OSError as error:
            if error.errno in VANISHED or (error.errno == errno.EINVAL and not self._still(blob.path, blob.identity)):
                return None
            return reason(error)
        return None

    def _mend_blob(self, damage: Damage, blob: StoredBlob) -> None:
        if not self._repair:
            return
        try:
            self._publisher.quarantine(blob.path, blob.identity if blob.regular else None)
            damage.repair = "quarantined"
        except OSError as error:
            damage.what += f"; it cannot be moved away ({reason(error)})"

    # Results

    def _check_file(self, file: ActionFile) -> None:
        report = self.report
        report.results += file.facts is not None and not file.is_alias
        report.newer += file.state is FileState.NEWER
        report.untrusted += file.state is FileState.UNTRUSTED
        report.unreadable += file.state is FileState.UNREADABLE
        if file.state is not FileState.DAMAGED or not self._still(file.path, file.identity):
            return
        damage = self._add("result", _name(file), file.path, "it is torn, or was changed", ())
        self._remove(damage, file, "quarantined")
        if damage.repair is not None and self._copy_result(file):
            damage.repair = "healed"

    def _check_result(self, file: ActionFile) -> None:
        assert file.facts is not None
        missing = []
        for digest, size in dict(file.facts.blobs).items():
            blob = Blob(digest=digest, size=size)
            if self._has(self._tier, blob) or self._heal(blob):
                continue
            # What the local tier knows of may lie in the shared one only.
            if self._tier.name == "local" and self._other is not None and self._has(self._other, blob):
                continue
            missing.append(digest)
        if not missing or not self._still(file.path, file.identity):
            return
        what = f"{len(missing)} of its {len(file.facts.blobs)} blobs are nowhere, `{missing[0]}` for one"
        damage = self._add("incomplete", _name(file), file.path, what, (file.facts.label,))
        self._remove(damage, file, "removed")

    def _heal(self, blob: Blob) -> bool:
        """Take a blob that is missing here from the other tier, if that is asked for."""
        if not self._repair or self._other is None or not self._other_is_needed(blob):
            return False
        sha256 = self._hashes.get(blob.digest)
        trust = self._other.trust
        if trust is not None:
            sha256 = trust.vouches_for(blob)
            if sha256 is None:
                return False
        try:
            self._tier.copy_blob(blob, self._other, sha256=sha256)
        except (OSError, ContentError):
            return False
        for damage in self.report.damage:
            if damage.name == blob.digest:
                damage.repair = "healed"
                break
        else:
            path = self._tier.blob_path(blob)
            labels = self._labels.get(blob.digest, ())
            self._add("blob", blob.digest, path, "it was missing", labels).repair = "healed"
        return True

    def _other_is_needed(self, blob: Blob) -> bool:
        """Whether a blob has to be here: always in the shared tier, in the local one if it was here and was bad."""
        return self._tier.name == "shared" or any(damage.name == blob.digest for damage in self.report.damage)

    def _copy_result(self, file: ActionFile) -> bool:
        """Put the other tier's result in the place of a torn one, if it is whole."""
        if self._other is None:
            return False
        result = self._other.read_action(file.name, file.retry)
        if result is None or (self._tier.trust is not None and not self._tier.trust.can_sign):
            return False
        try:
            for blob in result.blobs:
                if not self._has(self._tier, blob) and self._tier.name == "shared":
                    self._tier.copy_blob(blob, self._other)
            self._tier.write_action(file.name, result, file.retry, is_complete=lambda found: True)
        except (OSError, ContentError):
            return False
        return True

    def _remove(self, damage: Damage, file: ActionFile, how: Repair) -> None:
        if not self._repair:
            return
        try:
            self._publisher.quarantine(file.path, file.identity)
            damage.repair = how
        except OSError as error:
            damage.what += f"; it cannot be moved away ({reason(error)})"

    def _check_inputs(self, good: list[ActionFile]) -> None:
        groups = group_results(good)
        contents = {
            key: {file.facts.digest for file in files if file.facts} | _folder_digests(files)
            for key, files in groups.items()
        }
        for file in good:
            if file.is_alias or file.facts is None:
                continue
            for key, digest in file.facts.inputs:
                if key not in contents:
                    self.report.parents_gone += 1
                elif digest not in contents[key]:
                    self.report.parents_changed += 1

    # Both

    def _has(self, tier: Tier, blob: Blob) -> bool:
        try:
            return tier.check(blob)
        except OSError:
            return False

    def _still(self, path: Path, judged: Identity) -> bool:
        """Whether something is still there as it was judged, and was not taken away or replaced by now."""
        with suppress(OSError):
            return identify(self._tier.disk.lstat(path)) == judged
        return False

    def _add(self, kind: DamageKind, name: str, path: Path, what: str, labels: set[str] | tuple[str, ...]) -> Damage:
        damage = Damage(kind, name, path, what, tuple(sorted(labels)))
        self.report.damage.append(damage)
        return damage


def _folder_digests(files: list[ActionFile]) -> set[str]:
    return {file.facts.folder_digest for file in files if file.facts}


def _name(file: ActionFile) -> str:
    return f"{file.name}.{file.retry}" if file.retry else file.name


def _ignore(progress: Progress) -> None:
    """Leave it untold."""
