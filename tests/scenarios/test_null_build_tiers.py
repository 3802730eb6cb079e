"""Null builds on one and two tiers: what a team has counts, what is used stays, and a file server is asked."""

import json
import os
import shutil

import pytest

from scenarios.null_build_shell import Server, Shell, edit_unseen, write

FILES = {
    "ddbuild.toml": "",
    "BUILD.py": """
        import uuid
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ddbuild import source, transform

        def draw(files):
            return pa.table({"n": [uuid.uuid4().hex]})

        def copy(files):
            return pq.read_table(files["drawn"])

        source("numbers", files="numbers.csv")
        transform("drawn", draw)
        transform("copied", copy, depends_on=[":drawn"])
        """,
    "numbers.csv": "n\n1\n",
}


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def shell(tmp_path, server):
    return Shell(tmp_path, server, FILES)


@pytest.fixture
def team(tmp_path, server):
    """Two workspaces that are equal, on two machines with a shared tier."""
    shared = tmp_path / "team"
    shared.mkdir()
    ours, theirs = Shell(tmp_path / "ours", server, FILES), Shell(tmp_path / "theirs", server, FILES)
    for each in (ours, theirs):
        each.environment["DDBUILD_SHARED_CACHE"] = str(shared)
    return ours, theirs, shared


def list_notes(tier):
    return sorted((tier / "v1" / "uses").iterdir())


def grow_old(files):
    for file in files:
        os.utime(file, (1_000_000_000, 1_000_000_000))


@pytest.mark.soak
def test_a_team_has_its_null_builds_too(team):
    ours, theirs, _ = team
    ours.take("//...")
    theirs.take("//...")
    assert ours.run("//...", "--json").digests == theirs.run("//...", "--json").digests
    assert ours.run("//copied").is_short and theirs.run("//copied").is_short


def test_what_a_team_publishes_counts_from_the_next_build_on(team):
    ours, theirs, shared = team
    # Both build by themselves; then the others' rows come into the shared folder first.
    for each in (ours, theirs):
        each.environment["DDBUILD_SHARED_MODE"] = "off"
        each.take("//...")
        del each.environment["DDBUILD_SHARED_MODE"]
    ours.take("//...")
    before = ours.run("//copied", "--json")
    assert before.is_short
    shutil.copytree(theirs.cache / "v1", shared / "v1", dirs_exist_ok=True)
    after = ours.run("//copied", "--json")
    assert not after.is_short
    assert after.digests == theirs.run("//copied", "--json", slow=True).digests != before.digests
    ours.take("//...")


@pytest.mark.soak
def test_a_result_that_the_team_has_lost_is_no_short_answer(team):
    ours, _, shared = team
    ours.take("//...")
    shutil.rmtree(shared / "v1" / "actions")
    assert not ours.run("//copied").is_short


@pytest.mark.soak
def test_a_shared_folder_that_is_gone_is_told(team):
    ours, _, shared = team
    ours.take("//...")
    shared.rename(shared.with_name("away"))
    shared.with_name("away").rename(shared)
    assert ours.run("//copied").is_short
    shutil.rmtree(shared)
    shared.write_text("no folder")
    gone = ours.run("//copied")
    assert not gone.is_short
    assert "warning: the shared cache" in gone.err


@pytest.mark.soak
def test_a_link_to_the_shared_folder_may_be_moved(team, tmp_path):
    ours, theirs, shared = team
    link = tmp_path / "link"
    link.symlink_to(shared)
    ours.environment["DDBUILD_SHARED_CACHE"] = str(link)
    ours.take("//...")
    other = tmp_path / "other"
    other.mkdir()
    theirs.environment["DDBUILD_SHARED_CACHE"] = str(other)
    theirs.take("//...")
    link.unlink()
    link.symlink_to(other)
    moved = ours.run("//copied", "--json")
    assert not moved.is_short
    assert moved.digests == theirs.run("//copied", "--json").digests


@pytest.mark.soak
def test_a_null_build_notes_that_its_results_are_used(team):
    ours, _, shared = team
    ours.take("//copied")
    for tier in (ours.cache, shared):
        grow_old(list_notes(tier))
    assert ours.run("//copied").is_short
    for tier in (ours.cache, shared):
        (note,) = list_notes(tier)
        assert note.stat().st_mtime > 1_500_000_000


def test_a_null_build_of_some_targets_notes_the_build_that_they_were_part_of(shell):
    shell.take("//numbers")
    shell.take("//...")
    grow_old(list_notes(shell.cache))
    assert shell.run("//copied").is_short
    assert sorted(note.stat().st_mtime > 1_500_000_000 for note in list_notes(shell.cache)) == [False, True]
    assert shell.run("path", "//numbers").is_short
    assert sorted(note.stat().st_mtime > 1_500_000_000 for note in list_notes(shell.cache)) == [False, True]
    assert shell.run("//numbers").is_short
    assert sorted(note.stat().st_mtime > 1_500_000_000 for note in list_notes(shell.cache)) == [True, True]


@pytest.mark.soak
def test_a_note_that_is_gone_hinders_nobody(shell):
    shell.take("//...")
    shutil.rmtree(shell.cache / "v1" / "uses")
    assert shell.run("//...").is_short


@pytest.mark.soak
def test_a_parent_that_was_collected_does_not_stand_in_the_way(shell):
    shell.take("//copied")
    document = shell.run("plan", "//drawn", "--json", slow=True).document
    key = document["targets"][0]["key"]
    for file in shell.cache.glob("v1/actions/*/*"):
        if json.loads(file.read_text())["result"]["key"] == key:
            file.unlink()
    first = shell.run("//copied", "--json")
    assert not first.is_short and set(first.statuses.values()) == {"hit"}
    again = shell.run("//copied", "--json")
    assert again.is_short and again.document == shell.run("//copied", "--json", slow=True).document
    # Asked for together with another one, the same record could stand for something else.
    assert not shell.run("//copied", "//numbers").is_short
    # The parent is built anew, and what was made of it is not of it any more.
    assert shell.run("//drawn", "--json").statuses == {"//:drawn": "built"}
    assert shell.run("//copied", "--json").statuses["//:copied"] == "built"


@pytest.mark.soak
def test_a_network_file_system_is_asked_and_not_remembered(shell):
    shell.remote = shell.folder.stat().st_dev
    write(shell.root / "BUILD.py", "from pathlib import Path\n" + (shell.root / "BUILD.py").read_text())
    (shell.root / "BUILD.py").open("a").write("EXTRA = (Path(__file__).parent / 'extra').exists()\n")
    shell.take("//...")
    edit_unseen(shell.root / "numbers.csv", "1", "2")
    assert not shell.run("//...").is_short
    shell.take("//...")
    write(shell.root / "extra", "")
    assert not shell.run("//...").is_short
    shell.take("//...")
    write(shell.root / "new" / "BUILD.py", "")
    assert not shell.run("//...").is_short
    shell.take("//...")
