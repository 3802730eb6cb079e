import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, open_cache
from ddbuild.cache import clone as clone_module
from ddbuild.cache.clone import clone_file
from ddbuild.cache.disk import Disk
from ddbuild.cache.process import name_for_this_process
from ddbuild.cache.tier import Tier
from ddbuild.cache.work import claim_work

KEY = key_of("conversations")


@pytest.fixture
def tier(tmp_path):
    return Tier(tmp_path / "tier", "local", disk=QuickDisk())


def leave_attempt(tier, files=1, *, dead=True, key=KEY):
    name = name_for_this_process()
    if dead:
        machine, pid, started, tail = name.split(".")
        name = f"{machine}.{pid}.{int(started) + 1}.{tail}"
    attempt = tier.layout.attempts(key) / f"attempt-{name}"
    attempt.mkdir(parents=True)
    for number in range(files):
        (attempt / f"batch_{number}").write_text("rows")
    return attempt


def test_first_claim_gets_an_empty_folder(tier):
    work = claim_work(tier, KEY, alone=True)
    assert not work.resumed
    assert list(work.path.iterdir()) == []
    assert work.path.parent == tier.folder / "v1/work" / KEY


def test_attempt_of_an_ended_process_is_taken_over(tier):
    attempt = leave_attempt(tier)
    work = claim_work(tier, KEY, alone=False)
    assert work.resumed
    assert (work.path / "batch_0").read_text() == "rows"
    assert not attempt.exists()


def test_attempt_of_a_running_process_is_left_to_it_without_the_lease(tier):
    attempt = leave_attempt(tier, dead=False)
    assert not claim_work(tier, KEY, alone=False).resumed
    assert attempt.exists()


def test_hung_former_owner_cannot_mix_its_batches_in(tier):
    hung = leave_attempt(tier, dead=False)
    work = claim_work(tier, KEY, alone=True)
    assert work.resumed
    with pytest.raises(FileNotFoundError):
        (hung / "batch_1").write_text("late")
    assert [path.name for path in work.path.iterdir()] == ["batch_0"]


def test_attempt_with_the_most_files_is_taken(tier):
    for files in (1, 3, 2):
        leave_attempt(tier, files)
    assert len(list(claim_work(tier, KEY, alone=True).path.iterdir())) == 3


def test_attempt_without_files_is_not_resumed(tier):
    leave_attempt(tier, 0)
    assert not claim_work(tier, KEY, alone=True).resumed


def test_attempt_is_only_resumed_for_its_key_and_retry(tier):
    leave_attempt(tier)
    assert not claim_work(tier, key_of("other"), alone=True).resumed
    assert not claim_work(tier, KEY, 1, alone=True).resumed


def test_discarded_work_is_gone(tier):
    leave_attempt(tier)
    claim_work(tier, KEY, alone=True).discard()
    assert not tier.layout.attempts(KEY).exists()
    assert list(tier.layout.trash.iterdir()) == []
    assert not claim_work(tier, KEY, alone=True).resumed


def test_left_work_is_taken_over_while_its_process_runs_on(tier):
    work = claim_work(tier, KEY, alone=False)
    (work.path / "batch_0").write_text("rows")
    assert not claim_work(tier, KEY, alone=False).resumed
    work.leave()
    assert not work.path.exists()
    assert claim_work(tier, KEY, alone=False).resumed


def test_cache_takes_over_work_under_its_lease(tmp_path):
    cache = open_cache(tmp_path)
    leave_attempt(cache.local, dead=False)
    assert not cache.claim_work(KEY).resumed
    with cache.lease(KEY) as lease:
        assert cache.claim_work(KEY, lease=lease).resumed


# Copies


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
@pytest.mark.parametrize("link", [False, True])
def test_clone_has_the_same_bytes(tmp_path, size, link):
    source, copy = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(size))
    source.chmod(0o444)
    method = clone_file(source, copy, link=link)
    assert copy.read_bytes() == source.read_bytes()
    assert method in ("reflink", "link" if link else "copy")
    assert copy.samefile(source) == (method == "link")


def test_copy_can_be_written_to_and_leaves_the_source_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"blob")
    (tmp_path / "a").chmod(0o444)
    clone_file(tmp_path / "a", tmp_path / "b", link=False)
    with (tmp_path / "b").open("r+b") as file:
        file.write(b"BLOB")
    assert (tmp_path / "a").read_bytes() == b"blob"


def test_clone_without_links_and_copies_in_the_kernel_is_a_copy(tmp_path, monkeypatch):
    class PoorDisk(Disk):
        def link(self, source, destination):
            raise PermissionError(1, "another user's file")

    def refuse(*arguments):
        raise OSError(18, "another file system")

    monkeypatch.setattr(clone_module.os, "copy_file_range", refuse)
    (tmp_path / "a").write_bytes(b"x" * 2_500_000)
    assert clone_file(tmp_path / "a", tmp_path / "b", link=True, disk=PoorDisk()) in ("copy", "reflink")
    assert (tmp_path / "b").read_bytes() == b"x" * 2_500_000


@pytest.mark.parametrize("link", [False, True])
def test_clone_never_replaces_what_is_there(tmp_path, link):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        clone_file(tmp_path / "a", tmp_path / "b", link=link)
    assert (tmp_path / "b").read_bytes() == b"b"


def test_failed_copy_leaves_nothing(tmp_path, monkeypatch):
    def fill(*arguments):
        raise OSError(28, "no space left")

    monkeypatch.setattr(clone_module.os, "copy_file_range", fill)
    (tmp_path / "a").write_bytes(b"a")
    try:
        clone_file(tmp_path / "a", tmp_path / "b", link=False)
    except OSError:
        assert not (tmp_path / "b").exists()


def test_symlink_in_the_cache_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"a")
    (tmp_path / "a").symlink_to("secret")
    with pytest.raises(OSError):
        clone_file(tmp_path / "a", tmp_path / "b", link=True)
    assert not (tmp_path / "b").exists()
