"""Colours for a few words, and text of unknown origin made safe for a terminal.

Small on purpose and without rich, so that a build that has nothing to do says so at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Ink", "can_animate", "choose_ink", "make_safe"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Ink:
    """Paints text, or leaves it as it is where colours are off."""

    enabled: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """Return `text` in `styles`: `bold`, `dim` or the name of a colour."""
        if not self.enabled or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


def choose_ink(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Ink:
    """Return the ink for `stream`: colours only on a terminal that takes them, and never against NO_COLOR."""
    if environ.get("NO_COLOR"):
        return Ink(False)
    if environ.get("FORCE_COLOR"):
        return Ink(True)
    return Ink(_is_terminal(stream) and environ.get("TERM", "") != "dumb")


def can_animate(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether lines on `stream` can be drawn over: a real terminal that nobody keeps a log of."""
    return _is_terminal(stream) and environ.get("TERM", "") not in ("", "dumb") and not environ.get("CI")


def make_safe(text: str) -> str:
    """Return `text` without the control characters that could move a cursor or hide what is there; line breaks stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub(
        lambda match: f"\\u{ord(match[0]):04x}" if ord(match[0]) > 255 else f"\\x{ord(match[0]):02x}", text
    )


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
