"""What happened to a shared folder, as a list of events, and whether it was allowed to.

Each event is a dictionary with `op`, `start` and `end` (one clock for all processes), and by `op`:

    published   tier, name, digest           an action file got its name
    replaced    tier, name, digest           ... over whatever had it
    removed     tier, name                   somebody moved or removed an action file
    saw         tier, name, digest           a reader found a result under a name
    read        wanted, got                  a reader read a blob: the digest that it asked for, and that of the bytes
    rows        digest, token                the token in the rows of a parent with this content
    served      says, made_from              a child: the content of the parent that its result names, and the token
                                             in its rows
    paired      says, parent                 a child served beside a parent with the content `parent`

A call has taken effect at some moment between its start and its end; what could have been right in some order of such
moments is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

Event = dict

TEAM = "team"


def check_history(events: Iterable[Event]) -> list[str]:
    """Return what in the history was not allowed to happen."""
    by_op = defaultdict(list)
    for event in sorted(events, key=lambda event: event["end"]):
        by_op[event["op"]].append(event)
    return [
        *_find_partial_reads(by_op),
        *_find_changes(by_op),
        *_find_wrong_replacements(by_op),
        *_find_wrong_parents(by_op),
    ]


def _find_partial_reads(by_op: dict[str, list[Event]]) -> Iterator[str]:
    for event in by_op["read"]:
        if event["got"] != event["wanted"]:
            yield f"a reader asked for {event['wanted']} and got {event['got']}"


def _find_changes(by_op: dict[str, list[Event]]) -> Iterator[str]:
    """A name leads to one content until it is removed, or in a machine's own tier until the team's replaces it."""
    excuses = defaultdict(list)
    for event in by_op["removed"] + [each for each in by_op["replaced"] if each["tier"] != TEAM]:
        excuses[event["tier"], event["name"]].append(event)
    last: dict[tuple[str, str], Event] = {}
    for event in by_op["saw"]:
        place = event["tier"], event["name"]
        before, last[place] = last.get(place), event
        if before is None or before["digest"] == event["digest"]:
            continue
        first, until = min(before["start"], event["start"]), event["end"]
        if not any(each["start"] <= until and each["end"] >= first for each in excuses[place]):
            yield f"{event['name']} changed in {event['tier']} from {before['digest']} to {event['digest']}"


def _find_wrong_replacements(by_op: dict[str, list[Event]]) -> Iterator[str]:
    had = defaultdict(list)
    for event in by_op["published"]:
        if event["tier"] == TEAM:
            had[event["digest"]].append(event["start"])
    for event in by_op["replaced"]:
        if event["tier"] == TEAM:
            yield f"{event['name']} was written over in {TEAM}"
        elif not any(start <= event["end"] for start in had[event["digest"]]):
            yield f"{event['name']} gave way in {event['tier']} to {event['digest']}, which {TEAM} never had"


def _find_wrong_parents(by_op: dict[str, list[Event]]) -> Iterator[str]:
    tokens = {event["digest"]: event["token"] for event in by_op["rows"]}
    for event in by_op["served"]:
        if tokens.get(event["says"], event["made_from"]) != event["made_from"]:
            yield f"a child made from {event['made_from']} says that it is made from {event['says']}"
    for event in by_op["paired"]:
        if event["says"] != event["parent"]:
            yield f"a child of {event['says']} was served with {event['parent']}"
