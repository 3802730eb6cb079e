"""Leases: who is building a key now, so that a second builder can wait instead of paying for the same rows.

A lease only saves work. Nothing is wrong when two builders hold one, or none: results are published exclusively.

    leases/<key>    {"id": ..., "machine": ..., "pid": ..., "started": ..., "host": ..., "user": ...}

The file is linked into place whole, and only its time changes: one thread for all leases of a folder touches them
every few seconds. Others judge by whether that time *changes* while their own clock runs, never by what it says, so
clocks of hosts and file servers need not agree. A holder on this machine whose process is gone is dead at once.
"""

from __future__ import annotations

import getpass
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ddbuild.cache.disk import VANISHED, Disk, Identity, identify, look_again, read_small
from ddbuild.cache.layout import Layout
from ddbuild.cache.process import Process, name_for_this_process, this_process
from ddbuild.cache.publish import Publisher
from ddbuild.errors import InterruptedBuildError

__all__ = ["BEAT_SECONDS", "EXPIRY_SECONDS", "Holder", "Lease", "Leases", "Watch", "acquire"]

BEAT_SECONDS = 3.0
EXPIRY_SECONDS = 15.0

_MAX_BYTES = 4096
_TRIES = 8
_FIRST_PAUSE = 0.05
_LAST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as its file says; empty where the file cannot be read."""

    id: str = ""
    host: str = ""
    user: str = ""
    process: Process | None = None

    def __str__(self) -> str:
        if self.process is None:
            return "another build"
        return f"process {self.process.pid} of `{_plain(self.user)}` on `{_plain(self.host)}`"


@dataclass(slots=True)
class Watch:
    """What a waiting builder has seen of a holder so far."""

    holder: Holder = field(default_factory=Holder)
    seen: Identity | None = None
    since: float = 0.0


class Lease:
    """The right to expect that others wait; ends with `release`, or with the process."""

    def __init__(self, leases: Leases | None, key: str, holder: Holder) -> None:
        self._leases = leases
        self._key = key
        self.holder = holder

    @property
    def is_held(self) -> bool:
        """Whether the lease is there and still this one; False where leases could not be made."""
        return self._leases is not None and self._leases.is_held(self._key, self.holder)

    def release(self) -> None:
        """Let others in. More than once does no harm."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self._key, self.holder)

    def abandon(self) -> None:
        """Let the lease expire, without a look at its file."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.forget(self._key, self.holder)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Leases:
    """The leases of one tier's folder."""

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        publisher: Publisher,
        *,
        beat_seconds: float = BEAT_SECONDS,
        expiry_seconds: float = EXPIRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._publisher = publisher
        self._beat_seconds = beat_seconds
        self._expiry_seconds = expiry_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._mine: dict[str, Holder] = {}
        self._beating: Process | None = None

    def try_acquire(self, key: str, watch: Watch) -> Lease | None:
        """Return the lease on `key`, or None while another holder seems alive; `watch` then says who.

        Raises:
            OSError: leases cannot be made here.
        """
        for _ in range(_TRIES):
            lease = self._create(key)
            if lease is not None:
                return lease
            seen = self._look(key)
            if seen is None:
                continue
            holder, identity = seen
            if identity != watch.seen:
                watch.holder, watch.seen, watch.since = holder, identity, self._clock()
            dead = holder.process is not None and holder.process.is_gone
            if not dead and self._clock() - watch.since < self._expiry_seconds:
                return None
            # If it has shown life since it was looked at, its time has changed, and it is put back.
            self._publisher.remove(self._layout.lease(key), identity)
        return None

    def is_held(self, key: str, holder: Holder) -> bool:
        """Return whether `holder` has the lease on `key`."""
        try:
            seen = self._look(key)
        except OSError:
            return False
        return seen is not None and seen[0].id == holder.id

    def release(self, key: str, holder: Holder) -> None:
        """Remove the lease on `key` if it is `holder`'s, and if this process has made it."""
        if holder.process != this_process():
            return  # a forked child: the lease is its parent's
        self.forget(key, holder)
        with suppress(OSError):
            for _ in range(_TRIES):  # a beat on its way changes the time once more
                seen = self._look(key)
                if seen is None or seen[0].id != holder.id or self._publisher.remove(self._layout.lease(key), seen[1]):
                    return

    def forget(self, key: str, holder: Holder) -> None:
        """Show no more signs of life of `holder`."""
        with self._lock:
            if self._mine.get(key) == holder:
                del self._mine[key]

    def sweep(self, limit: int) -> None:
        """Remove the leases of ended processes of this machine, looking at `limit` of them."""
        try:
            names = self._disk.list_folder(self._layout.leases, limit)
        except OSError:
            return
        for name in names:
            with suppress(OSError, ValueError):
                seen = self._look(name)
                if seen is not None and seen[0].process is not None and seen[0].process.is_gone:
                    self._publisher.remove(self._layout.lease(name), seen[1])

    def _create(self, key: str) -> Lease | None:
        process = this_process()
        holder = Holder(name_for_this_process(), socket.gethostname(), _user(), process)
        temp = self._publisher.create_sealed(_encode(holder), durable=False)
        try:
            if not self._publisher.place(temp, self._layout.lease(key), without_links="refuse"):
                return None
        finally:
            self._publisher.discard(temp)
        with self._lock:
            if self._beating != process:
                # The first lease, or the first one after a fork, which does not take threads along.
                self._beating, self._mine = process, {}
                threading.Thread(target=self._beat_on, name="ddbuild leases", daemon=True).start()
            self._mine[key] = holder
        return Lease(self, key, holder)

    def _look(self, key: str) -> tuple[Holder, Identity] | None:
        path = self._layout.lease(key)
        try:
            data, identity = read_small(self._disk, path, _MAX_BYTES)
        except OSError as error:
            if error.errno not in VANISHED or not look_again(self._disk, path, self._layout.folder):
                return self._look_at_name(path)
            try:
                data, identity = read_small(self._disk, path, _MAX_BYTES)
            except OSError:
                return self._look_at_name(path)
        return _decode(data), identity

    def _look_at_name(self, path: Path) -> tuple[Holder, Identity] | None:
        """Return the identity of something that cannot be read, or None if it is not there."""
        try:
            return Holder(), identify(self._disk.lstat(path))
        except OSError as error:
            if error.errno in VANISHED:
                return None
            raise

    def _beat_on(self) -> None:
        while True:
            time.sleep(self._beat_seconds)
            with self._lock:
                mine = dict(self._mine)
                if not mine:
                    self._beating = None
                    return
            for key, holder in mine.items():
                with suppress(OSError):
                    self._beat(key, holder)

    def _beat(self, key: str, holder: Holder) -> None:
        # Opened anew each time, and read: somebody may have taken the lease over, and inodes are used again.
        fd = self._disk.open_read(self._layout.lease(key))
        try:
            buffer = bytearray(_MAX_BYTES)
            count = self._disk.read_into(fd, memoryview(buffer))
            if _decode(buffer[:count]).id == holder.id:
                self._disk.touch(fd)
        finally:
            self._disk.close(fd)


