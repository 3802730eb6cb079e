"""`--override LABEL=FILE`: rows that a person has reviewed, in the place of what a target would make.

It goes before what build files override.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddbuild.cli.arguments import unmark
from ddbuild.cli.targets import find_target
from ddbuild.errors import UsageError

if TYPE_CHECKING:
    from ddbuild.building.api import WorkspaceSession
    from ddbuild.building.session import Session

__all__ = ["open_overridden", "override_option"]

override_option: Callable[[Any], Any] = click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="LABEL=FILE",
    help="Take the rows in FILE for what LABEL would make.",
)


def open_overridden(opened: WorkspaceSession, words: Sequence[str]) -> Session:
    """Return the opened session with what `words`, each `LABEL=FILE`, override.

    Raises:
        UsageError: a word is not of that form, names no target, or there are no rows in its file.
    """
    files = {}
    for word in map(unmark, words):
        label, equals, file = word.partition("=")
        if not (label and equals and file):
            raise UsageError(
                f"`--override` must be LABEL=FILE, got `{word}`", hint="--override //drafts=approved.parquet"
            )
        files[find_target(opened, label)] = Path(file)
    return opened.session.override(files)
