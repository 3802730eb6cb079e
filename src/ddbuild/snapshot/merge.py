"""What goes on from an earlier snapshot beside a new one: answers of targets that this build was not asked for."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any

from ddbuild.snapshot.check import inputs_hold
from ddbuild.snapshot.record import Snapshot

__all__ = ["can_hold", "carry", "unite"]


def can_hold(old: Snapshot) -> bool:
    """Return whether the inputs of a snapshot are as they were."""
    try:
        return inputs_hold(old.inputs)
    except Exception:
        return False


def carry(records: dict[int, bytes], old: Snapshot, count: int) -> dict[int, bytes]:
    """Return what of an old snapshot goes on beside the new `records`.

    That are the answers of targets which this time were only ancestors, and the records of targets that were not
    looked at: none that has an ancestor whose own record is another one now.
    """
    carried: dict[int, bytes] = {}
    before = {number: record for number in range(count) if (record := old.read(number)) is not None}
    sound: dict[int, bool] = {}
    for number, raw in records.items():
        parents, group, steps, answer = marshal.loads(raw)
        sound[number] = number in before and before[number][:3] == (parents, group, steps) and group < 0
        if sound[number] and answer is None:
            carried[number] = marshal.dumps((parents, group, steps, before[number][3]))
    for number in before:
        stack = [number]
        while stack:
            top = stack[-1]
            parents = before[top][0] if top in before else ()
            unknown = [parent for parent in parents if parent not in sound]
            if top not in sound and unknown:
                stack += unknown
                continue
            stack.pop()
            sound.setdefault(top, top in before and before[top][1] < 0 and all(sound[parent] for parent in parents))
        if number not in records and sound[number]:
            carried[number] = old.read_raw(number)
    return carried


def unite(new: tuple[Any, ...], old: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of two snapshots that both hold; where both name something the new one counts."""
    by_path, by_two, whole = _first, _first_two, _whole
    keys: list[Callable[[Any], Any]] = [
        by_path,
        by_path,
        by_path,
        whole,
        whole,
        whole,
        by_two,
        by_path,
        by_two,
        by_path,
    ]
    united: list[dict[Any, Any]] = []
    for position, key in enumerate(keys):
        united.append({key(each): each for each in old[position]} | {key(each): each for each in new[position]})
    # What one of them compares by content, the other may take for settled.
    for path in united[2]:
        united[0].pop(path, None)
        united[1].pop(path, None)
    return (*(tuple(entries.values()) for entries in united), new[10] if new[10] is not None else old[10])


def _whole(entry: Any) -> Any:
    return entry


def _first(entry: Any) -> Any:
    return entry[0]


def _first_two(entry: Any) -> Any:
    return tuple(entry[:2])
