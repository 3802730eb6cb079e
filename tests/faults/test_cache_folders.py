"""Folders that are not like a local disk: without hard links, of several users, renamed under a writer's feet."""

import errno
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import LinklessDisk, QuickDisk, key_of, make_result, open_cache, publish, read_text
from ddbuild.cache.cache import Cache
from ddbuild.cache.disk import Disk
from ddbuild.cache.tier import Tier

KEY, DEEP = key_of("content"), key_of("deep")

LINKLESS = [
    LinklessDisk(exclusive_renames=True),
    LinklessDisk(exclusive_renames=False),
    LinklessDisk(exclusive_renames=False, link_error=errno.ENOTSUP),
    LinklessDisk(exclusive_renames=True, link_error=errno.EMLINK),
]


@pytest.fixture(params=LINKLESS, ids=["exclusive renames", "neither", "not supported", "too many links"])
def disk(request):
    return request.param


def test_folder_without_hard_links_works(tmp_path, disk):
    a, b = open_cache(tmp_path, "a", disk=disk), open_cache(tmp_path, "b", disk=disk)
    first = publish(a, KEY, "first", deep_key=DEEP)
    assert publish(b, KEY, "second", deep_key=DEEP) == first
    assert b.lookup(DEEP)[0] == first
    assert read_text(b, first) == "first"
    assert publish(b, KEY, "short", retry=1) == a.lookup(KEY, 1)[0]
    a.record_family(KEY, 100, DEEP)
    assert b.family_members(KEY) == [(100, DEEP)]
    assert not list((tmp_path / "team/tmp").iterdir())


def test_damaged_result_in_a_folder_without_hard_links_gives_way(tmp_path, disk):
    tier = Tier(tmp_path, "shared", disk=disk)
    tier.write_action(KEY, make_result(tier.put_bytes(b"first"), KEY))
    for path in tier.layout.actions.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"{")
    assert tier.read_action(KEY) is None
    second = tier.write_action(KEY, make_result(tier.put_bytes(b"second"), KEY))
    assert tier.read_action(KEY) == second
    tier.blob_path(second.output).unlink()
    third = tier.write_action(KEY, make_result(tier.put_bytes(b"third"), KEY))
    assert tier.read_action(KEY) == third


