"""Which process something belongs to, and whether that process is gone.

A process number alone says little: numbers are used again, hosts share names, containers number their processes
from 1. So a process is named by a token of its machine (host name, boot, process-number space), its number and its
start time, and is only ever called gone by a process that can see it: anything else is unknown.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ddbuild.digest import digest_bytes

__all__ = ["Process", "name_for_this_process", "owner_of_name", "this_process"]

_NAME = re.compile(r"(?:attempt-)?([0-9a-f]{12})\.([0-9]{1,10})\.([0-9]{1,20})\.[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one machine; `started` in the machine's clock ticks since its boot, 0 where it is not told."""

    machine: str
    pid: int
    started: int

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; False also where this machine cannot tell."""
        if self.machine != _machine():
            return False
        if self.pid == os.getpid():
            return self.started != _started(self.pid)[0]
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass  # another user's, or hidden: it may well run
        started, ended = _started(self.pid)
        return ended or (started != 0 and self.started != 0 and started != self.started)


def this_process() -> Process:
    """Return the process that calls; right also after a fork."""
    pid = os.getpid()
    return Process(_machine(), pid, _own_start(pid))


def name_for_this_process() -> str:
    """Return a new file name that no other process chooses, and that tells whose it is."""
    process = this_process()
    return f"{process.machine}.{process.pid}.{process.started}.{secrets.token_hex(8)}"


def owner_of_name(name: str) -> Process | None:
    """Return the process that chose `name`, or None for a name of another kind."""
    match = _NAME.fullmatch(name)
    return Process(match[1], int(match[2]), int(match[3])) if match else None


@lru_cache(maxsize=1)
def _machine() -> str:
    facts = [socket.gethostname()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        facts.append(sys.platform)
    return digest_bytes("\0".join(facts).encode()).partition(":")[2][:12]


@lru_cache(maxsize=4)
def _own_start(pid: int) -> int:
    return _started(pid)[0]


def _started(pid: int) -> tuple[int, bool]:
    """Return the start time of a process, 0 if unknown, and whether it is a zombie, which does nothing any more."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # The command's name is in brackets and may itself hold brackets and blanks.
        fields = text[text.rindex(")") + 2 :].split()
        return int(fields[19]), fields[0] in ("Z", "X", "x")
    except (OSError, ValueError, IndexError):
        return 0, False
