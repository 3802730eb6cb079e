"""Whatever happens between two builds: the short way says what the long way would say, or is not gone."""

import marshal
import os
import shutil
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scenarios.null_build_shell import FILES, LIBRARY, Server, Shell, edit, edit_unseen, replace, write


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def shell(tmp_path, server):
    """A workspace that is up to date, and whose next build would be short."""
    shell = Shell(tmp_path, server, FILES, LIBRARY)
    (shell.root / "current.txt").symlink_to("v1.txt")
    (shell.root / "linked").symlink_to("one")
    (shell.root / "extra.txt").write_text("")
    shell.take()
    return shell


def relink(path, target):
    path.unlink()
    path.symlink_to(target)


def find_action(shell, label):
    """Return the files of the local tier that keep the result of a target, under any of its keys."""
    document = shell.run("plan", "//...", "--json", slow=True).document
    key = next(each["key"] for each in document["targets"] if each["label"] == label)
    found = [file for file in shell.cache.glob("v1/actions/*/*") if f'"{key}"' in file.read_text()]
    assert found
    return found


def find_blob(shell, label):
    """Return the blob with the rows of a target."""
    package, _, name = label.removeprefix("//").partition(":")
    rows = (shell.root / "ddbuild-out" / package / name / "data.parquet").read_bytes()
    return next(file for file in shell.cache.glob("v1/cas/*/*") if file.read_bytes() == rows)


def unlock(file):
    file.chmod(0o644)
    return file


def remove_results(shell, label):
    for file in find_action(shell, label):
        file.unlink()


def write_rows(shell, label, rows):
    """Put other rows in the place of what was materialized."""
    package, _, name = label.removeprefix("//").partition(":")
    file = shell.root / "ddbuild-out" / package / name / "data.parquet"
    file.unlink()
    pq.write_table(pa.table(rows), file)


