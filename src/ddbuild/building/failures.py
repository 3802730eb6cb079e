"""Calling the functions that people wrote, and saying clearly what went wrong."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddbuild.cache.result import Lost
from ddbuild.errors import BuildError, DdbuildError
from ddbuild.graph.targets import Stage
from ddbuild.plan.acceptance import rows_needed

__all__ = ["call_user_function", "short_error"]

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


def short_error(stage: Stage, made: int, requested: int, lost: list[Lost], log_file: Path) -> BuildError:
    """Return the error for a result that has fewer rows than `min_yield` takes."""
    facts = {
        "rows": f"{made} of {requested}, and min_yield = {stage.min_yield:g} needs {rows_needed(stage, requested)}"
    }
    for each in lost[:3]:
        facts[f"{each.rows} lost"] = each.reason
    facts["log"] = str(log_file)
    return BuildError(
        f"`{stage.label}` lost too many rows",
        facts=facts,
        hint=f"build again to try once more, or accept it with `min_yield={made / requested:.2f}`",
    )
