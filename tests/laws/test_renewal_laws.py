"""The one law once more, with people in it: they ask for new rows, and put files of their own in the place of targets.

Whatever they do, a target stands beside the rows that it was made from; what they asked for anew is new, and stays
what counts; and nothing that a tier keeps ever changes.
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
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ddbuild.building.session import Session
from ddbuild.label import Label
from ddbuild.plan import renewals
from laws.test_build_laws import NAMES, PARENTS, Workspace, read_row


class People(Workspace):
    """A diamond with a tail, and people who renew and override."""

    def build(self, *names, renewed=(), overridden=()):
        self.ran.clear()
        designer = SimpleNamespace(cancel=lambda: None, run_config_parts=list)
        session = Session(self.graph(), root=self.folder, cache=self.cache, designer=designer)
        session = session.override({Label("", name): self.write_file(name) for name in overridden})
        if renewed:
            session.renew([Label("", name) for name in renewed])
        result = session.start([Label("", name) for name in names], jobs=4, keep_going=False, listener=None).wait(60)
        assert result.ok, [each.error for each in result.targets.values() if each.error]
        return result

    def write_file(self, name):
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            row = {"name": name, "version": "a person's", "seen": {}, "id": f"{name} {uuid4().hex}"}
            pq.write_table(pa.table({"row": [json.dumps(row)]}), path)
        return path

    def read_kept(self):
        kept = {}
        for path in (self.folder / "cache").glob("v1/actions/*/*.json"):
            result = json.loads(path.read_text())["result"]
            kept[f"{path}"] = result["digest"]
        return kept


def read_ids(result):
    return {
        label.name: (read_row(each.data)["seen"], read_row(each.data)["id"])
        for label, each in result.targets.items()
        if each.data is not None
    }


def reach(name):
    """A target and all that it depends on."""
    return {name}.union(*(reach(parent) for parent in PARENTS[name]))


def check_beside(result, overridden):
    rows = read_ids(result)
    for name, (seen, _) in rows.items():
        if name not in overridden:
            for parent in PARENTS[name]:
                assert parent not in rows or seen[parent] == rows[parent][1], f"{name} beside another {parent}"


class PeopleMachine(RuleBasedStateMachine):
    """Builds, edits, evictions, renewals and overrides in any order."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ddbuild-law-"))
        self.people = People(self.folder)
        self.known = {}

    def teardown(self):
        shutil.rmtree(getattr(self, "folder", "/nonexistent"), ignore_errors=True)

    def check(self, result, overridden=()):
        check_beside(result, overridden)
        assert len(self.people.ran) == len(set(self.people.ran))
        assert not set(self.people.ran).intersection(overridden)
        kept = self.people.read_kept()
        for path, digest in self.known.items():
            assert kept.get(path, digest) == digest, "a key has changed its content"
        self.known |= kept

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    def build(self, names):
        result = self.people.build(*names)
        self.check(result)
        again = self.people.build(*names)
        assert self.people.ran == []
        assert read_ids(again).items() <= read_ids(result).items()

    @rule(name=st.sampled_from(NAMES), renewed=st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    def renew(self, name, renewed):
        before = read_ids(self.people.build(name))
        result = self.people.build(name, renewed=renewed)
        self.check(result)
        after = read_ids(result)
        for each in set(renewed).intersection(after):
            assert after[each][1] != before.get(each, ({}, ""))[1], f"{each} is not new"
        again = self.people.build(name)
        assert self.people.ran == []
        assert read_ids(again).items() <= after.items(), "older rows than the newest"

    @rule(name=st.sampled_from(NAMES), overridden=st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    def override(self, name, overridden):
        overridden = [each for each in overridden if each in reach(name)]
        self.check(self.people.build(name, overridden=overridden), overridden)

    @rule(name=st.sampled_from(NAMES))
    def edit(self, name):
        self.people.versions[name] += 1

    @rule(name=st.sampled_from(NAMES))
    def undo(self, name):
        self.people.versions[name] = max(0, self.people.versions[name] - 1)

    @rule(name=st.sampled_from(NAMES))
    def write_another_file(self, name):
        (self.folder / f"{name}.parquet").unlink(missing_ok=True)

    @rule(name=st.sampled_from(NAMES))
    def evict(self, name):
        self.people.evict(name)
        self.known = {path: digest for path, digest in self.known.items() if Path(path).exists()}


PeopleMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
test_people_who_renew_and_override_never_part_a_child_from_its_parents = PeopleMachine.TestCase


def test_a_salt_that_is_not_kept_fails_the_law(tmp_path, monkeypatch):
    people = People(tmp_path)
    people.build("t5")
    newest = read_ids(people.build("t5", renewed=NAMES))["t5"]
    monkeypatch.setattr(renewals.Renewals, "_read", lambda self: {})
    assert read_ids(people.build("t5"))["t5"] != newest


@pytest.mark.parametrize("name", ["t0", "t3", "t5"])
def test_a_renewed_target_and_what_is_below_it_are_new_and_what_is_beside_it_is_not(tmp_path, name):
    people = People(tmp_path)
    before = read_ids(people.build(*NAMES))
    after = read_ids(people.build(*NAMES, renewed=[name]))
    below = {"t0": set(NAMES), "t3": {"t3", "t5"}, "t5": {"t5"}}[name]
    assert {each for each in NAMES if before[each] != after[each]} == below
