"""A file server that stops answering in the middle of a build."""

import subprocess

import pytest

from cache_support import key_of, publish, read_text
from ddbuild.cache.cache import Cache
from scenarios.project import Project, statuses

pytestmark = pytest.mark.nfs

STOP, START = ["rpc.nfsd", "0"], ["rpc.nfsd", "8"]

FILES = {
    "ddbuild.toml": "",
    "BUILD.py": """
        import subprocess
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ddbuild import transform

        def first(files):
            return pa.table({"n": [1]})

        def second(files):
            subprocess.run(["rpc.nfsd", "0"], check=True)
            return pq.read_table(files["first"])

        def third(files):
            return pq.read_table(files["second"])

        transform("first", first)
        transform("second", second, depends_on=[":first"])
        transform("third", third, depends_on=[":second"])
        """,
}


@pytest.fixture(autouse=True)
def server():
    yield
    subprocess.run(START, check=True)


def start_server(folders):
    """Start the server and wait until it is through its time of grace, in which it makes clients wait."""
    subprocess.run(START, check=True)
    for folder in folders:
        (folder / "is back").write_text("yes")


def test_build_goes_on_with_the_local_tier_and_says_so_once(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(Cache.__init__.__kwdefaults__, "ask_seconds", 2.0)
    a, b = (Project(tmp_path / name, FILES) for name in "ab")
    team = {name: {"cache__shared": str(folder / "team")} for name, folder in zip("ab", folders, strict=True)}
    result = a.build(jobs=1, **team["a"])
    assert statuses(result) == dict.fromkeys(["first", "second", "third"], "built")
    assert len(a.warnings) == 1
    assert "does not answer" in a.warnings[0]
    again = a.build(jobs=1, **team["a"])
    assert set(statuses(again).values()) == {"hit"}
    start_server(folders)
    # What was published before is the team's; what was not, another machine builds.
    b.edit("BUILD.py", 'subprocess.run(["rpc.nfsd", "0"], check=True)', "pass")
    assert statuses(b.build(jobs=1, **team["b"]))["first"] == "hit"
    assert b.warnings == []


def test_cache_asks_a_stopped_server_once(machine):
    a = machine("a", ask_seconds=1.0)
    kept = publish(a, key_of("one"), "one")
    with a.lease(key_of("two")):
        subprocess.run(STOP, check=True)
        result = publish(a, key_of("two"), "two")
    assert a.lookup(key_of("two")) == (result, "local")
    assert a.lookup(key_of("one")) == (kept, "local")
    with a.lease(key_of("three")) as lease:
        assert lease.is_held
    assert len(machine.warnings) == 1
    assert "does not answer" in machine.warnings[0]
    subprocess.run(START, check=True)
    b = machine("b")
    assert read_text(b, b.lookup(key_of("one"))[0]) == "one"
