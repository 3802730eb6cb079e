"""Calling the functions that people wrote, and saying clearly where they went wrong."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from ddbuild.errors import BuildError, DdbuildError

__all__ = ["call_user_function"]

_LONGEST = 600


def call_user_function(function: Callable[..., Any], *arguments: object, subject: str) -> Any:
    """Return what `function` returns.

    Raises:
        BuildError: it raised; the facts name the exception and the innermost line outside of installed packages.
    """
    try:
        return function(*arguments)
    except DdbuildError:
        raise
    except BaseException as error:
        # Whatever it is: `sys.exit()` in a callback ends the callback, not the build.
        facts = {"raised": _say_error(error)}
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
        if frames:
            facts["at"] = f"{frames[-1].filename}:{frames[-1].lineno}"
            if frames[-1].line:
                facts["line"] = frames[-1].line
        raise BuildError(f"{subject} raised an error", facts=facts) from error


def _say_error(error: BaseException) -> str:
    """Return type and text in one line: what many libraries have to say comes in the lines after the first."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _is_users(file: str) -> bool:
    return "site-packages" not in file and not file.endswith("ddbuild/build/failures.py") and not file.startswith("<")
