import itertools
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import FailingDisk, LinklessDisk, QuickDisk, RecordingDisk, key_of, make_result
from ddbuild.cache.actions import NewerSchemaError, decode_result, encode_result
from ddbuild.cache.cas import SourceError
from ddbuild.cache.result import Blob
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_bytes

KEY = key_of("personas")


@pytest.fixture
def tier(tmp_path):
    return Tier(tmp_path / "tier", "shared", disk=QuickDisk())


def keep(tier, text="rows", key=KEY, **others):
    return tier.write_action(key, make_result(tier.put_bytes(text.encode()), key, **others))


def overwrite(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


def names_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_looking_into_a_cache_imports_nothing_heavy():
    check = (
        "import sys, ddbuild.cache.cache; print({'pandas', 'pyarrow', 'data_designer', 'networkx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Blobs


def test_put_file_keeps_the_bytes_under_their_digest(tier, tmp_path):
    source = tmp_path / "rows.parquet"
    source.write_bytes(b"PAR1" * 1_000_000)
    blob = tier.put_file(source)
    assert blob == Blob(digest=digest_bytes(source.read_bytes()), size=4_000_000)
    assert tier.blob_path(blob).read_bytes() == source.read_bytes()
    assert tier.has(blob)
    assert names_in(tier.layout.tmp) == []


def test_put_bytes_and_put_file_give_one_blob(tier, tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    assert tier.put_file(tmp_path / "a") == tier.put_bytes(b"same")
    assert len(names_in(tier.layout.cas)) == 1


def test_empty_file_is_a_blob(tier, tmp_path):
    (tmp_path / "empty").touch()
    assert tier.has(tier.put_file(tmp_path / "empty"))


def test_put_file_follows_the_callers_symlink(tier, tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to("a")
    assert tier.put_file(tmp_path / "b") == tier.put_bytes(b"data")


def test_source_that_cannot_be_read_is_told_apart_from_trouble_of_the_tier(tier, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(SourceError):
            tier.put_file(path)
    assert names_in(tier.folder) == []


def test_blob_path_is_below_the_version_folder(tier):
    digest = "xxh3_128:0123456789abcdef0123456789abcdef"
    expected = tier.folder / "v1/cas/01/23456789abcdef0123456789abcdef"
    assert tier.blob_path(Blob(digest=digest, size=1)) == expected


@pytest.mark.parametrize("name", ["", "..", "../" * 10 + "etc/x", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n"])
def test_only_hex_makes_a_path(tier, name):
    for make_path in (tier.layout.action, tier.layout.lease, tier.layout.family, tier.layout.attempts):
        with pytest.raises(ValueError):
            make_path(name)
    with pytest.raises(ValueError):
        tier.layout.blob(f"xxh3_128:{name}")
    with pytest.raises(ValueError):
        tier.layout.blob("0" * 32)


def test_short_blob_is_not_there_and_is_put_again(tier):
    blob = tier.put_bytes(b"some rows")
    overwrite(tier.blob_path(blob), b"some")
    assert not tier.has(blob)
    assert tier.put_bytes(b"some rows") == blob
    assert tier.blob_path(blob).read_bytes() == b"some rows"
    assert [path.read_bytes() for path in tier.layout.quarantine.iterdir()] == [b"some"]


@pytest.mark.parametrize("kind", ["symlink", "folder", "pipe"])
def test_what_is_no_file_is_no_blob_and_is_put_again(tier, tmp_path, kind):
    blob = tier.put_bytes(b"12345")
    path = tier.blob_path(blob)
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"abcde")
    {"symlink": lambda: path.symlink_to(tmp_path / "elsewhere"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[
        kind
    ]()
    assert not tier.has(blob)
    with pytest.raises(OSError):
        tier.open_blob(blob)
    tier.put_bytes(b"12345")
    assert path.read_bytes() == b"12345"


def test_pipe_is_no_empty_blob(tier):
    blob = tier.put_bytes(b"")
    path = tier.blob_path(blob)
    path.unlink()
    os.mkfifo(path)
    assert not tier.has(blob)
    tier.put_bytes(b"")
    assert path.is_file()


def test_verify_puts_a_changed_blob_into_quarantine(tier):
    good, bad = tier.put_bytes(b"good"), tier.put_bytes(b"baad")
    overwrite(tier.blob_path(bad), b"beed")
    assert tier.verify_blob(good)
    assert not tier.verify_blob(bad)
    assert not tier.has(bad)
    assert len(names_in(tier.layout.quarantine)) == 1


def test_lost_reply_of_link_is_success(tmp_path):
    class LossyDisk(QuickDisk):
        def link(self, source, destination):
            super().link(source, destination)
            super().link(source, destination)  # the request is sent again

    tier = Tier(tmp_path, "shared", disk=LossyDisk())
    first, second = keep(tier, "first"), keep(tier, "second")
    assert second == first
    assert tier.read_action(KEY) == first
    assert names_in(tier.layout.tmp) == []
    assert names_in(tier.layout.quarantine) == []


def test_nothing_is_created_by_reading(tier, tmp_path):
    blob = Blob(digest=digest_bytes(b"x"), size=1)
    assert tier.read_action(KEY) is None
    assert not tier.has(blob)
    assert tier.family_members(KEY) == {}
    assert list(tmp_path.iterdir()) == []


def test_tier_that_is_not_writable_refuses_to_write(tmp_path):
    tier = Tier(tmp_path, "shared", writable=False)
    with pytest.raises(OSError, match="not to be written"):
        tier.put_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_team_folder_is_not_created_where_its_parent_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Tier(tmp_path / "not-mounted" / "cache", "shared").put_bytes(b"x")
    assert list(tmp_path.iterdir()) == []
    Tier(tmp_path / "home" / ".cache" / "ddbuild", "local").put_bytes(b"x")


# Modes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_team_folders_and_files_have_their_modes_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        tier = Tier(tmp_path / "team", "shared", disk=QuickDisk())
        keep(tier)
        tier.record_family(KEY, 100, KEY)
    finally:
        os.umask(before)
    for path in [tier.folder, *tier.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o2775 if path.is_dir() else 0o444), path


def test_local_folders_follow_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        tier = Tier(tmp_path / "mine", "local", disk=QuickDisk())
        keep(tier)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tier.folder.rglob("*") if path.is_dir()} == {0o700}


def test_local_folder_that_was_opened_to_a_group_stays_open_below(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours").chmod(0o2770)
    tier = Tier(tmp_path / "ours", "local", disk=QuickDisk())
    keep(tier)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tier.folder.rglob("*") if path.is_dir()} == {0o2775}


def test_folder_of_another_owner_whose_mode_cannot_be_set_is_used(tmp_path):
    disk = FailingDisk(lambda name, arguments: 1 if name in ("chmod", "chmod_fd") else None)
    keep(Tier(tmp_path, "shared", disk=disk))


# Results


def test_result_comes_back_as_it_was_written(tier):
    result = keep(tier, files={"images/a.png": tier.put_bytes(b"png")}, deep_key=key_of("deep"))
    assert tier.read_action(KEY) == result
    assert tier.holds(result)


def test_first_writer_wins_and_the_later_one_gets_the_winner(tier):
    first, second = keep(tier, "first"), keep(tier, "second")
    assert second == first
    assert tier.read_action(KEY) == first


def test_attempt_after_a_turned_down_one_is_kept_beside_it(tier):
    short, full = keep(tier, "short"), make_result(tier.put_bytes(b"full"), KEY, retry=1)
    assert tier.write_action(KEY, full, 1) == full
    assert (tier.read_action(KEY), tier.read_action(KEY, 1), tier.read_action(KEY, 2)) == (short, full, None)
    assert names_in(tier.layout.actions) == [f"{KEY[2:]}.1.json", f"{KEY[2:]}.json"]


def test_result_under_its_deep_key_is_found(tier):
    result = make_result(tier.put_bytes(b"x"), KEY, deep_key=key_of("deep"))
    tier.write_action(key_of("deep"), result)
    assert tier.read_action(key_of("deep")) == result


def test_result_of_another_key_is_a_miss_and_gives_way(tier):
    result = keep(tier)
    other = tier.layout.action(key_of("other"))
    other.parent.mkdir()
    other.write_bytes(tier.layout.action(KEY).read_bytes())
    assert tier.read_action(key_of("other")) is None
    assert keep(tier, key=key_of("other")).key == key_of("other")
    assert tier.read_action(KEY) == result


@pytest.mark.parametrize("kept", [0, 1, 10, 60, 200, -40, -2, -1])
def test_torn_result_is_a_miss_and_gives_way(tier, kept):
    keep(tier)
    path = tier.layout.action(KEY)
    overwrite(path, path.read_bytes()[:kept])
    assert tier.read_action(KEY) is None
    second = keep(tier, "second")
    assert tier.read_action(KEY) == second
    assert len(names_in(tier.layout.quarantine)) == 1


def test_any_changed_byte_of_a_result_makes_it_a_miss(tier):
    keep(tier)
    path = tier.layout.action(KEY)
    data = path.read_bytes()
    path.chmod(0o644)
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert tier.read_action(KEY) is None, position


def test_newer_schema_is_a_miss_that_is_left_alone(tier):
    path = tier.layout.action(KEY)
    keep(tier)
    overwrite(path, b'{"schema": 2, "anything": []}')
    assert tier.read_action(KEY) is None
    mine = keep(tier, "mine")
    assert tier.read_action(KEY) == mine
    assert keep(tier, "again") == mine
    assert path.read_bytes() == b'{"schema": 2, "anything": []}'
    tier.replace_action(KEY, make_result(tier.put_bytes(b"adopted"), KEY))
    assert tier.read_action(KEY).output == tier.put_bytes(b"adopted")
    assert path.read_bytes() == b'{"schema": 2, "anything": []}'


def test_encoding_says_what_is_wrong_with_a_file():
    data = encode_result(make_result(Blob(digest=digest_bytes(b""), size=0), KEY))
    assert decode_result(data).key == KEY
    with pytest.raises(NewerSchemaError):
        decode_result(data.replace(b'{"schema":1', b'{"schema":12', 1))
    for damaged in (b"", b"{}", b"null", data[:-1], data + b"\n", data.replace(b'"rows":3', b'"rows":4')):
        with pytest.raises(ValueError):
            decode_result(damaged)


def test_manifest_that_leaves_its_folder_is_a_miss(tier):
    result = keep(tier, files={"a/b": tier.put_bytes(b"x")})
    evil = result.model_copy(update={"files": {"../../.bashrc": result.output}})
    overwrite(tier.layout.action(KEY), encode_result(evil))
    assert tier.read_action(KEY) is None


@pytest.mark.parametrize("kind", ["symlink", "folder", "pipe"])
def test_what_is_no_file_is_no_result_and_gives_way(tier, tmp_path, kind):
    keep(tier)
    path = tier.layout.action(KEY)
    path.rename(tmp_path / "elsewhere")
    {"symlink": lambda: path.symlink_to(tmp_path / "elsewhere"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[
        kind
    ]()
    assert tier.read_action(KEY) is None
    assert keep(tier, "second") == tier.read_action(KEY)


def test_huge_file_is_not_read(tier):
    keep(tier)
    path = tier.layout.action(KEY)
    path.chmod(0o644)
    os.truncate(path, (64 << 20) + 1)
    disk = RecordingDisk(only=["read_into"])
    assert Tier(tier.folder, "shared", disk=disk).read_action(KEY) is None
    assert disk.calls == []


def test_result_whose_blob_is_gone_gives_way(tier):
    first = keep(tier, "first")
    tier.blob_path(first.output).unlink()
    assert tier.read_action(KEY) == first
    assert not tier.holds(first)
    second = keep(tier, "second")
    assert tier.read_action(KEY) == second != first


def test_result_is_not_taken_away_where_its_blobs_cannot_be_told(tier):
    first = keep(tier, "first")
    broken = Tier(
        tier.folder,
        "shared",
        disk=FailingDisk(lambda name, args: 5 if name == "lstat" and "cas" in str(args) else None),
    )
    with pytest.raises(OSError):
        broken.write_action(KEY, make_result(first.output.model_copy(update={"size": 1}), KEY))
    assert tier.read_action(KEY) == first


def test_result_that_only_this_user_cannot_read_is_not_taken_away(tier):
    first = keep(tier, "first")
    path = tier.layout.action(KEY)
    blind = Tier(tier.folder, "shared", disk=FailingDisk(lambda name, args: 13 if args == (path,) else None))
    assert blind.read_action(KEY) is None
    with pytest.raises(PermissionError):
        keep(blind, "second")
    assert tier.read_action(KEY) == first


def test_result_that_another_has_published_while_ours_was_judged_is_put_back(tier):
    """Between the look at an incomplete result and its removal another builder replaces it."""
    first = keep(tier, "first")
    tier.blob_path(first.output).unlink()
    other = Tier(tier.folder, "shared", disk=QuickDisk())
    replaced = []

    class SlowDisk(QuickDisk):
        def rename(self, source, destination):
            if "quarantine" in str(destination) and not replaced:
                replaced.append(keep(other, "second"))
            super().rename(source, destination)

    assert keep(Tier(tier.folder, "shared", disk=SlowDisk()), "third") == replaced[0]
    assert tier.read_action(KEY) == replaced[0]


@pytest.mark.parametrize("code", [5, 13, 116])
def test_reading_never_raises(tmp_path, code):
    keep(Tier(tmp_path, "shared", disk=QuickDisk()))
    broken = Tier(tmp_path, "shared", disk=FailingDisk(lambda name, arguments: code))
    told = []
    broken.on_trouble = told.append
    assert broken.read_action(KEY) is None
    assert not broken.has(Blob(digest=digest_bytes(b"rows"), size=4))
    assert broken.family_members(KEY) == {}
    assert bool(told) == (code != 116)


def test_name_that_a_client_remembers_as_missing_is_looked_for_again(tmp_path):
    """NFS: a name that was looked for in vain stays missing until its folder is opened."""
    keep(Tier(tmp_path / "team", "shared", disk=QuickDisk()), files={})

    class RememberingDisk(QuickDisk):
        def __init__(self):
            self.opened = {tmp_path.parent}

        def _remember(self, path):
            if path.parent not in self.opened:
                raise FileNotFoundError(2, "remembered", str(path))

        def open_folder(self, path):
            if path.parent not in self.opened:
                raise FileNotFoundError(2, "remembered", str(path))
            super().open_folder(path)
            self.opened.add(path)

        def open_read(self, path):
            self._remember(path)
            return super().open_read(path)

        def lstat(self, path):
            self._remember(path)
            return super().lstat(path)

    tier = Tier(tmp_path / "team", "shared", disk=RememberingDisk())
    result = tier.read_action(KEY)
    assert result is not None
    assert tier.holds(result)


def test_blob_that_a_client_remembers_is_put_again_when_another_has_moved_it_away(tmp_path):
    """NFS: a name that another host has taken away stays there for a while, until its folder is opened."""

    class RememberingDisk(QuickDisk):
        def lstat(self, path):
            return remembered.get(path) or super().lstat(path)

        def open_folder(self, path):
            super().open_folder(path)
            for name in [name for name in remembered if name.parent == path]:
                del remembered[name]

    remembered = {}
    tier = Tier(tmp_path, "shared", disk=RememberingDisk())
    result = keep(tier, "first")
    path = tier.blob_path(result.output)
    remembered = {path: path.lstat()}
    before = dict(remembered)
    Tier(tmp_path, "shared").quarantine_blob(result.output)
    assert tier.has(result.output)
    assert not tier.check(result.output)
    remembered = dict(before)
    second = keep(tier, "second")
    assert tier.read_action(KEY) == second != result
    remembered = dict(before)
    tier.put_bytes(b"first")
    assert path.read_bytes() == b"first"


def test_damaged_result_is_moved_also_where_a_client_remembers_the_quarantine_as_missing(tmp_path):
    """NFS: another host has made the folder, and here it stays missing until it is opened."""

    class RememberingDisk(QuickDisk):
        def rename(self, source, destination):
            if destination.parent in missing:
                raise FileNotFoundError(2, "remembered", str(destination))
            super().rename(source, destination)

        def open_folder(self, path):
            super().open_folder(path)
            missing.discard(path)

    tier = Tier(tmp_path, "shared", disk=RememberingDisk())
    missing = set()
    keep(tier, "first")
    overwrite(tier.layout.action(KEY), b"{")
    tier.layout.quarantine.mkdir()
    missing = {tier.layout.quarantine}
    second = keep(tier, "second")
    assert tier.read_action(KEY) == second
    assert len(names_in(tier.layout.quarantine)) == 1


class OvertakingDisk(LinklessDisk):
    """Somebody else is quicker: `overtake` happens just before something is renamed into another folder."""

    def __init__(self, *, links):
        super().__init__(exclusive_renames=False)
        self.links = links
        self.overtake = None

    def link(self, source, destination):
        if not self.links:
            super().link(source, destination)
        os.link(source, destination)

    def rename(self, source, destination):
        if self.overtake is not None and source.name[:30] == KEY[2:]:
            overtake, self.overtake = self.overtake, None
            overtake()
        super().rename(source, destination)


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_result_that_somebody_republishes_meanwhile_is_not_removed(tmp_path, links):
    disk = OvertakingDisk(links=links)
    tier, other = (Tier(tmp_path, "shared", disk=disk) for _ in range(2))
    keep(tier, "first")

    def republish():
        assert other.remove_action(KEY)
        keep(other, "second")

    disk.overtake = republish
    assert not tier.remove_action(KEY)
    assert tier.read_action(KEY).output == other.put_bytes(b"second")
    assert tier.remove_action(KEY)
    assert tier.read_action(KEY) is None


def test_blob_that_somebody_mends_while_it_is_verified_stays(tmp_path):
    tier, other = (Tier(tmp_path, "shared", disk=QuickDisk()) for _ in range(2))
    blob = tier.put_bytes(b"first")
    overwrite(tier.blob_path(blob), b"XXXXX")

    class MendingDisk(QuickDisk):
        def close(self, fd):
            super().close(fd)
            if not other.has(blob) or tier.blob_path(blob).read_bytes() != b"first":
                other.quarantine_blob(blob)
                other.put_bytes(b"first")

    assert not Tier(tmp_path, "shared", disk=MendingDisk()).verify_blob(blob)
    assert tier.blob_path(blob).read_bytes() == b"first"
    assert tier.verify_blob(blob)


def test_result_is_not_taken_away_for_a_blob_that_only_seems_to_be_missing(tmp_path):
    """NFS 3: two changes of a folder within one tick of the server's clock look like one."""

    class DenyingDisk(QuickDisk):
        def lstat(self, path):
            if path in denied:
                raise FileNotFoundError(2, "remembered", str(path))
            return super().lstat(path)

        def make_folder(self, path):
            denied.discard(path)
            super().make_folder(path)

    denied = set()
    tier = Tier(tmp_path, "shared", disk=DenyingDisk())
    first = keep(tier, "first")
    denied.add(tier.blob_path(first.output))
    assert not tier.check(first.output)
    assert keep(tier, "second") == first
    assert names_in(tier.layout.quarantine) == []
    path = tier.blob_path(first.output)
    path.unlink()
    assert keep(tier, "second") != first
    assert not path.exists()


def test_stale_handle_is_looked_for_again(tier):
    result = keep(tier)

    class StaleOnceDisk(QuickDisk):
        left = 1

        def open_read(self, path):
            if self.left:
                self.left -= 1
                raise OSError(116, "stale", str(path))
            return super().open_read(path)

    assert Tier(tier.folder, "shared", disk=StaleOnceDisk()).read_action(KEY) == result


# Ordering


def test_blobs_are_on_the_disk_before_their_result_has_its_name(tmp_path):
    disk = RecordingDisk()
    tier = Tier(tmp_path, "local", disk=disk)
    for folder in (tier.layout.blob(digest_bytes(b"rows")).parent, tier.layout.action(KEY).parent):
        folder.mkdir(parents=True)
    result = keep(tier)
    calls = [
        (name, *(argument for argument in arguments if isinstance(argument, Path))) for name, arguments in disk.calls
    ]
    blob, action = tier.blob_path(result.output), tier.layout.action(KEY)
    links = {call[2]: number for number, call in enumerate(calls) if call[0] == "link"}
    # Data, then name, for both; the blob's name is durable before the result's is given; then that one is.
    for path in (blob, action):
        temp = calls[links[path]][1]
        created = calls.index(("open_new", temp))
        steps = [call[0] for call in calls[created : links[path] + 1]]
        steps = [name for name in steps if name in ("write", "chmod_fd", "fsync", "close", "link")]
        assert steps == ["write", "chmod_fd", "fsync", "close", "link"]
        assert ("unlink", temp) in calls[links[path] :]
    assert links[blob] < calls.index(("fsync_folder", blob.parent), links[blob]) < links[action]
    assert ("fsync_folder", action.parent) in calls[links[action] :]


def test_failed_close_means_that_nothing_is_published(tmp_path):
    closes = itertools.count()
    disk = FailingDisk(lambda name, arguments: 28 if name == "close" and next(closes) == 0 else None)
    tier = Tier(tmp_path, "shared", disk=disk)
    with pytest.raises(OSError):
        tier.put_bytes(b"x")
    assert names_in(tier.layout.cas) == []


# Families


def test_members_of_a_family_are_listed_by_their_number(tier):
    for number in (200, 100, 1000):
        tier.record_family(KEY, number, key_of(str(number)))
    tier.record_family(KEY, 100, key_of("later"))
    assert list(tier.family_members(KEY).items()) == [(number, key_of(str(number))) for number in (100, 200, 1000)]


def test_damaged_member_is_left_out_and_recorded_again(tier):
    tier.record_family(KEY, 100, key_of("100"))
    path = tier.layout.family(KEY) / "100"
    overwrite(path, b"0123")
    (path.parent / "junk").write_bytes(b"")
    (path.parent / "0100").write_bytes(b"a" * 32 + b"\n")
    assert tier.family_members(KEY) == {}
    tier.record_family(KEY, 100, key_of("again"))
    assert tier.family_members(KEY) == {100: key_of("again")}


# Sweeping


def test_temps_of_ended_processes_of_this_machine_are_swept(tmp_path):
    from ddbuild.cache.process import name_for_this_process, this_process

    mine = name_for_this_process()
    machine, _, started, _ = mine.split(".")
    gone = f"{machine}.{2**22 + 1}.{started}.{'0' * 16}"
    reused = f"{machine}.{os.getpid()}.{this_process().started + 1}.{'1' * 16}"
    foreign = f"{'0' * 12}.{2**22 + 1}.{started}.{'2' * 16}"
    (tmp_path / "tmp").mkdir()
    for name in (mine, gone, reused, foreign, "something"):
        (tmp_path / "tmp" / name).touch()
    Tier(tmp_path, "local", disk=QuickDisk()).put_bytes(b"x")
    assert names_in(tmp_path / "tmp") == sorted([mine, foreign, "something"])
