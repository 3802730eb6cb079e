"""The folder of a finished stage: into the cache as blobs by name, and back out of it.

What a callback is given is always a private copy, so that nothing it does can reach the cache.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ddbuild.cache import Cache, clone_file
from ddbuild.cache.result import Blob
from ddbuild.digest import Digest, digest_of
from ddbuild.errors import BuildError

__all__ = ["Snapshot", "digest_folder", "hydrate", "list_kept", "put_folder", "resolve_returned", "take_snapshot"]

_NOT_KEPT = {"builder_config.json", "tmp-partial-parquet-files", "scheduler_events.jsonl"}
"""Data Designer's config dump can hold tokens in clear text; the others are of no use once the run is over."""

_NO_CONTENT = {"metadata.json"}
"""Holds times and statistics of the run: kept, but no part of the folder's content."""

Snapshot = Mapping[str, tuple[int, int]]
"""Size and modification time in ns of each file, by its path in the folder."""


def list_kept(folder: Path) -> dict[str, Path]:
    """Return the files of a finished stage's folder that are worth keeping, by their path in it."""
    return {name: folder / name for name in _list_files(folder) if _NOT_KEPT.isdisjoint(name.split("/"))}


def put_folder(folder: Path, cache: Cache) -> dict[str, Blob]:
    """Put every file of a finished stage into the cache and return the blobs by their path in `folder`."""
    return {name: cache.put_file(path) for name, path in list_kept(folder).items()}


def digest_folder(rows: Digest, files: Mapping[str, Blob], before: str | None = None) -> Digest:
    """Return the digest of what a callback sees: the rows, and all files but the batches and the run's statistics.

    `before` is that of the folder which output processors were given: its rows are not those that they hand on.
    """
    seen = {
        name: blob.digest
        for name, blob in files.items()
        if not name.startswith("parquet-files/") and name.rpartition("/")[2] not in _NO_CONTENT
    }
    return digest_of((str(rows), seen) if before is None else (str(rows), seen, before))


def hydrate(files: Mapping[str, Blob], folder: Path, cache: Cache) -> None:
    """Write private, writable copies of `files` below `folder`."""
    for name, blob in files.items():
        destination = folder / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        clone_file(cache.fetch(blob), destination, link=False)
        destination.chmod(0o644)


def take_snapshot(folder: Path) -> Snapshot:
    """Return sizes and times of the files in `folder`, to tell later whether they were changed."""
    found = {}
    for name in _list_files(folder):
        status = (folder / name).stat()
        found[name] = (status.st_size, status.st_mtime_ns)
    return found


def check_unchanged(before: Snapshot, folder: Path, subject: str) -> None:
    """Check that what a callback was given is as it was.

    Raises:
        BuildError: a file was changed or is gone.
    """
    after = take_snapshot(folder)
    changed = sorted(name for name, state in before.items() if after.get(name) != state)
    if changed:
        raise BuildError(
            f"the callback of `{subject}` changed what it was given",
            facts={"changed": ", ".join(changed[:3]) + (" ..." if len(changed) > 3 else "")},
            hint="write new rows to a new file and return its path",
        )


def resolve_returned(returned: object, folder: Path, subject: str) -> Path:
    """Return the path that a callback gave back; a relative one counts from the stage's folder.

    Raises:
        BuildError: it is no path, or nothing with rows is there.
    """
    expected = "the path of a parquet file, or of a folder of parquet files"
    if not isinstance(returned, (str, os.PathLike)):
        given = "nothing (None)" if returned is None else f"a {type(returned).__name__}"
        raise BuildError(
            f"the callback of `{subject}` returned {given}",
            facts={"expected": expected},
            hint="end it with `return path`",
        )
    path = folder / Path(os.fspath(returned))
    if not path.exists():
        raise BuildError(
            f"the callback of `{subject}` returned a path that does not exist",
            facts={"returned": str(returned), "expected": expected},
        )
    links = [each for each in (path, *(path.glob("*.parquet") if path.is_dir() else ())) if _leads_out(each, folder)]
    if links:
        raise BuildError(
            f"the callback of `{subject}` returned a link that leads out of its folder",
            facts={"link": str(links[0]), "to": str(links[0].resolve())},
            hint="return the path of the file itself",
        )
    if path.is_dir() and not any(path.glob("*.parquet")):
        raise BuildError(
            f"the callback of `{subject}` returned a folder without parquet files",
            facts={"returned": str(returned), "expected": expected},
        )
    return path


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether `path`, something in `folder`, is really somewhere else."""
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        return False
    return not path.resolve().is_relative_to(folder.resolve())


def _list_files(folder: Path) -> list[str]:
    names = []
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                names.append(path.relative_to(folder).as_posix())
    return sorted(names)
