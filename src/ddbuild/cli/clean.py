"""`ddbuild clean`: take away what a build has put into the workspace, or some results out of this machine's cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.targets import TARGET, choose_targets
from ddbuild.digest import Key
from ddbuild.errors import BuildError, UsageError
from ddbuild.materialize import OUT_FOLDER
from ddbuild.plan.decision import Hit
from ddbuild.report.wording import count, list_words, say_label
from ddbuild.workspace import find_workspace

if TYPE_CHECKING:
    from ddbuild.cache.tier import Tier
    from ddbuild.plan.planner import ActionPlan

__all__ = ["command"]

_FOLDERS = (OUT_FOLDER, ".ddbuild/logs", ".ddbuild/materialized", ".ddbuild/preview")


@click.command("clean", cls=WorkspaceCommand, takes_json=False)
@click.argument("targets", nargs=-1, type=TARGET, metavar="[TARGET...]")
@click.option("--cache", is_flag=True, help="Drop the current results of TARGET from this machine's cache.")
@click.pass_obj
def command(call: Call, targets: tuple[str, ...], cache: bool) -> None:
    """Remove the output folder and the logs; the next build puts the rows back from the cache.

    With `--cache TARGET...`, remove these targets' current results from this machine's cache instead: the next build
    makes them again, unless a shared cache has them.
    """
    if cache:
        if not targets:
            raise UsageError("no target was named", hint="`ddbuild clean --cache //...` drops the results of all")
        _drop_results(call, targets)
        return
    if targets:
        raise UsageError(
            "`clean` cleans the whole workspace, and a target was named",
            hint=f"`ddbuild clean --cache {targets[0]}` drops its result from this machine's cache",
        )
    _remove_folders(call)


def _remove_folders(call: Call) -> None:
    root = find_workspace()
    removed = [name for name in _FOLDERS if _remove(root / name)]
    call.note(f"removed {list_words(removed)}" if removed else "there is nothing to remove")


def _remove(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        if folder.is_symlink():
            # Somebody keeps it on another disk: what is in it goes, the link stays.
            for each in folder.iterdir():
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        facts = {"file": str(error.filename or folder), "reason": error.strerror or str(error)}
        raise BuildError(f"`{folder.name}` cannot be removed", facts=facts) from error
    return True


def _drop_results(call: Call, targets: tuple[str, ...]) -> None:
    opened = call.open()
    session = opened.session
    labels = choose_targets(opened, targets)
    plan = session.plan(labels)
    dropped = 0
    for label in labels:
        found = sum(_drop(session.cache.local, action) for action in plan.targets[label].actions)
        dropped += bool(found)
        call.note(f"{say_label(label)}: {count(found, 'result') if found else 'no result'} dropped")
    if dropped and session.cache.shared is not None:
        call.note("the shared cache may still have them")


def _drop(tier: Tier, action: ActionPlan) -> bool:
    """Remove what is kept for `action` under any of its keys; return whether there was something."""
    keys = {action.deep_key, action.content_key}
    if isinstance(action.decision, Hit):
        keys |= {Key(action.decision.result.key), Key(action.decision.result.deep_key)}
    dropped = False
    for key in keys - {None}:
        retry = 0
        while tier.remove_action(str(key), retry):
            dropped, retry = True, retry + 1
    return dropped
