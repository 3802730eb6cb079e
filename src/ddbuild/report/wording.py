"""Numbers, times, lists, labels and paths as people read them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ddbuild.label import Label
from ddbuild.report.ink import make_safe

__all__ = ["count", "list_words", "say_duration", "say_label", "say_message", "say_path", "say_seconds"]

_ROOT_LABEL = re.compile(r"`//:(?=\w)")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 row" or "1,000 rows"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def list_words(words: Iterable[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    *head, tail = list(words) or [""]
    return f"{', '.join(head)} and {tail}" if head else tail


def say_duration(seconds: float) -> str:
    """Return "0.4 s", "2 min 05 s" or "1 h 02 min"."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def say_seconds(seconds: float) -> str:
    """Return a duration that is still growing, in whole seconds: "4 s", "2 min 05 s"."""
    return f"{int(seconds)} s" if seconds < 60 else say_duration(int(seconds))


def say_label(label: Label) -> str:
    """Return `label` as people type it: `//name` for a target of the root package."""
    return str(label) if label.package else f"//{label.name}"


def say_message(text: str) -> str:
    """Return a message safe for a terminal, with the labels in backticks as people type them."""
    return _ROOT_LABEL.sub("`//", make_safe(text))


def say_path(path: Path, here: Path | None = None) -> str:
    """Return `path` relative to the folder `here` (the current one if None) where it lies below, absolute otherwise."""
    try:
        return str(path.relative_to(here or Path.cwd()))
    except (ValueError, OSError):
        return os.fspath(path)
