"""Which progress suits a stream: moving lines on a terminal, plain ones elsewhere, few when told to be quiet."""

from __future__ import annotations

from typing import TextIO

from ddbuild.report.ink import Ink, can_animate
from ddbuild.report.live import LiveProgress
from ddbuild.report.progress import PlainProgress, Progress, QuietProgress

__all__ = ["choose_progress"]


def choose_progress(stream: TextIO, ink: Ink, *, quiet: bool) -> Progress:
    """Return what shows a build on `stream`."""
    if quiet:
        return QuietProgress(stream, ink)
    return LiveProgress(stream, ink) if can_animate(stream) else PlainProgress(stream, ink)
