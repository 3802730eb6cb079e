import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import (
    FailingDisk,
    LinklessDisk,
    QuickDisk,
    WatchedDisk,
    key_of,
    make_result,
    open_cache,
    publish,
    read_text,
)
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.inventory import list_actions, list_blobs
from ddbuild.cache.pins import Pin, PinnedResult, add_pin, list_pins, remove_pin
from ddbuild.cache.result import Input
from ddbuild.cache.tier import Tier
from ddbuild.cache.uses import note_uses

HOUR, DAY = 3600.0, 86_400.0
KEY, DEEP = key_of("content"), key_of("deep")


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path, shared=False, disk=QuickDisk())


@pytest.fixture
def team(tmp_path):
    return Tier(tmp_path / "team", "shared", disk=QuickDisk())


def later(seconds):
    return time.time() + seconds


def collect(tier, after=2 * HOUR, **policy):
    return collect_garbage(tier, GcPolicy(**policy), now=later(after))


def age(tier, key, seconds, retry=0):
    """Let a result have been published so long ago."""
    path = tier.layout.action(key, retry)
    os.utime(path, (later(-seconds), later(-seconds)))


def use(tier, key, seconds_ago, name="1"):
    note_uses(tier, key_of(name), [key])
    os.utime(tier.layout.uses / key_of(name), (later(-seconds_ago), later(-seconds_ago)))


def labels_of(report):
    return {removed.key for removed in report.results}


def digests(tier):
    return {blob.digest for blob in list_blobs(tier)}


def keep(tier, text, key=KEY, *, inputs=(), **others):
    result = make_result(tier.put_bytes(text.encode()), key, **others).model_copy(update={"inputs": list(inputs)})
    return tier.write_action(key, result, result.retry)


# What goes and what stays


def test_without_a_limit_only_what_nobody_references_goes(cache):
    result = publish(cache, KEY, "one", deep_key=DEEP)
    stray = cache.put_bytes(b"left by a build that was killed")
    report = collect(cache.local)
    assert report.results == []
    assert (report.blobs, report.freed) == (1, stray.size)
    assert cache.lookup(KEY) == cache.lookup(DEEP) == (result, "local")
    assert not cache.local.has(stray)


def test_young_blob_is_left_for_the_publication_that_it_may_belong_to(cache):
    fresh = cache.put_bytes(b"its result comes next")
    assert collect(cache.local, 0.9 * HOUR).blobs == 0
    assert cache.local.has(fresh)
    assert collect(cache.local, 1.1 * HOUR).blobs == 1


def test_young_result_stays_whatever_is_asked_for(cache):
    publish(cache, KEY, "one")
    report = collect(cache.local, 0.5 * HOUR, older_than=0, max_bytes=0)
    assert report.results == []
    assert report.excess == report.kept_bytes > 0
    assert cache.lookup(KEY)


def test_older_than_takes_results_under_all_their_keys(cache):
    old = publish(cache, KEY, "old", deep_key=DEEP)
    new = publish(cache, key_of("new"), "new")
    for key in (KEY, DEEP):
        age(cache.local, key, 31 * DAY)
    report = collect(cache.local, older_than=30 * DAY)
    assert [(removed.key, removed.label, removed.rows) for removed in report.results] == [(KEY, "//:x", 3)]
    assert cache.find(KEY) is cache.find(DEEP) is None
    assert not any(cache.local.has(blob) for blob in old.blobs)
    assert read_text(cache, cache.lookup(key_of("new"))[0]) == "new"
    assert report.freed >= sum(blob.size for blob in old.blobs)
    assert report.kept_results == 1
    assert digests(cache.local) == {blob.digest for blob in new.blobs}


def test_result_that_a_build_has_used_is_as_young_as_that_use(cache):
    for name in ("used", "unused"):
        publish(cache, key_of(name), name)
        age(cache.local, key_of(name), 90 * DAY)
    use(cache.local, key_of("used"), 5 * DAY)
    assert labels_of(collect(cache.local, 0, older_than=30 * DAY)) == {key_of("unused")}


