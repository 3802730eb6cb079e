"""`ddbuild cache stats`: how much is kept."""

from __future__ import annotations

import click

from ddbuild.cache.stats import count_tier
from ddbuild.cli.cache import TIER, cannot_be_read, open_tiers_of
from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.report.cache import describe_stats, draw_stats

__all__ = ["command"]


@click.command("stats", cls=WorkspaceCommand)
@TIER
@click.pass_obj
def command(call: Call, tier: str) -> None:
    """Say how many results and bytes each cache holds, and how many nobody needs."""
    stats = []
    for each in open_tiers_of(call, tier):
        try:
            stats.append(count_tier(each))
        except OSError as error:
            raise cannot_be_read(each, error) from error
    if call.json:
        call.write_document(describe_stats(stats))
    else:
        call.write(draw_stats(stats))
