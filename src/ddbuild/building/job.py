"""One action that has to run, and the content of what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ddbuild.cache import CacheLease
from ddbuild.cache.result import ActionResult
from ddbuild.digest import Digest, Key
from ddbuild.graph.targets import Target
from ddbuild.keys import Action
from ddbuild.label import Label

__all__ = ["Job", "input_contents", "seed_rows"]


@dataclass(frozen=True, slots=True)
class Job:
    """One action that has to run, with its inputs resolved.

    `parents` are the outputs of other targets by label; `before` is what this target's action before it made.
    `retry` is the number that its result is published under.
    """

    action: Action
    target: Target
    key: Key
    deep_key: Key
    retry: int
    parents: Mapping[Label, ActionResult]
    before: ActionResult | None
    lease: CacheLease

    @property
    def contents(self) -> list[Digest]:
        """The content digests of the inputs, in their order."""
        return input_contents(self.action, self.parents, self.before)


def input_contents(action: Action, parents: Mapping[Label, ActionResult], before: ActionResult | None) -> list[Digest]:
    """Return the content digests of what `action` reads, in the order of its inputs."""
    contents = []
    for each in action.inputs:
        if each.label is not None:
            contents.append(Digest(parents[each.label].digest))
        else:
            assert before is not None, "an input without a label is the output of the action before"
            contents.append(Digest(before.folder_digest))
    return contents


def seed_rows(action: Action, parents: Mapping[Label, ActionResult]) -> int | None:
    """Return the rows of the one parent that seeds `action`; None where there is no such parent."""
    return next((parents[each.label].rows for each in action.inputs if each.role == "seed" and each.label), None)
