"""Putting a result's files where people look for them: `ddbuild-out/<package>/<name>/`.

A file that is there already and was not touched since is left alone; anything else is replaced from the cache, whose
bytes are verified on the way. Files are reflinks, hard links or copies, whichever the file system allows, read-only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import uuid4

from ddbuild.cache import Cache, clone_file
from ddbuild.cache.result import ActionResult, Blob
from ddbuild.errors import BuildError
from ddbuild.label import Label

__all__ = [
    "DATA_FILE",
    "MEDIA_FOLDERS",
    "OUT_FOLDER",
    "check_out_folder",
    "is_media",
    "materialize",
    "out_path",
    "read_stamp",
]

OUT_FOLDER = "ddbuild-out"
DATA_FILE = "data.parquet"
MEDIA_FOLDERS = ("images", "audio", "video")
"""Where, beside the rows, the files lie that rows name by their path."""


def is_media(name: str) -> bool:
    """Return whether the file `name` of a finished stage's folder is one that rows can name."""
    return name.startswith(tuple(f"{folder}/" for folder in MEDIA_FOLDERS))


def out_path(root: Path, label: Label) -> Path:
    """Return the folder in which the files of `label` are materialized."""
    return root / OUT_FOLDER / label.package / label.name


def check_out_folder(root: Path) -> None:
    """Check that results can be put where people look for them.

    Raises:
        BuildError: the folder cannot be written.
    """
    folder = root / OUT_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        facts = {"folder": str(folder), "reason": reason}
        raise BuildError(f"results cannot be put into {OUT_FOLDER}", facts=facts)


def materialize(result: ActionResult, label: Label, cache: Cache, root: Path) -> Path:
    """Make the folder of `label` hold just the files of `result`, and return it.

    Raises:
        BuildError: the folder cannot be written.
        CacheMissError: a blob has gone from the cache meanwhile.
    """
    folder = out_path(root, label)
    wanted = {DATA_FILE: result.output} | {name: blob for name, blob in result.files.items() if is_media(name)}
    stamp = _Stamp(root, label)
    known = stamp.read()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in set(known) - set(wanted):
            (folder / name).unlink(missing_ok=True)
            _remove_empty(folder / name, folder)
        made = {name: _place(folder / name, blob, known.get(name), cache) for name, blob in wanted.items()}
        if made != known:
            stamp.write(made)
    except OSError as error:
        facts = {"folder": str(folder), "reason": error.strerror or str(error)}
        raise BuildError(f"the files of `{label}` cannot be put into {OUT_FOLDER}", facts=facts) from error
    return folder


def read_stamp(label: Label, root: Path) -> dict[str, list[object]]:
    """Return what was materialized for `label`: by file, the blob's digest, then size, time and inode of the file."""
    return _Stamp(root, label).read()


def _remove_empty(file: Path, folder: Path) -> None:
    """Remove the folders between `folder` and a file that is gone, as far as they are empty."""
    for parent in file.parents:
        if parent == folder or not parent.is_relative_to(folder):
            return
        try:
            parent.rmdir()
        except OSError:
            return


def _place(destination: Path, blob: Blob, known: list[object] | None, cache: Cache) -> list[object]:
    """Make `destination` hold `blob` and return what tells later that it still does."""
    if known is not None and known == [blob.digest, *_identify(destination)]:
        return known
    # A hard link that somebody wrote to has changed the blob as well.
    cache.verify(blob)
    source = cache.fetch(blob)
    if not destination.parent.is_dir():
        destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{uuid4().hex}")
    try:
        clone_file(source, temporary, link=True)
        temporary.replace(destination)
    finally:
        # Also where it was renamed: that does nothing to two names of one file.
        temporary.unlink(missing_ok=True)
    return [blob.digest, *_identify(destination)]


def _identify(path: Path) -> list[object]:
    """Return what changes whenever somebody writes to `path` or replaces it."""
    try:
        status = path.lstat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


class _Stamp:
    """What was materialized for one label, kept below `.ddbuild/` so that the output folder holds data only."""

    def __init__(self, root: Path, label: Label) -> None:
        self._path = root / ".ddbuild" / "materialized" / f"{label.package.replace('/', '%2F')}:{label.name}.json"

    def read(self) -> dict[str, list[object]]:
        try:
            value = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def write(self, value: dict[str, list[object]]) -> None:
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(value))
        temporary.replace(self._path)
