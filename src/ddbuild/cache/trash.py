"""The trash of a tier: what a garbage collection takes away, kept for a while and put back if it turns out wanted.

    <tier>/v1/trash/gc-<seconds>.<process>/a-ab/<name>.<process>     action files, from `actions/ab/`
    <tier>/v1/trash/gc-<seconds>.<process>/c-ab/<name>.<process>     blobs, from `cas/ab/`

Everything gets here by a rename, so that a reader who has a file open goes on reading it, on NFS too.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ddbuild.cache.actions import MAX_BYTES
from ddbuild.cache.disk import NO_HARD_LINKS, VANISHED, Identity, read_small
from ddbuild.cache.inventory import list_folder
from ddbuild.cache.process import name_for_this_process, owner_of_name, this_process
from ddbuild.cache.publish import BOXED, Publisher
from ddbuild.cache.tier import Tier

__all__ = ["Trash", "TrashRun"]

_RUN = re.compile(r"gc-([0-9]{1,12})\.([0-9a-f.]+)")
_FOLDER = re.compile(r"([ac])-([0-9a-f]{2})")
_ENTRY = re.compile(r"(.+)\.[0-9a-f]{12}\.[0-9]+\.[0-9]+\.[0-9a-f]{16}")
_DIGEST = re.compile(rb"xxh3_128:[0-9a-f]{32}")
_ATTEMPT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class TrashRun:
    """What one garbage collection has taken away, and when."""

    path: Path
    when: float
    owner: str

    @property
    def is_abandoned(self) -> bool:
        """Whether the process that collected is known to have ended."""
        process = owner_of_name(self.owner)
        return process is not None and process.is_gone

    @property
    def is_under_way(self) -> bool:
        """Whether another process of this machine that runs has begun it, and may not have ended it."""
        process, this = owner_of_name(self.owner), this_process()
        return process is not None and process != this and process.machine == this.machine and not process.is_gone


class Trash:
    """The trash of `tier`, with a run of its own for what goes there at `now`."""

    def __init__(self, tier: Tier, now: float) -> None:
        self._tier = tier
        self._disk = tier.disk
        self._publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
        owner = name_for_this_process()
        self.run = TrashRun(tier.layout.trash / f"gc-{int(now)}.{owner}", float(int(now)), owner)

    def take(self, kind: str, path: Path, judged: Identity | None) -> Path | None:
        """Move `path` here, unless it is no longer what was `judged`; return where it is now. `kind` is `a` or `c`.

        Raises:
            OSError: it cannot be moved.
        """
        return self._publisher.take_away(path, self.run.path / f"{kind}-{path.parent.name}", judged)

    def list_runs(self) -> list[TrashRun]:
        """Return what collections have left here, this one's included.

        Raises:
            OSError: the trash cannot be listed.
        """
        runs = []
        for name in list_folder(self._disk, self._tier.layout.trash):
            if match := _RUN.fullmatch(name):
                runs.append(TrashRun(self._tier.layout.trash / name, float(match[1]), match[2]))
        return runs

    def list_references(self, run: TrashRun) -> set[str]:
        """Return the digests that the action files of `run` name: somebody may be about to read those blobs."""
        found: set[str] = set()
        for path, _ in self._list(run, "a"):
            for file in (path, path / BOXED):
                with suppress(OSError):
                    data, _ = read_small(self._disk, file, MAX_BYTES)
                    found.update(digest.decode() for digest in _DIGEST.findall(data))
        return found

    def put_back(self, run: TrashRun, wanted: Container[str]) -> int:
        """Put the blobs of `run` that are `wanted` back into the CAS; return how many were."""
        count = 0
        for path, place in self._list(run, "c"):
            if f"xxh3_128:{place.parent.name}{place.name}" in wanted:
                count += self._put_back(path, place)
        return count

    def measure(self, run: TrashRun) -> tuple[int, int]:
        """Return the bytes that go with `run`, and those that stay, linked into somebody's workspace."""
        gone = linked = 0
        for path, _ in self._list(run, "c"):
            with suppress(OSError):
                status = self._disk.lstat(path)
                if status.st_nlink == 1:
                    gone += status.st_size
                else:
                    linked += status.st_size
        return gone, linked

    def empty(self, run: TrashRun) -> tuple[int, int]:
        """Delete what is in `run`; return what `measure` does."""
        found = self.measure(run)
        shutil.rmtree(run.path, ignore_errors=True)
        return found

    def sweep_attempts(self, now: float, *, dry_run: bool) -> int:
        """Delete the finished work folders that their processes could not; return how many."""
        swept = 0
        for name in list_folder(self._disk, self._tier.layout.trash):
            if _RUN.fullmatch(name):
                continue
            path = self._tier.layout.trash / name
            owner = owner_of_name(name)
            try:
                old = now - self._disk.lstat(path).st_ctime > _ATTEMPT_SECONDS
            except OSError:
                continue
            if old or (owner is not None and owner.is_gone):
                swept += 1
                if not dry_run:
                    remove_any(path)
        return swept

    def _list(self, run: TrashRun, kind: str) -> Iterator[tuple[Path, Path]]:
        """Yield the entries of `run` of one kind, each with the place that it came from."""
        root = self._tier.layout.actions if kind == "a" else self._tier.layout.cas
        for folder in list_folder(self._disk, run.path):
            match = _FOLDER.fullmatch(folder)
            if match is None or match[1] != kind:
                continue
            for name in list_folder(self._disk, run.path / folder):
                if entry := _ENTRY.fullmatch(name):
                    yield run.path / folder / name, root / match[2] / entry[1]

    def _put_back(self, path: Path, place: Path) -> bool:
        steps: list[Callable[[Path, Path], None]] = [
            self._disk.link,
            self._disk.rename_exclusive,
            self._disk.rename,
        ]
        for step in steps:
            try:
                step(path, place)
            except FileExistsError:
                return False  # somebody has put it anew
            except OSError as error:
                if error.errno in VANISHED:
                    return False
                if step is steps[-1] or (step is steps[0] and error.errno not in NO_HARD_LINKS):
                    raise
                continue
            with suppress(OSError):
                self._disk.unlink(path)
            return True
        return False


def remove_any(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, as far as that works."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:
        return
