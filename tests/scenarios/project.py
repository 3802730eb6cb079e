"""A small workspace in a temporary folder, built in this process, whose functions record each call that they get."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ddbuild.building.api import open_session

RECORDER = '''
import os

def record(name):
    """Note one call; the file is no input, so nothing of this is in a key but this line."""
    with open(os.environ["CALLS"], "a") as file:
        file.write(name + "\\n")
'''

QUICKSTART = {
    "ddbuild.toml": "[designer]\nbuffer_size = 5\n",
    "recorder.py": RECORDER,
    "helpers.py": """
        SUFFIX = "!"

        def decorate(text):
            return text + SUFFIX

        def is_good(number):
            return number >= 0
        """,
    "columns.py": """
        import data_designer.config as dd
        from helpers import decorate
        from recorder import record

        PREFIX = "Dear"

        def make_greeting(polite):
            @dd.custom_column_generator(required_columns=["name"])
            def greeting(row):
                record("greeting")
                row["greeting"] = decorate((PREFIX if polite else "Hey") + " " + row["name"])
                return row

            return greeting

        @dd.custom_column_generator(required_columns=["greeting"])
        def score(row):
            record("score")
            row["score"] = len(row["greeting"])
            return row
        """,
    "callbacks.py": """
        import os
        import pyarrow.parquet as pq
        from helpers import is_good
        from recorder import record

        # As text and with the folder in it: a key must not depend on that.
        HERE = os.path.dirname(os.path.abspath(__file__))

        def keep_good(stage_path):
            record("keep_good")
            assert os.path.isdir(HERE)
            table = pq.read_table(stage_path / "parquet-files")
            keep = [is_good(number) for number in table["number"].to_pylist()]
            pq.write_table(table.filter(keep), stage_path / "kept.parquet")
            return stage_path / "kept.parquet"
        """,
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import stage
        from callbacks import keep_good
        from columns import make_greeting, score

        people = dd.DataDesignerConfigBuilder(model_configs=[])
        people.add_column(name="name", column_type="sampler", sampler_type="category",
                          params={"values": ["Ada", "Grace", "Alan"]})
        people.add_column(name="number", column_type="sampler", sampler_type="uniform",
                          params={"low": 0, "high": 1})
        people.add_column(dd.CustomColumnConfig(name="greeting", generator_function=make_greeting(True)))

        judged = dd.DataDesignerConfigBuilder(model_configs=[])
        judged.add_column(dd.CustomColumnConfig(name="score", generator_function=score))

        stage("people", config=people, num_records=10, on_success=keep_good)
        stage("judged", config=judged, depends_on=[":people"])
        """,
}


class Project:
    """A workspace below `folder` with a cache of its own."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None, *, cache: Path | None = None) -> None:
        self.root = folder / "workspace"
        self.cache = cache or folder / "cache"
        self.calls_file = folder / "calls"
        self.events: list[object] = []
        self.warnings: list[str] = []
        for name, text in (files or {}).items():
            self.write(name, text)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dedent(text))
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert text.count(old) >= 1, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def write_rows(self, name: str, rows: list[dict[str, object]], **options: object) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path, **options)
        return path

    def session(self, **overrides: object):
        settings = {"cache.dir": str(self.cache)} | {k.replace("__", "."): v for k, v in overrides.items()}
        return open_session(self.root, overrides=settings, on_warning=self.warnings.append).session

    def build(self, *targets: str, jobs: int = 4, keep_going: bool = False, ok: bool = True, **overrides: object):
        """Build and return the result; `calls` counts the calls that this build made."""
        from ddbuild.building.api import find_labels

        os.environ["CALLS"] = str(self.calls_file)
        self.calls_file.unlink(missing_ok=True)
        self.events.clear()
        session = self.session(**overrides)
        labels = find_labels(session.graph, targets or ("//...",))
        running = session.start(labels, jobs=jobs, keep_going=keep_going, listener=self.events.append)
        result = running.wait(120)
        if ok:
            assert result.ok, [str(each.error) for each in result.targets.values() if each.error]
        return result

    def plan(self, *targets: str):
        from ddbuild.building.api import find_labels

        session = self.session()
        return session.describe_plan(session.plan(find_labels(session.graph, targets or ("//...",))), 0.0)

    @property
    def calls(self) -> Counter[str]:
        """How often each function was called in the last build."""
        return Counter(self.calls_file.read_text().split()) if self.calls_file.exists() else Counter()


def statuses(result) -> dict[str, str]:
    """The status of each target by its name."""
    return {label.name: each.status for label, each in result.targets.items()}


def steps(result, name: str) -> dict[str, str]:
    """What became of each action of one target."""
    return {run.kind: run.status for run in result[name].actions}


def _dedent(text: str) -> str:
    from textwrap import dedent

    return dedent(text).lstrip("\n")
