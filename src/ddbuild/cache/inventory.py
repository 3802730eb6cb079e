"""What a tier holds, listed for its upkeep: action files, blobs, and whatever else lies about.

Looks and never changes anything. Only names that the cache gives are listed, in folders that are folders: a link that
somebody has put in the place of one leads nowhere from here.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from ddbuild.cache.actions import MAX_BYTES, NewerSchemaError, decode_signed
from ddbuild.cache.disk import VANISHED, Disk, Identity, identify, read_small
from ddbuild.cache.publish import BOXED
from ddbuild.cache.result import ActionResult
from ddbuild.cache.signing import UntrustedError
from ddbuild.cache.tier import Tier

__all__ = [
    "ActionFile",
    "Facts",
    "FileState",
    "StoredBlob",
    "group_results",
    "list_actions",
    "list_blobs",
    "list_folder",
    "list_shards",
    "measure_folder",
    "touched",
]

_SHARD = re.compile(r"[0-9a-f]{2}")
_BLOB = re.compile(r"[0-9a-f]{30}")
_ACTION = re.compile(r"([0-9a-f]{30})(?:\.([1-9][0-9]{0,8}))?(?:\.schema[0-9]+)?\.json(\.d)?")
_DIGEST = re.compile(rb"xxh3_128:[0-9a-f]{32}")
_NO_ENTRY = frozenset({errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EISDIR, errno.ENXIO})


class FileState(Enum):
    """Whether an action file can be used."""

    GOOD = "good"
    UNTRUSTED = "untrusted"
    NEWER = "newer"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Facts:
    """What upkeep wants to know of a result: much less than the result, for there may be a hundred thousand.

    `blobs` are (digest, size), the output first; `inputs` are (key, content digest).
    """

    key: str
    deep_key: str
    retry: int
    label: str
    kind: str
    rows: int
    digest: str
    folder_digest: str
    origin: str
    created: str
    user: str
    host: str
    blobs: tuple[tuple[str, int], ...]
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ActionFile:
    """One action file: a result under its key or under its deep key (then it is an *alias*), or what cannot be used.

    `path` is what has the name, a file or its box. `references` are the digests that a file names which cannot be
    understood here: somebody else may. `touched` is when it was published, in the file server's seconds.
    """

    path: Path
    name: str
    retry: int
    state: FileState
    identity: Identity
    size: int
    touched: float
    facts: Facts | None = None
    references: frozenset[str] = frozenset()
    hashes: Mapping[str, bytes] | None = None

    @property
    def is_alias(self) -> bool:
        """Whether this is a result under its deep key."""
        return self.facts is not None and self.facts.key != self.name


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A name in the CAS; `regular` says that it is a file at all."""

    path: Path
    digest: str
    size: int
    regular: bool
    identity: Identity
    touched: float


def list_actions(tier: Tier, known: Mapping[Path, ActionFile] | None = None) -> Iterator[ActionFile]:
    """Yield all action files; those in `known` that are unchanged are not read again.

    Raises:
        OSError: a folder cannot be listed.
    """
    known = known or {}
    for shard in list_shards(tier.disk, tier.layout.actions):
        for name in list_folder(tier.disk, shard):
            match = _ACTION.fullmatch(name)
            if match is None:
                continue
            path = shard / name
            try:
                identity = identify(tier.disk.lstat(path))
            except OSError as error:
                if error.errno in VANISHED:
                    continue
                raise
            if path in known and known[path].identity == identity:
                yield known[path]
                continue
            found = _read(tier, path, shard.name + match[1], int(match[2] or 0), boxed=match[3] is not None)
            if found is not None:
                yield found


def list_blobs(tier: Tier) -> Iterator[StoredBlob]:
    """Yield all names in the CAS.

    Raises:
        OSError: a folder cannot be listed.
    """
    for shard in list_shards(tier.disk, tier.layout.cas):
        for name in list_folder(tier.disk, shard):
            if not _BLOB.fullmatch(name):
                continue
            try:
                status = tier.disk.lstat(shard / name)
            except OSError as error:
                if error.errno in VANISHED:
                    continue
                raise
            yield StoredBlob(
                shard / name,
                f"xxh3_128:{shard.name}{name}",
                status.st_size,
                stat.S_ISREG(status.st_mode),
                identify(status),
                touched(status),
            )


