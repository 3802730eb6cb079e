"""What each operation of the cache comes to under each trouble: the table, and how a cell of it is tried out.

`python tests/faults/fault_matrix.py` prints docs/faults.md, which is made from the table.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import MUTATING, QuickDisk, WatchedDisk, key_of, open_cache, publish, read_text
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.gc import GcPolicy, collect_garbage, read_clock
from ddbuild.cache.pins import Pin, add_pin
from ddbuild.cache.tier import Tier
from ddbuild.cache.verify import verify_tier
from ddbuild.errors import CacheError

KEY, DEEP = key_of("content"), key_of("deep")
USE = key_of("use")
DAY = 86_400.0


class TroubledDisk(WatchedDisk):
    """A quick disk whose calls fail as `fails(name, arguments)` says, with the number of an error or None."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: Callable[[str, tuple], int | None] | None = None

    def before(self, name: str, arguments: tuple) -> None:
        code = self.fails and self.fails(name, arguments)
        if code:
            if name == "close":
                os.close(arguments[0])
            raise OSError(code, os.strerror(code), str(arguments[0]) if arguments else None)

    def fsync(self, fd: int) -> None:
        self.before("fsync", (fd,))

    def fsync_folder(self, path: Path) -> None:
        self.before("fsync_folder", (path,))
        os.stat(path)


@dataclass
class World:
    """A machine, `here`, whose tier `where` gives trouble once it is let `loose`, and a colleague's that has none."""

    folder: Path
    where: str
    trouble: str
    disk: TroubledDisk = field(default_factory=TroubledDisk)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        local = Tier(self.folder / "here", "local", disk=self.disk if self.where == "local" else QuickDisk())
        shared = Tier(self.folder / "team", "shared", disk=self.disk if self.where == "shared" else QuickDisk())
        self.here = Cache(local, shared, self.warnings.append)

    @property
    def tier(self) -> Tier:
        """The tier that gives trouble."""
        return self.here.local if self.where == "local" else self.here.shared

    def loose(self) -> None:
        TROUBLES[self.trouble](self)

    def end(self) -> None:
        self.disk.fails = None

    def healthy(self, where: str) -> Tier:
        """Return a tier as somebody without trouble sees it."""
        return Tier(self.folder / {"local": "here", "shared": "team"}[where], where, disk=QuickDisk())

    def have_result(self) -> None:
        """Put a result into the tier that gives trouble, and into no other that `here` looks into."""
        if self.where == "local":
            publish(Cache(self.healthy("local")), KEY, "kept", deep_key=DEEP)
        else:
            publish(open_cache(self.folder, "there", disk=QuickDisk()), KEY, "kept", deep_key=DEEP)


# Troubles: what is done to the files, or which calls fail from then on.

Harm = Callable[[World], None]


def change_file(place: Callable[[World], list[Path]], change: Callable[[bytes], bytes]) -> Harm:
    def harm(world: World) -> None:
        for path in place(world):
            data = path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(change(data))

    return harm


def blob_files(world: World) -> list[Path]:
    return sorted(path for path in world.tier.layout.cas.rglob("*") if path.is_file())


def result_files(world: World) -> list[Path]:
    return [world.tier.layout.action(key) for key in (KEY, DEEP)]


def unlink(place: Callable[[World], list[Path]]) -> Harm:
    return lambda world: [path.unlink() for path in place(world)] and None


def put_folder(place: Callable[[World], list[Path]]) -> Harm:
    return lambda world: [(path.unlink(), path.mkdir()) for path in place(world)] and None


