"""The commands as click sees them: finds the one that was typed, calls it, and turns what it raises into words.

Imports no command before it is called: `ddbuild --help` costs click and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click
from click.shell_completion import CompletionItem

import ddbuild
from ddbuild.cli.arguments import arrange, is_pattern, unmark
from ddbuild.cli.main import COMMANDS
from ddbuild.errors import DdbuildError, InterruptedBuildError, UsageError
from ddbuild.suggestion import suggest

__all__ = ["cli", "explain_failure", "run_command"]


class DdbuildGroup(click.Group):
    """`ddbuild`, whose first word is a command, or a target to build."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command first, and `build` where only targets are named."""
        return super().parse_args(ctx, arrange(args, COMMANDS))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, which is imported only now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ddbuild.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments.

        Raises:
            UsageError: the first word is none; the hint says what could be meant.
        """
        word = unmark(args[0])
        if word in COMMANDS or ctx.resilient_parsing:
            return word, self.get_command(ctx, word), args[1:]
        raise _explain_word(word, args[1:])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return commands and, once there is a slash or a colon, labels."""
        if is_pattern(incomplete) or incomplete == "/":
            from ddbuild.cli.targets import complete_labels  # loads the workspace

            return complete_labels(incomplete)
        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    "ddbuild",
    cls=DdbuildGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="COMMAND | TARGET... [OPTIONS]",
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """Build datasets of NVIDIA NeMo Data Designer: only what is stale, and only once.

    \b
      ddbuild init               write a first workspace
      ddbuild //judged           build a target and what it needs
      ddbuild show //judged      look at its rows
      ddbuild plan //...         see what a build would do, and why

    `ddbuild COMMAND --help` tells more about a command.
    """
    if version:
        click.echo(f"ddbuild {ddbuild.__version__}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error is told on stderr, and none is raised."""
    _prepare_streams()
    try:
        value = cli.main(list(arguments), prog_name="ddbuild", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        return explain_failure(error, arguments)
    return value if isinstance(value, int) else 0


def explain_failure(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell an error of a command on stderr, and return the exit code that it has."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _fail(InterruptedBuildError("interrupted"), arguments)
    if isinstance(error, DdbuildError):
        return _fail(error, arguments)
    if isinstance(error, click.ClickException):
        return _fail(_translate(error), arguments)
    assert isinstance(error, Exception), "nothing else is caught"
    from ddbuild.cli.bug import explain_bug  # for what should never happen

    return _fail(explain_bug(error, verbose=_has_option(arguments, "-v", "--verbose")), arguments)


def _prepare_streams() -> None:
    if sys.stderr is None:
        # Somebody has closed it; what is for people must not turn up among the data.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        # Rows and paths may hold what the terminal's encoding has no sign for.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: DdbuildError, arguments: Sequence[str]) -> int:
    from ddbuild.report.errors import say_error  # what only failures need
    from ddbuild.report.ink import choose_ink

    with contextlib.suppress(OSError):
        print(say_error(error, choose_ink(sys.stderr)), file=sys.stderr, flush=True)
    if _has_option(arguments, "--json"):
        from ddbuild.cli.output import write_out
        from ddbuild.report.encoding import encode
        from ddbuild.report.json_document import describe_failure

        with contextlib.suppress(OSError):
            write_out(sys.stdout, encode(describe_failure(error)))
    return error.exit_code


def _has_option(arguments: Sequence[str], *names: str) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(name in options for name in names)


def _translate(error: click.ClickException) -> UsageError:
    """Say what click found wrong in ddbuild's words."""
    command = "ddbuild"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        command = error.ctx.command_path
    more = f"`{command} --help` tells more"
    if isinstance(error, click.NoSuchOption):
        near = suggest(error.option_name, error.possibilities or ())
        hint = f"did you mean `{near}`?" if near else more
        return UsageError(f"`{command}` has no option `{error.option_name}`", hint=hint)
    param = getattr(error, "param", None)
    if isinstance(error, click.MissingParameter) and param is not None:
        return UsageError(f"`{command}` needs {param.human_readable_name.rstrip('.')}", hint=more)
    if isinstance(error, click.BadParameter) and param is not None:
        name = param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name
        joined = " " if error.message.startswith("must ") else ": "
        return UsageError(f"`{name}`{joined}{_lower(error.message)}", hint=more)
    return UsageError(_lower(unmark(error.format_message())), hint=more)


def _lower(message: str) -> str:
    message = message.rstrip(".").replace("'", "`")
    return message[:1].lower() + message[1:]


def _explain_word(word: str, rest: Sequence[str]) -> UsageError:
    from ddbuild.cli.targets import list_labels  # loads the workspace, to look for what is meant
    from ddbuild.report.wording import say_label

    directory = next((after for option, after in pairwise(rest) if option == "-C"), None)
    labels = [say_label(label) for label in list_labels(directory)]
    exact = [label for label in labels if word in (label.lstrip("/"), label.rpartition(":")[2])]
    near = exact[0] if exact else suggest(word, COMMANDS) or suggest(f"//{word}", labels)
    message = f"`{word}` is neither a command nor a label"
    if near is None:
        return UsageError(message, hint="`ddbuild --help` lists the commands, `ddbuild query //...` the targets")
    return UsageError(message, hint=f"did you mean `ddbuild {near}`?")
