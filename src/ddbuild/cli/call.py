"""What all commands have in common: the options about the workspace, and how a command speaks.

@click.command("path", cls=WorkspaceCommand)
@click.pass_obj
def command(call: Call, ...) -> int | None: ...
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ddbuild.cli.output import reserve_stdout, write_out
from ddbuild.errors import InterruptedBuildError, UsageError
from ddbuild.report.ink import Ink, choose_ink

if TYPE_CHECKING:
    from ddbuild.building.api import WorkspaceSession
    from ddbuild.report.progress import Progress

__all__ = ["Call", "WholeNumber", "WorkspaceCommand"]

_COMMON = ("directory", "cache_dir", "shared_cache", "shared_mode", "json", "quiet", "verbose")


class WholeNumber(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click
    """A whole number of at least `least`."""

    name = "number"

    def __init__(self, least: int = 0) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that `value` writes."""
        text = str(value)
        if not text.isdecimal() or int(text) < self._least:
            self.fail(f"must be a whole number of at least {self._least}, got `{text}`", param, ctx)
        return int(text)


@dataclass
class Call:
    """One call of a command: what was asked for in general, and where to say things.

    `here` is the folder in which the command was typed, which `-C` does not change: paths are told from there.
    """

    here: Path
    out: TextIO
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    overrides: dict[str, object] = field(default_factory=dict)

    @cached_property
    def ink(self) -> Ink:
        """The ink for stderr."""
        return choose_ink(sys.stderr)

    @cached_property
    def progress(self) -> Progress:
        """What shows a build, and every warning, on stderr."""
        from ddbuild.report.choose import choose_progress  # takes the build's values with it

        return choose_progress(sys.stderr, self.ink, quiet=self.quiet)

    def open(self, overrides: Mapping[str, object] | None = None) -> WorkspaceSession:
        """Load the workspace of the current folder.

        Raises:
            GraphError: there is none, or something in it is wrong.
        """
        from ddbuild.building.api import open_session  # what takes long to import comes when it is needed

        return open_session(overrides=self.overrides | dict(overrides or {}), on_warning=self.progress.warn)

    def write(self, text: str) -> None:
        """Write data to stdout."""
        write_out(self.out, text)

    def write_document(self, document: dict[str, Any]) -> None:
        """Write a JSON document to stdout."""
        from ddbuild.report.encoding import encode

        self.write(encode(document))

    def note(self, text: str) -> None:
        """Say something on stderr, unless the command is to be quiet."""
        if not self.quiet and text:
            self.progress.say(text)


class WorkspaceCommand(click.Command):
    """A command that works in a workspace; it takes the common options, and its function gets a `Call`."""

    takes_json = True

    def __init__(self, *arguments: Any, takes_json: bool = True, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params += [option for option in _make_options() if takes_json or option.name != "json"]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command in the folder of `-C`, with stdout kept for its data."""
        values = {name: ctx.params.pop(name, None) for name in _COMMON}
        here = Path.cwd()
        with contextlib.ExitStack() as stack:
            if values["directory"] is not None:
                stack.enter_context(_enter(values["directory"]))
            call = Call(
                here=here,
                out=stack.enter_context(reserve_stdout()),
                json=bool(values["json"]),
                quiet=values["quiet"],
                verbose=values["verbose"],
                overrides={
                    "cache.dir": values["cache_dir"],
                    "cache.shared": values["shared_cache"],
                    "cache.shared_mode": values["shared_mode"],
                },
            )
            ctx.obj = call
            stack.callback(_close_progress, call)
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                if sys.stderr.isatty():
                    # The terminal has written `^C` and stands behind it.
                    print(file=sys.stderr)
                raise InterruptedBuildError("interrupted") from None


def _close_progress(call: Call) -> None:
    if "progress" in call.__dict__:
        call.progress.close()


def _enter(folder: str) -> contextlib.AbstractContextManager[None]:
    if not Path(folder).is_dir():
        raise UsageError(f"`{folder}` is not a folder", facts={"given by": "-C"})
    return contextlib.chdir(folder)


def _make_options() -> list[click.Option]:
    option: Callable[..., click.Option] = click.Option
    return [
        option(["-C", "--directory"], metavar="DIR", help="Work as if started in DIR."),
        option(["--cache-dir"], metavar="DIR", help="Where this machine keeps results."),
        option(["--shared-cache"], metavar="DIR", help="Where a team keeps results."),
        option(["--shared-mode"], type=click.Choice(["rw", "ro", "off"]), help="Use the shared cache so."),
        option(["--json"], is_flag=True, help="Print one JSON document on stdout."),
        option(["-q", "--quiet"], is_flag=True, help="Say only what went wrong."),
        option(["-v", "--verbose"], is_flag=True, help="Say more: reasons, steps, tracebacks."),
    ]
