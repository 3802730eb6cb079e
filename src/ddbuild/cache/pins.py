"""Pins: results that are to stay, whatever their age, until whoever has pinned them lets go.

    <tier>/v1/pins/<key>.<workspace>.json

A pin is a root of its tier, not of a workspace: a garbage collection of anybody keeps what it names, and what that was
made from. `<workspace>` tells the pins of one workspace and user from another's, so that nobody lets go of what others
hold. The name alone is enough to keep the result: a file that cannot be read still holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddbuild.cache.disk import VANISHED, look_again, read_small
from ddbuild.cache.inventory import ActionFile, list_folder
from ddbuild.cache.publish import Publisher
from ddbuild.cache.result import KeyText
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_of

__all__ = ["Pin", "PinnedResult", "StoredPin", "add_pin", "find_pinned", "list_pins", "name_holder", "remove_pin"]

_NAME = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{12})\.json")
_MAX_BYTES = 8 << 20


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PinnedResult(_Document):
    """One result that a pin keeps."""

    label: str
    key: KeyText


class Pin(_Document):
    """The result `key` of `label`, with all that it was made from in `results`; who has pinned it, and when."""

    schema_: int = Field(default=1, alias="schema")
    label: str
    key: KeyText
    user: str = ""
    host: str = ""
    created: str = ""
    results: list[PinnedResult] = Field(default_factory=list)

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class StoredPin:
    """A pin in its tier; `pin` is None where its file cannot be read."""

    path: Path
    key: str
    holder: str
    pin: Pin | None


def name_holder(root: Path, user: str) -> str:
    """Return the name of the workspace `root` of `user` in pins; it says nothing about either."""
    return digest_of(("pin", str(root), user)).partition(":")[2][:12]


def add_pin(tier: Tier, pin: Pin, holder: str) -> bool:
    """Keep `pin`; return whether it was not there yet.

    Raises:
        OSError: the tier cannot be written.
    """
    tier.make_folder(tier.layout.pins)
    publisher = Publisher(tier.layout, tier.disk, for_team=tier.name == "shared")
    temp = publisher.create_sealed(pin.model_dump_json(by_alias=True).encode() + b"\n")
    try:
        placed = publisher.place(temp, _path(tier, pin.key, holder), without_links="rename")
        publisher.sync_folder(tier.layout.pins)
    finally:
        publisher.discard(temp)
    return placed


def remove_pin(tier: Tier, stored: StoredPin) -> bool:
    """Let go of a pin; return whether it was still there.

    Raises:
        OSError: the tier cannot be written.
    """
    try:
        tier.disk.unlink(stored.path)
    except OSError as error:
        if error.errno in VANISHED:
            return False
        raise
    return True


def list_pins(tier: Tier) -> list[StoredPin]:
    """Return all pins of a tier.

    Raises:
        OSError: they cannot be listed.
    """
    look_again(tier.disk, tier.layout.pins / "any", tier.layout.folder)
    found = []
    for name in sorted(list_folder(tier.disk, tier.layout.pins)):
        if match := _NAME.fullmatch(name):
            path = tier.layout.pins / name
            found.append(StoredPin(path, match[1], match[2], _read(tier, path)))
    return found


def find_pinned(pins: Iterable[StoredPin], groups: Mapping[str, list[ActionFile]]) -> set[str]:
    """Return the keys that pins keep: those that they name, and by what results record those of their ancestors."""
    stack = []
    for each in pins:
        stack += [each.key, *(result.key for result in (each.pin.results if each.pin else ()))]
    kept: set[str] = set()
    while stack:
        key = stack.pop()
        if key in kept:
            continue
        kept.add(key)
        stack += [parent for file in groups.get(key, ()) if file.facts for parent, _ in file.facts.inputs]
    return kept


def _path(tier: Tier, key: str, holder: str) -> Path:
    path = tier.layout.pins / f"{key}.{holder}.json"
    if not _NAME.fullmatch(path.name):
        raise ValueError(f"{path.name!r} is no name of a pin")
    return path


def _read(tier: Tier, path: Path) -> Pin | None:
    try:
        data, _ = read_small(tier.disk, path, _MAX_BYTES)
        return Pin.model_validate_json(data)
    except (OSError, ValidationError, ValueError, RecursionError):
        return None
