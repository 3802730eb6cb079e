"""Functions of custom columns that do not get to see one entry of their rows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["hide_entry"]

Function = Callable[..., Any]


def hide_entry(function: Function, name: str) -> Function:
    """Return `function`, which takes a row and gives one back, for rows with an entry `name` that is none of theirs."""
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def call_async(row: dict[str, Any], *rest: Any) -> Any:
            hidden = row.pop(name)
            return _put_back(await function(row, *rest), name, hidden)

        return call_async

    @functools.wraps(function)
    def call(row: dict[str, Any], *rest: Any) -> Any:
        hidden = row.pop(name)
        return _put_back(function(row, *rest), name, hidden)

    return call


def _put_back(result: Any, name: str, value: Any) -> Any:
    # What is no row is for Data Designer to refuse.
    return {**result, name: value} if isinstance(result, dict) else result
