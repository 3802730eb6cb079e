"""Work folders: where a stage writes while it runs, and where its finished batches wait if it is interrupted.

    <local>/v1/work/<key>/attempt-<process>/

An attempt's name tells whose it is. Taking over an abandoned attempt renames it, in one step: a former owner that
only hangs writes by path names, so from then on its batches go nowhere, and never among the new owner's.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ddbuild.cache.disk import VANISHED
from ddbuild.cache.process import name_for_this_process, owner_of_name
from ddbuild.cache.tier import Tier

__all__ = ["WorkFolder", "claim_work"]

_PREFIX = "attempt-"
_COUNT_LIMIT = 100_000


@dataclass(slots=True)
class WorkFolder:
    """A folder that one running action has to itself; `resumed` says that an earlier attempt has left files in it."""

    path: Path
    resumed: bool
    _trash: Path

    def discard(self) -> None:
        """Remove the folder and what is in it, as far as that works; first out of the way, in one step."""
        moved = self._trash / self.path.name
        with suppress(OSError):
            self._trash.mkdir(parents=True, exist_ok=True)
            self.path.rename(moved)
            shutil.rmtree(moved, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()

    def leave(self) -> None:
        """Let the next claim take the folder over, also while this process goes on running."""
        with suppress(OSError):
            self.path.rename(self.path.with_name(f"{_PREFIX}left.{self.path.name.removeprefix(_PREFIX)}"))


def claim_work(tier: Tier, key: str, retry: int = 0, *, alone: bool) -> WorkFolder:
    """Return the work folder for an attempt at `key`: an abandoned one with what is in it, or else a new one.

    An attempt is abandoned if its process has ended or has left it, or, with `alone`, in any case: whoever has the
    lease on the key may take what others have left. Of several the one with the most files is taken.

    Raises:
        OSError: a folder cannot be made.
    """
    folder = tier.layout.attempts(key, retry)
    mine = folder / f"{_PREFIX}{name_for_this_process()}"
    for attempt in _list_abandoned(tier, folder, alone):
        try:
            tier.disk.rename(attempt, mine)
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            continue  # somebody else was quicker
        return WorkFolder(mine, True, tier.layout.trash)
    tier.make_folder(mine)
    return WorkFolder(mine, False, tier.layout.trash)


def _list_abandoned(tier: Tier, folder: Path, alone: bool) -> list[Path]:
    try:
        names = tier.disk.list_folder(folder)
    except OSError:
        return []
    abandoned = [folder / name for name in names if name.startswith(_PREFIX) and (alone or _is_abandoned(name))]
    counted = [(_count_files(attempt), attempt) for attempt in abandoned]
    return [attempt for count, attempt in sorted(counted, key=lambda pair: pair[0], reverse=True) if count]


def _is_abandoned(name: str) -> bool:
    if name.startswith(f"{_PREFIX}left."):
        return True
    owner = owner_of_name(name)
    return owner is not None and owner.is_gone


def _count_files(folder: Path) -> int:
    count = 0
    for _, _, files in os.walk(folder):
        count += len(files)
        if count >= _COUNT_LIMIT:
            break
    return count