def test_size_takes_what_was_not_used_for_longest_and_no_more(cache):
    for days, name in enumerate("dcba", start=1):
        publish(cache, key_of(name), name * 100_000)
        age(cache.local, key_of(name), days * DAY)
    use(cache.local, key_of("a"), 2 * HOUR)  # the oldest, and the last to be used
    report = collect(cache.local, 0, max_bytes=450_000, grace=0)
    assert labels_of(report) == {key_of("b"), key_of("c")}
    assert report.kept_bytes <= 450_000
    assert report.excess == 0
    assert sum(blob.size for blob in list_blobs(cache.local)) <= 450_000
    assert cache.lookup(key_of("a")) and cache.lookup(key_of("d"))


def test_blob_of_two_results_goes_with_the_second(cache):
    blob = cache.put_bytes(b"x" * 1000)
    for name in ("first", "second"):
        cache.publish(make_result(blob, key_of(name)))
        age(cache.local, key_of(name), 40 * DAY)
    use(cache.local, key_of("second"), DAY)
    assert collect(cache.local, older_than=30 * DAY).results[0].size < 1000
    assert cache.lookup(key_of("second"))
    assert collect(cache.local, 60 * DAY, older_than=30 * DAY).results[0].size > 1000
    assert not cache.local.has(blob)


def test_attempts_of_a_key_go_together(cache):
    for retry in range(3):
        publish(cache, KEY, f"attempt {retry}", deep_key=DEEP, retry=retry)
    age(cache.local, KEY, 40 * DAY)  # attempt 0 alone is old; without it nobody would find the others
    assert collect(cache.local, older_than=30 * DAY).results == []
    for retry in range(3):
        age(cache.local, KEY, 40 * DAY, retry)
        age(cache.local, DEEP, 40 * DAY, retry)
    assert len(collect(cache.local, older_than=30 * DAY).results) == 1
    assert list(list_actions(cache.local)) == []


