"""What the tests of the cache share: small results, and disks that record, fail, crash, or forget."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ddbuild.cache.cache import Cache
from ddbuild.cache.disk import Disk
from ddbuild.cache.result import ActionResult, Blob, Provenance
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_bytes

MUTATING = frozenset(
    {
        *("open_new", "write", "clone", "fsync", "fsync_folder", "chmod_fd", "chmod", "touch", "link", "rename"),
        *("rename_exclusive", "unlink", "make_folder", "remove_folder", "close"),
    }
)


@contextmanager
def make_quick_folder() -> Iterator[Path]:
    """Give a folder in memory where there is one, for tests that make and remove many thousand files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def key_of(name: str) -> str:
    """Return a key."""
    return digest_bytes(name.encode()).removeprefix("xxh3_128:")


def make_result(
    output: Blob, key: str, *, deep_key: str | None = None, files: dict[str, Blob] | None = None, retry: int = 0
) -> ActionResult:
    """Return a result whose content digest is that of its blobs."""
    files = files or {}
    content = digest_bytes(repr((output.digest, sorted((name, blob.digest) for name, blob in files.items()))).encode())
    return ActionResult(
        kind="generate",
        key=key,
        deep_key=deep_key or key,
        retry=retry,
        digest=content,
        folder_digest=content,
        output=output,
        files=files,
        rows=3,
        provenance=Provenance(label="//:x", origin="generated", created="2020-01-01T00:00:00Z", seconds=1.0),
    )


def publish(
    cache: Cache, key: str, text: str, *, deep_key: str | None = None, retry: int = 0, over: ActionResult | None = None
) -> ActionResult:
    """Put two blobs made from `text` and publish a result of them."""
    files = {"metadata.json": cache.put_bytes(f"metadata of {text}".encode())}
    output = cache.put_bytes(f"rows of {text}".encode())
    return cache.publish(make_result(output, key, deep_key=deep_key, files=files, retry=retry), over=over)


def read_text(cache: Cache, result: ActionResult) -> str:
    """Return the text that the result was made from, after looking at all its bytes."""
    for blob in result.blobs:
        data = cache.fetch(blob).read_bytes()
        assert digest_bytes(data) == blob.digest
    return cache.fetch(result.output).read_bytes().decode().removeprefix("rows of ")


def open_cache(
    folder: Path,
    machine: str = "here",
    *,
    shared: bool = True,
    disk: Disk | None = None,
    warnings: list[str] | None = None,
) -> Cache:
    """Return the cache of a machine: its own local tier, and the team's."""
    return Cache(
        Tier(folder / machine, "local", disk=disk),
        Tier(folder / "team", "shared", disk=disk) if shared else None,
        None if warnings is None else warnings.append,
    )


class WatchedDisk(Disk):
    """Calls `before` and `after` around each call, under one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        """Look at a call that is about to be made."""

    def after(self, name: str, arguments: tuple[object, ...]) -> None:
        """Look at a call that has been made."""


def _watch(name: str) -> Callable[..., object]:
    original = getattr(Disk, name)

    def method(self: WatchedDisk, *arguments: object) -> object:
        with self.lock:
            self.before(name, arguments)
            value = original(self, *arguments)
            self.after(name, arguments)
            return value

    return method


for _name in [name for name in vars(Disk) if not name.startswith("_")]:
    setattr(WatchedDisk, _name, _watch(_name))


class QuickDisk(Disk):
    """A disk that does not wait for the platter."""

    def fsync(self, fd: int) -> None:
        pass

    def fsync_folder(self, path: Path) -> None:
        os.stat(path)


class RecordingDisk(WatchedDisk):
    """Keeps the names and arguments of the calls."""

    def __init__(self, only: Iterable[str] = MUTATING) -> None:
        super().__init__()
        self.only = frozenset(only)
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def after(self, name: str, arguments: tuple[object, ...]) -> None:
        if name in self.only:
            self.calls.append((name, arguments))


class FailingDisk(WatchedDisk):
    """Fails chosen calls with an OSError: `fails(name, arguments)` gives its number, or None."""

    def __init__(self, fails: Callable[[str, tuple[object, ...]], int | None]) -> None:
        super().__init__()
        self.fails = fails

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        code = self.fails(name, arguments)
        if code is not None:
            if name == "close":
                os.close(arguments[0])  # type: ignore[arg-type]
            raise OSError(code, os.strerror(code), str(arguments[0]) if arguments else None)


class Crash(BaseException):
    """The process is killed."""


class CrashingDisk(WatchedDisk):
    """Kills the process before its mutating call number `at`; a write that is hit gets half way.

    From then on nothing that the process does reaches the disk.
    """

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.count = 0

    @property
    def is_dead(self) -> bool:
        return self.count > self.at

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        was_dead = self.is_dead
        if name in MUTATING:
            self.count += 1
        if not self.is_dead:
            return
        if name == "close":
            os.close(arguments[0])  # type: ignore[arg-type]
        if name == "write" and not was_dead:
            data = arguments[1]
            os.write(arguments[0], data[: len(data) // 2])  # type: ignore[arg-type,index]
        raise Crash(f"{name} {arguments}")


class ForgetfulDisk(CrashingDisk):
    """As CrashingDisk, and `lose_power` undoes what was not fsynced: data of files, and names in folders."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.unsynced: dict[int, str] = {}
        self.pending: dict[Path, bytes | None] = {}

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        super().before(name, arguments)
        if name == "rename":
            target = arguments[1]
            assert isinstance(target, Path)
            self._old = target.read_bytes() if target.is_file() else None

    def after(self, name: str, arguments: tuple[object, ...]) -> None:
        if name == "write":
            self.unsynced[os.fstat(arguments[0]).st_ino] = ""  # type: ignore[arg-type]
        elif name == "fsync":
            self.unsynced.pop(os.fstat(arguments[0]).st_ino, None)  # type: ignore[arg-type]
        elif name == "fsync_folder":
            self.pending = {path: old for path, old in self.pending.items() if path.parent != arguments[0]}
        elif name in ("open_new", "make_folder"):
            self.pending[arguments[0]] = None  # type: ignore[index]
        elif name == "link":
            self.pending[arguments[1]] = None  # type: ignore[index]
        elif name in ("rename", "rename_exclusive"):
            self.pending.pop(arguments[0], None)  # type: ignore[call-overload]
            self.pending[arguments[1]] = self._old if name == "rename" else None  # type: ignore[index]
        elif name in ("unlink", "remove_folder"):
            self.pending.pop(arguments[0], None)  # type: ignore[call-overload]

    def lose_power(self, folder: Path, forgets: Callable[[Path], bool]) -> None:
        """Empty the files whose data was not fsynced, and undo those pending names that `forgets` chooses."""
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_ino in self.unsynced:
                path.chmod(0o600)
                os.truncate(path, 0)
        for path, old in self.pending.items():
            if not os.path.lexists(path) or not forgets(path):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
                if old is not None:
                    path.write_bytes(old)


class LinklessDisk(QuickDisk):
    """A file system without hard links and, if told so, without exclusive renames."""

    def __init__(self, *, exclusive_renames: bool, link_error: int = errno.EPERM) -> None:
        self.exclusive_renames = exclusive_renames
        self.link_error = link_error

    def link(self, source: Path, destination: Path) -> None:
        raise OSError(self.link_error, os.strerror(self.link_error), str(source))

    def rename_exclusive(self, source: Path, destination: Path) -> None:
        if not self.exclusive_renames:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(source))
        super().rename_exclusive(source, destination)
