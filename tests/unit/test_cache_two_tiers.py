import errno
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import FailingDisk, QuickDisk, key_of, make_result, open_cache, publish, read_text
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.cas import SourceError
from ddbuild.cache.result import Blob
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_bytes
from ddbuild.errors import CacheError

KEY, DEEP = key_of("content"), key_of("deep")


class Team:
    """Machines that share a tier."""

    def __init__(self, folder):
        self.folder = folder
        self.warnings = []

    def machine(self, name, *, shared=True, writable=True, disk=None, **options):
        return Cache(
            Tier(self.folder / name, "local", disk=QuickDisk()),
            Tier(self.folder / "team", "shared", writable, disk=disk or QuickDisk()) if shared else None,
            self.warnings.append,
            **options,
        )

    @property
    def tier(self):
        return Tier(self.folder / "team", "shared", disk=QuickDisk())


@pytest.fixture
def team(tmp_path):
    return Team(tmp_path)


def fails_with(code, *names):
    return FailingDisk(lambda name, arguments: code if name in names else None)


def damage(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


# One tier


def test_published_result_is_a_hit_under_both_keys(team):
    cache = team.machine("a", shared=False)
    result = publish(cache, KEY, "one", deep_key=DEEP)
    assert cache.lookup(KEY) == cache.lookup(DEEP) == (result, "local")
    assert cache.find(KEY) == (result, "local")
    assert read_text(cache, result) == "one"


def test_unknown_key_is_a_miss(team):
    assert team.machine("a").lookup(KEY) is None
    assert team.machine("a").find(KEY) is None
    assert team.warnings == []


def test_result_without_one_of_its_blobs_is_not_published(team):
    cache = team.machine("a")
    missing = Blob(digest=digest_bytes(b"never put"), size=9)
    with pytest.raises(CacheMissError, match=missing.digest):
        cache.publish(make_result(cache.put_bytes(b"x"), KEY, files={"f": missing}))
    assert cache.find(KEY) is None


def test_result_whose_blob_is_gone_is_a_miss_and_can_be_published_again(team):
    cache = team.machine("a", shared=False)
    first = publish(cache, KEY, "one", deep_key=DEEP)
    cache.local.blob_path(first.output).unlink()
    assert cache.find(KEY) == (first, "local")
    assert cache.lookup(KEY) is None
    with pytest.raises(CacheMissError):
        cache.fetch(first.output)
    second = publish(cache, KEY, "two", deep_key=DEEP)
    assert cache.lookup(KEY) == cache.lookup(DEEP) == (second, "local")


def test_alias_of_another_content_key_stays(team):
    cache = team.machine("a", shared=False)
    first = publish(cache, KEY, "one", deep_key=DEEP)
    publish(cache, key_of("parents have other rows"), "two", deep_key=DEEP)
    assert cache.lookup(DEEP) == (first, "local")


def test_rebuild_asked_for_replaces_what_is_kept(team):
    a, b = team.machine("a"), team.machine("b")
    first = publish(a, KEY, "one", deep_key=DEEP)
    second = publish(a, KEY, "two", deep_key=DEEP, over=first)
    assert second != first
    for cache in (a, b):
        assert cache.lookup(KEY)[0] == cache.lookup(DEEP)[0] == second
    assert publish(b, KEY, "three", over=first) == second


def test_retries_are_kept_beside_each_other(team):
    a, b = team.machine("a"), team.machine("b")
    results = [publish(a, KEY, f"attempt {retry}", deep_key=DEEP, retry=retry) for retry in range(3)]
    for retry, result in enumerate(results):
        assert b.lookup(KEY, retry)[0] == b.lookup(DEEP, retry)[0] == result
    assert b.lookup(KEY, 3) is None


def test_put_file_tells_a_missing_source_from_a_broken_cache(team, tmp_path):
    cache = team.machine("a")
    with pytest.raises(SourceError):
        cache.put_file(tmp_path / "missing")
    (tmp_path / "a").write_bytes(b"")  # a file where the cache's folder should be
    with pytest.raises(CacheError, match="cannot be used"):
        cache.put_bytes(b"x")
    assert cache.lookup(KEY) is None


@pytest.mark.parametrize(("code", "text"), [(errno.ENOSPC, "is full"), (errno.EACCES, "cannot be written to")])
def test_trouble_with_the_local_tier_is_an_error_that_names_its_folder(tmp_path, code, text):
    disk = FailingDisk(lambda name, arguments: code if name == "write" else None)
    cache = Cache(Tier(tmp_path / "mine", "local", disk=disk))
    with pytest.raises(CacheError) as caught:
        cache.put_bytes(b"x")
    assert caught.value.message == f"the local cache `{tmp_path / 'mine'}` {text}"
    assert "DDBUILD_CACHE_DIR" in caught.value.hint
    assert list((tmp_path / "mine" / "tmp").iterdir()) == []


# Two tiers


def test_result_of_one_machine_is_a_hit_on_another(team):
    result = publish(team.machine("a"), KEY, "one", deep_key=DEEP)
    b = team.machine("b")
    assert b.lookup(DEEP) == (result, "shared")
    assert read_text(b, result) == "one"
    assert b.lookup(DEEP) == (result, "local")
    assert team.machine("b", shared=False).lookup(DEEP) == (result, "local")


def test_loser_of_a_race_adopts_the_winner(team):
    a, b = team.machine("a"), team.machine("b")
    assert a.lookup(KEY) is None and b.lookup(KEY) is None
    first = publish(a, KEY, "first", deep_key=DEEP)
    assert publish(b, KEY, "second", deep_key=DEEP) == first
    assert b.lookup(KEY)[0] == b.lookup(DEEP)[0] == first
    assert read_text(b, first) == "first"
    offline = team.machine("b", shared=False)
    assert offline.lookup(KEY) == offline.lookup(DEEP) == (first, "local")


def test_shared_content_wins_over_what_was_built_offline(team):
    offline = publish(team.machine("b", shared=False), KEY, "offline", deep_key=DEEP)
    shared = publish(team.machine("a"), KEY, "shared", deep_key=DEEP)
    b = team.machine("b")
    assert offline != shared
    assert b.find(DEEP) == b.find(KEY) == (shared, "shared")
    assert b.lookup(KEY) == (shared, "shared")
    assert team.machine("b", shared=False).find(KEY) == (shared, "local")


def test_publishing_adopts_the_winner_under_both_keys(team):
    publish(team.machine("b", shared=False), KEY, "offline", deep_key=DEEP)
    shared = publish(team.machine("a"), KEY, "shared", deep_key=DEEP)
    assert publish(team.machine("b"), KEY, "third", deep_key=DEEP) == shared
    offline = team.machine("b", shared=False)
    assert offline.find(KEY) == offline.find(DEEP) == (shared, "local")


def test_result_that_a_client_remembers_is_read_again_before_it_costs_a_build(team):
    """NFS: a client goes on giving a replaced result for a while, until its folder is opened."""
    first = publish(team.machine("a"), KEY, "first")
    path = team.tier.layout.action(KEY)
    data = path.read_bytes()
    team.tier.blob_path(first.output).unlink()
    second = publish(team.machine("c"), KEY, "second")
    copy = team.folder / "remembered"
    copy.write_bytes(data)

    class RememberingDisk(QuickDisk):
        opened = False

        def open_read(self, path_):
            return super().open_read(copy if path_ == path and not self.opened else path_)

        def open_folder(self, path_):
            super().open_folder(path_)
            self.opened = self.opened or path_ == path.parent

    assert team.machine("b", disk=RememberingDisk()).lookup(KEY) == (second, "shared")


def test_shared_content_wins_also_where_the_team_has_no_alias(team):
    publish(team.machine("b", shared=False), KEY, "offline", deep_key=DEEP)
    shared = publish(team.machine("a"), KEY, "shared")
    found, tier = team.machine("b").lookup(DEEP)
    assert (found.digest, found.key, found.deep_key, tier) == (shared.digest, KEY, DEEP, "shared")
    assert team.machine("b", shared=False).find(DEEP) == (found, "local")


def test_shared_record_without_blobs_loses_to_a_whole_local_result(team):
    local = publish(team.machine("b", shared=False), KEY, "local")
    shared = publish(team.machine("a"), KEY, "shared")
    team.tier.blob_path(shared.output).unlink()
    b = team.machine("b")
    assert b.find(KEY) == b.lookup(KEY) == (local, "local")
    assert team.machine("c").lookup(KEY) is None
    assert publish(team.machine("c"), KEY, "third") == team.machine("b").lookup(KEY)[0]


def test_blobs_that_the_team_has_lost_are_brought_back_by_who_has_them(team):
    a = team.machine("a")
    result = publish(a, KEY, "one")
    team.tier.blob_path(result.output).unlink()
    assert team.machine("b").lookup(KEY) is None
    assert publish(a, KEY, "two") == result
    assert read_text(team.machine("b"), team.machine("b").lookup(KEY)[0]) == "one"


def test_result_built_offline_reaches_the_team_when_it_is_found_again(team):
    offline = publish(team.machine("b", shared=False), KEY, "offline", deep_key=DEEP)
    back = team.machine("b")
    found, _ = back.lookup(DEEP)
    back.offer([found])
    assert team.machine("a").lookup(KEY)[0].digest == offline.digest
    assert team.machine("c").lookup(DEEP)[1] == "shared"


@pytest.mark.parametrize("options", [{"shared": False}, {"writable": False}])
def test_what_cannot_be_shared_is_not_offered(team, options):
    offline = publish(team.machine("b", shared=False), KEY, "offline", deep_key=DEEP)
    back = team.machine("b", **options)
    assert back.lookup(KEY) is not None
    back.offer([offline])
    assert team.tier.read_action(KEY) is None


def test_what_the_team_has_is_not_offered_again(team):
    publish(team.machine("a"), KEY, "one", deep_key=DEEP)
    calls = []
    again = team.machine("a", disk=FailingDisk(lambda name, arguments: calls.append(name)))
    found, _ = again.lookup(KEY)
    asked = len(calls)
    again.offer([found])
    assert len(calls) == asked > 0


def test_result_built_offline_reaches_the_team_when_it_is_published_again(team):
    result = publish(team.machine("a", shared=False), KEY, "offline")
    assert team.machine("a").publish(result) == result
    assert team.machine("b").lookup(KEY) == (result, "shared")


def test_result_can_be_made_of_blobs_that_only_the_team_has(team):
    result = publish(team.machine("a"), KEY, "one")
    b = team.machine("b")
    again = b.publish(result.model_copy(update={"key": key_of("other"), "deep_key": key_of("other")}))
    assert b.lookup(again.key) == (again, "shared")


def test_changed_blob_does_not_cross_tiers_and_is_built_again(team):
    first = publish(team.machine("a"), KEY, "one")
    damage(team.tier.blob_path(first.output), b"rows of 0ne")
    b = team.machine("b")
    assert b.lookup(KEY) == (first, "shared")
    with pytest.raises(CacheMissError):
        b.fetch(first.output)
    assert not b.local.has(first.output)
    assert b.lookup(KEY) is None
    assert [path.read_bytes() for path in team.tier.layout.quarantine.iterdir()] == [b"rows of 0ne"]
    assert team.warnings == [f"the shared cache `{team.folder / 'team'}` had a damaged blob, which is made again"]
    second = publish(b, KEY, "two")
    assert read_text(team.machine("c"), team.machine("c").lookup(KEY)[0]) == "two"
    assert second != first


def test_changed_local_blob_is_not_given_to_the_team(team):
    a = team.machine("a")
    blob = a.put_bytes(b"rows")
    damage(a.local.blob_path(blob), b"r0ws")
    with pytest.raises(CacheMissError):
        a.publish(make_result(blob, KEY))
    assert team.machine("b").find(KEY) is None
    assert a.lookup(KEY) is None
    assert a.publish(make_result(a.put_bytes(b"rows"), KEY)).output == blob
    assert team.machine("b").lookup(KEY)[1] == "shared"


def test_short_local_blob_is_fetched_again(team):
    a = team.machine("a")
    result = publish(a, KEY, "one")
    damage(a.local.blob_path(result.output), b"")
    assert a.lookup(KEY) == (result, "shared")
    assert read_text(a, result) == "one"


def test_verify_finds_a_changed_local_blob(team):
    a = team.machine("a")
    result = publish(a, KEY, "one")
    assert a.verify(result.output)
    damage(a.local.blob_path(result.output), b"rows of 0ne")
    assert not a.verify(result.output)
    assert read_text(a, result) == "one"


def test_many_threads_fetch_one_blob(team):
    result = publish(team.machine("a"), KEY, "one")
    b = team.machine("b")
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(read_text(b, b.lookup(KEY)[0]))) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["one"] * 32
    assert result.digest == b.lookup(KEY)[0].digest


