"""A publish is killed, or loses power, before each single thing that it does to the disk.

Whatever is left: a fresh cache finds the result whole or not at all, and publishing works.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import (
    Crash,
    CrashingDisk,
    ForgetfulDisk,
    QuickDisk,
    key_of,
    make_quick_folder,
    open_cache,
    publish,
    read_text,
)

KEY, DEEP = key_of("content"), key_of("deep")


@pytest.fixture(autouse=True)
def quick_fsync(monkeypatch):
    """The disks of this file count fsyncs, and need not wait for them."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def tmp_path():
    with make_quick_folder() as folder:
        yield folder


def check(folder, shared, *, must_have=None):
    """Look at what a crash has left, from this machine and another, then publish."""
    for machine in ("here", "there"):
        cache = open_cache(folder, machine, shared=shared, disk=QuickDisk())
        for key in (KEY, DEEP):
            found = cache.lookup(key)
            if found is not None:
                assert read_text(cache, found[0]) in ("first", "other")
            if must_have is not None and (machine == "here" or shared):
                assert found is not None
                assert read_text(cache, found[0]) == must_have
    here = open_cache(folder, "here", shared=shared, disk=QuickDisk())
    before = here.lookup(KEY)
    result = publish(here, KEY, "second", deep_key=DEEP)
    assert before is None or result.digest == before[0].digest
    assert here.lookup(KEY)[0].digest == here.lookup(DEEP)[0].digest == result.digest
    text = read_text(here, result)
    if shared:
        there = open_cache(folder, "there", disk=QuickDisk())
        assert there.lookup(KEY)[0].digest == there.lookup(DEEP)[0].digest == result.digest
        assert read_text(there, there.lookup(DEEP)[0]) == text
    # Nothing is left of the dead but what a sweep knows to be theirs.
    assert not list(folder.rglob("quarantine/*")) or text != "first"


def publish_to_one_tier(folder, disk):
    publish(open_cache(folder, shared=False, disk=disk), KEY, "first", deep_key=DEEP)


def publish_to_two_tiers(folder, disk):
    publish(open_cache(folder, disk=disk), KEY, "first", deep_key=DEEP)


def lose_to_the_team(folder, disk):
    publish(open_cache(folder, "there", disk=QuickDisk()), KEY, "other", deep_key=DEEP)
    publish(open_cache(folder, "here", disk=disk), KEY, "first", deep_key=DEEP)


def take_from_the_team(folder, disk):
    publish(open_cache(folder, "there", disk=QuickDisk()), KEY, "first", deep_key=DEEP)
    cache = open_cache(folder, "here", disk=disk)
    assert read_text(cache, cache.lookup(DEEP)[0]) == "first"


def publish_over_damage(folder, disk):
    before = open_cache(folder, disk=QuickDisk())
    result = publish(before, KEY, "lost", deep_key=DEEP)
    for tier in (before.local, before.shared):
        tier.blob_path(result.output).unlink()
        tier.layout.action(DEEP).unlink()
        tier.layout.action(DEEP).write_bytes(b"{")
    publish(open_cache(folder, disk=disk), KEY, "first", deep_key=DEEP)


CRASHED = {
    "a first publish, local tier only": publish_to_one_tier,
    "a first publish, both tiers": publish_to_two_tiers,
    "a publish that loses to the team": lose_to_the_team,
    "a publish over a damaged result": publish_over_damage,
    "a hit that is taken from the team": take_from_the_team,
}
"""What is crashed at each call, under the name that docs/faults.md has for it."""


def count_calls(act):
    """Return how many calls change the disk when nothing crashes: so many crash points there are."""
    disk = CrashingDisk(10**9)
    with make_quick_folder() as folder:
        act(folder, disk)
    return disk.count


def crash_at_each_call(tmp_path, make_disk, act, after):
    """Run `act` with a disk that dies at its call 0, 1, 2, ... until it gets through; return how many that were."""
    number = 0
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        disk = make_disk(number)
        try:
            act(folder, disk)
            got_through = True
        except Crash:
            got_through = False
        after(folder, disk, got_through)
        shutil.rmtree(folder)
        if got_through:
            assert not disk.is_dead
            return number
        number += 1


@pytest.mark.parametrize("shared", [False, True], ids=["one tier", "two tiers"])
def test_kill_at_each_call_of_a_first_publish(tmp_path, shared):
    act = publish_to_two_tiers if shared else publish_to_one_tier

    def after(folder, disk, got_through):
        check(folder, shared, must_have="first" if got_through else None)

    assert crash_at_each_call(tmp_path, CrashingDisk, act, after) == count_calls(act) > (90 if shared else 45)


def test_kill_at_each_call_of_a_publish_that_loses_to_the_team(tmp_path):
    def after(folder, disk, got_through):
        cache = open_cache(folder, "here", disk=QuickDisk())
        for key in (KEY, DEEP):
            assert read_text(cache, cache.lookup(key)[0]) == "other"
        check(folder, True, must_have="other")

    made = crash_at_each_call(tmp_path, CrashingDisk, lose_to_the_team, after)
    assert made == count_calls(lose_to_the_team) > 40


def test_kill_at_each_call_of_a_hit_from_the_team(tmp_path):
    def after(folder, disk, got_through):
        check(folder, True, must_have="first")
        if got_through:
            offline = open_cache(folder, "here", shared=False)
            assert read_text(offline, offline.lookup(DEEP)[0]) == "first"

    made = crash_at_each_call(tmp_path, CrashingDisk, take_from_the_team, after)
    assert made == count_calls(take_from_the_team) > 20


def test_kill_at_each_call_of_a_publish_over_a_damaged_result(tmp_path):
    def after(folder, disk, got_through):
        if got_through:
            cache = open_cache(folder, disk=QuickDisk())
            assert read_text(cache, cache.lookup(DEEP)[0]) == "first"
        for machine in ("here", "there"):
            cache = open_cache(folder, machine, disk=QuickDisk())
            found = cache.lookup(KEY)
            assert found is None or read_text(cache, found[0]) == "first"
        publish(open_cache(folder, disk=QuickDisk()), KEY, "second", deep_key=DEEP)
        assert open_cache(folder, "there", disk=QuickDisk()).lookup(DEEP) is not None

    made = crash_at_each_call(tmp_path, CrashingDisk, publish_over_damage, after)
    assert made == count_calls(publish_over_damage) > 40


@pytest.mark.parametrize(
    ("names", "shared"), [("stay", False), ("go", False), ("stay or go", False), ("go", True), ("stay or go", True)]
)
def test_power_failure_at_each_call_of_a_publish(tmp_path, names, shared):
    """Data that was not fsynced is lost; of the names that were not, all stay, none, or some."""
    chance = random.Random(7)
    forgets = {"stay": lambda path: False, "go": lambda path: True, "stay or go": lambda path: chance.random() < 0.5}[
        names
    ]

    act = publish_to_two_tiers if shared else publish_to_one_tier

    def after(folder, disk, got_through):
        disk.lose_power(folder, forgets)
        check(folder, shared, must_have="first" if got_through else None)

    crash_at_each_call(tmp_path, ForgetfulDisk, act, after)


def test_power_failure_at_each_call_of_a_publish_that_loses_to_the_team(tmp_path):
    def after(folder, disk, got_through):
        disk.lose_power(folder, lambda path: True)
        check(folder, True, must_have="other")

    crash_at_each_call(tmp_path, ForgetfulDisk, lose_to_the_team, after)
