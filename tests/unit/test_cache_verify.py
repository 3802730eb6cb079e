import errno
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import FailingDisk, QuickDisk, WatchedDisk, key_of, make_result, open_cache, publish, read_text
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.pins import Pin, add_pin
from ddbuild.cache.result import Input
from ddbuild.cache.stats import count_tier, list_results
from ddbuild.cache.tier import Tier
from ddbuild.cache.verify import verify_tier

KEY, DEEP = key_of("content"), key_of("deep")


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, shared=False, disk=QuickDisk())


@pytest.fixture
def both(tmp_path):
    """A machine and its team, who both have everything of one result."""
    cache = open_cache(tmp_path, disk=QuickDisk())
    return cache, publish(cache, KEY, "one", deep_key=DEEP)


def damage(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


def kinds(report):
    return [each.kind for each in report.damage]


def repairs(report):
    return [(each.kind, each.repair) for each in report.damage]


# Looking


def test_whole_cache_has_no_damage(cache):
    result = publish(cache, KEY, "one", deep_key=DEEP)
    steps = []
    report = verify_tier(cache.local, on_progress=steps.append)
    assert report.ok and not report.damage
    assert (report.results, report.blobs, report.bytes) == (1, 2, sum(blob.size for blob in result.blobs))
    assert steps[-1].blobs == steps[-1].blobs_total == 2
    assert steps[-1].bytes == steps[-1].bytes_total == report.bytes


def test_empty_cache_has_no_damage(cache):
    assert verify_tier(cache.local).ok


@pytest.mark.parametrize("data", [b"rows of 0ne", b"rows", b""], ids=["other bytes", "short", "empty"])
def test_blob_with_other_bytes_is_damage(cache, data):
    result = publish(cache, KEY, "one")
    damage(cache.local.blob_path(result.output), data)
    report = verify_tier(cache.local)
    assert not report.ok
    assert [(each.kind, each.name, each.labels) for each in report.damage if each.kind == "blob"] == [
        ("blob", result.output.digest, ("//:x",))
    ]
    assert cache.local.blob_path(result.output).exists()


@pytest.mark.parametrize("kind", ["symlink", "folder", "pipe"])
def test_what_is_no_file_is_damage(cache, tmp_path, kind):
    result = publish(cache, KEY, "one")
    path = cache.local.blob_path(result.output)
    path.rename(tmp_path / "moved")
    {"symlink": lambda: path.symlink_to(tmp_path / "moved"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[
        kind
    ]()
    assert kinds(verify_tier(cache.local)) == ["blob", "incomplete"]


def test_result_without_one_of_its_blobs_is_damage(cache):
    result = publish(cache, KEY, "one", deep_key=DEEP)
    cache.local.blob_path(result.output).unlink()
    report = verify_tier(cache.local)
    assert {(each.kind, each.name) for each in report.damage} == {("incomplete", KEY), ("incomplete", DEEP)}
    assert result.output.digest in report.damage[0].what


def test_torn_result_and_one_under_another_key_are_damage(cache):
    publish(cache, KEY, "one")
    publish(cache, key_of("other"), "two")
    data = cache.local.layout.action(KEY).read_bytes()
    damage(cache.local.layout.action(KEY), data[: len(data) // 2])
    damage(cache.local.layout.action(key_of("other")), data)
    assert kinds(verify_tier(cache.local)) == ["result", "result"]


def test_result_of_a_newer_program_is_no_damage(cache):
    path = cache.local.layout.action(KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"schema":2}')
    report = verify_tier(cache.local)
    assert report.ok and report.newer == 1


def test_local_result_may_have_its_blobs_in_the_shared_tier(tmp_path):
    publish(open_cache(tmp_path, "a", disk=QuickDisk()), KEY, "one")
    b = open_cache(tmp_path, "b", disk=QuickDisk())
    b.lookup(KEY)
    assert verify_tier(b.local, b.shared).ok
    assert kinds(verify_tier(b.local)) == ["incomplete"]


def test_shared_result_may_not_have_its_blobs_on_one_machine_only(both):
    cache, result = both
    cache.shared.blob_path(result.output).unlink()
    assert kinds(verify_tier(cache.shared, cache.local)) == ["incomplete"] * 2


def test_recorded_parents_are_looked_up(cache):
    parent = publish(cache, key_of("parent"), "parent")
    inputs = [
        Input(role="seed", label="//:p", key=parent.key, digest=parent.digest),
        Input(role="after", label="//:q", key=parent.key, digest="xxh3_128:" + "0" * 32),
        Input(role="name:r", label="//:r", key=key_of("collected"), digest=parent.digest),
    ]
    child = make_result(cache.put_bytes(b"child"), KEY).model_copy(update={"inputs": inputs})
    cache.publish(child)
    report = verify_tier(cache.local)
    assert report.ok
    assert (report.parents_gone, report.parents_changed) == (1, 1)


def test_what_is_collected_while_it_is_verified_is_no_damage(tmp_path):
    class CollectingDisk(WatchedDisk):
        collected = False

        def before(self, name, arguments):
            if name == "open_read" and "/cas/" in str(arguments[0]) and not self.collected:
                self.collected = True
                tier = Tier(tmp_path / "here", "local", disk=QuickDisk())
                collect_garbage(tier, GcPolicy(max_bytes=0), now=time.time() + 7200)

    cache = open_cache(tmp_path, shared=False, disk=CollectingDisk())
    publish(cache, KEY, "one", deep_key=DEEP)
    assert verify_tier(cache.local).damage == []
    assert cache.find(KEY) is None


def test_blob_that_cannot_be_read_is_damage(cache):
    result = publish(cache, KEY, "one")
    bad = cache.local.blob_path(result.output)
    disk = FailingDisk(lambda name, args: errno.EIO if name == "open_read" and args[0] == bad else None)
    (found,) = verify_tier(Tier(cache.local.folder, "local", disk=disk)).damage
    assert (found.kind, found.what) == ("blob", "input/output error")


# Repairing


def test_bad_blob_goes_to_quarantine_and_comes_anew_from_the_other_tier(both):
    cache, result = both
    for tier, other in ((cache.local, cache.shared), (cache.shared, cache.local)):
        damage(tier.blob_path(result.output), b"rows of 0ne")
        report = verify_tier(tier, other, repair=True)
        assert report.ok and repairs(report) == [("blob", "healed")]
        assert tier.blob_path(result.output).read_bytes() == b"rows of one"
        assert [path.read_bytes() for path in tier.layout.quarantine.iterdir()] == [b"rows of 0ne"]
        assert verify_tier(tier, other).damage == []


def test_missing_blob_of_the_shared_tier_is_taken_from_here(both):
    cache, result = both
    cache.shared.blob_path(result.output).unlink()
    report = verify_tier(cache.shared, cache.local, repair=True)
    assert repairs(report) == [("blob", "healed")]
    assert cache.shared.has(result.output)


def test_blob_that_is_bad_in_both_tiers_heals_neither(both):
    cache, result = both
    for tier in (cache.local, cache.shared):
        damage(tier.blob_path(result.output), b"rows of 0ne")
    report = verify_tier(cache.local, cache.shared, repair=True)
    assert repairs(report)[0] == ("blob", "quarantined")
    assert not cache.local.has(result.output)


def test_result_that_cannot_be_healed_is_removed_and_built_again(cache):
    result = publish(cache, KEY, "one", deep_key=DEEP)
    damage(cache.local.blob_path(result.output), b"rows of 0ne")
    report = verify_tier(cache.local, repair=True)
    assert report.ok
    assert repairs(report) == [("blob", "quarantined"), ("incomplete", "removed"), ("incomplete", "removed")]
    assert cache.find(KEY) is cache.find(DEEP) is None
    assert verify_tier(cache.local).damage == []
    assert read_text(cache, publish(cache, KEY, "again", deep_key=DEEP)) == "again"


def test_torn_result_is_taken_from_the_other_tier(both):
    cache, result = both
    for tier, other in ((cache.local, cache.shared), (cache.shared, cache.local)):
        damage(tier.layout.action(KEY), b"{")
        report = verify_tier(tier, other, repair=True)
        assert repairs(report) == [("result", "healed")]
        assert tier.read_action(KEY) == result


def test_torn_result_that_nobody_else_has_is_quarantined(cache):
    publish(cache, KEY, "one")
    damage(cache.local.layout.action(KEY), b"{")
    assert repairs(verify_tier(cache.local, repair=True)) == [("result", "quarantined")]
    assert [path.read_bytes() for path in cache.local.layout.quarantine.iterdir()] == [b"{"]


def test_repair_in_a_folder_that_is_only_read_says_so(both):
    cache, result = both
    damage(cache.shared.blob_path(result.output), b"rows of 0ne")
    disk = FailingDisk(
        lambda name, args: errno.EROFS if name in ("rename", "link", "open_new", "make_folder") else None
    )
    report = verify_tier(Tier(cache.shared.folder, "shared", disk=disk), cache.local, repair=True)
    assert not report.ok
    assert "cannot be moved away (read-only file system)" in report.damage[0].what


# Numbers and lists


def test_stats_count_what_a_tier_holds(cache):
    result = publish(cache, KEY, "one", deep_key=DEEP)
    publish(cache, key_of("other"), "two")
    stray = cache.put_bytes(b"stray")
    add_pin(cache.local, Pin(label="//:x", key=KEY), "0" * 12)
    work = cache.claim_work(KEY)
    (work.path / "batch").write_bytes(b"12345")
    damage(cache.local.blob_path(cache.put_bytes(b"bad")), b"b4d")
    cache.verify(cache.put_bytes(b"bad"))
    with cache.lease(KEY):
        stats = count_tier(cache.local)
    sizes = [blob.size for blob in result.blobs]
    assert (stats.results, stats.blobs, stats.unreferenced_bytes) == (2, 5, stray.size)
    assert stats.bytes == 2 * sum(sizes) + stray.size
    assert (stats.work, stats.work_bytes, stats.quarantine, stats.quarantine_bytes) == (1, 5, 1, 3)
    assert (stats.leases, stats.pins, stats.temporary, stats.unusable) == (1, 1, 0, 0)


def test_tier_that_is_not_there_is_told_apart_from_an_empty_one(tmp_path):
    assert not count_tier(Tier(tmp_path / "nowhere", "shared")).there


def test_results_are_listed_once_the_newest_first_with_the_tiers_that_know_them(both):
    cache, old = both
    new = make_result(cache.put_bytes(b"new"), key_of("new"))
    made = new.provenance.model_copy(update={"created": "2021-01-01T00:00:00+00:00", "user": "ada", "host": "h"})
    cache.local.write_action(new.key, new.model_copy(update={"provenance": made}))
    add_pin(cache.shared, Pin(label="//:x", key=KEY), "0" * 12)
    first, second = list_results(cache.local, cache.shared, now=1_609_459_210.0)
    assert (first.facts.key, first.tiers, first.age, first.pinned) == (new.key, ("local",), 10.0, False)
    assert (second.facts.key, second.tiers, second.pinned) == (old.key, ("local", "shared"), True)
    assert second.size == sum(blob.size for blob in old.blobs)
    assert (first.facts.user, first.facts.host, first.facts.rows) == ("ada", "h", 3)
