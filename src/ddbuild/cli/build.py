"""`ddbuild build`: make what is not there, and say where the rows are."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import click

from ddbuild.building.results import BuildResult
from ddbuild.cli.call import Call, WholeNumber, WorkspaceCommand
from ddbuild.cli.interruption import Interruption
from ddbuild.cli.overrides import open_overridden, override_option
from ddbuild.cli.targets import TARGET, choose_targets
from ddbuild.errors import InterruptedBuildError, UsageError
from ddbuild.report.ink import choose_ink
from ddbuild.report.json_document import describe_build, describe_failure
from ddbuild.report.summary import say_summary
from ddbuild.snapshot.take import keep_snapshot, prepare_snapshot

__all__ = ["command", "print_plan"]


@click.command("build", cls=WorkspaceCommand, short_help="Build targets and what they need.")
@click.argument("targets", nargs=-1, type=TARGET, metavar="TARGET...")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would run, as `ddbuild plan` does.")
@click.option("-j", "--jobs", type=WholeNumber(1), metavar="N", help="Run so many targets at once.")
@click.option("-k", "--keep-going", is_flag=True, help="After a failure, go on with what does not depend on it.")
@click.option("--no-reuse", is_flag=True, help="Ask for every cell of what has to run anew.")
@click.option("--retry-lost", is_flag=True, help="Ask again for the rows that the named stages lost.")
@override_option
@click.pass_obj
def command(
    call: Call,
    targets: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    keep_going: bool,
    no_reuse: bool,
    retry_lost: bool,
    overrides: tuple[str, ...],
) -> int:
    """Build targets and what they need, from the caches where possible.

    \b
    TARGET is a label or a pattern:
      //judged       target `judged` of the root package
      //qa:judged    target `judged` of the package (folder) `qa`
      :judged        target `judged` of the current folder's package
      //qa/...       every target in `qa` and below; //... is all
      -//qa:slow     leaves one out

    `ddbuild TARGET...` is the same as `ddbuild build TARGET...`.

    Exit codes: 0 done, 1 a target failed, 2 the command line, a build file or the graph is wrong, 3 the cache is
    damaged, 8 interrupted.
    """
    if not targets:
        raise UsageError("no target was named", hint="`ddbuild //...` builds everything")
    if dry_run:
        return print_plan(call, targets, overrides, no_reuse=no_reuse, retry_lost=retry_lost)
    prepare_snapshot()
    with Interruption(call.progress, lambda: _write_abandoned(call)) as interruption:
        opened = call.open({"build.jobs": jobs, "build.reuse": False if no_reuse else None})
        settings = opened.settings.build
        session = open_overridden(opened, overrides) if overrides else opened.session
        session.retry_lost = retry_lost
        labels = choose_targets(opened, targets)
        running = session.start(
            labels,
            jobs=settings.jobs,
            keep_going=keep_going or settings.keep_going,
            listener=call.progress,
        )
        result = interruption.wait(running)
        call.progress.close()
        _report(call, result, opened.session.root)
    with suppress(KeyboardInterrupt):
        # The build is done, whatever becomes of this.
        keep_snapshot(opened, session, labels, result)
    return result.exit_code


def print_plan(
    call: Call,
    targets: tuple[str, ...],
    overrides: tuple[str, ...] = (),
    *,
    no_reuse: bool = False,
    retry_lost: bool = False,
) -> int:
    """Print what a build of `targets` would do, and return the exit code."""
    from ddbuild.report.plan_text import say_plan  # a build has no plan to print

    opened = call.open({"build.reuse": False if no_reuse else None})
    session = open_overridden(opened, overrides)
    session.retry_lost = retry_lost
    labels = choose_targets(opened, targets)
    session.check_overrides(labels)
    started = time.monotonic()
    plan = session.plan(labels)
    described = session.describe_plan(plan, time.monotonic() - started)
    if call.json:
        call.write_document(describe_build(described, opened.session.root))
    else:
        call.write(say_plan(plan, described, choose_ink(call.out), call.here) + "\n")
    return described.exit_code


def _report(call: Call, result: BuildResult, root: Path) -> None:
    text = say_summary(result, call.ink, here=call.here, root=root, quiet=call.quiet, verbose=call.verbose)
    if text:
        call.progress.say(text)
    if call.json:
        call.write_document(describe_build(result, root))


def _write_abandoned(call: Call) -> None:
    if call.json:
        call.write_document(describe_failure(InterruptedBuildError("the build was interrupted")))
