"""Digests of Python functions and values, for keys that change exactly when rows may change.

A function's digest covers its normalised source and, each under a name of its own, whatever that source reaches:
helpers, classes, globals, closures, defaults, modules imported inside it. Libraries count by name alone. What cannot
be digested is refused, never left out. Digests do not depend on folder, host, process, module name or line numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbuild.digest import Digest, digest_of
from ddbuild.source_digest.refusal import name_thing
from ddbuild.source_digest.row_reads import find_row_reads
from ddbuild.source_digest.walk import Walk

__all__ = ["SourceDigest", "digest_function", "digest_value", "find_row_reads"]


@dataclass(frozen=True, slots=True)
class SourceDigest:
    """A function's own digest, and one for each thing that it reaches.

    `digest` is that of its source alone; which of the references changed tells why a result is stale. `name` is for
    people: renaming a function changes no digest.
    """

    name: str
    digest: Digest
    references: Mapping[str, Digest]

    @property
    def identity(self) -> Digest:
        """One digest of it all, without the function's name."""
        return digest_of((self.digest, dict(self.references)))

    def parts(self, part: str) -> list[tuple[str, str, Digest]]:
        """Return `(part, name, digest)` of the function and of each reference, as parts of a key."""
        references = [(part, f"{self.name} -> {name}", digest) for name, digest in sorted(self.references.items())]
        return [(part, self.name, self.digest), *references]


def digest_function(function: Any, *, root: Path | None, subject: str) -> SourceDigest:
    """Return the digest of a callable: a function, lambda, method, partial, class, or an object that can be called.

    Decorators that keep `__wrapped__` are seen through. Code is the user's where its file is below `root` or in no
    installed library; `subject` says in errors what needs the digest.

    Raises:
        UnhashableError: something that it reaches has neither source nor content.
    """
    walk = Walk(root, subject)
    core = walk.start(function)
    digests = walk.finish()
    return SourceDigest(name_thing(core), digests.pop(""), digests)


def digest_value(value: object, *, root: Path | None, subject: str) -> Digest:
    """Return the digest of a value, with all code that it refers to; the order of dicts does not count.

    Raises:
        UnhashableError: something in it has neither source nor content.
    """
    walk = Walk(root, subject)
    walk.start_value(value, ordered=False)
    return digest_of(walk.finish())
