"""The short way: answer from a snapshot, if there is one and nothing that it depends on has changed.

What is printed is what the long way would print, to the byte; only the seconds differ. Whatever is unusual, and
whatever goes wrong, leads to the long way without a word.
"""

from __future__ import annotations

import os
import sys
import time
from heapq import heapify, heappop, heappush

from ddbuild.snapshot.check import inputs_hold, note_use, outputs_hold, results_hold
from ddbuild.snapshot.record import index_labels, open_snapshot
from ddbuild.snapshot.request import Request, choose, find_package, find_root, make_request, read_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from ddbuild.snapshot.record import Snapshot

__all__ = ["answer", "explain", "find_labels", "is_wanted", "latest_request"]

_NO_SNAPSHOT = "DDBUILD_NO_SNAPSHOT"
_EXPLAIN = "DDBUILD_EXPLAIN_SNAPSHOT"
_MOST_LINES = 10
_HIT = f"{'hit':<11}"

_latest: Request | None = None


class _NoAnswerError(Exception):
    """The snapshot does not answer this; the text says why, for DDBUILD_EXPLAIN_SNAPSHOT."""


def answer(arguments: Sequence[str]) -> int | None:
    """Answer the command line `arguments` from a snapshot and return the exit code; None if that cannot be done.

    Raises:
        OSError: the answer cannot be written.
    """
    global _latest
    _latest = None
    started = time.monotonic()
    try:
        if not is_wanted() or "_DDBUILD_COMPLETE" in os.environ or None in (sys.stdout, sys.stderr):
            return None
        request = read_request(arguments)
        if request is None:
            raise _NoAnswerError("the command line holds more than a snapshot answers")
        _latest = request
        err, out = _Answer(request, started).find()
    except Exception as error:
        explain("no answer from a snapshot", f"{error}" if isinstance(error, _NoAnswerError) else repr(error))
        return None
    if err:
        _write(sys.stderr, err, forgives=True)
    if out:
        _write(sys.stdout, out)
    return 0


def find_labels(directory: str | None = None) -> list[str] | None:
    """Return all labels of the workspace around `directory` in order, if a snapshot has them and still holds."""
    try:
        request = make_request("path", [], os.getcwd(), directory)  # noqa: PTH109
        root = find_root(request.folder)
        if root is None or not is_wanted():
            return None
        snapshot = open_snapshot(root, request.caller)
        try:
            holds = snapshot.current_folder in (None, request.folder) and inputs_hold(snapshot.inputs)
            return index_labels(snapshot.labels) if holds else None
        finally:
            snapshot.close()
    except Exception:
        return None


def is_wanted() -> bool:
    """Whether snapshots are wanted: DDBUILD_NO_SNAPSHOT=1 says they are not."""
    return not os.environ.get(_NO_SNAPSHOT)


def latest_request() -> Request | None:
    """Return what the last call of `answer` was asked, for taking a snapshot of the long way's result.

    It tells how this process was called, before a build file has changed anything. None is nothing that a snapshot
    could answer next time.
    """
    return _latest


def explain(what: str, why: str) -> None:
    """Say on stderr why the long way is gone, if anybody wants to know."""
    if os.environ.get(_EXPLAIN):
        print(f"{what}: {why}", file=sys.stderr)


