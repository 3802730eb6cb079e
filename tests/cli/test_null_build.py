"""A build with nothing to do: what it says is what the long way says, to the byte, and it takes next to nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddbuild.cli import build
from ddbuild.cli.targets import complete_labels
from ddbuild.table import digest_rows

HEAVY = (
    "data_designer",
    "pandas",
    "pyarrow",
    "networkx",
    "pydantic",
    "rich",
    "click",
    "yaml",
    "xxhash",
    "typing",
    "re",
)
FILES = 24
"""How many files a null build may open, the modules of ddbuild included: ten of these, and the snapshot."""


class Typed:
    """Runs a command both ways."""

    def __init__(self, workspace, monkeypatch):
        self._workspace = workspace
        self._monkeypatch = monkeypatch

    def run(self, *arguments, folder=None):
        return self._workspace.run(*arguments, folder=folder)

    def run_long(self, *arguments, folder=None):
        self._monkeypatch.setenv("DDBUILD_NO_SNAPSHOT", "1")
        try:
            return self._neutral(self.run(*arguments, folder=folder))
        finally:
            self._monkeypatch.delenv("DDBUILD_NO_SNAPSHOT")

    def run_short(self, *arguments, folder=None):
        """Run a command that has to be answered from a snapshot."""
        self._monkeypatch.setenv("DDBUILD_EXPLAIN_SNAPSHOT", "1")
        try:
            outcome = self.run(*arguments, folder=folder)
        finally:
            self._monkeypatch.delenv("DDBUILD_EXPLAIN_SNAPSHOT")
        assert "snapshot" not in outcome.err
        return self._neutral(outcome)

    def take(self, *targets):
        """Build, once what was written is older than the grain of the file system's clock."""
        time.sleep(0.12)
        self.run(*targets)
        assert self.run(*targets).code == 0

    def _neutral(self, outcome):
        out = re.sub(r'"seconds": [0-9.e-]+', '"seconds": S', outcome.out)
        return outcome.code, out, outcome.err


@pytest.fixture
def typed(tables, monkeypatch):
    """Commands in a workspace whose targets are up to date."""
    tables.write("qa/BUILD.py", "from ddbuild import source\nsource('more', files='../numbers.csv')\n")
    typed = Typed(tables, monkeypatch)
    typed.take("//...")
    return typed


@pytest.mark.parametrize(
    "words",
    [
        "//named",
        "//:named",
        "build //named",
        "//qa:more",
        "//...",
        "...",
        ":all",
        "//:all //qa:more",
        "//named //numbers //doubled",
        "//... -//doubled",
        "-q //...",
        "--quiet //named",
        "--json //...",
        "//named --json -q",
        "-j 3 -k //named",
        "-j4 //named",
        "--jobs=2 --keep-going //named",
        "--shared-mode off //named",
        "path //named",
        "path //named //qa:more //doubled",
        "path //... -q",
        "plan //...",
        "plan //named",
        "plan --json //... -//named",
        "-n //named",
        "build --dry-run --json //named",
    ],
)
def test_both_ways_say_the_same(typed, words):
    if "--shared-mode" in words:
        typed.take(*words.split())
    assert typed.run_short(*words.split()) == typed.run_long(*words.split())


@pytest.mark.parametrize(
    "words", ["//named", ":more", "...", "path :more", "-C .. //named", "-C ../qa :more", "plan :all"]
)
def test_both_ways_say_the_same_from_another_folder(typed, root, words):
    assert typed.run_short(*words.split(), folder=root / "qa") == typed.run_long(*words.split(), folder=root / "qa")


def test_both_ways_say_the_same_from_outside(typed, root, tmp_path):
    words = ["-C", str(root), "//named"]
    assert typed.run_short(*words, folder=tmp_path) == typed.run_long(*words, folder=tmp_path)
    assert "WS/ddbuild-out/named" in typed.run_short(*words, folder=root / "qa")[2]


def test_both_ways_say_the_same_from_an_output_folder(typed, root):
    folder = root / "ddbuild-out" / "named"
    assert typed.run_short("//named", folder=folder) == typed.run_long("//named", folder=folder)


@pytest.mark.parametrize("count", [9, 10, 11, 12, 1000])
def test_both_ways_count_alike(tables, monkeypatch, count):
    tables.write(
        "BUILD.py",
        f"""
        from ddbuild import source
        for number in range({count}):
            source(f"n{{number}}", files="numbers.csv")
        """,
    )
    typed = Typed(tables, monkeypatch)
    typed.take("//...")
    for words in (["//..."], ["plan", "//..."], ["//...", "--json"]):
        assert typed.run_short(*words) == typed.run_long(*words)


