"""When results were last used, so that a garbage collection takes what nobody wants first.

    <tier>/v1/uses/<name>       the keys that one kind of build came to, one a line; its time is that of the last build

A file belongs to one user, one workspace and one request, so whoever writes it may also set its time: not so with the
results themselves, which are others' too. It costs a build one small file, and a hit nothing. Without these notes a
result is as old as its publication.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ddbuild.cache.disk import VANISHED, read_small
from ddbuild.cache.inventory import list_folder
from ddbuild.cache.publish import Publisher
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_of

__all__ = ["MAX_BYTES", "name_request", "note_uses", "read_uses"]

MAX_BYTES = 32 << 20

_NAME = re.compile(r"[0-9a-f]{32}")
_LINES = re.compile(rb"(?:[0-9a-f]{32}\n)*")


def name_request(user: str, root: str, labels: Iterable[str]) -> str:
    """Return the name for the notes of one kind of build."""
    return digest_of(("uses", user, root, sorted(labels))).partition(":")[2]


def note_uses(tier: Tier, name: str, keys: Iterable[str]) -> None:
    """Note that the results under `keys` are used now.

    Raises:
        OSError: the tier cannot be written.
    """
    data = "".join(f"{key}\n" for key in sorted(set(keys))).encode()
    path = tier.layout.uses / name
    if not data or len(data) > MAX_BYTES or not _NAME.fullmatch(name):
        return
    try:
        fd = tier.disk.open_read(path)
    except OSError as error:
        if error.errno not in VANISHED:
            raise
    else:
        try:
            buffer = bytearray(len(data) + 1)
            count = tier.disk.read_into(fd, memoryview(buffer))
            if buffer[:count] == data:
                tier.disk.touch(fd)
                return
        finally:
            tier.disk.close(fd)
    tier.make_folder(tier.layout.uses)
    publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
    temp = publisher.create_sealed(data, durable=False)
    try:
        tier.disk.rename(temp.path, path)
    except BaseException:
        publisher.discard(temp)
        raise


def read_uses(tier: Tier) -> dict[str, float]:
    """Return when each key was last used, in the file server's seconds, as far as that was noted.

    Raises:
        OSError: the notes cannot be listed.
    """
    found: dict[str, float] = {}
    for name in list_folder(tier.disk, tier.layout.uses):
        if not _NAME.fullmatch(name):
            continue
        try:
            data, identity = read_small(tier.disk, tier.layout.uses / name, MAX_BYTES)
        except OSError:
            continue
        if _LINES.fullmatch(data):
            when = identity.modified / 1e9
            for key in data.decode().split():
                found[key] = max(when, found.get(key, when))
    return found
