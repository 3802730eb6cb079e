"""`ddbuild plan`: say what a build would do and why, without doing it."""

from __future__ import annotations

import click

from ddbuild.cli.build import print_plan
from ddbuild.cli.call import Call, WholeNumber, WorkspaceCommand
from ddbuild.cli.overrides import override_option
from ddbuild.cli.targets import TARGET
from ddbuild.errors import UsageError

__all__ = ["command"]


@click.command("plan", cls=WorkspaceCommand)
@click.argument("targets", nargs=-1, type=TARGET, metavar="TARGET...")
@click.option("-j", "--jobs", type=WholeNumber(1), hidden=True)
@click.option("-k", "--keep-going", is_flag=True, hidden=True)
@click.option("-n", "--dry-run", is_flag=True, hidden=True)
@click.option("--no-reuse", is_flag=True, help="Plan a build that asks for every cell anew.")
@click.option("--retry-lost", is_flag=True, help="Plan a build that asks again for lost rows.")
@override_option
@click.pass_obj
def command(
    call: Call,
    targets: tuple[str, ...],
    jobs: int | None,
    keep_going: bool,
    dry_run: bool,
    no_reuse: bool,
    retry_lost: bool,
    overrides: tuple[str, ...],
) -> int:
    """Say which targets a build would make, and why, parents first. Nothing runs.

    \b
      hit         a kept result counts
      stale       it would run; the reasons are told
      undecided   its parents run first; if they come out with equal rows, what is kept counts after all
    """
    if not targets:
        raise UsageError("no target was named", hint="`ddbuild plan //...` plans everything")
    return print_plan(call, targets, overrides, no_reuse=no_reuse, retry_lost=retry_lost)
