"""Two clients of one file server: what one of them does, the other sees, or takes for a miss."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cache_support import Cache, Disk, Tier, key_of, publish, read_text
from ddbuild.cache.cache import CacheMissError
from ddbuild.cache.lease import Watch
from faults.history import check_history

pytestmark = pytest.mark.nfs

KEY, DEEP = key_of("content"), key_of("deep")
PROCESSES, KEYS = 6, 10


def wait_for_a_tick():
    """Let the server's clock go on: a client does not notice the second of two changes of a folder in one tick."""
    time.sleep(0.05)


def race(machine, barrier, number):
    """Publish a result of one's own under each key; return what counts instead, and how often a look missed."""
    cache = machine("ab"[number % 2], f"machine {number}")
    barrier.wait(100)
    texts, misses = [], 0
    for each in range(KEYS):
        key, deep_key = key_of(str(each)), key_of(f"deep {each}")
        misses += cache.lookup(key) is None  # and the client remembers
        result = publish(cache, key, f"{each} of {number}", deep_key=deep_key)
        texts.append(read_text(cache, result))
        for again in (cache.lookup(key), cache.lookup(deep_key)):
            assert read_text(cache, again[0]) == texts[-1]
    return texts, misses, machine.warnings


def run_race(pipe, *arguments):
    try:
        pipe.send(race(*arguments))
    except BaseException as error:
        pipe.send(error)
        raise


