"""`ddbuild path`: where the rows of targets are."""

from __future__ import annotations

import click

from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.reading import LAST, note_last
from ddbuild.cli.targets import TARGET, choose_targets

__all__ = ["command"]


@click.command("path", cls=WorkspaceCommand, takes_json=False)
@click.argument("targets", nargs=-1, required=True, type=TARGET, metavar="TARGET...")
@LAST
@click.pass_obj
def command(call: Call, targets: tuple[str, ...], last: bool) -> None:
    """Print the folder that holds the rows of each target, one per line.

    The rows are in `data.parquet` in that folder. Nothing is ever generated: a stale target is an error.
    """
    opened = call.open()
    labels = choose_targets(opened, targets)
    results = [opened.session.read(label, last=last) for label in labels]
    for result in results:
        note_last(call, opened, result, last=last)
    call.write("".join(f"{result.path}\n" for result in results))
