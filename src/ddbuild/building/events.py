"""What happens in a build, told while it happens, as plain values to whoever listens.

The build never touches a terminal: a listener draws, logs or ignores. Listeners are called from the build's own
thread, one event at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ddbuild.label import Label

__all__ = [
    "BuildPlanned",
    "Event",
    "Listener",
    "TargetFinished",
    "TargetProgress",
    "TargetStarted",
    "TargetWaiting",
    "Warned",
]


@dataclass(frozen=True, slots=True)
class BuildPlanned:
    """The plan is made: so many targets were looked at, and these may run."""

    looked_at: int
    to_run: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class TargetStarted:
    """A target has a place to run; `rows` is None where it is not known yet."""

    label: Label
    kind: str


@dataclass(frozen=True, slots=True)
class TargetProgress:
    """A target got further: `step` is the action that runs, `rows` of `rows_total` are made."""

    label: Label
    step: str
    rows: int = 0
    rows_total: int | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class TargetWaiting:
    """Somebody else builds the same key; `holder` says who."""

    label: Label
    holder: str


@dataclass(frozen=True, slots=True)
class TargetFinished:
    """A target is done, one way or another; `status` is a word of the JSON document."""

    label: Label
    status: str
    rows: int | None
    rows_lost: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that people should know and that stops nothing."""

    text: str


Event = BuildPlanned | TargetStarted | TargetProgress | TargetWaiting | TargetFinished | Warned
Listener = Callable[[Event], None]
