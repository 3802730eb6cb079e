"""`ddbuild cache verify`: read all that is kept, and find damage."""

from __future__ import annotations

import click

from ddbuild.cache.verify import Progress, verify_tier
from ddbuild.cli.cache import TIER, cannot_be_read, open_tiers_of
from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.errors import CacheError
from ddbuild.report.cache import describe_verify, say_damage, say_verify
from ddbuild.report.quantities import say_size
from ddbuild.report.ticker import Ticker

__all__ = ["command"]


@click.command("verify", cls=WorkspaceCommand)
@click.option("--repair", is_flag=True, help="Mend what can be mended, and remove what cannot.")
@TIER
@click.pass_obj
def command(call: Call, repair: bool, tier: str) -> int:
    """Read every byte that is kept and compare it with its digest. Exit code 3 if something is damaged.

    With `--repair`, bad files go to quarantine, the other cache's good ones take their place, and results that stay
    incomplete are removed, so that they are built again.
    """
    everything = open_tiers_of(call)
    reports = []
    for each in open_tiers_of(call, tier):
        if not each.folder.is_dir():
            if tier == each.name:
                raise CacheError(f"the {each.name} cache `{each.folder}` is not there")
            call.note(f"{each.name}: nothing there")
            continue
        other = next((beside for beside in everything if beside.name != each.name), None)
        with Ticker(call.quiet) as ticker:

            def show(at: Progress, name: str = each.name, ticker: Ticker = ticker) -> None:
                share = f"{at.blobs:,}/{at.blobs_total:,} blobs, {say_size(at.bytes)} of {say_size(at.bytes_total)}"
                ticker.show(f"verifying {name}: {share}")

            try:
                report = verify_tier(each, other, repair=repair, on_progress=show)
            except OSError as error:
                raise cannot_be_read(each, error) from error
        reports.append((each.name, report))
        for damage in report.damage:
            call.progress.say(say_damage(damage, each.name))
        call.note(say_verify(report, each.name))
    exit_code = 0 if all(report.ok for _, report in reports) else CacheError.exit_code
    if call.json:
        call.write_document(describe_verify(reports, exit_code))
    if exit_code and not repair:
        call.note("`ddbuild cache verify --repair` mends what can be mended")
    return exit_code
