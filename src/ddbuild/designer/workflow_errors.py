"""What a pipeline raises: errors that are Data Designer's and ddbuild's at once.

Code that was written for `compose_workflow` catches Data Designer's classes, and goes on working. `facts` and `hint`
are those of every error of ddbuild.

    DataDesignerWorkflowError     DdbuildError
                └────────┬────────────┘
                   PipelineError
                   ├── StageGenerationError      also a DataDesignerGenerationError
                   └── StageShutdownError        also a DataDesignerEarlyShutdownError

Unlike the rest of this package, this module imports Data Designer: three small modules of it, without its engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_designer.interface.errors import (
    DataDesignerEarlyShutdownError,
    DataDesignerGenerationError,
    DataDesignerWorkflowError,
)

from ddbuild.errors import DdbuildError

__all__ = ["PipelineError", "StageGenerationError", "StageShutdownError", "wrap_error"]


class PipelineError(DataDesignerWorkflowError, DdbuildError):  # type: ignore[misc]  # a base without types
    """A pipeline was put wrong, or did not come to its end.

    `results` holds what was made of it all the same, None where nothing ran; `exit_code` is that of its cause.
    """

    def __init__(
        self,
        message: str,
        *,
        facts: Mapping[str, str] | None = None,
        hint: str | None = None,
        results: Any = None,
        exit_code: int = 2,
    ) -> None:
        DdbuildError.__init__(self, message, facts=facts, hint=hint)
        self.results = results
        self.exit_code = exit_code

    __str__ = DdbuildError.__str__


class StageGenerationError(PipelineError, DataDesignerGenerationError):  # type: ignore[misc]
    """Data Designer made no rows of a stage, or too few."""


class StageShutdownError(StageGenerationError, DataDesignerEarlyShutdownError):  # type: ignore[misc]
    """Data Designer gave a stage up because too many requests failed, before it had any rows."""


def wrap_error(error: DdbuildError, *, message: str | None = None, generating: bool, results: Any = None) -> Any:
    """Return `error` as what a pipeline raises; `generating` says that a run of Data Designer has failed."""
    kind = PipelineError
    if generating:
        kind = StageShutdownError if _was_shut_down(error) else StageGenerationError
    wrapped = kind(
        message or error.message, facts=error.facts, hint=error.hint, results=results, exit_code=error.exit_code
    )
    wrapped.__cause__ = error
    return wrapped


def _was_shut_down(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DataDesignerEarlyShutdownError):
            return True
        cause = cause.__cause__
    return False
