"""What a build asks of the disk, of threads, of Data Designer and of models, counted: time depends on the machine."""

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ddbuild.cache import clone
from ddbuild.cache.disk import Disk
from ddbuild.label import Label
from scenarios.project import RECORDER, Project

ROOT = Path(__file__).resolve().parents[2]
STEPS = (
    "open_read",
    "open_new",
    "fsync",
    "fsync_folder",
    "link",
    "rename",
    "rename_exclusive",
    "make_folder",
    "unlink",
)

TRANSFORMS = """
    import pyarrow as pa
    from ddbuild import transform

    def make(parents):
        return pa.table({{"id": [1]}})

    for number in range({count}):
        transform(f"t{{number}}", make, salt=str(number), depends_on=[f":t{{number - 1}}"] if number else [])
    """

STAGES = """
    import data_designer.config as dd
    from ddbuild import stage
    from recorder import record

    def make(number):
        record(f"made-{number}")
        config = dd.DataDesignerConfigBuilder(model_configs=[])
        params = dd.CategorySamplerParams(values=["a", str(number)])
        config.add_column(dd.SamplerColumnConfig(name=f"c{number}", sampler_type="category", params=params))
        return config

    for number in range(5):
        parents = [f":s{number - 1}"] if number else []
        stage(f"s{number}", config=lambda number=number: make(number), num_records=2, depends_on=parents)
    """


@pytest.fixture
def count_steps(monkeypatch):
    """Count the calls of the cache's disk."""
    counts = Counter()
    for name in STEPS:
        monkeypatch.setattr(Disk, name, _counting(getattr(Disk, name), name, counts))
    return counts


def _counting(method, name, counts):
    def call(*arguments, **options):
        counts[name] += 1
        return method(*arguments, **options)

    return call


def _build_chain(folder, count):
    """Build a chain of transforms in a cache whose folders are there already."""
    project = Project(folder, {"ddbuild.toml": "", "BUILD.py": TRANSFORMS.format(count=count)})
    for kind in ("cas", "actions"):
        for number in range(256):
            (project.cache / "v1" / kind / f"{number:02x}").mkdir(parents=True)
    project.build()
    return project


def _count_each(folder, count_steps, few=4, many=12):
    """Return what one more transform of a chain costs."""
    costs = []
    for count in (few, many):
        count_steps.clear()
        _build_chain(folder / f"{count}", count)
        costs.append(Counter(count_steps))
    return {name: (costs[1][name] - costs[0][name]) / (many - few) for name in costs[1]}


def test_a_transform_asks_the_disk_for_its_blob_its_two_results_and_its_lease(tmp_path, count_steps):
    each = _count_each(tmp_path, count_steps)
    # The blob, the result under its key, and that under its deep key; the lease need not be on the disk.
    assert each["open_new"] == 4
    assert each["fsync"] <= 3
    assert each["fsync_folder"] <= 4
    # The lease goes by being renamed away first.
    assert each["rename"] == 1
    assert each["link"] == 4
    assert each["open_read"] < 20, "what is not there yet is looked for, and small files are read"
    assert not each.get("make_folder")


def test_leases_are_given_back_before_a_build_ends(tmp_path):
    project = _build_chain(tmp_path, 6)
    assert list((project.cache / "v1" / "leases").iterdir()) == []


@pytest.mark.parametrize(("trouble", "asked"), [(errno.EOPNOTSUPP, 1), (errno.EIO, 2)])
def test_a_file_system_that_shares_no_data_is_asked_once(tmp_path, monkeypatch, trouble, asked):
    class NoReflinks(Disk):
        asked = 0

        def clone(self, source, destination):
            self.asked += 1
            raise OSError(trouble, "no")

    monkeypatch.setattr(clone, "_known_without", set())
    disk = NoReflinks()
    (tmp_path / "a").write_bytes(b"rows")
    assert [clone.clone_file(tmp_path / "a", tmp_path / name, link=False, disk=disk) for name in "bc"] == ["copy"] * 2
    assert disk.asked == asked
    assert (tmp_path / "c").read_bytes() == b"rows"


def test_a_transform_goes_to_another_thread_three_times(tmp_path, monkeypatch, count_steps):
    from concurrent.futures import ThreadPoolExecutor

    submit = _counting(ThreadPoolExecutor.submit, "to a thread", count_steps)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    # To look and take the lease, to call the function and publish, and to give the lease back, which nobody waits for.
    assert _count_each(tmp_path, count_steps)["to a thread"] <= 3


def test_rows_of_a_parent_are_opened_once_for_their_digest(tmp_path, monkeypatch, count_steps):
    import pyarrow.parquet as pq

    class Counted(pq.ParquetFile):
        def __init__(self, *arguments, **options):
            count_steps["parquet"] += 1
            super().__init__(*arguments, **options)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    assert _count_each(tmp_path, count_steps)["parquet"] <= 1


def test_each_config_is_made_once_by_a_build(make_project):
    project = make_project({"BUILD.py": STAGES})
    project.build()
    assert project.calls == {f"made-{number}": 1 for number in range(5)}
    project.plan()


def test_a_plan_makes_the_configs_that_it_needs_and_no_other(make_project):
    project = make_project({"BUILD.py": STAGES})
    os.environ["CALLS"] = str(project.calls_file)
    session = project.session()
    assert not project.calls, "a config is a function until it is needed"
    session.plan([Label("", "s2")])
    session.plan([Label("", "s2")])
    assert project.calls == {"made-0": 1, "made-1": 1, "made-2": 1}


def test_only_a_build_with_something_to_generate_imports_the_engine(tmp_path):
    project = Project(tmp_path, {"ddbuild.toml": "", "recorder.py": RECORDER, "BUILD.py": STAGES})
    code = """
import json, sys
from ddbuild.building.api import open_session
session = open_session().session
session.plan(list(session.graph))
print(json.dumps(sorted(sys.modules)))
"""
    environment = os.environ | {"CALLS": str(project.calls_file), "DDBUILD_CACHE_DIR": str(project.cache)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    assert "data_designer.config.config_builder" in modules
    never = ("data_designer.interface", "data_designer.engine.dataset_builders", "duckdb", "pyarrow.parquet", "click")
    assert not {name for name in modules if name.startswith(never)}


def test_an_edit_asks_for_the_cells_that_it_changes(tmp_path):
    """The benchmark of edits, for one of them: it counts requests at a server, and reckons what had to be asked."""
    figures = tmp_path / "edits.json"
    command = [sys.executable, ROOT / "benchmarks" / "edits.py", "--only", "a seed row changed", "--json", figures]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [line] = json.loads(figures.read_text())
    assert line["ideal"] == line["tools"]["ddbuild"]["requests"] == 2
    assert line["tools"]["ddbuild"]["wrong"] == []
    assert line["tools"]["script"]["requests"] == line["full"] == 37