def test_family_members_of_both_tiers_are_listed(team):
    team.machine("a").record_family(KEY, 100, key_of("100"))
    team.machine("b", shared=False).record_family(KEY, 50, key_of("50"))
    assert team.machine("b").family_members(KEY) == [(50, key_of("50")), (100, key_of("100"))]
    assert team.machine("c").family_members(KEY) == [(100, key_of("100"))]


# A shared tier with trouble


def test_read_only_team_folder_is_read_and_not_written(team):
    shared = publish(team.machine("a"), KEY, "one")
    b = team.machine("b", writable=False)
    assert read_text(b, b.lookup(KEY)[0]) == "one"
    assert publish(b, key_of("mine"), "mine") == b.lookup(key_of("mine"))[0]
    assert publish(b, KEY, "two") == shared
    assert team.machine("c").lookup(key_of("mine")) is None
    assert team.warnings == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EROFS, "cannot be written to (read-only file system)"),
        (errno.EACCES, "cannot be written to (permission denied)"),
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EIO, "gives trouble (input/output error)"),
    ],
)
def test_team_folder_that_cannot_be_written_is_told_once_and_the_build_goes_on(team, code, said):
    shared = publish(team.machine("a"), KEY, "one")
    b = team.machine("b", disk=fails_with(code, "open_new", "write", "link", "rename", "make_folder"))
    for name in "xyz":
        result = publish(b, key_of(name), name)
        assert b.lookup(key_of(name)) == (result, "local")
    with b.lease(KEY):
        pass
    assert read_text(b, b.lookup(KEY)[0]) == "one"
    assert publish(b, KEY, "two") == shared
    assert len(team.warnings) == 1
    assert said in team.warnings[0]


