"""The moving part of a terminal: a line for each running target, and finished ones scrolling away above.

Takes rich only when there is something to draw; a build that has nothing to do never loads it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from ddbuild.building.events import (
    BuildPlanned,
    Event,
    TargetFinished,
    TargetProgress,
    TargetStarted,
    TargetWaiting,
    Warned,
)
from ddbuild.label import Label
from ddbuild.report.ink import Ink, make_safe
from ddbuild.report.progress import STEPS, say_finished, say_rows, say_warning
from ddbuild.report.wording import count, say_label, say_seconds

if TYPE_CHECKING:
    from ddbuild.report.drawing import Drawing

__all__ = ["LiveProgress", "Running", "draw_lines"]

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR = 10
_MOST_LINES = 12


@dataclass(slots=True)
class Running:
    """A target that runs, as far as it has told."""

    label: Label
    started: float
    progress: TargetProgress | None = None
    holder: str | None = None


@dataclass(slots=True)
class LiveProgress:
    """Draws on a real terminal; `stream` is stderr."""

    stream: TextIO
    ink: Ink
    clock: Callable[[], float] = time.monotonic
    _running: dict[Label, Running] = field(default_factory=dict)
    _to_run: int = 0
    _done: int = 0
    _started: float = 0.0
    _drawing: Drawing | None = None
    _closed: bool = False
    _warnings: set[str] = field(default_factory=set)
    _lock: Any = field(default_factory=threading.RLock)

    def __call__(self, event: Event) -> None:
        """Take `event` into what is drawn."""
        with self._lock:
            self._take(event)
        if isinstance(event, TargetStarted):
            self._start()
        elif isinstance(event, TargetFinished):
            self.say(say_finished(event, self.ink))
        elif isinstance(event, Warned):
            self.warn(event.text)

    def say(self, text: str) -> None:
        """Print `text` above the moving lines."""
        # Never under the lock: rich has one of its own, and holds it when it asks what to draw.
        drawing = self._drawing
        try:
            if drawing is not None:
                drawing.print(text)
            else:
                self.stream.write(text + "\n")
                self.stream.flush()
        except (OSError, ValueError):
            # Whoever reads stderr is gone; the build is not.
            return

    def warn(self, text: str) -> None:
        """Print a warning above the moving lines, unless it was printed before."""
        with self._lock:
            if text in self._warnings:
                return
            self._warnings.add(text)
        self.say(say_warning(text, self.ink))

    def close(self) -> None:
        """Take the moving lines away and give the cursor back."""
        with self._lock:
            self._closed = True
            drawing, self._drawing = self._drawing, None
        if drawing is not None:
            with contextlib.suppress(OSError, ValueError):
                drawing.stop()

    def _take(self, event: Event) -> None:
        if isinstance(event, BuildPlanned):
            self._to_run, self._started = len(event.to_run), self.clock()
        elif isinstance(event, TargetStarted):
            self._running[event.label] = Running(event.label, self.clock())
        elif isinstance(event, TargetProgress) and (running := self._running.get(event.label)):
            running.progress, running.holder = event, None
        elif isinstance(event, TargetWaiting) and (running := self._running.get(event.label)):
            running.holder = event.holder
        elif isinstance(event, TargetFinished):
            self._running.pop(event.label, None)
            self._done += 1

    def _start(self) -> None:
        if self._drawing is not None or self._closed:
            return
        from ddbuild.report.drawing import Drawing  # a build that has nothing to do never gets here

        drawing = Drawing(self.stream, self.ink, self._draw)
        try:
            drawing.start()
        except (OSError, ValueError):
            self._closed = True
            return
        self._drawing = drawing

    def _draw(self, width: int, height: int) -> list[str]:
        now = self.clock()
        with self._lock:
            running, done = list(self._running.values()), self._done
        footer = None
        if self._to_run > 1:
            footer = f"{done} of {count(self._to_run, 'target')} done, {say_seconds(now - self._started)}"
        return draw_lines(running, now, width=width, height=height, footer=footer)


def draw_lines(running: list[Running], now: float, *, width: int, height: int, footer: str | None = None) -> list[str]:
    """Return the moving lines, none wider than `width` and not more of them than fit."""
    room = max(1, min(_MOST_LINES, height - 3))
    shown = running if len(running) <= room else running[: room - 1]
    labels = max((len(say_label(each.label)) for each in shown), default=0)
    steps = max((len(_step(each)) for each in shown), default=0)
    lines = [_draw_line(each, now, labels, steps, width) for each in shown]
    if len(shown) < len(running):
        lines.append(f"  + {count(len(running) - len(shown), 'more target')} running")
    if footer is not None:
        lines.append(f"  {footer}")
    return [_cut(line, width - 1) for line in lines]


def _draw_line(each: Running, now: float, labels: int, steps: int, width: int) -> str:
    elapsed = now - each.started
    frame = _SPINNER[int(now * 8) % len(_SPINNER)]
    words = [f"{say_label(each.label):<{labels}}", f"{_step(each):<{steps}}"]
    if each.holder is None and each.progress is not None:
        if each.progress.rows_total and width >= 60:
            words.append(_bar(each.progress.rows / each.progress.rows_total))
        words.append(say_rows(each.progress))
        if each.progress.requests:
            words.append(count(each.progress.requests, "request"))
    words.append(say_seconds(elapsed))
    return f"{frame} " + "  ".join(filter(None, words))


def _step(each: Running) -> str:
    if each.holder is not None:
        return f"waiting for {make_safe(each.holder)}"
    return STEPS.get(each.progress.step, each.progress.step) if each.progress is not None else "starting"


def _bar(share: float) -> str:
    full = round(min(1.0, max(0.0, share)) * _BAR)
    return "━" * full + "╌" * (_BAR - full)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"
