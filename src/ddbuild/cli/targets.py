"""TARGET arguments: how they are typed, completed, and turned into labels."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ddbuild.cli.arguments import unmark
from ddbuild.cli.output import reserve_stdout
from ddbuild.errors import UsageError
from ddbuild.label import Label, parse_label, parse_pattern
from ddbuild.snapshot.answer import find_labels

if TYPE_CHECKING:
    from ddbuild.building.api import WorkspaceSession

__all__ = ["TARGET", "choose_targets", "complete_labels", "find_target", "list_labels"]


class TargetType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A label or a pattern, still as text: what it means depends on the workspace."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return what was typed."""
        return unmark(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the labels that begin with what is typed so far."""
        return complete_labels(incomplete, ctx.params.get("directory"))


TARGET = TargetType()


def choose_targets(opened: WorkspaceSession, words: Sequence[str]) -> list[Label]:
    """Return the labels that `words` choose together.

    Raises:
        UsageError: a word is no pattern, or nothing is chosen.
    """
    patterns = [parse_pattern(word, package=opened.package) for word in words]
    if patterns and all(pattern.negative for pattern in patterns):
        raise UsageError(
            f"`{words[0]}` only leaves targets out, and nothing says which to take", hint=f"ddbuild //... {words[0]}"
        )
    labels = opened.session.graph.resolve(patterns)
    if not labels:
        raise UsageError(f"`{' '.join(words)}` chooses no target")
    return labels


def find_target(opened: WorkspaceSession, word: str) -> Label:
    """Return the label of the one target that `word` names.

    Raises:
        UsageError: it names none, or could name several.
    """
    return opened.session.graph.find(parse_label(word, package=opened.package))


def list_labels(directory: str | None = None) -> list[Label]:
    """Return all labels of the workspace around `directory`; none where it cannot be loaded."""
    # Nobody who presses tab, or has mistyped a command, wants to read what is wrong with the workspace.
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()), reserve_stdout():
        from ddbuild.building.api import open_session  # only for help with typing: not worth a slow start

        opened = open_session(Path(directory) if directory else None, on_warning=lambda text: None)
        return sorted(opened.session.graph)
    return []


def complete_labels(incomplete: str, directory: str | None = None) -> list[CompletionItem]:
    """Return the labels that begin with `incomplete`, in the form in which it was begun."""
    sign = "-" if incomplete.startswith("-") else ""
    in_full = incomplete.lstrip("-").startswith("//:")
    if (known := find_labels(directory)) is None:
        known = [str(label) for label in list_labels(directory)]
    # What `say_label` says of each, without making labels of thousands of words.
    words = [f"//{text[3:]}" if text.startswith("//:") and not in_full else text for text in known]
    return [CompletionItem(sign + word) for word in words if (sign + word).startswith(incomplete)]