def test_dry_run_says_the_same_and_changes_nothing(cache, tmp_path):
    publish(cache, KEY, "old", deep_key=DEEP)
    publish(cache, key_of("new"), "new")
    for key in (KEY, DEEP):
        age(cache.local, key, 31 * DAY)
    cache.put_bytes(b"stray")

    def state():
        return {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    before = state()
    dry = collect(cache.local, older_than=30 * DAY, dry_run=True)
    assert state() == before
    wet = collect(cache.local, older_than=30 * DAY)
    assert (dry.results, dry.blobs, dry.blob_bytes) == (
        [each for each in dry.results if each.key in labels_of(wet)],
        wet.blobs,
        wet.blob_bytes,
    )
    assert dry.blobs == 3


def test_local_result_whose_blobs_are_nowhere_goes(tmp_path):
    a, b = open_cache(tmp_path, "a", disk=QuickDisk()), open_cache(tmp_path, "b", disk=QuickDisk())
    result = publish(a, KEY, "one")
    assert b.lookup(KEY) == (result, "shared")  # and has noted it locally, without the blobs

    def collect_b(has):
        return collect_garbage(b.local, GcPolicy(), has_elsewhere=has, now=later(2 * HOUR)).results

    def cannot_tell(blob):
        raise OSError(errno.EIO, "the team is away")

    assert collect_b(b.shared.check) == collect_b(cannot_tell) == []
    b.shared.blob_path(result.output).unlink()
    assert [removed.key for removed in collect_b(b.shared.check)] == [KEY]


# Pins


def test_pinned_result_and_all_its_ancestors_stay(cache):
    chain = []
    for name in ("seed", "middle", "end"):
        parents = [Input(role="seed", label="//:x", key=chain[-1].key, digest=chain[-1].digest)] if chain else []
        chain.append(keep(cache.local, name, key_of(name), inputs=parents))
        age(cache.local, key_of(name), 400 * DAY)
    keep(cache.local, "other", key_of("other"))
    age(cache.local, key_of("other"), 400 * DAY)
    assert add_pin(cache.local, Pin(label="//:end", key=chain[-1].key), "0123456789ab")
    report = collect(cache.local, older_than=DAY, max_bytes=0)
    assert labels_of(report) == {key_of("other")}
    assert report.pinned == 3
    assert report.excess > 0
    (pin,) = list_pins(cache.local)
    assert remove_pin(cache.local, pin)
    assert not remove_pin(cache.local, pin)
    assert len(collect(cache.local, older_than=DAY).results) == 3


def test_pin_keeps_what_it_names_also_where_the_way_there_is_gone(cache):
    keep(cache.local, "grandparent", key_of("grandparent"))
    age(cache.local, key_of("grandparent"), DAY)
    results = [PinnedResult(label="//:g", key=key_of("grandparent"))]
    add_pin(cache.local, Pin(label="//:x", key=KEY, results=results), "0123456789ab")
    assert collect(cache.local, max_bytes=0).results == []


def test_pins_of_two_workspaces_hold_one_by_one(cache):
    keep(cache.local, "rows")
    age(cache.local, KEY, DAY)
    for holder in ("0" * 12, "1" * 12):
        assert add_pin(cache.local, Pin(label="//:x", key=KEY), holder)
        assert not add_pin(cache.local, Pin(label="//:x", key=KEY), holder)
    remove_pin(cache.local, list_pins(cache.local)[0])
    assert collect(cache.local, max_bytes=0).results == []
    remove_pin(cache.local, list_pins(cache.local)[0])
    assert len(collect(cache.local, max_bytes=0).results) == 1


def test_pin_that_cannot_be_read_still_holds(cache):
    keep(cache.local, "rows")
    age(cache.local, KEY, DAY)
    add_pin(cache.local, Pin(label="//:x", key=KEY), "0" * 12)
    path = list_pins(cache.local)[0].path
    path.chmod(0o644)
    path.write_bytes(b"{")
    assert collect(cache.local, max_bytes=0).results == []


# Beside others


def test_shared_blobs_go_in_three_steps_with_a_grace_period_between_them(team):
    result = keep(team, "rows")
    age(team, KEY, 40 * DAY)
    first = collect(team, 2 * HOUR, older_than=30 * DAY)
    assert team.read_action(KEY) is None
    # Whoever has read the result just before can still have the blob.
    assert team.has(result.output) and first.blobs == 0 and first.waiting == result.output.size
    assert collect(team, 2.5 * HOUR).blobs == 0
    second = collect(team, 3.1 * HOUR)
    assert not team.has(result.output)
    # Whoever has it open goes on reading, on NFS too.
    assert (second.blobs, second.freed, second.waiting) == (1, 0, result.output.size)
    assert collect(team, 4.2 * HOUR).freed == result.output.size
    assert not [path for path in team.layout.trash.rglob("*") if path.is_file()]


def test_trash_of_a_collection_that_is_still_under_way_is_left_to_it(cache):
    """It may have to put some of it back."""
    blob = cache.local.put_bytes(b"nobody's")
    collect(cache.local, grace=0)
    script = "import sys; from ddbuild.cache.process import name_for_this_process as name; print(name()); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        name = other.stdout.readline().strip()
        folder = cache.local.layout.trash / f"gc-1.{name}" / f"c-{blob.digest[9:11]}"
        folder.mkdir(parents=True)
        (folder / f"{blob.digest[11:]}.{name}").write_bytes(b"nobody's")
        assert collect(cache.local, grace=0).waiting == blob.size
        assert list(folder.iterdir())
        other.communicate("end")
    assert collect(cache.local, grace=0).freed == blob.size
    assert not folder.exists()


def test_trash_that_somebody_empties_under_a_collection_does_not_stop_it(tmp_path):
    class EmptyingDisk(QuickDisk):
        def make_folder(self, path):
            super().make_folder(path)
            if path.parent.name.startswith("gc-") and path.parent not in emptied:
                emptied.append(path.parent)
                shutil.rmtree(path.parent)

    emptied = []
    tier = Tier(tmp_path, "local", disk=EmptyingDisk())
    keep(tier, "rows")
    age(tier, KEY, 40 * DAY)
    assert collect(tier, older_than=30 * DAY).blobs == 1
    assert len(emptied) == 1


def test_result_is_taken_away_before_its_blobs(cache):
    moves = []

    class NotingDisk(WatchedDisk):
        def after(self, name, arguments):
            if name == "rename" and "trash" in str(arguments[1]):
                moves.append(arguments[0].parents[1].name)

    publish(cache, KEY, "one", deep_key=DEEP)
    for key in (KEY, DEEP):
        age(cache.local, key, 2 * DAY)
    collect(Tier(cache.local.folder, "local", disk=NotingDisk()), older_than=DAY)
    assert moves == ["actions", "actions", "cas", "cas"]


def test_blob_that_a_publication_has_met_in_the_same_moment_is_put_back(tmp_path):
    """The blob was there, unreferenced and old, so the publisher put nothing; then it goes, then the result comes."""

    class RacingDisk(WatchedDisk):
        def after(self, name, arguments):
            if name == "rename" and "/trash/" in str(arguments[1]) and "/cas/" in str(arguments[0]):
                other = Tier(tmp_path / "here", "local", disk=QuickDisk())
                other.write_action(KEY, make_result(blob, KEY), is_complete=lambda result: True)

    cache = open_cache(tmp_path, shared=False, disk=RacingDisk())
    blob = cache.put_bytes(b"rows")
    report = collect(cache.local)
    assert report.put_back == 1
    assert cache.lookup(KEY)
    assert cache.fetch(blob).read_bytes() == b"rows"


def test_blob_that_became_wanted_after_a_collection_comes_back_out_of_the_trash(team):
    blob = team.put_bytes(b"rows")
    assert collect(team, 2 * HOUR).blobs == 1
    team.write_action(KEY, make_result(blob, KEY), is_complete=lambda result: True)
    assert not team.has(blob)
    assert collect(team, 4 * HOUR).put_back == 1
    assert team.has(blob)


def test_result_published_anew_while_it_is_collected_stays(tmp_path):
    class RacingDisk(WatchedDisk):
        raced = False

        def before(self, name, arguments):
            if name == "rename" and "/trash/" in str(arguments[1]) and not self.raced:
                self.raced = True
                other = Tier(tmp_path / "here", "local", disk=QuickDisk())
                other.replace_action(KEY, make_result(other.put_bytes(b"newer"), KEY))

    cache = open_cache(tmp_path, shared=False, disk=RacingDisk())
    publish(cache, KEY, "one")
    age(cache.local, KEY, 40 * DAY)
    assert collect(cache.local, older_than=30 * DAY).results == []
    assert cache.fetch(cache.lookup(KEY)[0].output).read_bytes() == b"newer"


def test_blobs_of_a_newer_program_stay(cache):
    blob = cache.put_bytes(b"rows")
    path = cache.local.layout.action(KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"schema":2,"made_of":["%b"]}' % blob.digest.encode())
    assert collect(cache.local, max_bytes=0, older_than=0).blobs == 0
    assert cache.local.has(blob)
    assert path.exists()


def test_no_blob_goes_while_a_result_cannot_be_read(cache):
    publish(cache, KEY, "one")
    stray = cache.put_bytes(b"stray")
    secret = cache.local.layout.action(KEY)
    disk = FailingDisk(lambda name, args: errno.EACCES if name == "open_read" and args[0] == secret else None)
    report = collect(Tier(cache.local.folder, "local", disk=disk))
    assert str(secret) in report.blocked
    assert cache.local.has(stray)
    assert collect(cache.local).blocked is None
    assert not cache.local.has(stray)


def test_folder_that_cannot_be_listed_stops_the_collection(cache):
    publish(cache, KEY, "one")
    cache.put_bytes(b"stray")
    disk = FailingDisk(lambda name, args: errno.EIO if name == "list_folder" and "actions" in str(args[0]) else None)
    before = digests(cache.local)
    with pytest.raises(OSError):
        collect(Tier(cache.local.folder, "local", disk=disk))
    assert digests(cache.local) == before


def test_link_in_the_place_of_a_shard_leads_nowhere(cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ("0" * 30)).write_text("somebody's")
    (elsewhere / ("0" * 30 + ".json")).write_text("somebody's")
    for folder in (cache.local.layout.cas, cache.local.layout.actions):
        folder.mkdir(parents=True)
        (folder / "ab").symlink_to(elsewhere)
    cache.local.layout.work.mkdir()
    (cache.local.layout.work / KEY).symlink_to(elsewhere)
    (elsewhere / "attempt-1").mkdir()
    assert collect(cache.local, 400 * DAY, max_bytes=0).blobs == 0
    assert len(list(elsewhere.iterdir())) == 3


def test_bytes_that_a_workspace_still_links_to_are_told(cache, tmp_path):
    result = keep(cache.local, "rows")
    age(cache.local, KEY, DAY)
    os.link(cache.local.blob_path(result.output), tmp_path / "data.parquet")
    report = collect(cache.local, max_bytes=0)
    assert (report.freed, report.linked) == (0, result.output.size)
    assert (tmp_path / "data.parquet").read_bytes() == b"rows"


@pytest.mark.parametrize("exclusive", [True, False], ids=["exclusive renames", "neither"])
def test_folder_without_hard_links_is_collected_too(tmp_path, exclusive):
    tier = Tier(tmp_path / "team", "shared", disk=LinklessDisk(exclusive_renames=exclusive))
    result, kept = keep(tier, "rows"), keep(tier, "kept", key_of("kept"))
    for path in [*tier.layout.actions.glob("*/*"), *tier.layout.actions.glob("*/*.d/*")]:
        if KEY[2:] in str(path):
            os.utime(path, (later(-DAY), later(-DAY)))
    assert labels_of(collect(tier, 0, older_than=HOUR)) == {KEY}
    assert tier.read_action(KEY) is None
    collect(tier, 1.5 * HOUR)
    assert not tier.has(result.output)
    tier.write_action(KEY, result, is_complete=lambda found: True)
    assert collect(tier, 1.6 * HOUR).put_back == 1
    assert tier.has(result.output)
    assert tier.holds(kept) and tier.read_action(kept.key) == kept


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become other users")
def test_one_member_of_a_team_collects_what_another_has_published():
    """Also what has to be put back: a link to another user's file is refused where links are protected."""

    def run_as(uid, act):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(54320)
                os.setuid(uid)
                os.umask(0o077)
                answer = act()
            except BaseException as error:
                answer = repr(error)
            os.write(send, json.dumps(answer).encode())
            os._exit(0)
        os.close(send)
        with os.fdopen(receive) as file:
            answer = json.load(file)
        os.waitpid(child, 0)
        return answer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "team").mkdir()
        os.chown(folder / "team", 54321, 54320)
        (folder / "team").chmod(0o2770)
        tier = Tier(folder / "team", "shared", disk=QuickDisk())
        collect(Tier(folder / "warm", "local"))  # other users may not read what Python imports late

        def publish_rows():
            keep(tier, "rows")
            add_pin(tier, Pin(label="//:x", key=key_of("other")), "0" * 12)
            note_uses(tier, key_of("u"), [key_of("other")])
            return 0

        assert run_as(54321, publish_rows) == 0
        age(tier, KEY, DAY)
        result = tier.read_action(KEY)
        assert run_as(54322, lambda: len(collect(tier, 2 * HOUR, older_than=HOUR).results)) == 1
        assert run_as(54322, lambda: collect(tier, 4 * HOUR).blobs) == 1
        assert not tier.has(result.output)
        tier.write_action(KEY, result, is_complete=lambda found: True)
        assert run_as(54322, lambda: collect(tier, 4.5 * HOUR).put_back) == 1
        assert tier.has(result.output)
        assert run_as(54322, lambda: [remove_pin(tier, pin) for pin in list_pins(tier)]) == [True]
        modes = {path.stat().st_mode & 0o7777 for path in tier.layout.data.rglob("*") if path.is_dir()}
        assert modes == {0o2775}


