"""Words for values in messages: what somebody wrote, said back briefly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

__all__ = ["describe_value", "list_words", "name_function"]

_LONGEST = 60


def describe_value(value: object) -> str:
    """Return `value` as a message's "got ..." says it: with its kind, and cut where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{value}`"
    if isinstance(value, (int, float)):
        return f"the number `{value}`"
    if isinstance(value, str):
        return f"the text `{_cut(value)}`" if value else "an empty text"
    if isinstance(value, type):
        return f"the class `{value.__name__}`"
    if isinstance(value, Mapping):
        return f"the mapping `{_cut(repr(dict(value)))}`" if value else "an empty mapping"
    if isinstance(value, Set):
        return "a set"
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return f"the list `{_cut(repr(list(value)))}`" if value else "an empty list"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the function `{name_function(value)}`"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeio' else 'a'} `{kind}`"


def name_function(function: Callable[..., Any]) -> str:
    """Return a name for `function` that its author knows."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def list_words(words: Iterable[str], last: str = "and") -> str:
    """Return "a", "a and b", or "a, b and c"."""
    *head, tail = list(words) or [""]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
