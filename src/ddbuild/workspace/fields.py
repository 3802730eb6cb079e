"""The fields of one declaration, checked one by one, with messages that say field, expectation and value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Any

from ddbuild.errors import GraphError, Location, UsageError
from ddbuild.label import Label, parse_label
from ddbuild.suggestion import suggest
from ddbuild.workspace.build_file import Syntax
from ddbuild.workspace.wording import describe_value, list_words

__all__ = ["Fields", "check_call", "check_name", "read_label"]


class Fields:
    """The raw values that somebody wrote for `subject`, "stage `personas`".

    `where` gives the location of a field, or of the whole declaration for None. None as a value is a field left out.
    """

    def __init__(
        self,
        subject: str,
        values: Mapping[str, Any],
        where: Callable[[str | None], Location | None],
        syntax: Syntax = "python",
    ) -> None:
        self.subject = subject
        self.values = values
        self.where = where
        self.syntax = syntax

    def error(self, message: str, field: str | None = None, hint: str | None = None) -> GraphError:
        """Return an error that names the place of `field`."""
        return GraphError(message, facts=self.locate(field), hint=hint)

    def locate(self, field: str | None = None) -> dict[str, str]:
        """Return the fact that says where `field` was written, or the declaration; none where that is unknown."""
        location = self.where(field)
        return {"script" if self.syntax == "script" else "build file": str(location)} if location else {}

    def wrong(self, field: str, expected: str, value: object, hint: str | None = None) -> GraphError:
        """Return the error for a field with a value that it cannot have."""
        message = f"`{field}` of {self.subject} must be {expected}, got {describe_value(value)}"
        return self.error(message, field, hint)

    def example(self, field: str, value: str) -> str:
        """Return `field` set to `value`, as it is typed in this build file's language."""
        return f"`{field}: {value}`" if self.syntax == "yaml" else f"`{field}={value}`"

    def check_known(self, known: Collection[str], kind: str) -> None:
        """Refuse a field that `kind` does not have."""
        for name in self.values:
            if name not in known:
                meant = suggest(name, known)
                listed = list_words(f"`{field}`" for field in known)
                hint = f"did you mean `{meant}`?" if meant else f"the fields of a {kind} are {listed}"
                raise self.error(f"{self.subject} has a field `{name}`, which no {kind} has", name, hint)

    def text(self, field: str) -> str | None:
        """Return a text that is not empty, or None."""
        value = self.values.get(field)
        if value is None or (isinstance(value, str) and value):
            return value
        is_number = self.syntax == "yaml" and isinstance(value, (int, float))
        hint = f"put it in quotes: {self.example(field, chr(34) + str(value) + chr(34))}" if is_number else None
        raise self.wrong(field, "a text", value, hint)

    def flag(self, field: str) -> bool:
        """Return true or false; false where left out."""
        value = self.values.get(field, False)
        if isinstance(value, bool):
            return value
        raise self.wrong(field, "true or false", value)

    def count(self, field: str) -> int | None:
        """Return a whole number of at least 1, or None."""
        value = self.values.get(field)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise self.wrong(field, "a whole number of at least 1", value)

    def share(self, field: str) -> float | None:
        """Return a number from 0 to 1, or None."""
        value = self.values.get(field)
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        raise self.wrong(field, "a number from 0 to 1", value)

    def choice(self, field: str, choices: Sequence[str], default: str | None = None) -> str | None:
        """Return one of `choices`; Data Designer's enums count by their value."""
        value = self.values.get(field)
        if value is None:
            return default
        plain = value.value if isinstance(value, Enum) else value
        if isinstance(plain, str) and plain in choices:
            return plain
        meant = suggest(plain, choices) if isinstance(plain, str) else None
        expected = list_words((f'"{choice}"' for choice in choices), "or")
        raise self.wrong(field, expected, plain, f"did you mean `{meant}`?" if meant else None)

    def listing(self, field: str, expected: str) -> list[Any]:
        """Return a list; an empty one where left out."""
        value = self.values.get(field)
        if value is None:
            return []
        if isinstance(value, (list, tuple)):
            return list(value)
        one = f'"{value}"' if isinstance(value, (str, Label)) else "..."
        raise self.wrong(field, expected, value, f"write {self.example(field, f'[{one}]')}")

    def labels(self, field: str, package: str) -> tuple[Label, ...]:
        """Return labels, each once, in the order written."""
        values = self.listing(field, "a list of labels")
        return tuple(dict.fromkeys(read_label(value, package, field, self) for value in values))


def read_label(value: object, package: str, field: str, fields: Fields) -> Label:
    """Return the label that `value` is or writes, in a build file of `package`."""
    if isinstance(value, Label):
        return value
    if not isinstance(value, str):
        message = f"`{field}` of {fields.subject} must hold labels, got {describe_value(value)}"
        raise fields.error(message, field)
    if fields.syntax == "script" and is_name(value):
        return Label(package, value)
    try:
        return parse_label(value, package=package)
    except UsageError as error:
        hint = error.hint
        if is_name(value):
            hint = f"`:{value}` is the target of that name in this package, `//{value}` one of the workspace's root"
        message = error.message.replace(f"`{value}`", f"`{value}` in `{field}` of {fields.subject}", 1)
        wrong = fields.error(message, field, hint)
        wrong.facts.update(error.facts)
        raise wrong from None


def is_name(text: str) -> bool:
    """Return whether `text` can name a target; `all` means every target and cannot."""
    try:
        return parse_label(f":{text}").name == text
    except UsageError:
        return False


def check_name(kind: str, name: object, fields: Fields) -> str:
    """Return `name` if it can name a target of this kind."""
    facts = fields.locate()
    if not isinstance(name, str):
        raise GraphError(f"the name of a {kind} must be a text, got {describe_value(name)}", facts=facts)
    if name == "all":
        raise GraphError(f"`all` cannot name a {kind}: it means every target of a package", facts=facts)
    if not is_name(name):
        facts["expected"] = "letters, digits and _ . + -, the first one a letter, a digit or _"
        raise GraphError(f"`{name}` cannot name a {kind}" if name else f"a {kind} has an empty name", facts=facts)
    return name


def check_call(function: object, count: int, what: str, field: str, fields: Fields) -> Callable[..., Any]:
    """Return `function` if it can be called with `count` positional arguments; `what` says what they are."""
    expected = "a function without arguments" if count == 0 else f"a function of one argument, {what}"
    if not callable(function):
        raise fields.wrong(field, expected, function)
    if inspect.iscoroutinefunction(function):
        raise fields.error(f"`{field}` of {fields.subject} must be {expected}, got an `async` one", field)
    try:
        inspect.signature(function).bind(*(None,) * count)
    except TypeError as error:
        name = describe_value(function)
        raise fields.error(f"`{field}` of {fields.subject} must be {expected}, got {name}: {error}", field) from None
    except ValueError:
        # Some functions written in C have no signature to look at.
        pass
    return function
