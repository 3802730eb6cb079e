"""`ddbuild cache ls`: list results."""

from __future__ import annotations

import click

from ddbuild.cache.stats import list_results
from ddbuild.cli.cache import TIER, cannot_be_read, open_tiers_of
from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.targets import TARGET, choose_targets
from ddbuild.errors import UsageError
from ddbuild.report.cache import describe_results, draw_results

__all__ = ["command"]


@click.command("ls", cls=WorkspaceCommand)
@click.argument("targets", nargs=-1, type=TARGET, metavar="[TARGET...]")
@click.option("-a", "--all", "everything", is_flag=True, help="Also of other workspaces, and of targets long gone.")
@TIER
@click.pass_obj
def command(call: Call, targets: tuple[str, ...], everything: bool, tier: str) -> None:
    """List the results of TARGET, the newest first; without one, of all targets of this workspace.

    Results are told apart by their labels: another workspace's target of the same name is listed as well.
    """
    if targets and everything:
        raise UsageError(f"`--all` is everything, and `{targets[0]}` was named")
    labels = None
    if not everything:
        opened = call.open()
        labels = {str(label) for label in choose_targets(opened, targets or ("//...",))}
    tiers = open_tiers_of(call, tier)
    try:
        results = list_results(*tiers)
    except OSError as error:
        raise cannot_be_read(tiers[0], error) from error
    if labels is not None:
        results = [each for each in results if each.facts.label in labels]
    if call.json:
        call.write_document(describe_results(results))
    elif results:
        call.write(draw_results(results))
    else:
        call.note("no results are kept" + ("" if everything else "; `--all` lists those of other workspaces too"))