def test_one_of_many_writers_wins_in_a_folder_without_hard_links(tmp_path, disk):
    for round_number in range(5):
        key, returned, start = key_of(str(round_number)), [], threading.Barrier(8)

        def write(name, key=key, returned=returned, start=start):
            tier = Tier(tmp_path, "shared", disk=disk)
            result = make_result(tier.put_bytes(name.encode()), key)
            start.wait()
            returned.append(tier.write_action(key, result))

        threads = [threading.Thread(target=write, args=(f"{round_number} {name}",)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(returned) == 8
        assert len({result.digest for result in returned}) == 1
        assert Tier(tmp_path, "shared", disk=disk).read_action(key) == returned[0]


def test_leases_do_without_where_nothing_is_exclusive(tmp_path):
    disk = LinklessDisk(exclusive_renames=False)
    with open_cache(tmp_path, disk=disk).lease(KEY) as lease:
        assert not lease.is_held


@pytest.mark.parametrize("what", ["all", "v1", "tmp", "actions", "cas"])
def test_cache_folder_that_is_deleted_meanwhile_is_made_again(tmp_path, what):
    cache = open_cache(tmp_path, disk=QuickDisk())
    publish(cache, KEY, "first", deep_key=DEEP)
    for tier in (cache.local, cache.shared):
        shutil.rmtree(
            {"all": tier.folder, "v1": tier.layout.data}.get(what, tier.layout.data / what), ignore_errors=True
        )
        shutil.rmtree(tier.layout.tmp, ignore_errors=True)
    assert (cache.lookup(KEY) is None) == (what != "tmp")
    result = publish(cache, KEY, "second", deep_key=DEEP)
    assert cache.lookup(DEEP)[0] == result


def test_folder_that_vanishes_under_a_writer_is_made_again(tmp_path):
    class RacyDisk(QuickDisk):
        def link(self, source, destination):
            if not list(destination.parent.iterdir()) and destination.parent not in raced:
                raced.add(destination.parent)
                destination.parent.rmdir()
            super().link(source, destination)

    raced = set()
    cache = open_cache(tmp_path, disk=RacyDisk())
    assert read_text(cache, publish(cache, KEY, "one")) == "one"
    assert len(raced) > 3


def test_folder_is_never_put_over_another(tmp_path):
    """NFS: other hosts would go on looking into the one that is gone."""
    seen = []

    class RacyDisk(LinklessDisk):
        def make_folder(self, path):
            if path.name[:4] != ".new" and not path.exists() and "v1" in path.parts:
                path.mkdir()
                seen.append((path, path.stat().st_ino))
            super().make_folder(path)

        def link(self, source, destination):
            os.link(source, destination)

    cache = open_cache(tmp_path, disk=RacyDisk(exclusive_renames=False))
    assert read_text(cache, publish(cache, KEY, "one")) == "one"
    assert len(seen) > 5
    assert all(path.stat().st_ino == inode for path, inode in seen)


class NfsDisk(QuickDisk):
    """A file system without exclusive renames."""

    def rename_exclusive(self, source, destination):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def visit(folder, name, other, number, disk=None):
    """What one user does; returns what that user has seen."""
    warnings = []
    cache = open_cache(folder, name, warnings=warnings, disk=disk)
    with cache.lease(key_of("lease")) as lease:
        assert lease.is_held
        publish(cache, key_of(name), name, deep_key=key_of("deep " + name))
        cache.record_family(key_of("family"), number, key_of(name))
    found = cache.lookup(key_of("deep " + other))
    text = found and read_text(cache, found[0])
    if found:
        # The other's blob turns out damaged: it is moved out of the way, and made again.
        cache.shared.quarantine_blob(found[0].output)
        cache.local.quarantine_blob(found[0].output)
        assert cache.lookup(key_of(other)) is None
        text = read_text(cache, publish(cache, key_of(other), other, deep_key=key_of("deep " + other)))
    return [os.getuid(), text, warnings]


def run_as(uid, gid, umask, act):
    """Return what `act` returns in a child process of another user."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            os.umask(umask)
            answer = act()
        except BaseException as error:
            answer = [repr(error)]
        os.write(send, json.dumps(answer).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as file:
        answer = json.load(file)
    os.waitpid(child, 0)
    return answer


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become two other users")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], ids=oct)
@pytest.mark.parametrize("disk", [Disk(), NfsDisk()], ids=["local", "nfs"])
def test_two_users_of_one_group_share_a_folder(umask, disk):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part, uid in (("team", 54321), ("ann", 54321), ("bob", 54322), ("root", 0)):
            (folder / part).mkdir()
            os.chown(folder / part, uid, 54320)
            (folder / part).chmod(0o2770)
        visit(folder / "root", "warm", "up", 1)  # the other users may not read what Python imports late

        def run(uid, who, other, number):
            return run_as(uid, 54320, umask, lambda: visit(folder, who, other, number, disk))

        assert run(54321, "ann", "bob", 100) == [54321, None, []]
        assert run(54322, "bob", "ann", 200) == [54322, "ann", []]
        assert run(54321, "ann", "bob", 300) == [54321, "bob", []]
        files = [path for path in (folder / "team").rglob("*") if path.is_file()]
        assert {path.stat().st_uid for path in files} == {54321, 54322}
        assert {(path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) for path in files} == {(54320, 0o444)}
        folders = {stat.S_IMODE(path.stat().st_mode) for path in (folder / "team").rglob("*") if path.is_dir()}
        assert folders == {0o2775}
        cache = Cache(Tier(folder / "root", "local"), Tier(folder / "team", "shared"))
        assert [number for number, _ in cache.family_members(key_of("family"))] == [100, 200, 300]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_user_who_may_only_read_gets_hits_and_builds_on():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "guest").mkdir()
        os.chown(folder / "guest", 54323, 54323)
        publish(open_cache(folder, "ann"), key_of("ann"), "ann", deep_key=key_of("deep ann"))

        def act():
            warnings = []
            cache = open_cache(folder, "guest", warnings=warnings)
            text = read_text(cache, cache.lookup(key_of("deep ann"))[0])
            with cache.lease(key_of("guest")) as lease:
                publish(cache, key_of("guest"), "guest")
            return [text, cache.lookup(key_of("guest"))[1], lease.is_held, warnings]

        text, tier, _, warnings = run_as(54323, 54323, 0o022, act)
        assert (text, tier) == ("ann", "local")
        said = "cannot be written to (permission denied); new results stay in the local one"
        assert warnings == [f"the shared cache `{folder / 'team'}` {said}"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_folder_that_its_killed_maker_left_closed_is_opened_by_its_owner():
    """Without exclusive renames a folder is made under its final name, and gets its mode a moment later."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("team", "ann"):
            (folder / part).mkdir()
            os.chown(folder / part, 54321, 54320)
            (folder / part).chmod(0o2775)
        (folder / "warm").mkdir()
        visit(folder / "warm", "warm", "up", 1)

        def act():
            disk = LinklessDisk(exclusive_renames=False)
            tier = Tier(folder / "team", "shared", disk=disk)
            (folder / "team/v1").mkdir(0o500)
            (folder / "team/tmp").mkdir(0o500)
            result = tier.write_action(KEY, make_result(tier.put_bytes(b"rows"), KEY))
            return [tier.read_action(KEY) == result]

        assert run_as(54321, 54320, 0o077, act) == [True]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("team/*")} == {0o2775}
