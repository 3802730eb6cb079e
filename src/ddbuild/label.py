"""Labels, `//package:name`, and the patterns that choose several of them.

Owns the syntax only: whether a label exists, and which target `//judged` means, is for the graph to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ddbuild.errors import UsageError

__all__ = ["Label", "Pattern", "parse_label", "parse_pattern"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SEGMENT = _NAME


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """The name of a target: `package` is a path of folders below the workspace ("" for its root).

    `short` marks what was written as `//a`, which is `//:a` or `//a:a`, whichever the graph has; it is no part of the
    label's identity, and no label of a validated graph has it.
    """

    package: str
    name: str
    short: bool = field(default=False, compare=False, repr=False)

    def __str__(self) -> str:
        return f"//{self.package}:{self.name}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A choice of labels.

    `name` None chooses every target of the package; `recursive` adds the packages below it; `negative` takes the
    chosen ones out. `short` marks `//a/b`, which is `//a:b` or `//a/b:b`, whichever the graph has.
    """

    package: str
    name: str | None
    recursive: bool = False
    negative: bool = False
    short: bool = False
    text: str = ""

    def __str__(self) -> str:
        return self.text


def parse_label(text: str, *, package: str = "") -> Label:
    """Return the label that `text` names in a build file of `package`: `//a/b:c`, `//a/b` (= `//a/b:b`) or `:c`.

    Raises:
        UsageError: `text` is no label.
    """
    pattern = parse_pattern(text, package=package)
    if pattern.negative or pattern.name is None:
        raise UsageError(f"`{text}` is a pattern, and one target is needed here")
    return Label(pattern.package, pattern.name, short=pattern.short)


def parse_pattern(text: str, *, package: str = "") -> Pattern:
    """Return the pattern that `text` writes on a command line run in the folder of `package`.

    Besides labels these are `//...`, `//a/...`, `//a:all`, `:all`, `...`, and any of them behind a `-`.

    Raises:
        UsageError: `text` is no pattern; the hint says how it could have been meant.
    """
    negative = text.startswith("-")
    body = text[1:] if negative else text
    if body in ("...", ":..."):
        return Pattern(package, None, recursive=True, negative=negative, text=text)
    if not body.startswith(("//", ":")):
        hint = f"write `//{body}` from the workspace's root, or `:{body}` in its own package"
        raise UsageError(f"`{text}` is not a label", hint=hint if _NAME.fullmatch(body) else None)
    path, colon, name = body.removeprefix("//").partition(":") if body.startswith("//") else (package, ":", body[1:])
    recursive = path == "..." or path.endswith("/...")
    if recursive:
        path = path[:-3].rstrip("/")
    segments = path.split("/") if path else []
    if not all(_SEGMENT.fullmatch(segment) for segment in segments) or (colon and not _NAME.fullmatch(name)):
        raise UsageError(
            f"`{text}` is not a label",
            facts={"expected": "//package/folders:name, with letters, digits and _ . + - in each part"},
        )
    if recursive:
        if colon and name != "all":
            raise UsageError(f"`{text}` is not a label", hint=f"write `//{path + '/' if path else ''}...`")
        return Pattern(path, None, recursive=True, negative=negative, text=text)
    if colon:
        return Pattern(path, None if name == "all" else name, negative=negative, text=text)
    if not segments:
        raise UsageError(f"`{text}` is not a label", hint="`//...` is every target of the workspace")
    return Pattern(path, segments[-1], negative=negative, short=True, text=text)