# Leftovers


def leave(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"12345")
    return folder / name


GONE = "000000000000.1.1.0123456789abcdef"  # a process of another machine


def test_leftovers_go_by_their_age(cache):
    layout = cache.local.layout
    temporary = leave(layout.tmp, GONE)
    lease = leave(layout.leases, KEY)
    damaged = leave(layout.quarantine, f"x.{GONE}")
    attempt = layout.work / KEY / f"attempt-{GONE}"
    leave(attempt / "dataset", "batch.parquet")
    cache.local.record_family(key_of("family"), 100, key_of("gone"))
    publish(cache, key_of("kept"), "one")
    cache.local.record_family(key_of("family"), 200, key_of("kept"))
    use(cache.local, KEY, 0)

    def there():
        return [path.exists() for path in (temporary, lease, attempt, damaged, layout.uses / key_of("1"))]

    assert collect(cache.local, HOUR / 2).leftovers.count == 0
    assert there() == [True] * 5
    report = collect(cache.local, 2 * DAY).leftovers
    assert (report.temporary, report.leases, report.notes) == (1, 1, 1)
    assert there() == [False, False, True, True, True]
    assert cache.local.family_members(key_of("family")) == {200: key_of("kept")}
    assert collect(cache.local, 15 * DAY, dry_run=True).leftovers.work == 1
    report = collect(cache.local, 15 * DAY).leftovers
    assert (report.work, report.bytes) == (1, 5)
    assert there() == [False, False, False, True, True]
    assert not list(layout.work.iterdir())
    assert collect(cache.local, 31 * DAY).leftovers.quarantine == 1
    assert collect(cache.local, 91 * DAY).leftovers.notes == 1
    assert there() == [False] * 5


