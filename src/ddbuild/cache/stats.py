"""What a tier holds, in numbers and as a list of results."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ddbuild.cache.inventory import (
    ActionFile,
    Facts,
    FileState,
    list_actions,
    list_blobs,
    list_folder,
    measure_folder,
)
from ddbuild.cache.pins import list_pins
from ddbuild.cache.tier import Tier

__all__ = ["KeptResult", "TierStats", "count_tier", "list_results"]


@dataclass(frozen=True, slots=True)
class TierStats:
    """The numbers of one tier; `unreferenced_bytes` are of blobs that no result names."""

    name: str
    folder: Path
    there: bool
    results: int = 0
    unusable: int = 0
    blobs: int = 0
    bytes: int = 0
    unreferenced_bytes: int = 0
    work: int = 0
    work_bytes: int = 0
    quarantine: int = 0
    quarantine_bytes: int = 0
    trash_bytes: int = 0
    leases: int = 0
    pins: int = 0
    temporary: int = 0


@dataclass(frozen=True, slots=True)
class KeptResult:
    """One result with the tiers that know it.

    `size` counts the bytes of its blobs, each once, wherever they are; `age` is seconds since it was made.
    """

    facts: Facts
    tiers: tuple[str, ...]
    size: int
    age: float | None
    pinned: bool


def count_tier(tier: Tier) -> TierStats:
    """Return the numbers of `tier`.

    Raises:
        OSError: it is there and cannot be listed.
    """
    layout, disk = tier.layout, tier.disk
    if not tier.folder.is_dir():
        return TierStats(tier.name, tier.folder, there=False)
    files = list(list_actions(tier))
    referenced: set[str] = set()
    for file in files:
        referenced |= file.references
        if file.facts is not None:
            referenced.update(digest for digest, _ in file.facts.blobs)
    blobs = [blob for blob in list_blobs(tier) if blob.regular]
    attempts = [layout.work / key / each for key in list_folder(disk, layout.work) for each in _list(tier, key)]
    return TierStats(
        name=tier.name,
        folder=tier.folder,
        there=True,
        results=sum(file.facts is not None and not file.is_alias for file in files),
        unusable=sum(file.state in (FileState.DAMAGED, FileState.UNREADABLE, FileState.NEWER) for file in files),
        blobs=len(blobs),
        bytes=sum(blob.size for blob in blobs),
        unreferenced_bytes=sum(blob.size for blob in blobs if blob.digest not in referenced),
        work=len(attempts),
        work_bytes=sum(measure_folder(each)[1] for each in attempts),
        quarantine=len(list_folder(disk, layout.quarantine)),
        quarantine_bytes=measure_folder(layout.quarantine)[1],
        trash_bytes=measure_folder(layout.trash)[1],
        leases=len(list_folder(disk, layout.leases)),
        pins=len(list_pins(tier)),
        temporary=len(list_folder(disk, layout.tmp)),
    )


def list_results(*tiers: Tier, now: float | None = None) -> list[KeptResult]:
    """Return the results of all `tiers`, the newest first; what several know is one.

    Raises:
        OSError: a tier is there and cannot be listed.
    """
    now = time.time() if now is None else now
    found: dict[tuple[str, int, str, str], tuple[Facts, list[str]]] = {}
    pinned: set[str] = set()
    for tier in tiers:
        pinned.update(pin.key for pin in list_pins(tier))
        for file in list_actions(tier):
            if not _counts(file):
                continue
            facts = file.facts
            assert facts is not None
            # The tiers can have other content under one key; then these are two results.
            names = found.setdefault((facts.key, facts.retry, facts.digest, facts.blobs[0][0]), (facts, []))[1]
            if tier.name not in names:
                names.append(tier.name)
    results = [
        KeptResult(facts, tuple(names), sum(dict(facts.blobs).values()), _age(facts.created, now), facts.key in pinned)
        for facts, names in found.values()
    ]
    results.sort(key=lambda each: (each.age is None, each.age or 0.0, each.facts.label, each.facts.kind))
    return results


def _counts(file: ActionFile) -> bool:
    return file.state is FileState.GOOD and not file.is_alias


def _list(tier: Tier, key: str) -> list[str]:
    folder = tier.layout.work / key
    return [] if folder.is_symlink() else list_folder(tier.disk, folder)


def _age(created: str, now: float) -> float | None:
    """Return the seconds since a moment that somebody's program has written; None for what is no moment."""
    try:
        when = datetime.fromisoformat(created)
        return max(0.0, now - (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
