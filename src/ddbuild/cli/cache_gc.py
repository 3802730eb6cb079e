"""`ddbuild cache gc`: remove what is old, too much, or needed by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cli.cache import TIER, cannot_be_read, open_tiers_of
from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.errors import CacheError
from ddbuild.report.cache import describe_gc, say_gc
from ddbuild.report.quantities import parse_age, parse_size

if TYPE_CHECKING:
    from ddbuild.cache.result import Blob
    from ddbuild.cache.tier import Tier

__all__ = ["command"]


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes that `value` writes."""
        try:
            return parse_size(str(value))
        except ValueError:
            self.fail(f"must be a size such as 10G or 500M, got `{value}`", param, ctx)


class Age(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A number of seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` writes."""
        try:
            return float(value) if isinstance(value, float) else parse_age(str(value))
        except ValueError:
            self.fail(f"must be an age such as 30d or 12h, got `{value}`", param, ctx)


@click.command("gc", cls=WorkspaceCommand)
@click.option("--max-size", type=Size(), metavar="SIZE", help="Remove results until at most SIZE is left, such as 10G.")
@click.option("--older-than", type=Age(), metavar="AGE", help="Remove what was not used for AGE, such as 30d.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option(
    "--grace",
    type=Age(),
    default="1h",
    metavar="AGE",
    help="Leave alone what is younger: a build may be about to need it. 1h if not given.",
)
@TIER
@click.pass_obj
def command(
    call: Call, max_size: int | None, older_than: float | None, dry_run: bool, grace: float, tier: str
) -> int | None:
    """Remove results, those unused for longest first, and whatever no result needs. Safe beside running builds.

    Without `--max-size` and `--older-than` only what nobody needs goes. Pinned results stay. A result that is gone
    is built again when it is needed.
    """
    policy = GcPolicy(max_bytes=max_size, older_than=older_than, grace=grace, dry_run=dry_run)
    everything = open_tiers_of(call)
    reports = []
    for each in open_tiers_of(call, tier):
        if not each.folder.is_dir():
            continue
        if not each.writable and not dry_run:
            if tier == "shared":
                raise CacheError(f"the shared cache `{each.folder}` is only to be read", hint="--shared-mode rw")
            call.note(f"{each.name}: only to be read, nothing was removed")
            continue
        try:
            report = collect_garbage(each, policy, has_elsewhere=_other(each, everything))
        except OSError as error:
            raise cannot_be_read(each, error) from error
        reports.append((each.name, report))
        for line in say_gc(report, each.name, dry_run=dry_run, verbose=call.verbose):
            call.note(line)
    if call.json:
        call.write_document(describe_gc(reports, dry_run=dry_run))
    elif not reports:
        call.note("there is nothing to collect")
    return None


def _other(tier: Tier, everything: list[Tier]) -> Any:
    """Return the question whether the other tier has a blob, for the local tier; there is none for the shared one."""
    if tier.name != "local":
        return None
    shared = next((each for each in everything if each.name == "shared"), None)

    def has(blob: Blob) -> bool:
        if shared is None:
            return False
        shared.disk.open_folder(shared.folder)  # one that is not there says nothing about its blobs
        return shared.check(blob)

    return has
