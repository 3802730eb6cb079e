"""The action cache of one tier: results by key, each one small file that is written once.

File format
    {"schema":1,"checksum":"xxh3_128:<hex>","result":<the result's JSON>}
    {"schema":1,"checksum":"xxh3_128:<hex>","signature":"<see signing.py>","result":<the result's JSON>}

The checksum is of the result's bytes as they stand, so a file in which a bad disk or an editor has changed one digit
is as good as missing. `schema` comes first: a program that finds a higher number reads no further.

First writer wins, for what can be used. What cannot is moved away before the name is given again: a torn file, and a
result whose blobs are gone, and one that no trusted key has signed where that is asked for. A file of a newer schema
is left alone, and this program's own result put beside it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from ddbuild.cache.disk import VANISHED, Disk, Identity, identify, look_again, read_small
from ddbuild.cache.layout import Layout
from ddbuild.cache.publish import BOXED, Publisher, boxed
from ddbuild.cache.result import SCHEMA, ActionResult
from ddbuild.cache.signing import Trust, UntrustedError
from ddbuild.digest import digest_bytes
from ddbuild.errors import CacheError

__all__ = ["MAX_BYTES", "Actions", "NewerSchemaError", "decode_result", "decode_signed", "encode_result"]

MAX_BYTES = 64 << 20
_TRIES = 8
_SCHEMA = re.compile(rb'\s*\{\s*"schema"\s*:\s*([0-9]{1,9})\s*[,}]')
_HEAD = re.compile(
    rb'\{"schema":1,"checksum":"(xxh3_128:[0-9a-f]{32})",(?:"signature":"([A-Za-z0-9+/=:]+)",)?"result":'
)
_TAIL = b"}\n"
_DAMAGED = frozenset({errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EIO})


class _State(Enum):
    ABSENT = "absent"
    PRESENT = "present"
    DAMAGED = "damaged"
    NEWER = "newer"
    UNTRUSTED = "untrusted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class _Entry:
    state: _State
    path: Path
    result: ActionResult | None = None
    identity: Identity | None = None
    error: OSError | None = None


class NewerSchemaError(ValueError):
    """The document was written by a newer program."""


def encode_result(result: ActionResult, trust: Trust | None = None) -> bytes:
    """Return the file that keeps `result`, signed if there is a `trust`.

    Raises:
        CacheError: it is larger than what a reader accepts.
    """
    body = result.model_dump_json(by_alias=True).encode()
    signature = b'"signature":"%b",' % trust.sign(body, result).encode() if trust is not None else b""
    data = b'{"schema":1,"checksum":"%b",%b"result":%b' % (digest_bytes(body).encode(), signature, body) + _TAIL
    if len(data) > MAX_BYTES:
        raise CacheError(
            f"the result of `{result.provenance.label}` is too large to be kept",
            facts={"files": str(len(result.files)), "bytes": str(len(data)), "at most": str(MAX_BYTES)},
        )
    return data


def decode_result(data: bytes) -> ActionResult:
    """Return the result that a file keeps.

    Raises:
        NewerSchemaError: a newer program has written it.
        ValueError: it is torn, or was changed.
    """
    return decode_signed(data)[0]


def decode_signed(data: bytes) -> tuple[ActionResult, str | None, bytes]:
    """Return the result that a file keeps, its signature if it has one, and the bytes that this is of.

    Raises:
        NewerSchemaError: a newer program has written it.
        ValueError: it is torn, or was changed.
    """
    schema = _SCHEMA.match(data)
    if schema is not None and int(schema[1]) > SCHEMA:
        raise NewerSchemaError(f"schema {int(schema[1])}")
    head = _HEAD.match(data)
    if head is None or not data.endswith(_TAIL):
        raise ValueError("no action result, or half of one")
    body = data[head.end() : -len(_TAIL)]
    if digest_bytes(body).encode() != head[1]:
        raise ValueError("the checksum is of other bytes")
    return ActionResult.model_validate_json(body), head[2].decode() if head[2] else None, body


class Actions:
    """The results of one tier; with a `trust` only those that it takes."""

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        publisher: Publisher,
        on_trouble: Callable[[OSError], None],
        trust: Trust | None = None,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._publisher = publisher
        self._on_trouble = on_trouble
        self._trust = trust

    def read(self, key: str, retry: int = 0, *, certain: bool = False) -> ActionResult | None:
        """Return the result kept under `key`, or None if there is none that this program can use.

        Unless it is to be `certain`, an NFS client may give for a minute one that has been replaced meanwhile.
        """
        entry = self._current(key, retry, certain)
        if entry.error is not None:
            self._on_trouble(entry.error)
        return entry.result

    def write(
        self, key: str, result: ActionResult, retry: int, is_complete: Callable[[ActionResult], bool]
    ) -> ActionResult:
        """Keep `result` under `key` unless somebody has; return the one that is kept.

        A kept result only counts if `is_complete`, which raises OSError where it cannot tell.
        """
        data = encode_result(result, self._trust)
        for _ in range(_TRIES):
            entry = self._current(key, retry, True)
            if entry.state is _State.UNREADABLE:
                assert entry.error is not None
                raise entry.error
            if entry.result is not None and is_complete(entry.result):
                return entry.result
            if entry.state in (_State.PRESENT, _State.DAMAGED, _State.UNTRUSTED):
                self._take_away(entry)
            temp = self._publisher.create_sealed(data)
            try:
                if self._publisher.place(temp, self._target(key, retry, entry), without_links="box"):
                    self._publisher.sync_folder(self._layout.action(key, retry).parent)
                    return result
            finally:
                self._publisher.discard(temp)
        raise OSError(errno.EBUSY, "others keep changing it", str(self._layout.action(key, retry)))

    def replace(self, key: str, result: ActionResult, retry: int) -> None:
        """Keep `result` under `key` whatever was there, in one step."""
        entry = self._current(key, retry, True)
        temp = self._publisher.create_sealed(encode_result(result, self._trust))
        try:
            self._publisher.replace(temp, self._target(key, retry, entry))
        except BaseException:
            self._publisher.discard(temp)
            raise

    def remove(self, key: str, retry: int = 0) -> bool:
        """Remove what is kept under `key`, whatever state it is in; return whether there was something.

        What somebody puts there meanwhile stays.
        """
        entry = self._current(key, retry, True)
        if entry.state is _State.ABSENT or entry.identity is None:
            return False
        if entry.path.name == BOXED:
            return self._take_away(entry)
        return self._publisher.remove(entry.path, entry.identity)

    def _target(self, key: str, retry: int, entry: _Entry) -> Path:
        path, beside = self._layout.action(key, retry), self._beside(key, retry)
        return beside if entry.path in (beside, boxed(beside)) else path

    def _beside(self, key: str, retry: int) -> Path:
        path = self._layout.action(key, retry)
        return path.with_name(f"{path.stem}.schema{SCHEMA}.json")

    def _take_away(self, entry: _Entry) -> bool:
        if entry.path.name == BOXED:
            return self._publisher.quarantine(entry.path.parent, entry.identity, inside=BOXED)
        return self._publisher.quarantine(entry.path, entry.identity)

    def _current(self, key: str, retry: int, certain: bool) -> _Entry:
        entry = self._look(self._layout.action(key, retry), key, retry, certain)
        if entry.state is _State.NEWER:
            return self._look(self._beside(key, retry), key, retry, certain)
        return entry

    def _look(self, path: Path, key: str, retry: int, certain: bool) -> _Entry:
        entry = _Entry(_State.ABSENT, path)
        if not certain:
            entry = self._read(path, key, retry)
        if entry.state is not _State.ABSENT or not look_again(self._disk, path, self._layout.folder):
            return entry
        entry = self._read(path, key, retry)
        if entry.state is _State.ABSENT:
            in_box = self._read(boxed(path), key, retry)
            entry = entry if in_box.state is _State.ABSENT else in_box
        return entry

    def _read(self, path: Path, key: str, retry: int) -> _Entry:
        try:
            data, identity = read_small(self._disk, path, MAX_BYTES)
        except OSError as error:
            if error.errno in VANISHED:
                return _Entry(_State.ABSENT, path)
            state = _State.DAMAGED if error.errno in _DAMAGED else _State.UNREADABLE
            return _Entry(state, path, identity=self._identify(path), error=error)
        try:
            result, signature, body = decode_signed(data)
            if self._trust is not None:
                self._trust.check(signature, body, result)
        except NewerSchemaError:
            return _Entry(_State.NEWER, path, identity=identity)
        except UntrustedError:
            assert self._trust is not None
            self._trust.on_warning("untrusted", "")
            return _Entry(_State.UNTRUSTED, path, identity=identity)
        except (ValueError, ValidationError, RecursionError):
            return _Entry(_State.DAMAGED, path, identity=identity)
        if key not in (result.key, result.deep_key) or result.retry != retry:
            return _Entry(_State.DAMAGED, path, identity=identity)
        return _Entry(_State.PRESENT, path, result, identity)

    def _identify(self, path: Path) -> Identity | None:
        try:
            return identify(self._disk.lstat(path))
        except OSError:
            return None
