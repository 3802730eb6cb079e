import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddbuild.cli.main import run


@dataclass(frozen=True)
class Outcome:
    """What a command came to; seconds are written as `T s`, so that whole outputs can be compared."""

    code: int
    out: str
    err: str


class Workspace:
    """A workspace in a temporary folder, and commands that are typed in it."""

    def __init__(self, folder, monkeypatch, capsys):
        self.root = folder / "ws"
        self.root.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        self.write("ddbuild.toml", "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def run(self, *arguments, folder=None):
        """Run a command in this process."""
        self._monkeypatch.chdir(folder or self.root)
        self._capsys.readouterr()
        code = run([str(each) for each in arguments])
        captured = self._capsys.readouterr()
        return Outcome(code, self._neutral(captured.out), self._neutral(captured.err))

    def start(self, *arguments, **environment):
        """Start a command as a process of its own."""
        command = [sys.executable, "-m", "ddbuild", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.root, env={**os.environ, **environment}, text=True, **pipes)

    def _neutral(self, text):
        text = text.replace(str(self.root), "WS")
        return re.sub(r"\b\d+\.\d s\b", "T s", text)


TABLES = """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from ddbuild import source, transform

    def double(files):
        table = pq.read_table(files["numbers"])
        return table.append_column("double", pa.array([2 * n for n in table["n"].to_pylist()]))

    def name(files):
        table = pq.read_table(files["doubled"])
        return table.append_column("name", pa.array([f"[row] {n}" for n in table["n"].to_pylist()]))

    source("numbers", files="numbers.csv")
    transform("doubled", double, depends_on=[":numbers"])
    transform("named", name, depends_on=[":doubled"])
"""
"""numbers -> doubled -> named, three rows, without Data Designer."""


@pytest.fixture
def workspace(tmp_path, monkeypatch, capsys):
    """A workspace without targets."""
    return Workspace(tmp_path, monkeypatch, capsys)


@pytest.fixture
def tables(workspace):
    """A workspace of one source and two transforms."""
    workspace.write("numbers.csv", "n\n1\n2\n3\n")
    workspace.write("BUILD.py", TABLES)
    return workspace


def text(block):
    """Return an indented block as the lines that a command prints."""
    return textwrap.dedent(block).lstrip("\n")


@pytest.fixture
def lines():
    """The function that takes the indentation out of an expected output."""
    return text


@pytest.fixture
def root(workspace) -> Path:
    """The workspace's folder."""
    return workspace.root
