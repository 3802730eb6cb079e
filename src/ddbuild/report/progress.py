"""What a person sees while a build runs, and the plain form of it: one line when a target starts and when it ends.

A progress is a listener of the build's events. It writes to stderr only, and never stops a build: a terminal that has
gone away is no reason to lose paid rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from ddbuild.building.events import (
    Event,
    TargetFinished,
    TargetProgress,
    TargetStarted,
    TargetWaiting,
    Warned,
)
from ddbuild.label import Label
from ddbuild.report.ink import Ink, make_safe
from ddbuild.report.wording import count, say_duration, say_label, say_message

__all__ = ["PlainProgress", "Progress", "QuietProgress", "say_finished", "say_warning"]

STEPS = {
    "generate": "generating",
    "process": "processing",
    "callback": "running the callback",
    "transform": "transforming",
    "source": "reading files",
}
"""What an action does, in a word or two."""

_COLOURS = {"built": "green", "failed": "red", "completed_empty": "yellow", "interrupted": "yellow"}
_WORDS = {"completed_empty": "empty", "skipped_empty_upstream": "skipped", "interrupted": "stopped"}
_UNTIMED = ("skipped", "skipped_empty_upstream", "cutoff")


class Progress(Protocol):
    """Shows a build; all methods may be called from any thread."""

    def __call__(self, event: Event) -> None:
        """Take an event of the build."""

    def say(self, text: str) -> None:
        """Show a line of text, above whatever moves."""

    def warn(self, text: str) -> None:
        """Show a warning; the same one is shown once."""

    def close(self) -> None:
        """Leave the terminal as it was; nothing moves any more."""


class PlainProgress:
    """Lines without control characters, for logs, pipes and CI.

    A target that runs for long gives a sign of life every `interval` seconds.
    """

    def __init__(
        self, stream: TextIO, ink: Ink, *, interval: float = 60, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._ink = ink
        self._interval = interval
        self._clock = clock
        self._started: dict[Label, float] = {}
        self._last_sign: dict[Label, float] = {}
        self._warnings: set[str] = set()
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Write the line that belongs to `event`, if any."""
        if isinstance(event, TargetStarted):
            self._started[event.label] = self._last_sign[event.label] = self._clock()
            self.say(f"building   {say_label(event.label)}")
        elif isinstance(event, TargetProgress):
            self._give_sign(event)
        elif isinstance(event, TargetWaiting):
            self.say(f"waiting    {say_label(event.label)}  {make_safe(event.holder)} builds the same")
        elif isinstance(event, TargetFinished):
            self.say(say_finished(event, self._ink))
        elif isinstance(event, Warned):
            self.warn(event.text)

    def say(self, text: str) -> None:
        """Write `text` as a line."""
        with self._lock:
            _write(self._stream, text)

    def warn(self, text: str) -> None:
        """Write a warning, unless it was written before."""
        with self._lock:
            if text not in self._warnings:
                self._warnings.add(text)
                _write(self._stream, say_warning(text, self._ink))

    def close(self) -> None:
        """Nothing moves; there is nothing to do."""

    def _give_sign(self, event: TargetProgress) -> None:
        now = self._clock()
        if now - self._last_sign.get(event.label, now) < self._interval:
            return
        self._last_sign[event.label] = now
        words = [say_rows(event), say_duration(now - self._started[event.label])]
        self.say(f"{STEPS.get(event.step, event.step)} {say_label(event.label)}  " + "  ".join(filter(None, words)))


class QuietProgress(PlainProgress):
    """Only what went wrong or might surprise: warnings, failures and lost rows."""

    def __call__(self, event: Event) -> None:
        """Write the line that belongs to `event` if it is bad news."""
        if isinstance(event, Warned) or (isinstance(event, TargetFinished) and event.rows_lost):
            super().__call__(event)


def say_finished(event: TargetFinished, ink: Ink) -> str:
    """Return the one line that tells how a target ended."""
    word = _WORDS.get(event.status, event.status)
    colour = _COLOURS.get(event.status, "dim")
    words = [ink.paint(f"{word:<9}", colour) + f"  {say_label(event.label)}"]
    if event.rows is not None:
        lost = ink.paint(f" ({event.rows_lost:,} lost)", "yellow") if event.rows_lost else ""
        words.append(count(event.rows, "row") + lost)
    if event.status == "cutoff":
        words.append("its inputs came out equal")
    if event.seconds and event.status not in _UNTIMED:
        words.append(ink.paint(say_duration(event.seconds), "dim"))
    if event.error is not None and event.status == "failed":
        words.append(say_message(event.error).splitlines()[0])
    return "  ".join(words)


def say_rows(event: TargetProgress) -> str:
    """Return how far a target is: "3/10 rows"; "" where that is not known."""
    if event.rows_total is None:
        return count(event.rows, "row") if event.rows else ""
    return f"{event.rows:,}/{count(event.rows_total, 'row')}"


def say_warning(text: str, ink: Ink) -> str:
    """Return a warning as a line of text."""
    return f"{ink.paint('warning:', 'bold', 'yellow')} {say_message(text)}"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except (OSError, ValueError):
        # The reader of stderr is gone; the build is not.
        return
