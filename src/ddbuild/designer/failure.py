"""How a run fails, as errors that the rest of ddbuild can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ddbuild.errors import BuildError

__all__ = ["CannotResume", "RunFailedError"]


class CannotResume(BuildError):  # noqa: N818  # it is not a failure for the user: the caller starts afresh
    """Data Designer does not go on with these batches; a run that starts afresh can still be made."""


class RunFailedError(BuildError):
    """A run ended without rows.

    `provider_trouble` says that a model's provider was the cause, so that nothing may be concluded from it;
    `last_lines` are the last lines of the log.
    """

    def __init__(
        self,
        message: str,
        *,
        facts: Mapping[str, str] | None = None,
        hint: str | None = None,
        provider_trouble: bool = False,
        log_file: Path | None = None,
        last_lines: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, facts=facts, hint=hint)
        self.provider_trouble = provider_trouble
        self.log_file = log_file
        self.last_lines = last_lines
