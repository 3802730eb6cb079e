"""Find what somebody probably meant to type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["suggest"]


def suggest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that is closest to `wrong`, or None where nothing is close."""
    matches = get_close_matches(wrong, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
