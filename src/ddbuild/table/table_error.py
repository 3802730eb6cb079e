"""The error of this package, apart from everything heavy, so that it can be caught without pyarrow."""

from __future__ import annotations

from collections.abc import Iterable

from ddbuild.errors import BuildError

__all__ = ["TableError", "list_names", "shorten_reason"]


class TableError(BuildError):
    """Rows cannot be read, be given one schema, or be written."""


def list_names(names: Iterable[str], *, limit: int = 3) -> str:
    """Return the first `limit` names as a list in words, with the number of the others."""
    unique = list(dict.fromkeys(names))
    if len(unique) <= limit + 1:
        return ", ".join(unique)
    return f"{', '.join(unique[:limit])} and {len(unique) - limit} more"


def shorten_reason(reason: object) -> str:
    """Return the first line of `reason`, without a full stop and at most 200 characters long."""
    text = str(reason).strip()
    line = (text.splitlines() or [""])[0].strip().rstrip(".")
    return line if len(line) <= 200 else line[:199] + "…"
