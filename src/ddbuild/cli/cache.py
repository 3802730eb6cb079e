"""`ddbuild cache`: look after what is kept. One module a subcommand, `cli/cache_<name>.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddbuild.cli.arguments import arrange
from ddbuild.errors import CacheError, GraphError, UsageError
from ddbuild.suggestion import suggest

if TYPE_CHECKING:
    from ddbuild.cache.tier import Tier
    from ddbuild.cli.call import Call

__all__ = ["COMMANDS", "TIER", "cannot_be_read", "command", "open_tiers_of"]

COMMANDS = {
    "stats": "Say how much is kept.",
    "ls": "List results.",
    "verify": "Read all that is kept, and find damage.",
    "gc": "Remove what is old, too much, or needed by nobody.",
    "pin": "Keep a target's result whatever its age.",
    "unpin": "Let go of what was pinned.",
}
"""Each subcommand, with the line that the help has for it."""

_MODULES = {"unpin": ("ddbuild.cli.cache_pin", "unpin")}

TIER: Callable[[Any], Any] = click.option(
    "--tier", type=click.Choice(["local", "shared", "both"]), default="both", help="Of which cache; both if not given."
)


class CacheGroup(click.Group):
    """`ddbuild cache`, whose first word is a subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the subcommand in front of options."""
        arranged = arrange(args, COMMANDS)
        if arranged[:1] in ([], ["build"]):  # which is what `arrange` puts where no word is
            raise UsageError("`ddbuild cache` needs a subcommand", hint="`ddbuild cache --help` lists them")
        return super().parse_args(ctx, arranged)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand, which is imported only now."""
        if cmd_name not in COMMANDS:
            return None
        module, name = _MODULES.get(cmd_name, (f"ddbuild.cli.cache_{cmd_name}", "command"))
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand and its arguments.

        Raises:
            UsageError: there is none of that name.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = suggest(args[0], COMMANDS)
            hint = f"did you mean `ddbuild cache {near}`?" if near else "`ddbuild cache --help` lists them"
            raise UsageError(f"`{args[0]}` is no subcommand of `ddbuild cache`", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("cache", cls=CacheGroup, subcommand_metavar="COMMAND [OPTIONS]")
def command() -> None:
    """Look after the results that this machine and the team keep.

    \b
      ddbuild cache stats                            how much there is
      ddbuild cache gc --max-size 50G --dry-run      what would go, to keep 50 GiB
      ddbuild cache pin //released                   what must never go
    """


def open_tiers_of(call: Call, which: str = "both") -> list[Tier]:
    """Return the tiers that `--tier` names, the local one first; outside of a workspace those of the defaults.

    Raises:
        UsageError: the shared one is asked for, and there is none.
    """
    from ddbuild.building.tiers import open_tiers  # not for `--help`
    from ddbuild.workspace import Settings, find_workspace

    try:
        root = find_workspace()
    except GraphError:
        root = Path.cwd()
    local, shared = open_tiers(Settings.load(root, call.overrides))
    if shared is not None and shared.folder.resolve() == local.folder.resolve():
        shared = None
    if which == "shared" and shared is None:
        raise UsageError(
            "there is no shared cache", hint="name one with `[cache] shared`, DDBUILD_SHARED_CACHE or `--shared-cache`"
        )
    if shared is not None and shared.trust is not None:
        shared.trust.on_warning = lambda kind, text: call.progress.warn(text) if text else None
    return [tier for tier in (local, shared) if tier is not None and which in (tier.name, "both")]


def cannot_be_read(tier: Tier, error: OSError) -> CacheError:
    """Return the error for a tier that gives trouble."""
    from ddbuild.cache.trouble import reason  # for what should not happen

    facts = {"error": reason(error)}
    if error.filename is not None:
        facts["file"] = str(error.filename)
    return CacheError(f"the {tier.name} cache `{tier.folder}` cannot be looked after", facts=facts)