def overwrite(file, data):
    """Write into a file in place and put its time back."""
    before = file.stat()
    unlock(file)
    with file.open("r+b") as stream:
        stream.write(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def upgrade(shell):
    old = shell.library / "fakepkg-1.0.dist-info"
    edit(old / "METADATA", "Version: 1.0", "Version: 1.1")
    old.rename(shell.library / "fakepkg-1.1.dist-info")


def touch(file):
    os.utime(file)


def rename_and_back(shell):
    (shell.root / "qa").rename(shell.root / "away")
    (shell.root / "away").rename(shell.root / "qa")


def move_folder_behind_a_link(shell):
    (shell.root / "parts").rename(shell.folder / "parts")
    (shell.root / "parts").symlink_to(shell.folder / "parts")


def edit_sideways(shell, name, new):
    """Edit a file in place with its size, both times of the file and the folder's times put back as far as one can."""
    file, folder = shell.root / name, (shell.root / name).parent
    before = folder.stat()
    data = file.read_bytes()
    overwrite(file, new + data[len(new) :])
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGED = {
    # build files
    "a build file is edited": lambda s: edit(s.root / "BUILD.py", "table.num_rows", "len(table)"),
    "a build file is edited, size and time kept": lambda s: edit_unseen(s.root / "BUILD.py", '"none"', '"some"'),
    "a build file has a target more": lambda s: edit(
        s.root / "BUILD.py", "source(", 'source("more", files="numbers.csv")\nsource('
    ),
    "a build file has a target less": lambda s: edit(s.root / "BUILD.py", 'source("parts"', 'source("pieces"'),
    "a build file is broken": lambda s: edit(s.root / "BUILD.py", "def doubled", "def doubled doubled"),
    "a build file is removed": lambda s: (s.root / "qa" / "BUILD.py").unlink(),
    "a build file is renamed": lambda s: (s.root / "qa" / "BUILD.py").rename(s.root / "qa" / "BUILD.yaml"),
    "a package is added": lambda s: write(s.root / "new" / "BUILD.py", "from ddbuild import source\n"),
    "a package with a target is added": lambda s: write(
        s.root / "new" / "BUILD.py", "from ddbuild import source\nsource('n', files='../numbers.csv')\n"
    ),
    "a folder becomes a package": lambda s: write(s.root / "parts" / "BUILD.py", "from ddbuild import source\n"),
    "a package has a second build file": lambda s: write(s.root / "qa" / "BUILD.yaml", ""),
    "a build file has a name that is not read": lambda s: write(s.root / "parts" / "BUILD.yml", ""),
    "a package becomes a workspace": lambda s: write(s.root / "qa" / "ddbuild.toml", ""),
    "a package becomes a virtual environment": lambda s: write(s.root / "docs" / "pyvenv.cfg", ""),
    "a package is renamed": lambda s: (s.root / "docs").rename(s.root / "manual"),
    "a package is hidden": lambda s: (s.root / "docs").rename(s.root / ".docs"),
    "a package is behind a link": lambda s: (
        (s.root / "docs").rename(s.folder / "docs"),
        (s.root / "docs").symlink_to(s.folder / "docs"),
    ),
    "a YAML build file is edited": lambda s: edit(
        s.root / "docs" / "BUILD.yaml", "    depends_on", "    salt: pepper\n    depends_on"
    ),
    "a YAML build file is edited, size and time kept": lambda s: edit_unseen(
        s.root / "docs" / "BUILD.yaml", "named", "other"
    ),
    "a callback of a YAML build file is edited": lambda s: edit(s.root / "docs" / "callbacks.py", "part {", "piece {"),
    "a callback file of a YAML build file is removed": lambda s: (s.root / "docs" / "callbacks.py").unlink(),
    # helpers
    "a helper is edited": lambda s: edit(s.root / "helpers.py", "factor() * n", "n * factor()"),
    "a helper is edited, size and time kept": lambda s: edit_unseen(s.root / "helpers.py", "() * n", "() + n"),
    "a helper of a helper is edited": lambda s: edit(s.root / "deeper.py", "2", "3"),
    "a helper of a helper is edited, all times kept": lambda s: edit_sideways(
        s, "deeper.py", b"def factor():\n    return 5"
    ),
    "a helper is removed": lambda s: (s.root / "deeper.py").unlink(),
    "a helper is hidden by a nearer one": lambda s: write(s.root / "qa" / "local.py", "SCALE = 11\n"),
    "a helper is hidden by a nearer package": lambda s: write(s.root / "qa" / "local" / "__init__.py", "SCALE = 12\n"),
    "a helper is hidden by a package of its name": lambda s: write(
        s.root / "deeper" / "__init__.py", "def factor():\n    return 7\n"
    ),
    "a library is hidden by a helper": lambda s: write(s.root / "outside.py", "def tell():\n    return 'inside'\n"),
    "a helper is replaced": lambda s: replace(s.root / "local.py", "SCALE = 20\n"),
    "a helper is replaced by a link": lambda s: (
        write(s.folder / "local.py", "SCALE = 30\n"),
        relink(s.root / "local.py", s.folder / "local.py"),
    ),
    # what a build file reads
    "a file that a build file reads is edited": lambda s: edit(s.root / "prompt.txt", "hello", "goodbye"),
    "a file that a build file reads is edited, size and time kept": lambda s: edit_unseen(
        s.root / "prompt.txt", "hello", "howdy"
    ),
    "a file that a build file reads is replaced": lambda s: replace(s.root / "prompt.txt", "Say howdy.\n"),
    "a file that a build file reads is removed": lambda s: (s.root / "prompt.txt").unlink(),
    "a file that a build file reads is a folder": lambda s: (
        (s.root / "prompt.txt").unlink(),
        (s.root / "prompt.txt").mkdir(),
    ),
    "a link is moved": lambda s: relink(s.root / "current.txt", "v2.txt"),
    "a link's file is edited": lambda s: edit(s.root / "v1.txt", "1", "3"),
    "a link is replaced by a file": lambda s: (
        (s.root / "current.txt").unlink(),
        write(s.root / "current.txt", "version 4\n"),
    ),
    "a link leads nowhere": lambda s: relink(s.root / "current.txt", "v9.txt"),
    "a link to a folder is moved": lambda s: relink(s.root / "linked", "two"),
    "a file behind a link to a folder is edited": lambda s: edit(s.root / "one" / "note.txt", "note 1", "note 3"),
    "a file that was looked for in vain is there": lambda s: write(s.root / "extra.flag", ""),
    "a folder that was looked for in vain is there": lambda s: (s.root / "extra.flag").mkdir(),
    "a listed folder has a file more": lambda s: write(s.root / "listed" / "y.txt", ""),
    "a listed folder has a hidden file more": lambda s: write(s.root / "listed" / ".y", ""),
    "a listed folder has a file less": lambda s: (s.root / "listed" / "x.txt").unlink(),
    "a listed file is renamed": lambda s: (s.root / "listed" / "x.txt").rename(s.root / "listed" / "z.txt"),
    "a permission is given": lambda s: (s.root / "ruled.txt").chmod(0o755),
    # sources
    "a source is edited": lambda s: edit(s.root / "numbers.csv", "3", "4"),
    "a source is edited, size and time kept": lambda s: edit_unseen(s.root / "numbers.csv", "3", "4"),
    "a source is edited, all times kept": lambda s: edit_sideways(s, "numbers.csv", b"n\n7\n"),
    "a source is replaced by a file of the same size": lambda s: replace(s.root / "numbers.csv", "n\n1\n2\n9\n"),
    "a source has a row more": lambda s: (s.root / "numbers.csv").open("a").write("4\n"),
    "a source is cut off": lambda s: os.truncate(s.root / "numbers.csv", 4),
    "a source is removed": lambda s: (s.root / "numbers.csv").unlink(),
    "a source is a folder": lambda s: ((s.root / "numbers.csv").unlink(), (s.root / "numbers.csv").mkdir()),
    "a pattern finds a new file": lambda s: write(s.root / "parts" / "c.csv", "n\n3\n"),
    "a pattern finds a file less": lambda s: (s.root / "parts" / "a.csv").unlink(),
    "a pattern finds a renamed file": lambda s: (s.root / "parts" / "a.csv").rename(s.root / "parts" / "z.csv"),
    "a pattern finds another file under a name": lambda s: replace(s.root / "parts" / "a.csv", "n\n5\n"),
    "a pattern's file is edited, size and time kept": lambda s: edit_unseen(s.root / "parts" / "a.csv", "1", "8"),
    "two files of a pattern change places": lambda s: (
        (s.root / "parts" / "a.csv").rename(s.root / "parts" / "x"),
        (s.root / "parts" / "b.csv").rename(s.root / "parts" / "a.csv"),
        (s.root / "parts" / "x").rename(s.root / "parts" / "b.csv"),
    ),
    "a pattern's folder is removed": lambda s: shutil.rmtree(s.root / "parts"),
    "a pattern's folder is another one": lambda s: (
        (s.root / "parts").rename(s.root / "old"),
        write(s.root / "parts" / "a.csv", "n\n6\n"),
    ),
    # settings
    "a salt is set": lambda s: edit(s.root / "ddbuild.toml", "[build]", '[build]\nsalt = "1"'),
    "a version more is named": lambda s: edit(s.root / "ddbuild.toml", '"fakepkg"', '"fakepkg", "click"'),
    "another cache is set": lambda s: (
        s.environment.pop("DDBUILD_CACHE_DIR"),
        write(s.root / "ddbuild.toml", '[cache]\ndir = "elsewhere"\n[build]\nversions = ["fakepkg"]\n'),
    ),
    "the settings are broken": lambda s: write(s.root / "ddbuild.toml", "[build\n"),
    "the settings are removed": lambda s: (s.root / "ddbuild.toml").unlink(),
    "a setting that changes nothing is set": lambda s: edit(s.root / "ddbuild.toml", "[build]", "[build]\njobs = 3"),
    # the environment
    "a variable that a build file reads is set": lambda s: s.environment.update(MODE="fast"),
    "a variable that a build file looks for is set": lambda s: s.environment.update(OURS_ONE="1"),
    "another cache folder": lambda s: s.environment.update(DDBUILD_CACHE_DIR=str(s.folder / "cache2")),
    "the default cache folder": lambda s: s.environment.pop("DDBUILD_CACHE_DIR"),
    "a cache folder that depends on the current one": lambda s: s.environment.update(DDBUILD_CACHE_DIR="cache3"),
    "another home": lambda s: s.environment.update(HOME=str(s.folder)),
    "a shared cache": lambda s: (
        (s.folder / "team").mkdir(),
        s.environment.update(DDBUILD_SHARED_CACHE=str(s.folder / "team")),
    ),
    "a shared cache that is not there yet": lambda s: s.environment.update(DDBUILD_SHARED_CACHE=str(s.folder / "team")),
    "another number of jobs": lambda s: s.environment.update(DDBUILD_JOBS="2"),
    "a wrong number of jobs": lambda s: s.environment.update(DDBUILD_JOBS="none"),
    "another language": lambda s: s.environment.update(LANG="de_DE.UTF-8"),
    "a variable of Python": lambda s: s.environment.update(PYTHONHASHSEED="7"),
    "a place more to import from": lambda s: s.environment.update(
        PYTHONPATH=f"{s.folder / 'more'}{os.pathsep}{s.library}"
    ),
    # libraries
    "a library of the user's is edited": lambda s: edit(s.library / "outside.py", "outside 1", "outside 2"),
    "a library of the user's is edited, size and time kept": lambda s: edit_unseen(
        s.library / "outside.py", "outside 1", "outside 3"
    ),
    "a library of the user's is replaced": lambda s: replace(s.library / "outside.py", "def tell():\n    return 4\n"),
    "a library of the user's is removed": lambda s: (s.library / "outside.py").unlink(),
    "a library that only another one imports is edited": lambda s: edit(s.library / "fakepkg.py", "", "X = 1\n"),
    "a library is hidden by a package of its name": lambda s: write(
        s.library / "outside" / "__init__.py", "def tell():\n    return 5\n"
    ),
    "a named package is upgraded": upgrade,
    "a named package is upgraded in place": lambda s: edit_unseen(
        s.library / "fakepkg-1.0.dist-info" / "METADATA", "Version: 1.0", "Version: 1.2"
    ),
    "a named package is installed twice": lambda s: write(
        s.library / "fakepkg-0.9.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: fakepkg\nVersion: 0.9\n"
    ),
    "a named package is removed": lambda s: shutil.rmtree(s.library / "fakepkg-1.0.dist-info"),
    # the cache
    "a result is gone": lambda s: remove_results(s, "//qa:scaled"),
    "a parent's result is gone": lambda s: remove_results(s, "//:doubled"),
    "a source's result is gone": lambda s: remove_results(s, "//:numbers"),
    "all results are gone": lambda s: shutil.rmtree(s.cache / "v1" / "actions"),
    "the cache is gone": lambda s: shutil.rmtree(s.cache),
    "the cache is moved": lambda s: s.cache.rename(s.folder / "cache9"),
    "a result is torn": lambda s: [os.truncate(unlock(file), 100) for file in find_action(s, "//qa:scaled")],
    "a result is changed, size and time kept": lambda s: [
        overwrite(file, b'{"schema":1,"checksum":"xxh3_129') for file in find_action(s, "//qa:scaled")
    ],
    "a result is of a newer schema": lambda s: [
        overwrite(file, b'{"schema":9,') for file in find_action(s, "//qa:scaled")
    ],
    "a blob is gone": lambda s: find_blob(s, "//qa:scaled").unlink(),
    "a blob is cut off": lambda s: os.truncate(unlock(find_blob(s, "//qa:scaled")), 10),
    "a blob is longer": lambda s: unlock(find_blob(s, "//qa:scaled")).open("a").write("x"),
    "a blob is a folder": lambda s: (blob := find_blob(s, "//qa:scaled"), blob.unlink(), blob.mkdir()),
    "all blobs are gone": lambda s: shutil.rmtree(s.cache / "v1" / "cas"),
    # the output
    "an output is gone": lambda s: (s.root / "ddbuild-out" / "qa" / "scaled" / "data.parquet").unlink(),
    "an output has other rows": lambda s: write_rows(s, "//qa:scaled", {"n": [0]}),
    "an output was written to": lambda s: (
        unlock(s.root / "ddbuild-out" / "doubled" / "data.parquet").open("a").write("x")
    ),
    "an output is a link": lambda s: relink(
        s.root / "ddbuild-out" / "doubled" / "data.parquet", s.root / "ddbuild-out" / "numbers" / "data.parquet"
    ),
    "all outputs are gone": lambda s: shutil.rmtree(s.root / "ddbuild-out"),
    "outputs and state are gone": lambda s: (
        shutil.rmtree(s.root / "ddbuild-out"),
        shutil.rmtree(s.root / ".ddbuild" / "materialized"),
    ),
    # the workspace
    "the workspace is moved": lambda s: (s.root.rename(s.folder / "moved"), setattr(s, "root", s.folder / "moved")),
    "the workspace is copied": lambda s: (
        shutil.copytree(s.root, s.folder / "copy", symlinks=True),
        setattr(s, "root", s.folder / "copy"),
    ),
    "a copy is in the workspace's place": lambda s: (
        shutil.copytree(s.root, s.folder / "copy", symlinks=True),
        shutil.rmtree(s.root),
        (s.folder / "copy").rename(s.root),
    ),
    "all of `.ddbuild` is gone": lambda s: shutil.rmtree(s.root / ".ddbuild"),
    "new rows were asked for": lambda s: write(
        s.root / ".ddbuild" / "renewals.json", '{"schema": 1, "salts": {"x": "y"}}'
    ),
}
"""What the short way may not overlook."""

HARMLESS = {
    "nothing": lambda s: None,
    "a file that nobody reads is edited": lambda s: edit(s.root / "unused.txt", "nobody", "no one"),
    "a file that nobody reads is added": lambda s: write(s.root / "another.txt", ""),
    "a hidden folder is added": lambda s: write(s.root / ".git" / "HEAD", ""),
    "a variable that nobody reads has another value": lambda s: s.environment.update(PATH="/usr/bin"),
    "a file lies beside the outputs": lambda s: write(s.root / "ddbuild-out" / "numbers" / "notes.txt", ""),
    "a data file that nobody reads is added": lambda s: write(s.root / "unused.csv", "n\n"),
    "a log is written": lambda s: write(s.root / ".ddbuild" / "logs" / "x.log", ""),
    "the history is gone": lambda s: shutil.rmtree(s.root / ".ddbuild" / "history"),
    "a result that nobody asked for is added": lambda s: write(s.cache / "v1" / "actions" / "00" / "0.json", ""),
}
"""What the short way may overlook, and does."""

EITHER = {
    "a build file is touched": lambda s: touch(s.root / "BUILD.py"),
    "a source is touched": lambda s: touch(s.root / "numbers.csv"),
    "a source is replaced by an equal one": lambda s: replace(s.root / "numbers.csv", "n\n1\n2\n3\n"),
    "a package was away for a moment": rename_and_back,
    "a pattern's folder is behind a link": move_folder_behind_a_link,
    "an empty folder is added": lambda s: (s.root / "empty").mkdir(),
    "a parent's blob is gone": lambda s: find_blob(s, "//:numbers").unlink(),
    "a helper has a comment more": lambda s: (s.root / "deeper.py").open("a").write("# note\n"),
}
"""Where both ways are right."""


EVERY_TIME = (
    "a build file is edited, size and time kept",
    "a helper is hidden by a nearer one",
    "a file that was looked for in vain is there",
    "a source is edited, all times kept",
    "a variable that a build file looks for is set",
    "a named package is upgraded in place",
    "nothing",
)
"""The part of the campaign that is no soak: one of each sort."""

ALWAYS_LONG = ("a cache folder that depends on the current one", "a shared cache that is not there yet")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=() if what in EVERY_TIME else pytest.mark.soak)
        for what in (*CHANGED, *HARMLESS, *EITHER)
    ],
)
def test_no_change_leads_to_a_stale_answer(shell, what):
    (CHANGED | HARMLESS | EITHER)[what](shell)
    expected = shell.run("plan", "//...", "--json", slow=True)
    planned = shell.run("plan", "//...", "--json")
    assert (planned.code, planned.err) == (expected.code, expected.err)
    if expected.code:
        assert planned.out == expected.out
    else:
        assert planned.document == expected.document
    built = shell.run("//...", "--json")
    if what in CHANGED:
        assert not built.is_short
    if what in HARMLESS:
        assert built.is_short and planned.is_short
    if expected.code:
        assert (built.code, built.err, built.out) == (expected.code, expected.err, expected.out)
        return
    checked = shell.run("//...", "--json", slow=True)
    assert built.digests == checked.digests
    assert set(checked.statuses.values()) == {"hit"}
    for target in checked.document["targets"]:
        rows = shell.root / target["path"] / "data.parquet"
        assert rows.stat().st_mode & stat.S_IFMT(rows.stat().st_mode) == stat.S_IFREG
        assert pq.read_table(rows).num_rows == target["rows"]
        assert rows.read_bytes() in {blob.read_bytes() for blob in shell.cache.glob("v1/cas/*/*")} or (
            shell.environment.get("DDBUILD_CACHE_DIR") != str(shell.cache) or "cache" in what
        )
    if what not in ALWAYS_LONG:
        shell.take()


