"""A workspace without Data Designer whose build files look at all kinds of things, and commands in processes."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

FILES = {
    "ddbuild.toml": '[build]\nversions = ["fakepkg"]\n',
    "BUILD.py": """
        import os
        import sys
        from pathlib import Path

        import outside
        import pyarrow.parquet as pq
        from ddbuild import source, transform
        from helpers import double

        HERE = Path(__file__).parent
        PROMPT = (HERE / "prompt.txt").read_text()
        CURRENT = (HERE / "current.txt").read_text()
        LINKED = (HERE / "linked" / "note.txt").read_text()
        MODE = os.environ.get("MODE", "none")
        OURS = sorted(name for name in os.environ if name.startswith("OURS_"))
        EXTRA = (HERE / "extra.flag").exists()
        NAMES = sorted(os.listdir(HERE / "listed"))
        WRITABLE = os.access(HERE / "ruled.txt", os.X_OK)

        def doubled(files):
            table = double(pq.read_table(files["numbers"]))
            notes = [PROMPT, CURRENT, LINKED, MODE, EXTRA, NAMES, OURS, WRITABLE, outside.tell()]
            return table.append_column("notes", [[str(notes)] * table.num_rows])

        source("numbers", files="numbers.csv")
        source("parts", files="parts/*.csv")
        transform("doubled", doubled, depends_on=[":numbers"])
        """,
    "helpers.py": """
        import pyarrow as pa
        from deeper import factor

        def double(table):
            return pa.table({"n": [factor() * n for n in table["n"].to_pylist()]})
        """,
    "deeper.py": """
        def factor():
            return 2
        """,
    "local.py": """
        SCALE = 10
        """,
    "qa/BUILD.py": """
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ddbuild import transform

        def scaled(files):
            import local
            table = pq.read_table(files["doubled"])
            return pa.table({"n": [local.SCALE * n for n in table["n"].to_pylist()]})

        transform("scaled", scaled, depends_on=["//:doubled"])
        """,
    "docs/BUILD.yaml": """
        transforms:
          named:
            function: callbacks.py:name
            depends_on: ["//:parts"]
        """,
    "docs/callbacks.py": """
        import pyarrow as pa
        import pyarrow.parquet as pq

        def name(files):
            table = pq.read_table(files["parts"])
            return pa.table({"name": [f"part {n}" for n in table["n"].to_pylist()]})
        """,
    "numbers.csv": "n\n1\n2\n3\n",
    "parts/a.csv": "n\n1\n",
    "parts/b.csv": "n\n2\n",
    "prompt.txt": "Say hello.\n",
    "v1.txt": "version 1\n",
    "v2.txt": "version 2\n",
    "one/note.txt": "note 1\n",
    "two/note.txt": "note 2\n",
    "listed/x.txt": "",
    "ruled.txt": "",
    "unused.txt": "nobody reads this\n",
}
LIBRARY = {
    "outside.py": "import fakepkg\n\ndef tell():\n    return 'outside 1'\n",
    "fakepkg.py": "",
    "fakepkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakepkg\nVersion: 1.0\n",
}


@dataclass(frozen=True)
class Outcome:
    """What a command came to; `is_short` says that it answered from a snapshot."""

    code: int
    out: str
    err: str
    why: str

    @property
    def is_short(self):
        return self.why == ""

    @property
    def document(self):
        """The JSON document without its seconds."""
        document = json.loads(self.out)
        document.pop("seconds", None)
        return document

    @property
    def digests(self):
        return {each["label"]: each["digest"] for each in self.document["targets"]}

    @property
    def statuses(self):
        return {each["label"]: each["status"] for each in self.document["targets"]}


class Server:
    """The one process that forks."""

    def __init__(self, *options):
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py")), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def run(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


class Shell:
    """A workspace below `folder`, and commands that are typed in it."""

    def __init__(self, folder, server, files=None, library=None):
        self.folder = folder
        self.root = folder / "ws"
        self.library = folder / "lib"
        self.home = folder / "home"
        self.cache = folder / "cache"
        self.home.mkdir(parents=True)
        self._server = server
        # The device that is taken for a network file system's.
        self.remote = None
        self.environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.library),
            "DDBUILD_CACHE_DIR": str(self.cache),
            "NEMO_TELEMETRY_ENABLED": "false",
        }
        for place, contents in ((self.root, files or {}), (self.library, library or {})):
            for name, text in contents.items():
                write(place / name, text)

    def run(self, *arguments, slow=False, folder=None, clock=0, **environment):
        """Run a command in a process of its own; `slow` without snapshots."""
        values = {**self.environment, **{name: value for name, value in environment.items() if value is not None}}
        for name in [name for name, value in environment.items() if value is None]:
            values.pop(name, None)
        values["DDBUILD_NO_SNAPSHOT" if slow else "DDBUILD_EXPLAIN_SNAPSHOT"] = "1"
        out, err = self.folder / "out", self.folder / "err"
        code = self._server.run(
            arguments=[str(each) for each in arguments],
            folder=str(folder or self.root),
            environment=values,
            clock=clock,
            remote=self.remote,
            out=str(out),
            err=str(err),
        )
        said = err.read_text()
        why = "\n".join(re.findall(r"^no answer from a snapshot: (.*)$", said, re.MULTILINE))
        said = re.sub(r"^no (?:answer from a snapshot|snapshot was taken): .*\n", "", said, flags=re.MULTILINE)
        return Outcome(code, out.read_text(), said, why)

    def settle(self):
        """Wait until what was written is older than the grain of the file system's clock."""
        time.sleep(0.12)

    def take(self, *arguments):
        """Build until the next build is short."""
        for _ in range(3):
            self.settle()
            done = self.run(*arguments or ("//...",))
            assert done.code == 0, done.err
            again = self.run(*arguments or ("//...",))
            if again.is_short:
                return
        raise AssertionError(f"{again.why}; {(self.folder / 'err').read_text()}")

    @property
    def snapshots(self):
        return sorted((self.root / ".ddbuild" / "snapshot").iterdir())


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"))
    return path


def edit_unseen(path, old, new):
    """Edit a file in place, keep its size, and put its modification time back."""
    before = path.stat()
    text = path.read_bytes()
    assert len(old) == len(new) and text.count(old.encode()) == 1
    with path.open("r+b") as file:
        file.write(text.replace(old.encode(), new.encode()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def replace(path, text):
    """Put another file in the place of `path`, as editors and git do."""
    other = path.with_name(path.name + ".new")
    other.write_text(text)
    other.replace(path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
