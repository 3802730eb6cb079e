"""What killed and abandoned processes leave in a tier: temporary files, leases, unfinished work, stale notes.

Nothing here is looked at by anybody any more. What belongs to a process that this machine can see is judged by that
process; what belongs to others, by its age in the file server's time.
"""

from __future__ import annotations

import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ddbuild.cache.disk import identify, read_small
from ddbuild.cache.inventory import list_folder, list_shards, measure_folder, touched
from ddbuild.cache.lease import Leases
from ddbuild.cache.process import name_for_this_process, owner_of_name, this_process
from ddbuild.cache.publish import Publisher
from ddbuild.cache.tier import Tier
from ddbuild.cache.trash import Trash, remove_any

__all__ = ["Leftovers", "Limits", "sweep_leftovers"]

_NEW_FOLDER = ".new-"
_ATTEMPT = "attempt-"
_LEFT = "attempt-left."
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_NAMES = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How old, in seconds, a leftover is at least: `stale` for files that are seldom open for minutes."""

    grace: float = 3600.0
    stale: float = 86_400.0
    work: float = 14 * 86_400.0
    quarantine: float = 30 * 86_400.0
    notes: float = 90 * 86_400.0


@dataclass(slots=True)
class Leftovers:
    """How many of each kind were swept, and the bytes of those that have any to speak of."""

    temporary: int = 0
    leases: int = 0
    work: int = 0
    quarantine: int = 0
    notes: int = 0
    bytes: int = 0

    @property
    def count(self) -> int:
        """How many in all."""
        return self.temporary + self.leases + self.work + self.quarantine + self.notes


def sweep_leftovers(tier: Tier, now: float, limits: Limits, kept: Container[str], *, dry_run: bool) -> Leftovers:
    """Remove what nobody needs any more; `kept` are the keys that have a result.

    Raises:
        OSError: a folder cannot be listed.
    """
    sweep = _Sweep(tier, now, limits, dry_run)
    sweep.sweep_temporary()
    sweep.sweep_leases()
    sweep.sweep_work()
    sweep.sweep_quarantine()
    sweep.sweep_notes(kept)
    return sweep.found


class _Sweep:
    def __init__(self, tier: Tier, now: float, limits: Limits, dry_run: bool) -> None:
        self._tier = tier
        self._disk = tier.disk
        self._layout = tier.layout
        self._now = now
        self._limits = limits
        self._dry_run = dry_run
        self._publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
        self.found = Leftovers()

    def sweep_temporary(self) -> None:
        for name in list_folder(self._disk, self._layout.tmp):
            path = self._layout.tmp / name
            owner = owner_of_name(name.removesuffix(".d"))
            if (owner is not None and owner.is_gone) or self._age(path) > self._limits.stale:
                self.found.temporary += 1
                self._count_bytes(path)
                self._remove(path)
        self.found.temporary += Trash(self._tier, self._now).sweep_attempts(self._now, dry_run=self._dry_run)
        shards = list_shards(self._disk, self._layout.families)
        for folder in (self._layout.data, self._layout.actions, self._layout.cas, self._layout.families, *shards):
            for name in list_folder(self._disk, folder):
                if name.startswith(_NEW_FOLDER) and self._age(folder / name) > self._limits.stale:
                    self.found.temporary += 1
                    if not self._dry_run:
                        with suppress(OSError):
                            self._disk.remove_folder(folder / name)

    def sweep_leases(self) -> None:
        if not self._dry_run:
            before = len(list_folder(self._disk, self._layout.leases))
            Leases(self._layout, self._disk, self._publisher).sweep(_NAMES)
            self.found.leases += max(0, before - len(list_folder(self._disk, self._layout.leases)))
        for name in list_folder(self._disk, self._layout.leases):
            path = self._layout.leases / name
            with suppress(OSError):
                # A holder touches it every few seconds.
                identity = identify(self._disk.lstat(path))
                if self._now - identity.modified / 1e9 > self._limits.stale:
                    self.found.leases += self._dry_run or self._publisher.remove(path, identity)

    def sweep_work(self) -> None:
        for name in list_folder(self._disk, self._layout.work):
            folder = self._layout.work / name
            if folder.is_symlink():
                continue
            for attempt in list_folder(self._disk, folder):
                if attempt.startswith(_ATTEMPT):
                    self._sweep_attempt(folder / attempt)
            if not self._dry_run:
                with suppress(OSError):
                    self._disk.remove_folder(folder)

    def _sweep_attempt(self, path: Path) -> None:
        owner = None if path.name.startswith(_LEFT) else owner_of_name(path.name)
        _, size, newest = measure_folder(path)
        runs = owner is not None and owner.machine == this_process().machine and not owner.is_gone
        if runs or self._now - newest <= self._limits.work:
            return
        self.found.work += 1
        self.found.bytes += size
        if not self._dry_run:
            # Out of the way in one step: whoever claims it in this moment has it, or has nothing.
            moved = self._layout.trash / f"{_ATTEMPT}{name_for_this_process()}"
            with suppress(OSError):
                self._tier.make_folder(self._layout.trash)
                self._disk.rename(path, moved)
                remove_any(moved)

    def sweep_quarantine(self) -> None:
        for name in list_folder(self._disk, self._layout.quarantine):
            path = self._layout.quarantine / name
            if self._age(path) > self._limits.quarantine:
                self.found.quarantine += 1
                self._count_bytes(path)
                self._remove(path)

    def sweep_notes(self, kept: Container[str]) -> None:
        for name in list_folder(self._disk, self._layout.uses):
            if self._age(self._layout.uses / name) > self._limits.notes:
                self.found.notes += 1
                self._remove(self._layout.uses / name)
        for shard in list_shards(self._disk, self._layout.families):
            for family in list_folder(self._disk, shard):
                self._sweep_family(shard / family, kept)

    def _sweep_family(self, folder: Path, kept: Container[str]) -> None:
        if folder.is_symlink():
            return
        for name in filter(_NUMBER.fullmatch, list_folder(self._disk, folder)):
            with suppress(OSError):
                data, identity = read_small(self._disk, folder / name, 64)
                key = data.decode("ascii", "replace").strip()
                if key not in kept and self._now - identity.modified / 1e9 > self._limits.grace:
                    self.found.notes += self._dry_run or self._publisher.remove(folder / name, identity)
        if not self._dry_run:
            with suppress(OSError):
                self._disk.remove_folder(folder)

    def _age(self, path: Path) -> float:
        try:
            return self._now - touched(self._disk.lstat(path))
        except OSError:
            return 0.0

    def _count_bytes(self, path: Path) -> None:
        with suppress(OSError):
            self.found.bytes += measure_folder(path)[1] if path.is_dir() else self._disk.lstat(path).st_size

    def _remove(self, path: Path) -> None:
        if not self._dry_run:
            remove_any(path)
