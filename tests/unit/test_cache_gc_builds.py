"""Collections in the middle of builds: whatever goes at whatever moment is built again, and rows are always right."""

import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))
from project import RECORDER, Project, statuses

from ddbuild.building.api import find_labels
from ddbuild.building.events import TargetFinished, TargetStarted
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.tier import Tier
from ddbuild.cache.verify import verify_tier

TABLES = {
    "ddbuild.toml": "",
    "recorder.py": RECORDER,
    "numbers.csv": "n\n1\n2\n3\n",
    "BUILD.py": """
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ddbuild import source, transform
        from recorder import record

        def double(files):
            record("double")
            return pa.table({"n": [2 * n for n in pq.read_table(files["numbers"])["n"].to_pylist()]})

        def add(files):
            record("add")
            return pa.table({"n": [n + 1 for n in pq.read_table(files["doubled"])["n"].to_pylist()]})

        source("numbers", files="numbers.csv")
        transform("doubled", double, depends_on=[":numbers"])
        transform("added", add, depends_on=[":doubled"])
        """,
}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, TABLES)


def collect_all(project):
    """Remove everything, as nobody should: without a grace period, in the middle of a build."""
    collect_garbage(Tier(project.cache, "local"), GcPolicy(max_bytes=0, grace=0.0), now=time.time() + 1)


def build(project, monkeypatch, listener):
    monkeypatch.setenv("CALLS", str(project.calls_file))
    session = project.session()
    return session.start(find_labels(session.graph, "//added"), jobs=2, keep_going=False, listener=listener).wait(60)


def rows(result):
    return result["added"].load_dataset()["n"].tolist()


@pytest.mark.parametrize("edited", [False, True], ids=["from nothing", "after an edit"])
@pytest.mark.parametrize("moment", range(6))
def test_build_whose_results_all_vanish_in_its_middle_comes_out_right(project, monkeypatch, moment, edited):
    """`moment` counts the starts and ends of targets; the collection comes at that one, once."""
    if edited:
        assert build(project, monkeypatch, None).ok
        project.edit("BUILD.py", "n + 1", "n + 10")
    seen = []

    def collect_at(event):
        if isinstance(event, (TargetStarted, TargetFinished)):
            seen.append(event)
            if len(seen) - 1 == moment:
                collect_all(project)

    result = build(project, monkeypatch, collect_at)
    assert result.ok, [str(each.error) for each in result.targets.values() if each.error]
    assert rows(result) == ([12, 14, 16] if edited else [3, 5, 7])
    assert verify_tier(Tier(project.cache, "local")).damage == []
    again = build(project, monkeypatch, None)
    assert again.ok and rows(again) == rows(result)


def test_collector_in_a_loop_takes_nothing_from_builds_under_way(project, monkeypatch):
    """With its grace period a collection that is to leave nothing leaves all that builds have just made."""
    stop = threading.Event()
    troubles = []

    def collect_on():
        tier = Tier(project.cache, "local")
        while not stop.is_set():
            try:
                collect_garbage(tier, GcPolicy(max_bytes=0, older_than=0.0))
            except Exception as error:
                troubles.append(error)

    collector = threading.Thread(target=collect_on)
    collector.start()
    try:
        for number in range(5):
            project.edit("BUILD.py", f"n + {number + 1}", f"n + {number + 2}")
            project.calls_file.unlink(missing_ok=True)
            result = build(project, monkeypatch, None)
            assert result.ok
            assert project.calls == {"add": 1} | ({} if number else {"double": 1})
            assert rows(result) == [2 * n + number + 2 for n in (1, 2, 3)]
    finally:
        stop.set()
        collector.join(60)
    assert troubles == []


def test_collected_target_is_built_again_and_its_children_are_cut_off(project, monkeypatch):
    assert build(project, monkeypatch, None).ok
    collect_all(project)
    project.calls_file.unlink()
    result = build(project, monkeypatch, None)
    assert statuses(result)["added"] == "built"
    assert project.calls == {"double": 1, "add": 1}
