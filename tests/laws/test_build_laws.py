"""The one law: a build gives every target rows that were made from the rows of its parents, and runs no more than that.

Targets are noisy: two runs of one function give other rows, as a language model would. Rows say what they were made
from, so that a row that does not belong is seen.
"""

import json
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ddbuild.building.session import Session
from ddbuild.cache import Cache, Tier
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Transform
from ddbuild.label import Label
from ddbuild.plan import planner

NAMES = [f"t{position}" for position in range(6)]
PARENTS = {
    "t0": (),
    "t1": ("t0",),
    "t2": ("t0",),
    "t3": ("t1", "t2"),
    "t4": ("t2",),
    "t5": ("t3", "t4"),
}


def read_row(path):
    return json.loads(pq.read_table(path)["row"][0].as_py())


class Workspace:
    """A diamond with a tail, whose functions record that they ran and what they saw."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.versions = dict.fromkeys(NAMES, 0)
        self.constant: set[str] = set()
        self.ran: list[str] = []
        self.cache = Cache(Tier(folder / "cache", "local"), on_warning=pytest.fail)

    def graph(self):
        graph = TargetGraph()
        for name in NAMES:
            graph.add(
                Transform(
                    label=Label("", name),
                    function=self.function(name),
                    depends_on=tuple(Label("", parent) for parent in PARENTS[name]),
                    version=f"{name} {self.versions[name]} {name in self.constant}",
                )
            )
        graph.validate()
        return graph

    def function(self, name):
        def run(parents):
            self.ran.append(name)
            seen = {parent: read_row(path)["id"] for parent, path in parents.items()}
            made = "constant" if name in self.constant else uuid4().hex
            row = {"name": name, "version": self.versions[name], "seen": seen, "id": f"{name} {made}"}
            if name in self.constant:
                row |= {"seen": {}, "version": "any"}
            return pa.table({"row": [json.dumps(row)]})

        return run

    def build(self, *names):
        self.ran.clear()
        designer = SimpleNamespace(cancel=lambda: None, run_config_parts=list)
        session = Session(self.graph(), root=self.folder, cache=self.cache, designer=designer)
        labels = [Label("", name) for name in names]
        result = session.start(labels, jobs=4, keep_going=False, listener=None).wait(60)
        assert result.ok, [each.error for each in result.targets.values() if each.error]
        return result

    def evict(self, name):
        """Drop every result of a target, as gc would."""
        for path in (self.folder / "cache").glob("v1/actions/*/*.json"):
            if f'"label":"//:{name}","origin"' in path.read_text().replace(" ", ""):
                path.unlink()


class BuildMachine(RuleBasedStateMachine):
    """Builds, edits and evictions in any order."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ddbuild-law-"))
        self.workspace = Workspace(self.folder)

    def teardown(self):
        shutil.rmtree(getattr(self, "folder", "/nonexistent"), ignore_errors=True)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    def build(self, names):
        result = self.workspace.build(*names)
        check_rows(self.workspace, result)
        check_nothing_ran_twice(self.workspace)
        # Nothing changed since, so nothing runs, and the rows are the same.
        again = self.workspace.build(*names)
        assert self.workspace.ran == []
        assert {n: r.digest for n, r in again.items()}.items() <= {n: r.digest for n, r in result.items()}.items()

    @rule(name=st.sampled_from(NAMES))
    def edit(self, name):
        self.workspace.versions[name] += 1

    @rule(name=st.sampled_from(NAMES))
    def undo(self, name):
        self.workspace.versions[name] = max(0, self.workspace.versions[name] - 1)

    @rule(name=st.sampled_from(NAMES))
    def make_constant(self, name):
        self.workspace.constant ^= {name}

    @rule(name=st.sampled_from(NAMES))
    def evict(self, name):
        self.workspace.evict(name)

    @invariant()
    def always(self):
        pass


def check_rows(workspace, result):
    """Every target that has rows in this build was made by its function of today from its parents' rows of today."""
    rows = {label.name: read_row(each.data) for label, each in result.targets.items() if each.data is not None}
    for name, row in rows.items():
        if name in workspace.constant:
            continue
        assert row["version"] == workspace.versions[name], f"{name} is stale"
        for parent in PARENTS[name]:
            if parent in rows:
                assert row["seen"][parent] == rows[parent]["id"], (
                    f"{name} stands beside a {parent} it was not made from"
                )


def check_nothing_ran_twice(workspace):
    assert len(workspace.ran) == len(set(workspace.ran))


BuildMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
test_every_child_is_made_from_the_parents_it_stands_beside = BuildMachine.TestCase


def break_consistency(workspace):
    """The history that a build system without the no-frankenbuild rule gets wrong."""
    check_rows(workspace, workspace.build("t1", "t0"))
    workspace.evict("t0")
    workspace.build("t0")
    check_rows(workspace, workspace.build("t1", "t0"))


def test_a_parent_that_was_evicted_and_rebuilt_never_leaves_a_child_of_the_old_rows(tmp_path):
    break_consistency(Workspace(tmp_path))


def test_a_planner_that_trusts_deep_keys_alone_fails_the_law(tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "_seed_is_known", lambda *_: False)
    monkeypatch.setattr(planner, "_agrees", lambda *_: True)
    with pytest.raises(AssertionError, match="stands beside"):
        break_consistency(Workspace(tmp_path))


def test_two_children_of_an_evicted_parent_agree_on_what_it_was(tmp_path):
    """t1 and t2 were made from two different t0; asked for together, one of them has to be made again."""
    workspace = Workspace(tmp_path)
    workspace.build("t1")
    workspace.evict("t0")
    workspace.build("t2")
    workspace.evict("t0")
    result = workspace.build("t3")
    check_rows(workspace, result)
    rows = {name: read_row(result[name].data) for name in ("t1", "t2", "t3") if result[name].data}
    assert rows["t1"]["seen"]["t0"] == rows["t2"]["seen"]["t0"]


def test_a_hit_needs_no_parent_at_all(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.build("t5")
    for name in NAMES[:-1]:
        workspace.evict(name)
    workspace.build("t5")
    assert workspace.ran == []


def test_an_input_that_is_rebuilt_to_equal_content_stops_the_build_there(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.constant.add("t0")
    workspace.build("t5")
    workspace.versions["t0"] += 1
    result = workspace.build("t5")
    assert workspace.ran == ["t0"]
    assert {str(label): each.status for label, each in result.targets.items()} == {
        "//:t0": "built",
        "//:t1": "cutoff",
        "//:t2": "cutoff",
        "//:t3": "cutoff",
        "//:t4": "cutoff",
        "//:t5": "cutoff",
    }


def test_going_back_to_an_old_version_is_a_hit(tmp_path):
    workspace = Workspace(tmp_path)
    first = workspace.build("t5")
    workspace.versions["t5"] = 1
    workspace.build("t5")
    workspace.versions["t5"] = 0
    again = workspace.build("t5")
    assert workspace.ran == []
    assert again["t5"].digest == first["t5"].digest