# The snapshot itself.


def cut_off(file):
    os.truncate(file, file.stat().st_size // 2)


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


def move_time(file):
    """Make a snapshot one of tomorrow, with a right digest."""
    from ddbuild.file_state import blake2b

    data = file.read_bytes()
    front = len(b"ddbuild snapshot 1\n")
    size = int.from_bytes(data[front : front + 8], "little")
    head = list(marshal.loads(data[front + 24 : front + 24 + size]))
    head[2] += 86_400_000_000_000
    packed = marshal.dumps(tuple(head))
    digest = blake2b(packed, digest_size=16).digest()
    file.write_bytes(data[:front] + len(packed).to_bytes(8, "little") + digest + packed + data[front + 24 + size :])


SPOILED = {
    "is gone": lambda file: file.unlink(),
    "is empty": lambda file: file.write_bytes(b""),
    "is torn": cut_off,
    "has lost its last byte": lambda file: os.truncate(file, file.stat().st_size - 1),
    "is garbage": lambda file: file.write_bytes(os.urandom(10_000)),
    "is all zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "is of another schema": lambda file: flip(file, len(b"ddbuild snapshot ")),
    "has another bit in its length": lambda file: flip(file, len(b"ddbuild snapshot 1\n") + 1),
    "has another bit in its head": lambda file: flip(file, 500),
    "has another bit in its last record": lambda file: flip(file, file.stat().st_size - 5),
    "is of a time to come": move_time,
    "is a folder": lambda file: (file.unlink(), file.mkdir()),
    "is a link to nowhere": lambda file: relink(file, "nowhere"),
}


@pytest.mark.soak
@pytest.mark.parametrize("what", SPOILED)
def test_a_snapshot_that_is_not_as_it_was_written_is_none(shell, what):
    for file in shell.snapshots:
        SPOILED[what](file)
    expected = shell.run("//qa:scaled", slow=True)
    again = shell.run("//qa:scaled")
    assert not again.is_short
    assert (again.code, again.err) == (0, expected.err)


@pytest.mark.soak
def test_a_snapshot_of_another_workspace_is_none(shell, tmp_path, server):
    other = Shell(tmp_path / "other", server, FILES, LIBRARY)
    other.environment = shell.environment
    shutil.copytree(shell.root, other.root, symlinks=True, dirs_exist_ok=True)
    edit(other.root / "deeper.py", "2", "4")
    assert not other.run("//...").is_short
    assert other.run("//qa:scaled", slow=True).err.startswith("//qa:scaled is up to date")


@pytest.mark.soak
def test_a_clock_that_was_set_back_is_noticed(shell):
    assert shell.run("//...").is_short
    assert not shell.run("//...", clock=-3_600_000_000_000).is_short


@pytest.mark.soak
def test_a_snapshot_is_used_again_once_the_clock_is_right(shell):
    shell.run("plan", "//...", clock=-3_600_000_000_000)
    assert shell.run("//...").is_short


@pytest.mark.soak
def test_what_was_built_under_a_wrong_clock_is_compared_by_content(shell):
    edit(shell.root / "deeper.py", "2", "6")
    assert shell.run("//...", clock=-3_600_000_000_000).code == 0
    again = shell.run("//...", clock=-3_600_000_000_000)
    edit_unseen(shell.root / "deeper.py", "6", "8")
    changed = shell.run("//...", "--json", clock=-3_600_000_000_000)
    assert again.code == 0
    assert changed.digests != again and set(changed.statuses.values()) != {"hit"}
