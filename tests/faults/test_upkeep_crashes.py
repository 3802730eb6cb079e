"""A collection of garbage, or a repair, is killed before each single thing that it does to the disk.

What was to stay stays whole, what was to go is whole or gone, and doing it again does it.
"""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import CrashingDisk, QuickDisk, key_of, make_quick_folder, make_result, open_cache, read_text
from ddbuild.cache.cache import Cache
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.tier import Tier
from ddbuild.cache.uses import name_request, note_uses
from ddbuild.cache.verify import verify_tier
from faults.test_cache_crashes import crash_at_each_call

HOUR, DAY = 3600.0, 86_400.0
OLD, KEPT = key_of("old"), key_of("kept")


@pytest.fixture(autouse=True)
def quick_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def tmp_path():
    with make_quick_folder() as folder:
        yield folder


def publish_two(cache):
    """Publish two results that have one blob in common, each under two keys."""
    for key in (OLD, KEPT):
        files = {"common.json": cache.put_bytes(b"in both")}
        output = cache.put_bytes(f"rows of {key}".encode())
        cache.publish(make_result(output, key, deep_key=key_of(f"deep {key}"), files=files))


def texts(cache):
    """Return the rows of each result that is there, all of whose bytes were read."""
    found = {key: cache.lookup(key) for key in (OLD, KEPT)}
    return {key: read_text(cache, each[0]) for key, each in found.items() if each is not None}


@pytest.mark.parametrize("name", ["local", "shared"])
def test_kill_at_each_call_of_a_collection(tmp_path, name):
    later = time.time() + 40 * DAY

    def tier_of(folder, disk):
        return Tier(folder, name, disk=disk)

    def collect(tier, now):
        # What was used since stays.
        return collect_garbage(tier, GcPolicy(older_than=30 * DAY), now=now)

    def act(folder, disk):
        quick = tier_of(folder, QuickDisk())
        publish_two(Cache(quick))
        note_uses(quick, name_request("user", "root", []), [KEPT])
        for path in quick.layout.uses.iterdir():
            os.utime(path, (later, later))
        collect(tier_of(folder, disk), later)

    def after(folder, disk, got_through):
        cache = Cache(tier_of(folder, QuickDisk()))
        there = texts(cache)
        assert there[KEPT] == KEPT
        assert there.get(OLD) in (None, OLD)
        assert OLD not in there or not got_through
        assert verify_tier(cache.local).damage == []
        # Steps of a shared tier are a grace period apart.
        for number in range(1, 5):
            collect(cache.local, later + number * 2 * HOUR)
        assert texts(cache) == {KEPT: KEPT}
        assert verify_tier(cache.local).damage == []
        assert not [path for path in cache.local.layout.trash.rglob("*") if path.is_file()]
        publish_two(cache)
        assert texts(cache) == {OLD: OLD, KEPT: KEPT}

    assert crash_at_each_call(tmp_path, CrashingDisk, act, after) > 5


def test_kill_at_each_call_of_a_repair(tmp_path):
    def act(folder, disk):
        cache = open_cache(folder, disk=QuickDisk())
        publish_two(cache)
        blob = cache.local.put_bytes(f"rows of {OLD}".encode())
        for path, data in (
            (cache.shared.blob_path(blob), b"X" * blob.size),
            (cache.shared.layout.action(KEPT), b"{"),
        ):
            path.chmod(0o644)
            path.write_bytes(data)
        verify_tier(Tier(folder / "team", "shared", disk=disk), cache.local, repair=True)

    def after(folder, disk, got_through):
        cache = open_cache(folder, disk=QuickDisk())
        assert texts(cache) == {OLD: OLD, KEPT: KEPT}
        assert verify_tier(cache.shared, cache.local, repair=True).ok
        assert verify_tier(cache.shared).damage == []
        there = texts(open_cache(folder, "newcomer", disk=QuickDisk()))
        # A torn result that was moved away is absent, and nothing tells that there was one.
        assert there in ({OLD: OLD, KEPT: KEPT}, {OLD: OLD}) if not got_through else there == {OLD: OLD, KEPT: KEPT}

    assert crash_at_each_call(tmp_path, CrashingDisk, act, after) > 20