def test_missing_team_folder_is_told_once(tmp_path):
    warnings = []
    shared = Tier(tmp_path / "not-mounted" / "team", "shared", disk=QuickDisk())
    cache = Cache(Tier(tmp_path / "mine", "local", disk=QuickDisk()), shared, warnings.append)
    for name in "xyz":
        assert publish(cache, key_of(name), name) == cache.lookup(key_of(name))[0]
    assert len(warnings) == 1
    assert "is not there" in warnings[0]


def test_new_team_folder_is_created_without_a_word(team):
    publish(team.machine("a"), KEY, "one")
    assert team.warnings == []


def test_hung_file_server_is_left_alone(team):
    let_go = threading.Event()

    class HungDisk(QuickDisk):
        def open_read(self, path):
            let_go.wait(20)
            return super().open_read(path)

    publish(team.machine("a"), KEY, "one")
    b = team.machine("b", disk=HungDisk(), ask_seconds=0.05)
    assert b.lookup(KEY) is None
    for name in "xyz":
        result = publish(b, key_of(name), name)
        assert b.lookup(key_of(name)) == (result, "local")
    with b.lease(KEY) as lease:
        assert lease.is_held
    let_go.set()
    assert len(team.warnings) == 1
    assert "does not answer" in team.warnings[0]