def test_one_of_many_publishers_wins_each_key_and_all_go_on_with_its_result(machine, folders):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES)
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    processes = [
        context.Process(target=run_race, args=(pipe[1], machine, barrier, number)) for number, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    reports = [pipe[0].recv() for pipe in pipes]
    for process in processes:
        process.join()
    assert [report for report in reports if isinstance(report, BaseException)] == []
    for texts, _, warnings in reports:
        assert texts == reports[0][0]
        assert warnings == []
    assert sum(misses for _, misses, _ in reports) > KEYS  # several ran for one key
    kept = Cache(Tier(Path(os.environ["EXPORT"], folders[0].name, "team"), "local"))
    for each, text in enumerate(reports[0][0]):
        assert read_text(kept, kept.lookup(key_of(str(each)))[0]) == text
    assert os.listdir(kept.local.folder / "tmp") == []
    assert not (kept.local.folder / "v1/quarantine").exists()


def same_shard(key):
    return key[:2] + key_of("another")[2:]


@pytest.mark.parametrize("neighbour", [None, same_shard(KEY)], ids=["new folder", "old folder"])
def test_result_that_this_client_has_just_missed_is_found_at_once(machine, neighbour):
    a, b = machine("a"), machine("b")
    publish(a, neighbour or key_of("elsewhere"), "other")
    wait_for_a_tick()
    assert b.lookup(KEY) is None
    name = b.shared.layout.action(KEY, 0)
    with pytest.raises(FileNotFoundError):
        os.lstat(name)
    publish(a, KEY, "one", deep_key=DEEP)
    # The client itself goes on denying it, for half a minute.
    with pytest.raises(FileNotFoundError):
        os.lstat(name)
    assert read_text(b, b.lookup(KEY)[0]) == "one"
    assert read_text(b, b.lookup(DEEP)[0]) == "one"
    assert machine.warnings == []


class RemovingDisk(Disk):
    """Removes a file, by another client, in the middle of the first read."""

    def __init__(self):
        self.path = None
        self.errors = []

    def read_into(self, fd, buffer):
        if self.path is None:
            return super().read_into(fd, buffer)
        if self.path.exists():
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # or the client reads ahead, and then from its memory
            count = super().read_into(fd, buffer[:10])
            self.path.unlink()
            wait_for_a_tick()
            return count
        try:
            return super().read_into(fd, buffer)
        except OSError as error:
            self.errors.append(error.errno)
            raise


def fetch_while_it_is_removed(a, b, disk, name):
    """Return a result that `a` has published, and whether `b` gets its blob although it is removed meanwhile."""
    text = name * 50_000
    kept = publish(a, key_of(name), text)
    wait_for_a_tick()
    assert b.lookup(kept.key) == (kept, "shared")
    disk.path = a.shared.blob_path(kept.output)
    try:
        assert b.fetch(kept.output).read_bytes() == b"rows of " + text.encode()
    except CacheMissError:
        assert not b.local.has(kept.output)
        return kept, False
    finally:
        disk.path = None
    return kept, True


def test_blob_that_is_removed_under_its_reader_is_a_miss_and_built_again(machine, version):
    disk = RemovingDisk()
    a, b = machine("a"), machine("b", disk=disk)
    if version == "NFS3":  # the server may take a moment to let go of the file
        attempts = (fetch_while_it_is_removed(a, b, disk, f"name {number}") for number in range(10))
        kept = next(kept for kept, is_whole in attempts if not is_whole)
        assert disk.errors == [errno.ESTALE]
    else:  # the server keeps what a client has open
        kept, is_whole = fetch_while_it_is_removed(a, b, disk, "name")
        assert is_whole and disk.errors == []
        b.local.blob_path(kept.output).unlink()
        with pytest.raises(CacheMissError):
            b.fetch(kept.output)
    a.local.blob_path(kept.output).unlink()
    wait_for_a_tick()
    assert publish(b, kept.key, "two").output != kept.output
    wait_for_a_tick()
    for client in "ab":
        anew = machine(client, f"new {client}")
        assert read_text(anew, anew.lookup(kept.key)[0]) == "two"
    assert machine.warnings == []


def test_blob_that_another_client_has_removed_comes_back_from_who_has_it(machine):
    a, b = machine("a"), machine("b")
    kept = publish(a, KEY, "one")
    wait_for_a_tick()
    assert read_text(b, b.lookup(KEY)[0]) == "one"
    a.shared.blob_path(kept.output).unlink()
    assert b.shared.has(kept.output)  # the client remembers it
    wait_for_a_tick()
    assert publish(b, KEY, "two") == kept
    anew = machine("a", "new")
    assert read_text(anew, anew.lookup(KEY)[0]) == "one"


def test_builder_waits_for_the_holder_at_another_client_and_takes_its_result(machine):
    a, b = machine("a"), machine("b")
    lease = a.lease(KEY)
    told = []

    def finish(holder):
        told.append(holder.process.pid)
        wait_for_a_tick()
        publish(a, KEY, "one")
        lease.release()

    assert b.lookup(KEY) is None
    with b.lease(KEY, wait=finish):
        assert told == [os.getpid()]
        assert read_text(b, b.lookup(KEY)[0]) == "one"


def test_each_beat_of_a_holder_is_seen_by_another_client(machine):
    a, b = machine("a", beat_seconds=0.05), machine("b")
    watch, seen = Watch(), set()
    with a.lease(KEY):
        while len(seen) < 5:
            assert b.shared.try_lease(KEY, watch) is None
            seen.add(watch.seen)
            time.sleep(0.01)


def test_holder_without_a_beat_is_overtaken_and_leaves_the_new_one_alone(machine):
    a, b = machine("a", beat_seconds=1000), machine("b", expiry_seconds=0.1)
    watch = Watch()
    old = a.shared.try_lease(KEY, Watch())
    while (new := b.shared.try_lease(KEY, watch)) is None:
        time.sleep(0.02)
    assert new.is_held and not old.is_held
    old.release()
    assert new.is_held
    new.release()
    assert a.shared.try_lease(KEY, Watch()) is not None


def test_readers_and_builders_beside_collections_at_another_client_see_whole_results_only(folders, tmp_path):
    script = Path(__file__).parents[1] / "faults/history_actors.py"
    teams = [f"{machine}={folder / 'team'}" for machine, folder in zip("ab", folders, strict=True)]
    subprocess.run([sys.executable, script, tmp_path, "2", *teams], check=True, timeout=100)
    events = [json.loads(line) for log in tmp_path.glob("*.log") for line in log.read_text().splitlines()]
    # What a name leads to a client may remember for a while; which bytes, and whose parents, it may not get wrong.
    assert check_history(event for event in events if event["op"] != "saw") == []
    for op in ("published", "removed", "served"):
        assert sum(event["op"] == op and event.get("tier", "team") == "team" for event in events) > 2, op