@pytest.mark.parametrize("colours", [{"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}])
def test_both_ways_paint_alike(typed, monkeypatch, colours):
    for name, value in colours.items():
        monkeypatch.setenv(name, value)
    for words in (["//named"], ["plan", "//..."]):
        assert typed.run_short(*words) == typed.run_long(*words)


@pytest.mark.parametrize(
    "words",
    [
        "//nam",
        "//qa",
        "//nope/...",
        "-//named",
        "//named -//named",
        "named",
        "//named --override",
        "-j 0 //named",
        "-v //named",
    ],
)
def test_what_is_unusual_is_explained_by_the_long_way(typed, words):
    assert typed._neutral(typed.run(*words.split())) == typed.run_long(*words.split())


def test_a_label_that_could_be_two_targets_is_an_error(typed, tables):
    tables.write("named/BUILD.py", "from ddbuild import source\nsource('named', files='../numbers.csv')\n")
    typed.take("//...")
    typed.run_short("//named:named")
    assert typed.run("//named").code == 2


def test_a_target_that_was_not_asked_for_before_is_answered_from_the_next_time_on(tables, monkeypatch):
    typed = Typed(tables, monkeypatch)
    typed.take("//doubled")
    typed.run_short("//doubled")
    typed.take("//named")
    typed.run_short("//named")
    typed.run_short("//doubled")
    typed.run_short("//doubled", "//named")
    typed.take("//...")
    typed.run_short("//...")


def test_a_parent_that_was_built_anew_spoils_an_earlier_answer(tables, monkeypatch):
    typed = Typed(tables, monkeypatch)
    tables.write(
        "BUILD.py",
        """
        import uuid
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ddbuild import transform

        def draw(files):
            return pa.table({"n": [uuid.uuid4().hex]})

        def copy(files):
            return pq.read_table(files["drawn"])

        transform("drawn", draw)
        transform("copied", copy, depends_on=[":drawn"])
        """,
    )
    typed.take("//copied")
    typed.run_short("//copied")
    assert typed.run("clean", "--cache", "//drawn").code == 0
    assert "built      //drawn" in typed.run("//drawn").err
    # The rows of `copied` were made of other ones than `drawn` has now.
    assert "built      //copied" in typed.run("//copied").err


def test_what_a_build_file_prints_is_said_again(tables, monkeypatch):
    build_file = tables.root / "BUILD.py"
    build_file.write_text("import sys\nprint('loading')\nprint('more', file=sys.stderr)\n" + build_file.read_text())
    typed = Typed(tables, monkeypatch)
    typed.take("//named")
    assert typed.run_short("//named")[2].startswith("loading\nmore\n//named is up to date")
    for words in (["//named"], ["//named", "--json"], ["-q", "//named"], ["path", "//named"], ["plan", "//named"]):
        assert typed.run_short(*words) == typed.run_long(*words)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import subprocess\nsubprocess.run(['true'])\n", "a program was started"),
        ("import os\nos.system('true')\n", "a program was started"),
        ("import socket\nsocket.getaddrinfo('127.0.0.1', 80)\n", "something was asked of the network"),
        ("import sys\nsys.stderr.buffer.write(b'')\n", "bytes were printed"),
        ("open('/proc/uptime').read()\n", "`/proc/uptime` was looked at"),
        ("import os\nopen(os.open('numbers.csv', os.O_RDONLY))\n", "an open file was opened again"),
        ("import sqlite3\nsqlite3.connect(':memory:')\n", "a database was opened"),
        ("import ctypes\nctypes.CDLL(None)\n", "`ctypes.dlopen` was done"),
        ("import datetime\ndatetime.date.today()\n", "`BUILD.py:2` uses `datetime.date.today` while it is loaded"),
        (
            "import pyarrow.parquet as pq\nROWS = pq.read_table\n",
            "`BUILD.py:2` uses `pyarrow.parquet.read_table` while it is loaded",
        ),
    ],
)
def test_a_build_file_that_looks_outside_of_files_is_always_loaded(tables, monkeypatch, code, why):
    build_file = tables.root / "BUILD.py"
    build_file.write_text(code + build_file.read_text())
    typed = Typed(tables, monkeypatch)
    typed.take("//named")
    monkeypatch.setenv("DDBUILD_EXPLAIN_SNAPSHOT", "1")
    assert f"no snapshot was taken: {why}\n" in typed.run("//named").err


def test_a_build_file_that_uses_the_current_folder_is_loaded_in_each_anew(tables, monkeypatch, root):
    build_file = tables.root / "BUILD.py"
    build_file.write_text("from pathlib import Path\nHERE = Path('numbers.csv').exists()\n" + build_file.read_text())
    (root / "qa").mkdir()
    typed = Typed(tables, monkeypatch)
    typed.take("//named")
    typed.run_short("//named")
    monkeypatch.setenv("DDBUILD_EXPLAIN_SNAPSHOT", "1")
    assert "loading depends on the current folder" in typed.run("//named", folder=root / "qa").err


def test_without_snapshots_none_is_written(tables, monkeypatch):
    typed = Typed(tables, monkeypatch)
    typed.run_long("//named")
    typed.run_long("//named")
    assert not (tables.root / ".ddbuild" / "snapshot").exists()


def test_a_null_build_changes_nothing(typed, root):
    def look():
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*")}

    before = look()
    typed.run_short("//...")
    typed.run_short("path", "//...")
    assert look() == before


def test_a_snapshot_holds_no_values_of_variables(tables, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "correct horse battery staple")
    build_file = tables.root / "BUILD.py"
    build_file.write_text("import os\nos.environ['SECRET_OF_MINE']\n" + build_file.read_text())
    Typed(tables, monkeypatch).take("//named")
    files = list((tables.root / ".ddbuild" / "snapshot").iterdir())
    assert files
    for file in files:
        assert b"correct horse" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_old_snapshots_are_removed(typed, root, monkeypatch):
    for number in range(12):
        typed.take("--cache-dir", str(root.parent / f"cache{number}"), "//numbers")
    assert len(list((root / ".ddbuild" / "snapshot").iterdir())) == 8
    typed.run_short("--cache-dir", str(root.parent / "cache11"), "//numbers")


# What it takes, in processes of its own.


@pytest.fixture
def probe(tables, monkeypatch):
    """Run a command in a process and tell what it took."""
    monkeypatch.setenv("DDBUILD_EXPLAIN_SNAPSHOT", "1")
    script = Path(__file__).with_name("null_build_probe") / "run.py"

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, script, *arguments], cwd=tables.root, capture_output=True, text=True, check=True
        )
        return {**json.loads(done.stdout.splitlines()[-1]), "err": done.stderr}

    time.sleep(0.12)
    return run


