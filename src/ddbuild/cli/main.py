"""The command line's front door: the short way where nothing has changed, and else the commands.

Takes nothing that takes time to import: what has to be built is built by `group.py`.
"""

from __future__ import annotations

import sys

from ddbuild.snapshot.answer import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main", "run"]

COMMANDS = {
    "build": "Build targets and what they need.",
    "plan": "Say what a build would do, and why.",
    "preview": "Make a few rows of a target, to look at first.",
    "show": "Look at rows of a target.",
    "export": "Write rows as parquet, CSV or JSONL.",
    "path": "Print the folder that holds a target's rows.",
    "query": "List targets and how they hang together.",
    "clean": "Remove outputs and logs, or results from the cache.",
    "cache": "Look after what is kept: sizes, damage, what may go.",
    "keygen": "Make a key to sign results with.",
    "init": "Write a first workspace.",
}
"""Each command, in `cli/<name>.py`, with the line that the help has for it."""


def main() -> None:
    """Run the command line of this process and end it."""
    exit_code = run(sys.argv[1:])
    if exit_code:
        from ddbuild.errors import InterruptedBuildError  # not where all is well

        if exit_code == InterruptedBuildError.exit_code:
            from ddbuild.cli.interruption import leave_now  # threads that cannot be stopped are not waited for

            leave_now(exit_code)
    sys.exit(exit_code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error is told on stderr, and none is raised."""
    try:
        exit_code = answer(arguments)
    except (OSError, KeyboardInterrupt) as error:
        from ddbuild.cli.group import explain_failure  # click, and all that is needed to say it well

        return explain_failure(error, arguments)
    if exit_code is None:
        from ddbuild.cli.group import run_command  # the long way

        exit_code = run_command(arguments)
    return exit_code
