"""What the commands that only read results have in common: `--last`, and saying that it was needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddbuild.report.wording import say_label

if TYPE_CHECKING:
    from ddbuild.building.api import WorkspaceSession
    from ddbuild.building.results import TargetResult
    from ddbuild.cli.call import Call

__all__ = ["LAST", "note_last"]

LAST = click.option("--last", is_flag=True, help="Where the target is stale, take the newest result kept.")


def note_last(call: Call, opened: WorkspaceSession, result: TargetResult, *, last: bool) -> None:
    """Say on stderr that `result` is not the current one, if it is not."""
    if not last or result.provenance is None:
        return
    from ddbuild.plan.decision import Hit  # only asked where `--last` was given

    if not isinstance(opened.session.plan([result.label]).targets[result.label].decision, Hit):
        call.note(f"{say_label(result.label)} is stale; this is the result of {result.provenance.created}")