def group_results(files: list[ActionFile]) -> dict[str, list[ActionFile]]:
    """Return the action files by the content key of their results.

    What has one key belongs together: an attempt is only found if all those before it are there.
    """
    groups: dict[str, list[ActionFile]] = {}
    for file in files:
        if file.facts is not None:
            groups.setdefault(file.facts.key, []).append(file)
    return groups


def list_shards(disk: Disk, folder: Path) -> list[Path]:
    """Return the folders `00` to `ff` in `folder`."""
    return [folder / name for name in sorted(list_folder(disk, folder)) if _SHARD.fullmatch(name)]


def list_folder(disk: Disk, folder: Path) -> list[str]:
    """Return the names in a folder; none where it is missing, or is a link or a file.

    Raises:
        OSError: it is there and cannot be listed.
    """
    try:
        # `cas` and its like may be a link to another disk, put there by who set the tier up; a shard may not.
        status = disk.lstat(folder) if _SHARD.fullmatch(folder.name) else folder.stat()
        return disk.list_folder(folder) if stat.S_ISDIR(status.st_mode) else []
    except OSError as error:
        if error.errno in VANISHED:
            return []
        raise


def measure_folder(folder: Path) -> tuple[int, int, float]:
    """Return how many files are below `folder`, their bytes, and when one of them was last written."""
    files = size = 0
    newest = 0.0
    for parent, _, names in os.walk(folder):
        for name in ["", *names]:
            try:
                status = Path(parent, name).lstat()
            except OSError:
                continue
            newest = max(newest, status.st_mtime)
            if name:
                files += 1
                size += status.st_size
    return files, size, newest


def touched(status: os.stat_result) -> float:
    """Return when something was written, or given its name, whichever was later."""
    return max(status.st_mtime, status.st_ctime)


def _read(tier: Tier, path: Path, name: str, retry: int, *, boxed: bool) -> ActionFile | None:
    state, facts, hashes = FileState.DAMAGED, None, None
    references: frozenset[str] = frozenset()
    try:
        status = tier.disk.lstat(path)
        place = (path, name, retry)
        details = (identify(status), status.st_size, status.st_mtime)
        data, _ = read_small(tier.disk, path / BOXED if boxed else path, MAX_BYTES)
    except OSError as error:
        if error.errno in VANISHED:
            return None
        # No regular file, or far too long: nobody has published that. Anything else may be somebody's result.
        state = FileState.DAMAGED if error.errno in _NO_ENTRY else FileState.UNREADABLE
        return ActionFile(*place, state, *details)
    try:
        result, signature, body = decode_signed(data)
        if (name not in (result.key, result.deep_key)) or result.retry != retry:
            raise ValueError("it is under another key's name")
        facts, state = _describe(result), FileState.GOOD
        if tier.trust is not None:
            tier.trust.check(signature, body, result)
            hashes = {blob.digest: tier.trust.vouches_for(blob) or b"" for blob in result.blobs}
    except NewerSchemaError:
        state = FileState.NEWER
    except UntrustedError:
        # Not for this workspace; for the others that share the folder it is a result as any other.
        state = FileState.UNTRUSTED
    except (ValueError, ValidationError, RecursionError):
        state = FileState.DAMAGED
    if facts is None:
        references = frozenset(digest.decode() for digest in _DIGEST.findall(data))
    return ActionFile(*place, state, details[0], len(data), details[2], facts, references, hashes)


def _describe(result: ActionResult) -> Facts:
    made = result.provenance
    return Facts(
        key=result.key,
        deep_key=result.deep_key,
        retry=result.retry,
        label=made.label,
        kind=result.kind,
        rows=result.rows,
        digest=result.digest,
        folder_digest=result.folder_digest,
        origin=made.origin,
        created=made.created,
        user=made.user,
        host=made.host,
        blobs=tuple((blob.digest, blob.size) for blob in result.blobs),
        inputs=tuple((each.key, each.digest) for each in result.inputs),
    )
