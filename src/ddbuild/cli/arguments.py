"""The command line before click reads it: which word is the command, and what looks like an option and is none.

ddbuild -C data //judged -//qa:slow        becomes        ddbuild build -C data //judged (-//qa:slow)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

__all__ = ["arrange", "is_pattern", "unmark"]

_MARK = "\0"
"""Stands before a negative pattern while click reads options; no argument of a process can hold one by itself."""

_PATTERN = re.compile(r"-?(//|:|\.\.\.)")
_FRONT = ("-h", "--help", "--version")
_LONG_WITH_VALUE = ("--directory", "--cache-dir", "--shared-cache", "--shared-mode", "--jobs", "--override")
_SHORT_WITH_VALUE = "Cj"


def is_pattern(word: str) -> bool:
    """Return whether `word` can only be a label or a pattern: `//a`, `:a`, `...`, or one of them behind a `-`."""
    return _PATTERN.match(word) is not None


def unmark(word: str) -> str:
    """Return `word` as it was typed."""
    return word.removeprefix(_MARK)


def arrange(arguments: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return `arguments` with the command in front of all options, `build` where only targets are named.

    Negative patterns are marked, so that they are not taken for options; `unmark` gives them back.
    """
    front: list[str] = []
    options: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--" and _is_option(rest[0]):
        word = rest.pop(0)
        (front if word in _FRONT else options).append(word)
        if _takes_next(word) and rest:
            options.append(rest.pop(0))
    marked = [_MARK + word if word.startswith("-") and is_pattern(word) else word for word in rest]
    if not rest:
        return front if front or not options else ["build", *options]
    word = rest[0]
    if word == "help":
        return [*rest[1:2], "--help"]
    if word == "--" or is_pattern(word):
        return ["build", *front, *options, *marked]
    return [word, *front, *options, *marked[1:]]


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not is_pattern(word)


def _takes_next(word: str) -> bool:
    if word.startswith("--"):
        return word in _LONG_WITH_VALUE
    # Of `-kj 4`, the j takes the 4; of `-j4` it has taken it.
    for position, letter in enumerate(word[1:], start=1):
        if letter in _SHORT_WITH_VALUE:
            return position == len(word) - 1
    return False