def test_leases_on_a_server_that_has_hung_since_are_let_expire(team):
    hung, let_go = threading.Event(), threading.Event()
    asked, answered = [], []

    class HungDisk(QuickDisk):
        def open_read(self, path):
            if hung.is_set():
                asked.append(path)
                answered.append(let_go.wait(20))
            return super().open_read(path)

    a = team.machine("a", disk=HungDisk(), ask_seconds=0.5)
    with a.lease(KEY), a.lease(DEEP):
        hung.set()
    assert len(asked) == 1 and answered == []
    let_go.set()
    assert len(team.warnings) == 1
    assert "does not answer" in team.warnings[0]


def test_team_folder_that_is_the_local_one_is_no_trouble(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    warnings = []
    cache = Cache(
        Tier(tmp_path / "real", "local", disk=QuickDisk()),
        Tier(tmp_path / "alias", "shared", disk=QuickDisk()),
        warnings.append,
    )
    with cache.lease(KEY) as lease:
        assert lease.is_held
        result = publish(cache, KEY, "one", deep_key=DEEP)
    assert cache.lookup(DEEP) == (result, "local")
    assert warnings == []
    assert list((tmp_path / "real/v1/leases").iterdir()) == []


def test_warnings_are_not_needed(tmp_path):
    cache = open_cache(tmp_path, disk=fails_with(errno.EIO, "open_read"))
    assert cache.lookup(KEY) is None
