"""Builders, readers and collections at once: whatever they saw, in some order it was right."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from faults.history import check_history


def act(folder, seconds, *options):
    script = Path(__file__).with_name("history_actors.py")
    subprocess.run([sys.executable, script, folder, str(seconds), *options], check=True, timeout=seconds + 60)
    return [json.loads(line) for log in folder.glob("*.log") for line in log.read_text().splitlines()]


def act_until(folder, seconds, is_enough, *options):
    """Act, again in a new folder on a machine that is busy with other things, until enough has happened."""
    for number in range(30):
        (folder / f"{number}").mkdir()
        if is_enough(act(folder / f"{number}", seconds, *options)):
            return
    pytest.fail("what was waited for has not happened")


@pytest.mark.parametrize("seconds", [1.2, pytest.param(60, marks=pytest.mark.soak)])
def test_what_builders_readers_and_collections_see_at_once_is_right_in_some_order(tmp_path, seconds):
    wanted = (("published", "team"), ("removed", "team"), ("replaced", "a"), ("saw", "team"), ("served", None))
    counts = Counter()

    def is_enough(events):
        assert check_history(events) == []
        counts.update((event["op"], event.get("tier")) for event in events)
        # Enough of everything has happened for the history to mean something.
        return all(counts[each] > 10 for each in wanted)

    act_until(tmp_path, seconds, is_enough)
    print(dict(counts))


def test_a_builder_that_takes_any_child_for_its_parents_is_found_out(tmp_path):
    def is_found_out(events):
        return any("was served with" in text for text in check_history(events))

    act_until(tmp_path, 0.6, is_found_out, "careless")


def event(op, start, end, **fields):
    return {"op": op, "start": start, "end": end, **fields}


def saw(start, end, digest, tier="team"):
    return event("saw", start, end, tier=tier, name="k", digest=digest)


def removed(start, end, tier="team"):
    return event("removed", start, end, tier=tier, name="k")


def replaced(start, end, digest, tier):
    return event("replaced", start, end, tier=tier, name="k", digest=digest)


def published(start, end, digest, tier="team"):
    return event("published", start, end, tier=tier, name="k", digest=digest)


WRONG = {
    "half a blob": [event("read", 1, 2, wanted="x", got="half of x")],
    "another content under a name": [saw(1, 2, "x"), saw(3, 4, "y")],
    "another content while nobody could tell which came first": [saw(1, 4, "x"), saw(2, 3, "y")],
    "removed before both looks": [removed(1, 2), saw(3, 4, "x"), saw(5, 6, "y")],
    "removed after both looks": [saw(1, 2, "x"), saw(3, 4, "y"), removed(5, 6)],
    "removed once, changed twice": [saw(1, 2, "x"), removed(3, 4), saw(5, 6, "y"), saw(7, 8, "x")],
    "removed from another tier": [saw(1, 2, "x"), removed(2, 3, "a"), saw(3, 4, "y")],
    "written over in the team's folder": [published(1, 2, "x"), replaced(3, 4, "x", "team")],
    "what the team never had": [published(1, 2, "x"), replaced(3, 4, "y", "a")],
    "what the team had only later": [replaced(1, 2, "x", "a"), published(3, 4, "x")],
    "rows of another parent": [
        event("rows", 1, 2, digest="p", token="one"),
        event("served", 3, 4, says="p", made_from="two"),
    ],
    "beside another parent": [event("paired", 1, 2, says="p", parent="q")],
}
RIGHT = {
    "nothing": [],
    "one content all the time": [saw(1, 2, "x"), saw(1, 4, "x"), removed(5, 6), saw(7, 8, "x")],
    "removed between two looks": [saw(1, 2, "x"), removed(3, 4), saw(5, 6, "y")],
    "removed while somebody looked": [saw(1, 5, "x"), removed(2, 3), saw(4, 6, "y")],
    "the team's content in a machine's own tier": [
        *(published(1, 2, "y"), saw(1, 2, "x", "a")),
        *(replaced(3, 4, "y", "a"), saw(5, 6, "y", "a")),
    ],
    "the team's content while it is published": [published(1, 5, "x"), replaced(2, 3, "x", "a")],
    "a parent that nobody has read": [event("served", 3, 4, says="p", made_from="two")],
    "its own parent": [
        event("rows", 1, 2, digest="p", token="one"),
        event("served", 3, 4, says="p", made_from="one"),
        event("paired", 3, 4, says="p", parent="p"),
    ],
}


@pytest.mark.parametrize("events", WRONG.values(), ids=WRONG)
def test_a_wrong_history_is_told(events):
    assert len(check_history(events)) == 1


@pytest.mark.parametrize("events", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_not(events):
    assert check_history(events) == []