class _Answer:
    """The search for one answer."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._started = started
        self._records: dict[int, Any] = {}
        # It looks at each target by itself, and prints them by label.
        self._is_path = request.command == "path"

    def find(self) -> tuple[str, str]:
        """Return what is to be written to stderr and to stdout.

        Raises:
            Exception: there is no answer, for whatever reason.
        """
        request = self._request
        root = find_root(request.folder)
        if root is None:
            raise _NoAnswerError("there is no workspace")
        snapshot = open_snapshot(root, request.caller)
        try:
            chosen = choose(snapshot.labels, request.words, find_package(root, request.folder))
            if chosen is None:
                raise _NoAnswerError("it is not plain which targets are meant")
            if snapshot.current_folder not in (None, request.folder):
                raise _NoAnswerError("loading depends on the current folder")
            self._check(snapshot, root, chosen)
            answers = [self._records[number][3] for number in self._sort(snapshot, chosen)]
            if request.command == "build":
                self._note_use(snapshot, chosen)
        finally:
            snapshot.close()
        if request.command == "path":
            return snapshot.said, "".join(f"{root}/{each[0]}\n" for each in answers)
        if request.command == "plan":
            return snapshot.said, self._print_document(answers, 1) if request.json else _print_plan(answers)
        err = snapshot.said + self._print_summary(answers, root)
        return err, self._print_document(answers, 0) if request.json else ""

    def _check(self, snapshot: Snapshot, root: str, chosen: list[int]) -> None:
        if not inputs_hold(snapshot.inputs):
            raise _NoAnswerError("an input has changed")
        steps = self._gather(snapshot, chosen)
        if not results_hold(steps, snapshot.tiers):
            raise _NoAnswerError("a result in the cache has changed")
        # Looking into a plan puts nothing into the workspace.
        files = self._request.command != "plan"
        for number in chosen:
            place, outputs, blobs = self._records[number][3][:3]
            if not outputs_hold(root, snapshot.tiers[0], place, outputs if files else (), blobs):
                raise _NoAnswerError("what was materialized has changed")

    def _gather(self, snapshot: Snapshot, chosen: list[int]) -> list[Any]:
        """Read the records of what was chosen and of all its ancestors, and return the steps of all of them."""
        steps: list[Any] = []
        waiting = list(chosen)
        while waiting:
            number = waiting.pop()
            if number in self._records:
                continue
            record = self._records[number] = snapshot.read(number)
            if record is None:
                raise _NoAnswerError("a target was not looked at")
            waiting += record[0]
            steps += record[2]
        for number in chosen:
            _, group, _, found = self._records[number]
            if found is None:
                raise _NoAnswerError("a target has not been asked for yet")
            if group >= 0 and (list(snapshot.groups[group]) != chosen or (self._is_path and len(chosen) > 1)):
                raise _NoAnswerError("a parent is gone from the cache, and other targets were asked for with it")
        return steps

    def _sort(self, snapshot: Snapshot, chosen: list[int]) -> list[int]:
        """Return what was chosen, parents before children, otherwise by label: the order of a plan."""
        if len(chosen) == 1 or self._is_path:
            return chosen
        labels = index_labels(snapshot.labels)
        missing = {number: len(record[0]) for number, record in self._records.items()}
        children: dict[int, list[int]] = {}
        for number, record in self._records.items():
            for parent in record[0]:
                children.setdefault(parent, []).append(number)
        ready = [(labels[number], number) for number, count in missing.items() if not count]
        heapify(ready)
        wanted, order = set(chosen), []
        while ready:
            number = heappop(ready)[1]
            if number in wanted:
                order.append(number)
            for child in children.get(number, ()):
                missing[child] -= 1
                if not missing[child]:
                    heappush(ready, (labels[child], child))
        return order

    def _note_use(self, snapshot: Snapshot, chosen: list[int]) -> None:
        """Note that what was chosen is used: as it was built, or as part of what was."""
        wanted = set(chosen)
        notes = [(len(numbers), name) for numbers, name in snapshot.uses if wanted.issubset(numbers)]
        if notes:
            note_use(min(notes)[1], snapshot.tiers)

    def _print_summary(self, answers: list[Any], root: str) -> str:
        lines = []
        if not self._request.quiet:
            if len(answers) <= _MOST_LINES:
                for place, _, _, label, rows, *_ in answers:
                    lines.append(f"{label} is up to date ({rows}, {self._say_place(root, place)})")
            else:
                lines.append(f"{len(answers):,} targets are up to date")
        colourful = _is_colourful(sys.stderr)
        lines += [each[6][colourful] for each in answers if each[6]]
        return "\n".join(lines) + "\n" if lines else ""

    def _say_place(self, root: str, place: str) -> str:
        path, here = f"{root}/{place}", self._request.here
        if path == here:
            return "."
        above = here if here.endswith("/") else here + "/"
        return path.removeprefix(above)

    def _print_document(self, answers: list[Any], which: int) -> str:
        seconds = round(time.monotonic() - self._started, 3)
        targets = ",\n".join(each[7][which] for each in answers)
        return (
            f'{{\n  "schema": 1,\n  "ok": true,\n  "exit_code": 0,\n  "seconds": {seconds!r},\n  "targets": [\n'
            f"{targets}\n  ],\n"
            f'  "totals": {{\n    "built": 0,\n    "hit": {len(answers)},\n    "failed": 0,\n    "skipped": 0,\n'
            f'    "requests": 0,\n    "requests_saved": {sum(each[5] for each in answers)}\n  }}\n}}\n'
        )


def _print_plan(answers: list[Any]) -> str:
    word = f"\x1b[32m{_HIT}\x1b[0m" if _is_colourful(sys.stdout) else _HIT
    width = max(len(each[3]) for each in answers)
    lines = [f"{word}{each[3]:<{width}}  {each[4]}" for each in answers]
    summary = f"nothing to build: {_count(len(answers), 'target')} up to date"
    if saved := sum(each[5] for each in answers):
        summary += f"; {_count(saved, 'LLM request')} not needed"
    return "\n".join([*lines, "", summary]) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def _is_colourful(stream: TextIO) -> bool:
    environ = os.environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    try:
        return stream.isatty() and environ.get("TERM", "") != "dumb"
    except (AttributeError, ValueError):
        return False


def _write(stream: TextIO, text: str, *, forgives: bool = False) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Whoever read has seen enough. What is still in the buffer goes nowhere, or leaving would fail again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        if not forgives:
            raise
