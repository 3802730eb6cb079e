"""The words for what cannot be hashed: what it is, who reads it, where, and what a user can do."""

from __future__ import annotations

import types
from typing import Any

from ddbuild.errors import Location, UnhashableError
from ddbuild.source_digest.value import RefusedValueError, format_trail

__all__ = ["HINT", "describe_refusal", "name_thing", "quote_subject"]

HINT = 'give the target `version="1"`, and another one whenever its rows may change'


def quote_subject(subject: str) -> str:
    """Return a subject in backticks, unless it brings its own."""
    return subject if "`" in subject else f"`{subject}`"


def name_thing(thing: Any) -> str:
    """Return the name of a function or class without the functions around it, or that of an object's type."""
    if not isinstance(getattr(thing, "__qualname__", None), str):
        thing = type(thing)
    return str(thing.__qualname__).rpartition("<locals>.")[2]


def describe_refusal(
    subject: str, chain: list[str], refused: RefusedValueError, start: Any, place: Location | None
) -> UnhashableError:
    """Return the error for a value that was reached by way of `chain`, the labels from the start to its reader."""
    value = refused.value
    names = [name_thing(start) if not label else label.rpartition(" -> ")[2] for label in chain]
    for prefix in ("global ", "closure ", "default "):
        names = [name.removeprefix(prefix) for name in names]
    names[-1] += format_trail(refused.trail)
    steps = [f"`{name}`" for name in names]
    kind = type(value)
    if isinstance(value, types.FunctionType):
        what = f"`{name_thing(value)}`, a function whose source cannot be found"
    elif isinstance(value, types.BuiltinFunctionType):
        what = f"`{name_thing(value)}`, a function without source"
    else:
        type_name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        article = "an" if type_name.lstrip("_")[:1].lower() in "aeiou" else "a"
        what = f"{steps[-1]}, {article} `{type_name}` without content to hash"
    facts = {"reached": " -> ".join(steps)}
    if place is not None:
        facts["read at"] = str(place)
    if isinstance(refused.__cause__, LookupError):
        facts["because"] = str(refused.__cause__)
    return UnhashableError(f"{quote_subject(subject)} depends on {what}", facts=facts, hint=HINT)