def acquire(
    step: Callable[[Watch], Lease | None],
    *,
    wait: Callable[[Holder], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Lease:
    """Take `step` until it gives a lease; `wait` is told of each holder once.

    Raises:
        InterruptedBuildError: `cancelled` says so.
        OSError: leases cannot be made.
    """
    watch, told, pause = Watch(), None, _FIRST_PAUSE
    while True:
        lease = step(watch)
        if lease is not None:
            return lease
        if wait is not None and watch.holder.id != told:
            told = watch.holder.id
            wait(watch.holder)
        if cancelled is not None and cancelled():
            raise InterruptedBuildError("interrupted while waiting for another build of the same rows")
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST_PAUSE)


def _encode(holder: Holder) -> bytes:
    process = holder.process
    assert process is not None
    return json.dumps(
        {
            "id": holder.id,
            "machine": process.machine,
            "pid": process.pid,
            "started": process.started,
            "host": holder.host,
            "user": holder.user,
        }
    ).encode()


def _decode(data: bytes | bytearray) -> Holder:
    try:
        fields = json.loads(data)
        process = Process(str(fields["machine"]), int(fields["pid"]), int(fields["started"]))
        return Holder(str(fields["id"]), str(fields["host"]), str(fields["user"]), process)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Holder()


def _plain(text: str) -> str:
    """Return text from a file that others can write, without what a terminal would obey."""
    return "".join(letter for letter in text[:80] if letter.isprintable())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
