"""What was asked for, as far as a snapshot can answer it: anything unusual is None, and the long way's to explain.

The words of the command line and the labels are read here once more, by the plain half of the rules in
`cli/arguments.py`, `label.py` and `graph/graph.py`, whose modules take too long to import. What is read differs from
what they read in nothing but that it is less; a test compares the two.
"""

from __future__ import annotations

import os

from ddbuild.file_state import is_file, is_folder, sign
from ddbuild.snapshot.record import describe_caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Request", "choose", "find_package", "find_root", "make_request", "read_request"]

_COMMANDS = ("build", "plan", "path")
_WITH_VALUE = {
    "-C": "directory",
    "--directory": "directory",
    "--cache-dir": "cache_dir",
    "--shared-cache": "shared_cache",
    "--shared-mode": "shared_mode",
    "-j": "jobs",
    "--jobs": "jobs",
}
_FLAGS = {
    "--json": "json",
    "-q": "quiet",
    "--quiet": "quiet",
    "-k": "keep_going",
    "--keep-going": "keep_going",
    "-n": "dry_run",
    "--dry-run": "dry_run",
}
_NOT_FOR_PATH = ("json", "keep_going", "dry_run", "jobs")


class Request:
    """One call of a command that a snapshot may answer.

    `here` is the folder in which it was typed, `folder` the one in which it works; `words` are labels and patterns.
    """

    __slots__ = ("caller", "command", "folder", "here", "json", "quiet", "words")

    def __init__(self, command: str, words: list[str], here: str, options: dict[str, str]) -> None:
        self.command = "plan" if command == "build" and "dry_run" in options else command
        self.words = words
        self.json = "json" in options
        self.quiet = "quiet" in options
        self.here = here
        directory = options.get("directory")
        self.folder = here if directory is None else os.path.realpath(os.path.join(here, directory))  # noqa: PTH118
        self.caller: Any = describe_caller(
            self.folder, options.get("cache_dir"), options.get("shared_cache"), options.get("shared_mode")
        )


def read_request(arguments: Sequence[str]) -> Request | None:
    """Return what `arguments` ask for; None where they hold anything but labels and the options known here."""
    options: dict[str, str] = {}
    words: list[str] = []
    command: str | None = None
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        if is_pattern(word):
            command = command or "build"
            words.append(word)
        elif not word.startswith("-"):
            if command is not None or word not in _COMMANDS:
                return None
            command = word
        elif word in _FLAGS:
            options[_FLAGS[word]] = ""
        elif word.startswith("-j") and _is_plain("jobs", word[2:]):
            options["jobs"] = word[2:]
        else:
            name, equals, value = word.partition("=")
            if word in _WITH_VALUE and rest:
                value = rest.pop()
            elif not (equals and name.startswith("--") and name in _WITH_VALUE):
                return None
            if not _is_plain(_WITH_VALUE[name], value):
                return None
            options[_WITH_VALUE[name]] = value
    if command is None or not words:
        return None
    if command == "path" and any(name in options for name in _NOT_FOR_PATH):
        return None
    request = Request(command, words, os.getcwd(), options)  # noqa: PTH109
    return None if request.caller is None or not is_folder(sign(request.folder)) else request


def make_request(command: str, words: list[str], here: str, directory: str | None) -> Request:
    """Return a call of a command in the folder `here`, with no other option than the `directory` to work in."""
    return Request(command, words, here, {} if directory is None else {"directory": directory})


def is_pattern(word: str) -> bool:
    """Return whether `word` can only be a label or a pattern."""
    return word.removeprefix("-").startswith(("//", ":", "..."))


def find_root(folder: str) -> str | None:
    """Return the workspace that `folder` lies in; None where there is none."""
    while True:
        if is_file(sign(os.path.join(folder, "ddbuild.toml"))):  # noqa: PTH118
            return folder
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return None
        folder = above


def find_package(root: str, folder: str) -> str:
    """Return the package that `folder` belongs to: its own, or the nearest above."""
    while folder != root and folder.startswith(root):
        if any(is_file(sign(os.path.join(folder, name))) for name in ("BUILD.py", "BUILD.yaml")):  # noqa: PTH118
            return os.path.relpath(folder, root)
        folder = os.path.dirname(folder)  # noqa: PTH120
    return ""


def choose(labels: bytes, words: Sequence[str], package: str) -> list[int] | None:
    """Return the numbers of the targets that `words` choose, in order; None where that is not plain to see.

    `labels` are all labels, a line each, with a line break before the first.
    """
    chosen: set[int] = set()
    removed: set[int] = set()
    for word in words:
        body = word.removeprefix("-")
        found = _match(labels, body, package)
        if found is None or (not found and body is word):
            return None
        (chosen if body is word else removed).update(found)
    return sorted(chosen - removed) or None


def _match(labels: bytes, body: str, package: str) -> list[int] | None:
    if "\n" in body:
        return None
    if body in ("...", ":..."):
        return _list(labels, package, recursive=True)
    if body.startswith(":"):
        body = f"//{package}{body}"
    path, colon, name = body[2:].partition(":")
    if path == "..." or path.endswith("/..."):
        return None if colon or "//" in body[2:] else _list(labels, path[:-4], recursive=True)
    if not colon:
        # `//a/b` is `//a/b:b`; and `//a` may be the root's `a` as well.
        found = [_find(labels, f"{body}:{path.rpartition('/')[2]}")]
        if "/" not in path:
            found.append(_find(labels, f"//:{path}"))
        there = [number for number in found if number is not None]
        return there if len(there) == 1 else None
    if name == "all":
        return _list(labels, path, recursive=False)
    number = _find(labels, body)
    return None if number is None else [number]


def _find(labels: bytes, label: str) -> int | None:
    position = labels.find(f"\n{label}\n".encode("utf-8", "surrogateescape"))
    return None if position < 0 else labels.count(b"\n", 0, position)


def _list(labels: bytes, package: str, *, recursive: bool) -> list[int]:
    lines = labels[1:-1].split(b"\n")
    if recursive and not package:
        return list(range(len(lines)))
    starts: tuple[bytes, ...] = (f"//{package}:".encode("utf-8", "surrogateescape"),)
    if recursive:
        starts = (*starts, f"//{package}/".encode("utf-8", "surrogateescape"))
    return [number for number, line in enumerate(lines) if line.startswith(starts)]


def _is_plain(name: str, value: str) -> bool:
    if name == "jobs":
        return value.isascii() and value.isdecimal() and int(value) >= 1
    if name == "shared_mode":
        return value in ("rw", "ro", "off")
    return bool(value) and value[0] not in "-~"