def test_a_null_build_imports_nothing_heavy_and_opens_few_files(probe):
    probe("//named")
    probe("//named")
    for words in (["//named"], ["//named", "-q"], ["plan", "//named"]):
        taken = probe(*words)
        assert taken["code"] == 0
        assert [name for name in HEAVY if name in taken["modules"]] == []
        assert len(taken["modules"]) <= 20
        assert len(taken["opened"]) <= FILES
        assert taken["memory"] < 60_000


def test_labels_are_completed_from_a_snapshot_while_it_holds(typed, tables, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the workspace was loaded")

    monkeypatch.setattr("ddbuild.building.api.open_session", refuse)
    monkeypatch.chdir(tables.root)
    assert [item.value for item in complete_labels("//n")] == ["//named", "//numbers"]
    assert [item.value for item in complete_labels("-//:d")] == ["-//:doubled"]
    assert [item.value for item in complete_labels("//qa", str(tables.root / "qa"))] == ["//qa:more"]
    tables.write("qa/BUILD.py", "from ddbuild import source\nsource('other', files='../numbers.csv')\n")
    assert complete_labels("//qa") == []


def test_other_starts_import_no_more_than_before(probe):
    assert "click" in probe("--help")["modules"]
    assert [
        name for name in ("pydantic", "networkx", "ddbuild.snapshot.take") if name in probe("--help")["modules"]
    ] == []


def test_a_reader_that_has_seen_enough_is_no_error(tables):
    for _ in range(2):
        tables.start("//...").wait(60)
    time.sleep(0.12)
    tables.start("//...").wait(60)
    process = tables.start("plan", "//...")
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("switch", [{}, {"DDBUILD_NO_SNAPSHOT": "1"}])
def test_an_answer_that_cannot_be_written_is_told(tables, switch):
    time.sleep(0.12)
    for _ in range(2):
        tables.start("//...").wait(60)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ddbuild", "//...", "--json"],
            cwd=tables.root,
            env={**os.environ, **switch},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "error: cannot go on: no space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_peak_memory_stays_small_with_ten_thousand_targets(probe, tables):
    tables.write(
        "BUILD.py",
        """
        from ddbuild import source
        for number in range(10_000):
            source(f"n{number}", files="numbers.csv")
        """,
    )
    time.sleep(0.12)
    probe("//n77")
    taken = probe("//n77")
    assert "snapshot" not in taken["err"]
    assert [name for name in HEAVY if name in taken["modules"]] == []
    assert taken["memory"] < 60_000


def test_what_the_team_publishes_right_after_a_build_is_not_put_beside_what_it_told(tables, monkeypatch, tmp_path):
    tables.write(
        "BUILD.py",
        """
        import uuid
        import pyarrow as pa
        from ddbuild import source, transform

        def token(files):
            return pa.table({"token": [uuid.uuid4().hex]})

        source("numbers", files="numbers.csv")
        transform("token", token, depends_on=[":numbers"])
        """,
    )
    monkeypatch.setenv("DDBUILD_EXPLAIN_SNAPSHOT", "1")
    team, other = tmp_path / "team", tmp_path / "other"
    tables.run("build", "//token", "--shared-cache", other, "--cache-dir", tmp_path / "colleague")
    keep = build.keep_snapshot

    def keep_late(*arguments):
        shutil.rmtree(team)
        other.rename(team)
        keep(*arguments)

    monkeypatch.setattr(build, "keep_snapshot", keep_late)
    done = tables.run("build", "//token", "--json", "--shared-cache", team)
    assert "no snapshot was taken: `//:token` has other rows meanwhile" in done.err
    told = json.loads(done.out)["targets"][-1]["digest"]
    assert told == digest_rows([tables.root / "ddbuild-out" / "token" / "data.parquet"])
