"""Real builds of several machines at once on one shared folder, and whether their rows belong together.

Each machine has a checkout of its own and a local tier of its own. Every row of a target carries a token that is drawn
when the row is made, and the tokens of the parents' rows that it was made from: so rows that come from two different
runs of a parent show.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Queue
from textwrap import dedent

import pyarrow.parquet as pq

from ddbuild.cache.inventory import list_actions, list_blobs
from ddbuild.cache.result import ActionResult
from ddbuild.cache.tier import Tier
from ddbuild.cache.verify import verify_tier
from ddbuild.table import digest_rows

PATIENCE = 120

Parents = Mapping[str, tuple[str, ...]]
Rows = list[dict[str, str]]

TOKENS = '''
    import os
    import secrets
    import time

    import data_designer.config as dd
    import pyarrow as pa
    import pyarrow.parquet as pq


    def record(line):
        """Note one call, in one write; the file is no input of anything."""
        file = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, (line + "\\n").encode())
        os.close(file)


    def draw(name):
        return f"{name}-{secrets.token_hex(6)}"


    def token_column(name, parent=None):
        """Return a column whose rows draw a token, and a second one that repeats the parent's."""

        @dd.custom_column_generator(required_columns=["row" if parent is None else parent])
        def column(row):
            time.sleep(float(os.environ.get("PAUSE", "0")))
            record(f"{name} {row['row' if parent is None else parent]}")
            row[name] = draw(name)
            return row

        return dd.CustomColumnConfig(name=name, generator_function=column)


    def make_stage(name, parent=None):
        builder = dd.DataDesignerConfigBuilder(model_configs=[])
        if parent is None:
            builder.with_seed_dataset(dd.LocalFileSeedSource(path="rows.csv"))
        builder.add_column(token_column(name, parent))
        return builder


    def make_join(name, parents):
        """Return a function whose rows draw a token and keep those of all parents."""

        def join(files):
            tables = [pq.read_table(files[parent]) for parent in parents]
            record(f"{name} {tables[0][parents[0]][0]}")
            columns = {}
            for table in tables:
                columns |= {column: table[column] for column in table.column_names}
            columns[name] = [draw(name) for _ in range(tables[0].num_rows)]
            return pa.table(columns)

        return join
    '''


class Builders:
    """The process that forks builds, and what is known of those."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: Queue[dict[str, object]] = Queue()
        self._running: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("build_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DATA_DESIGNER_HOME": str(folder / "designer-home")},
        )
        threading.Thread(target=self._read, daemon=True).start()
        self._ended.get(timeout=PATIENCE)

    def _read(self) -> None:
        for line in self._process.stdout:
            self._ended.put(json.loads(line))

    def start(
        self, name: str, machine: Machine, *arguments: str, leases: bool = True, dies_at: int | None = None
    ) -> None:
        """Start a command; it dies before its cache's call `dies_at` that changes the disk, if it gets so far."""
        self._running.add(name)
        self._ask(
            start=name,
            arguments=["--json", *arguments],
            folder=str(machine.root),
            environment=machine.environment,
            out=str(machine.folder / "out"),
            err=str(machine.folder / "err"),
            leases=leases,
            dies_at=dies_at,
            deaths=str(self._folder / "deaths"),
        )

    @property
    def deaths(self) -> Counter[str]:
        """In which calls processes have died so far, of those that were to."""
        return count_lines(self._folder / "deaths")

    def kill(self, name: str) -> None:
        self._ask(kill=name)

    def wait(self, seconds: float = PATIENCE) -> tuple[str, int] | None:
        """Return the name and exit code of a process that has ended, or None after `seconds`."""
        try:
            ended = self._ended.get(timeout=max(0.0, seconds))
        except Empty:
            return None
        self._running.discard(ended["ended"])
        return ended["ended"], ended["code"]

    def run(self, machine: Machine, *arguments: str) -> dict:
        """Run one command to its end, and return its document."""
        self.start("alone", machine, *arguments)
        assert self.wait() == ("alone", 0), machine.errors
        return machine.document

    def stop_all(self) -> None:
        """Kill what is still running, so that nothing of one test gets into another."""
        for name in list(self._running):
            self.kill(name)
        while self._running:
            self.wait()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, **request: object) -> None:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()


class Machine:
    """A checkout and a local tier below `folder`, beside the team's folder."""

    def __init__(self, folder: Path, files: dict[str, str], *, shared: Path, calls: Path, pause: float = 0.0) -> None:
        self.folder = folder
        self.root = folder / "checkout"
        self.root.mkdir(parents=True)
        for name, text in files.items():
            self.write(name, text)
        self.environment = {
            "DDBUILD_CACHE_DIR": str(folder / "cache"),
            "DDBUILD_SHARED_CACHE": str(shared),
            "CALLS": str(calls),
            "PAUSE": str(pause),
            "DDBUILD_NO_SNAPSHOT": "1",  # each build plans
        }

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(dedent(text))

    @property
    def errors(self) -> str:
        return (self.folder / "err").read_text() + (self.folder / "out").read_text()

    @property
    def document(self) -> dict:
        return json.loads((self.folder / "out").read_text())

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a target that lie in this machine's `ddbuild-out/`."""
        return pq.read_table(self.root / "ddbuild-out" / name / "data.parquet").to_pylist()


def open_tiers(machines: list[Machine], shared: Path) -> list[Tier]:
    locals_ = [Tier(Path(machine.environment["DDBUILD_CACHE_DIR"]), "local") for machine in machines]
    return [Tier(shared, "shared"), *locals_]


def find_damage(tiers: list[Tier]) -> list[str]:
    """Read every byte of all tiers, the shared one first, and return what is wrong."""
    shared = tiers[0]
    found = []
    for tier in tiers:
        report = verify_tier(tier, None if tier is shared else shared)
        found += [f"{tier.folder}: {each.kind} {each.name} {each.what}" for each in report.damage]
        found += [f"{tier.folder}: {report.unreadable} unreadable"] if report.unreadable else []
    return found


def find_mismatches(parents: Parents, tables: dict[str, Rows]) -> list[str]:
    """Return what does not belong together in one set of rows by target."""
    found = []
    for name, above in parents.items():
        for parent in above:
            found += compare(name, tables[name], parent, tables[parent])
    return found


def compare(name: str, rows: Rows, parent: str, parents_rows: Rows) -> list[str]:
    """Each row of a child is made from one row of the parent, and no row is left out."""
    inherited, own = Counter(row[parent] for row in rows), Counter(row[parent] for row in parents_rows)
    return [] if inherited == own else [f"{name} has rows of another {parent}: {sorted(inherited - own)}"]


def check_results(tiers: list[Tier], parents: Parents) -> tuple[int, list[str]]:
    """Compare the rows of each kept result with those that it says to be made from; return how many were compared.

    A machine's own result gives way to the team's, and a child of it may stay: so parents are looked for among all
    blobs, which nothing collects here.
    """
    tables: dict[str, Rows] = {}
    for path in {blob.digest: blob.path for tier in tiers for blob in list_blobs(tier)}.values():
        if path.read_bytes()[:4] == b"PAR1":
            tables[digest_rows([path])] = pq.read_table(path).to_pylist()
    results: dict[str, ActionResult] = {}
    for tier in tiers:
        for file in list_actions(tier):
            if result := tier.read_action(file.name, file.retry):
                results[result.digest] = result
    found, compared = [], 0
    for result in results.values():
        name = _name(result.provenance.label)
        for each in result.inputs:
            if (parent := _name(each.label)) in parents[name]:
                compared += 1
                found += compare(name, tables[result.digest], parent, tables[each.digest])
    return compared, found


def count_lines(file: Path) -> Counter[str]:
    """Return how often each line is in a file that processes append to."""
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def _name(label: str) -> str:
    return label.rpartition(":")[2]