def test_attempt_of_a_running_process_stays(cache):
    work = cache.claim_work(KEY)
    leave(work.path, "batch.parquet")
    assert collect(cache.local, 400 * DAY).leftovers.work == 0
    work.leave()
    assert collect(cache.local, 400 * DAY).leftovers.work == 1


def test_age_that_is_asked_for_holds_for_unfinished_work_too(cache):
    leave(cache.local.layout.work / KEY / f"attempt-{GONE}", "batch.parquet")
    assert collect(cache.local, 2 * DAY, older_than=DAY).leftovers.work == 1


def test_lease_of_a_living_build_stays(cache):
    with cache.lease(KEY) as lease:
        collect(cache.local, 2 * HOUR)
        assert lease.is_held


# The whole of it


@pytest.mark.parametrize("shared", [False, True], ids=["local", "shared"])
def test_builds_beside_a_collector_that_never_rests_get_whole_results(tmp_path, shared):
    """Twenty keys are looked up, rebuilt where they are gone, and read, while everything old is collected."""
    stop = threading.Event()
    troubles, rounds = [], []

    def collect_on():
        folder = tmp_path / ("team" if shared else "here")
        tier = Tier(folder, "shared" if shared else "local", disk=QuickDisk())
        while not stop.is_set():
            try:
                report = collect_garbage(tier, GcPolicy(max_bytes=0, grace=0.0), now=time.time() + 1)
                rounds.append(len(report.results))
            except Exception as error:
                troubles.append(error)
                return

    def build(name):
        cache = open_cache(tmp_path, name if shared else "here", disk=QuickDisk())
        for number in range(200):
            key = key_of(str(number % 20))
            for _ in range(200):
                try:
                    found = cache.lookup(key)
                    result = found[0] if found else publish(cache, key, f"{name} {number}", deep_key=key_of(f"d{key}"))
                    # A result that is there is whole, or a miss: never other bytes, never half of it.
                    made = int(read_text(cache, result).split()[1])
                    if made % 20 != number % 20:
                        troubles.append(AssertionError(f"{name} got {made} for {number}"))
                    break
                except (CacheMissError, FileNotFoundError):
                    continue
            else:
                troubles.append(AssertionError(f"{name} never got {number}"))

    collector = threading.Thread(target=collect_on)
    builders = [threading.Thread(target=build, args=(name,)) for name in ("a", "b")]
    for thread in (collector, *builders):
        thread.start()
    for thread in builders:
        thread.join(60)
    stop.set()
    collector.join(60)
    assert not troubles, troubles
    assert sum(rounds) > 0
    assert not any(thread.is_alive() for thread in (collector, *builders))


def test_collected_result_is_built_again_and_kept(tmp_path):
    cache = open_cache(tmp_path, disk=QuickDisk())
    publish(cache, KEY, "one")
    for tier in (cache.local, cache.shared):
        age(tier, KEY, DAY)
        collect(tier, max_bytes=0)
    fresh = Cache(cache.local, cache.shared)
    assert fresh.lookup(KEY) is None
    publish(fresh, KEY, "two")
    assert read_text(fresh, fresh.lookup(KEY)[0]) == "two"
