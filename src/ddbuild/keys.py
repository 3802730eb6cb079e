"""Keys: one digest over everything that may change an action's rows.

Owns the form of a key and what kinds of parts there are. It is given digests and never makes one from a config, a
file or a function. The same parts with the parents' *keys* give the deep key, known before anything runs; with the
parents' *content digests* they give the content key, which does not care how equal parents came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ddbuild.digest import Digest, Key, digest_of
from ddbuild.label import Label

__all__ = ["AS_THE_SEED", "KEY_SCHEMA", "Action", "ActionInput", "Part", "make_key"]

KEY_SCHEMA = 1
"""Raised whenever the meaning of a part changes, so that no old result is taken for a new one."""

AS_THE_SEED = "as the seed"
"""What `num_records` is in a deep key when it was left out."""


class Part(NamedTuple):
    """One typed thing that a key hashes: `part` says what kind of thing, `name` which one of them."""

    part: str
    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class ActionInput:
    """Something an action reads: the output of `label`, or of the same target's action before it (None).

    `role` is what the content is used as, so that `join(a, b)` is not `join(b, a)`; whatever has no role of its own
    is only waited for.
    """

    role: str
    label: Label | None


@dataclass(frozen=True, slots=True)
class Action:
    """One cacheable step of a target before its parents are known.

    `num_records` is the row count that was asked for, AS_THE_SEED where the seed decides, None where the question
    does not arise. `grows` says that a result with fewer records can be extended. `names` says what people call the
    parts of one kind, the name of a callback's function, or one part, the name of a file; no key depends on it.
    """

    label: Label
    kind: str
    parts: tuple[Part, ...]
    inputs: tuple[ActionInput, ...]
    num_records: int | str | None = None
    grows: bool = False
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    def deep_key(self, parent_keys: Iterable[Key]) -> Key:
        """Return the key that is known before anything runs; `parent_keys` in the order of `inputs`."""
        return self._key(list(parent_keys), self.num_records)

    def content_key(self, contents: Iterable[Digest], seed_rows: int | None) -> Key:
        """Return the key by content; `seed_rows` stands in for a `num_records` that was left out."""
        count = seed_rows if self.num_records == AS_THE_SEED and seed_rows is not None else self.num_records
        return self._key(list(contents), count)

    def family(self, contents: Iterable[Digest]) -> Key:
        """Return the name of all results that differ in `num_records` only."""
        return self._key(list(contents), "any number")

    def _key(self, inputs: list[Key] | list[Digest], num_records: int | str | None) -> Key:
        parts = list(self.parts)
        if num_records is not None:
            parts.append(Part("num_records", "", digest_of(num_records)))
        named = zip((each.role for each in self.inputs), inputs, strict=True)
        return make_key(self.kind, parts, named)


def make_key(kind: str, parts: Iterable[Part], inputs: Iterable[tuple[str, str]]) -> Key:
    """Return the key of an action of `kind`; neither the order of `parts` nor that of `inputs` matters."""
    content = ("ddbuild", KEY_SCHEMA, kind, sorted(tuple(part) for part in parts), sorted(inputs))
    return Key(digest_of(content).removeprefix("xxh3_128:"))
