"""`ddbuild cache pin` and `unpin`: keep a target's result whatever its age, and let go of it."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ddbuild.cache.pins import Pin, PinnedResult, StoredPin, add_pin, list_pins, name_holder, remove_pin
from ddbuild.cli.cache import TIER, cannot_be_read, open_tiers_of
from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.targets import TARGET, choose_targets
from ddbuild.errors import CacheError, StaleError
from ddbuild.plan.decision import Hit
from ddbuild.report.wording import count, list_words, say_label

if TYPE_CHECKING:
    from ddbuild.building.api import WorkspaceSession
    from ddbuild.cache.tier import Tier
    from ddbuild.label import Label
    from ddbuild.plan.planner import Plan

__all__ = ["command", "unpin"]


@click.command("pin", cls=WorkspaceCommand)
@click.argument("targets", nargs=-1, required=True, type=TARGET, metavar="TARGET...")
@TIER
@click.pass_obj
def command(call: Call, targets: tuple[str, ...], tier: str) -> None:
    """Keep the current results of TARGET, and all that they were made from, whatever `gc` is asked for.

    The pin belongs to the cache and not to this workspace: it holds for whoever collects garbage there.
    """
    opened = call.open()
    labels = choose_targets(opened, targets)
    plan = opened.session.plan(labels)
    holder = _holder(opened)
    tiers = open_tiers_of(call, tier)
    described = []
    for label in labels:
        pin = _make_pin(plan, label)
        placed = []
        for each in tiers:
            if not each.writable:
                call.note(f"{each.name}: only to be read, and nothing is pinned there")
            elif each.name == "local" or each.read_action(pin.key) is not None:
                try:
                    add_pin(each, pin, holder)
                except OSError as error:
                    raise cannot_be_read(each, error) from error
                placed.append(each.name)
        if not placed:
            raise CacheError(f"the result of `{say_label(label)}` is in no cache that could keep it")
        described.append({"label": str(label), "key": pin.key, "tiers": placed, "results": len(pin.results)})
        kept = f"{count(len(pin.results), 'result')} in all"
        call.note(f"{say_label(label)}: pinned in the {list_words(placed)} cache ({kept})")
    if call.json:
        call.write_document({"schema": 1, "pinned": described})


@click.command("unpin", cls=WorkspaceCommand)
@click.argument("targets", nargs=-1, required=True, type=TARGET, metavar="TARGET...")
@click.option("--anyone", is_flag=True, help="Also what others have pinned.")
@TIER
@click.pass_obj
def unpin(call: Call, targets: tuple[str, ...], anyone: bool, tier: str) -> None:
    """Let go of all results of TARGET that were pinned from this workspace. Nothing is removed until the next `gc`."""
    opened = call.open()
    labels = choose_targets(opened, targets)
    holder = _holder(opened)
    described = []
    for label in labels:
        removed = others = 0
        for each in open_tiers_of(call, tier):
            try:
                pins = [pin for pin in list_pins(each) if pin.pin is not None and pin.pin.label == str(label)]
                mine = [pin for pin in pins if anyone or pin.holder == holder]
                others += len(pins) - len(mine)
                removed += _remove(each, mine)
            except OSError as error:
                raise cannot_be_read(each, error) from error
        described.append({"label": str(label), "removed": removed, "others": others})
        note = f"{say_label(label)}: {count(removed, 'pin') + ' removed' if removed else 'not pinned from here'}"
        if others:
            note += f"; {count(others, 'pin')} of others hold, and `--anyone` removes them"
        call.note(note)
    if call.json:
        call.write_document({"schema": 1, "unpinned": described})


def _make_pin(plan: Plan, label: Label) -> Pin:
    decision = plan.targets[label].decision
    if not isinstance(decision, Hit):
        raise StaleError(
            f"`{say_label(label)}` is stale, and only a current result can be pinned",
            hint=f"build it first: `ddbuild {say_label(label)}`",
        )
    kept: dict[str, PinnedResult] = {}
    wanted = [label]
    seen = set()
    while wanted:
        target = plan.targets[wanted.pop()]
        if target.label in seen:
            continue
        seen.add(target.label)
        for action in target.actions:
            wanted += [each.label for each in action.action.inputs if each.label is not None]
            if isinstance(action.decision, Hit):
                result = action.decision.result
                kept[result.key] = PinnedResult(label=str(target.label), key=result.key)
    return Pin(
        label=str(label),
        key=decision.result.key,
        user=_user(),
        host=platform.node(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        results=list(kept.values()),
    )


def _holder(opened: WorkspaceSession) -> str:
    return name_holder(opened.settings.root, str(os.getuid()))


def _remove(tier: Tier, pins: Iterable[StoredPin]) -> int:
    return sum(remove_pin(tier, pin) for pin in pins)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
