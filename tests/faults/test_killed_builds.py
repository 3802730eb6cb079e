"""Real builds in real processes that are really killed: what had finished is there, and nothing is half there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.project import RECORDER, Project

pytestmark = pytest.mark.real

SLOW = {
    "ddbuild.toml": "[designer]\nbuffer_size = 2\nmax_concurrent_row_groups = 1\n",
    "recorder.py": RECORDER,
    "BUILD.py": """
        import os
        import time
        import data_designer.config as dd
        from ddbuild import stage
        from recorder import record

        @dd.custom_column_generator(required_columns=["number"])
        def slow(row):
            time.sleep(float(os.environ.get("PAUSE", "0")))
            record(f"slow-{row['number']}")
            row["slow"] = row["number"] * 2
            return row

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.with_seed_dataset(dd.LocalFileSeedSource(path=os.path.join(os.path.dirname(__file__), "seed.csv")))
        config.add_column(dd.CustomColumnConfig(name="slow", generator_function=slow))
        stage("first", config=config, num_records=12)

        second = dd.DataDesignerConfigBuilder(model_configs=[])
        second.add_column(name="line", column_type="expression", expr="{{ number }} {{ slow }}")
        stage("second", config=second, depends_on=[":first"])
        """,
    "seed.csv": "number\n" + "".join(f"{number}\n" for number in range(12)),
}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, SLOW)


def start(project, *arguments, pause=0.25):
    environment = os.environ | {
        "CALLS": str(project.calls_file),
        "PAUSE": str(pause),
        "DDBUILD_CACHE_DIR": str(project.cache),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "ddbuild", "-C", str(project.root), "--json", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=60)
    return json.loads(output) if output else errors


def wait_for_calls(project, count):
    deadline = time.monotonic() + 60
    while sum(project.calls.values()) < count:
        assert time.monotonic() < deadline, "the build does not get on"
        time.sleep(0.02)


def finished_batches(project):
    return {path.name for path in project.cache.glob("v1/work/**/parquet-files/batch_*.parquet")}


def test_a_killed_stage_goes_on_from_its_finished_batches(project):
    process = start(project, "//second")
    wait_for_calls(project, 7)
    process.kill()
    process.communicate(timeout=30)
    kept = finished_batches(project)
    assert len(kept) >= 2
    assert not list(project.cache.glob("v1/actions/*/*.json")), "nothing half-built is in the cache"
    project.calls_file.unlink()
    document = finish(start(project, "//second", pause=0))
    assert document["ok"]
    assert sum(project.calls.values()) == 12 - 2 * len(kept), "only the rows of unfinished batches are made again"
    rows = project.build("//second")["second"].load_dataset()
    assert list(rows["slow"]) == [2 * number for number in range(12)]


def test_a_killed_stage_of_kept_and_new_cells_goes_on_from_its_finished_batches(project):
    project.edit(
        "BUILD.py",
        'stage("first"',
        """@dd.custom_column_generator(required_columns=["number"])
def kept(row):
    record("kept")
    row["kept"] = os.urandom(4).hex()
    return row

config.add_column(dd.CustomColumnConfig(name="kept", generator_function=kept))
stage("first\"""",
    )
    before = project.build("//first")["first"].load_dataset()
    assert project.calls["kept"] == 12
    project.edit("BUILD.py", 'row["number"] * 2', 'row["number"] * 3')
    project.calls_file.unlink()
    process = start(project, "//first")
    wait_for_calls(project, 7)
    process.kill()
    process.communicate(timeout=30)
    finished = finished_batches(project)
    assert len(finished) >= 2
    project.calls_file.unlink()
    assert finish(start(project, "//first", pause=0))["ok"]
    assert sum(project.calls.values()) == 12 - 2 * len(finished)
    rows = project.build("//first")["first"].load_dataset()
    assert list(rows["slow"]) == [3 * number for number in range(12)]
    assert list(rows["kept"]) == list(before["kept"])


def test_an_edit_after_a_kill_starts_afresh(project):
    process = start(project, "//first")
    wait_for_calls(project, 7)
    process.kill()
    process.communicate(timeout=30)
    project.calls_file.unlink()
    project.edit("BUILD.py", 'row["number"] * 2', 'row["number"] * 3')
    assert finish(start(project, "//first", pause=0))["ok"]
    assert sum(project.calls.values()) == 12
    rows = project.build("//first")["first"].load_dataset()
    assert list(rows["slow"]) == [3 * number for number in range(12)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_build_says_so_and_goes_on_where_it_was(project, number):
    process = start(project, "//second")
    wait_for_calls(project, 7)
    process.send_signal(number)
    document = finish(process)
    assert process.returncode == 8
    assert document["exit_code"] == 8
    assert {each["label"]: each["status"] for each in document["targets"]} == {
        "//:first": "interrupted",
        "//:second": "interrupted",
    }
    kept = finished_batches(project)
    assert len(kept) >= 2
    project.calls_file.unlink()
    assert finish(start(project, "//second", pause=0))["ok"]
    assert sum(project.calls.values()) <= 12 - 2 * len(kept)


def test_a_build_that_waits_for_a_sleeping_function_stops_all_the_same(project):
    """The function cannot be stopped; the process leaves without it. It would sleep for an hour."""
    process = start(project, "//second", pause=3600)
    log = Path(project.root / ".ddbuild/logs/first.log")
    deadline = time.monotonic() + 60
    while not log.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 8


def test_two_builds_of_one_key_build_it_once(project):
    one, other = start(project, "//second"), start(project, "//second")
    assert finish(one)["ok"]
    assert finish(other)["ok"]
    assert sum(project.calls.values()) == 12