def flip_bit(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def fail(code: int, *names: str, below: str = "") -> Harm:
    """From now on calls `names` fail, on paths with `below` in them."""

    def harm(world: World) -> None:
        def fails(name: str, arguments: tuple) -> int | None:
            if name not in names or (below and f"/{below}/" not in path_of(arguments[0])):
                return None
            return None if name == "close" and not is_written(arguments[0]) else code

        world.disk.fails = fails

    return harm


def path_of(argument: object) -> str:
    return os.readlink(f"/proc/self/fd/{argument}") if isinstance(argument, int) else str(argument)


def is_written(fd: int) -> bool:
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


READING = ("open_read", "open_folder", "list_folder", "lstat", "fstat", "read_into")
ALL = (*READING, *sorted(MUTATING))

DAMAGE: dict[str, Harm] = {
    "a bit of a blob flipped": change_file(blob_files, flip_bit),
    "blob truncated": change_file(blob_files, lambda data: data[:-3]),
    "blob of size zero": change_file(blob_files, lambda data: b""),
    "blob missing": unlink(blob_files),
    "a folder in a blob's place": put_folder(blob_files),
    "a bit of a result flipped": change_file(result_files, flip_bit),
    "result torn": change_file(result_files, lambda data: data[: len(data) // 2]),
    "result of size zero": change_file(result_files, lambda data: b""),
    "result missing": unlink(result_files),
    "a folder in a result's place": put_folder(result_files),
    "result of a newer schema": change_file(result_files, lambda data: data.replace(b'"schema":1', b'"schema":2', 1)),
}

FAILURES: dict[str, Harm] = {
    "blob cannot be opened: EACCES": fail(errno.EACCES, "open_read", below="cas"),
    "blob gone when it is opened: ENOENT": fail(errno.ENOENT, "open_read", below="cas"),
    "blob gone in mid-read: ESTALE": fail(errno.ESTALE, "read_into", below="cas"),
    "blob on a bad disk: EIO": fail(errno.EIO, "read_into", below="cas"),
    "result cannot be opened: EACCES": fail(errno.EACCES, "open_read", below="actions"),
    "result gone when it is opened: ENOENT": fail(errno.ENOENT, "open_read", below="actions"),
    "result gone in mid-read: ESTALE": fail(errno.ESTALE, "read_into", below="actions"),
    "result on a bad disk: EIO": fail(errno.EIO, "read_into", below="actions"),
    "full in mid-write: ENOSPC": fail(errno.ENOSPC, "write"),
    "over quota in mid-write: EDQUOT": fail(errno.EDQUOT, "write"),
    "full when a file is closed: ENOSPC": fail(errno.ENOSPC, "close"),
    "full when a name is given: ENOSPC": fail(errno.ENOSPC, "link", "rename", "rename_exclusive"),
    "bad disk in mid-write: EIO": fail(errno.EIO, "write"),
    "bad disk in fsync: EIO": fail(errno.EIO, "fsync"),
    "nothing may be written: EACCES": fail(errno.EACCES, *MUTATING - {"close", "chmod_fd"}),
    "read-only: EROFS": fail(errno.EROFS, *MUTATING - {"close", "chmod_fd"}),
    "the folder is gone: ENOENT": fail(errno.ENOENT, *set(ALL) - {"close"}),
    "the folder is gone: ESTALE": fail(errno.ESTALE, *set(ALL) - {"close"}),
    "no answer: ETIMEDOUT": fail(errno.ETIMEDOUT, *set(ALL) - {"close"}),
}

TROUBLES = DAMAGE | FAILURES
UNREADABLE = [name for name in FAILURES if name.startswith(("blob ", "result "))]

# Operations: each returns in a word what it came to.


def look_up(world: World) -> str:
    world.have_result()
    world.loose()
    return "miss" if world.here.lookup(DEEP) is None else "hit"


def fetch(world: World) -> str:
    """Read the rows of a result that was looked up before, as a build does: what is local already is verified."""
    world.have_result()
    found = world.here.lookup(DEEP)
    world.loose()
    try:
        for blob in found[0].blobs:
            world.here.verify(blob)
        assert read_text(world.here, found[0]) == "kept"
    except CacheMissError:
        return "miss"
    return "rows"


def publish_result(world: World) -> str:
    """Publish, under a key that has a result already where the trouble is one of what is there."""
    if world.trouble in (*DAMAGE, *UNREADABLE):
        world.have_result()
    world.loose()
    tries, result = 0, None
    while result is None:
        tries += 1
        try:
            result = publish(world.here, KEY, "made", deep_key=DEEP)
            text = read_text(world.here, result)
        except CacheMissError:  # a build looks again then
            if tries == 3:
                return "error"
            result = None
        except CacheError:
            return "error"
    world.end()
    newcomer = open_cache(world.folder, "newcomer", disk=QuickDisk())
    found = newcomer.lookup(DEEP)
    outcome = {"made": "published", "kept": "kept one taken"}[text]
    if found is None or found[0].digest != result.digest:
        outcome = "local only"
    return outcome if tries == 1 else f"{outcome}, second try"


def lease(world: World) -> str:
    world.loose()
    with world.here.lease(KEY) as held:
        world.end()
        names = [tier for tier in ("local", "shared") if world.healthy(tier).layout.lease(KEY).exists()]
        assert held.is_held == ("local" in names)
        return {2: "held", 1: f"{names[0] if names else ''} only", 0: "none"}[len(names)]


def note_use(world: World) -> str:
    world.loose()
    world.here.note_uses(USE, [KEY])
    world.end()
    names = [tier for tier in ("local", "shared") if (world.healthy(tier).layout.uses / USE).exists()]
    return {2: "noted", 1: f"{names[0] if names else ''} only", 0: "none"}[len(names)]


def pin(world: World) -> str:
    world.have_result()
    world.loose()
    try:
        add_pin(world.tier, Pin(label="//:x", key=KEY), "0" * 12)
    except OSError:
        return "error"
    return "pinned"


def collect(world: World) -> str:
    """Collect what was not used for a day, when that is so for the result; blobs of a shared tier wait."""
    world.have_result()
    world.loose()
    try:
        now = read_clock(world.tier) + 2 * DAY
        report = collect_garbage(world.tier, GcPolicy(older_than=DAY), now=now)
    except OSError:
        return "error"
    world.end()
    if report.blocked is not None:
        return "no blob goes"
    return (
        "collected"
        if report.results
        else "result stays"
        if any(map(Path.exists, result_files(world)))
        else "nothing to do"
    )


def verify(world: World) -> str:
    world.have_result()
    world.loose()
    try:
        report = verify_tier(world.tier)
    except OSError:
        return "error"
    if report.ok:
        return "counted" if report.newer or report.unreadable else "clean"
    return "damage"


def repair(world: World) -> str:
    """Repair with another tier beside it that has everything."""
    world.have_result()
    other = open_cache(world.folder, "other", disk=QuickDisk())
    publish(other, KEY, "kept", deep_key=DEEP)
    world.loose()
    try:
        report = verify_tier(world.tier, other.local, repair=True)
    except OSError:
        return "error"
    if not report.damage:
        return "counted" if report.newer or report.unreadable else "clean"
    return " and ".join(sorted({each.repair or "damage" for each in report.damage}))


OPERATIONS = {
    "lookup": look_up,
    "fetch": fetch,
    "publish": publish_result,
    "lease": lease,
    "note use": note_use,
    "pin": pin,
    "gc": collect,
    "verify": verify,
    "verify --repair": repair,
}


def try_out(folder: Path, where: str, operation: str, trouble: str) -> tuple[str, list[str]]:
    """Return what the operation comes to under the trouble, and what is told; then see that nothing is left of it."""
    world = World(folder, where, trouble)
    outcome = OPERATIONS[operation](world)
    world.end()
    if any(world.healthy(where).layout.quarantine.glob("*")):
        outcome += ", to quarantine"
    see_that_all_is_well_again(world)
    return outcome, world.warnings


def build(cache: Cache) -> str:
    """Do what a build does: take the result, or make it; where a blob turns out to be gone, look again."""
    for _ in range(3):
        found = cache.lookup(DEEP)
        try:
            for blob in found[0].blobs if found else ():
                cache.verify(blob)
            return read_text(cache, found[0] if found else publish(cache, KEY, "built anew", deep_key=DEEP))
        except CacheMissError:
            continue
    raise AssertionError("the build does not come to an end")


def see_that_all_is_well_again(world: World) -> None:
    """Somebody who comes anew has rows, and then all have the same; and both tiers can be mended."""
    here = Cache(world.healthy("local"), world.healthy("shared"))
    there, late = (open_cache(world.folder, name, disk=QuickDisk()) for name in ("there", "late"))
    text = build(late)
    assert text in ("kept", "made", "built anew")
    assert [build(cache) for cache in (there, here, late)] == [text] * 3
    for tier, other in ((here.shared, here.local), (here.local, here.shared)):
        assert verify_tier(tier, other, repair=True).ok
        assert verify_tier(tier, other).damage == []
    assert [build(cache) for cache in (here, there, late)] == [text] * 3
