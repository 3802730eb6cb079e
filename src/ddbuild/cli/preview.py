"""`ddbuild preview`: the whole path of a target with few rows, to look at before paying for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddbuild import table
from ddbuild.cli.call import Call, WholeNumber, WorkspaceCommand
from ddbuild.cli.interruption import Interruption
from ddbuild.cli.overrides import open_overridden, override_option
from ddbuild.cli.targets import TARGET, find_target
from ddbuild.errors import BuildError, InterruptedBuildError, UsageError
from ddbuild.report.ink import can_animate, choose_ink
from ddbuild.report.json_document import describe_build, describe_failure
from ddbuild.report.rows import choose_width, describe_rows, draw_records, draw_table
from ddbuild.report.summary import say_lost_rows, say_summary
from ddbuild.report.wording import count, list_words, say_label, say_path

if TYPE_CHECKING:
    from ddbuild.building.results import BuildResult, TargetResult
    from ddbuild.building.session import Session

__all__ = ["command"]

_ROWS = 5


@click.command("preview", cls=WorkspaceCommand)
@click.argument("target", type=TARGET)
@click.option(
    "-n", "--rows", type=WholeNumber(1), default=_ROWS, metavar="N", help=f"Make so many rows; {_ROWS} if not given."
)
@click.option("--record", type=WholeNumber(), metavar="N", help="Show row N in full; the first row is 0.")
@click.option("-x", "--full", is_flag=True, help="Show each row in full, a line or more for each column.")
@click.option("-j", "--jobs", type=WholeNumber(1), metavar="N", help="Run so many targets at once.")
@override_option
@click.pass_obj
def command(
    call: Call, target: str, rows: int, record: int | None, full: bool, jobs: int | None, overrides: tuple[str, ...]
) -> int:
    """Make a few rows of a target, through every target that it needs, and print them.

    No source, seed or stage on the way has more than N rows. Nothing of a preview ever gets into a build, nor the
    other way round: its rows are kept apart, so that the same preview costs nothing the second time.
    """
    from ddbuild.building.preview import PreviewSession  # takes all that builds with it

    with Interruption(call.progress, lambda: _write_abandoned(call)) as interruption:
        opened = call.open({"build.jobs": jobs})
        label = find_target(opened, target)
        reviewed = open_overridden(opened, overrides) if overrides else opened.session
        session = PreviewSession(reviewed, rows, on_warning=call.progress.warn)
        running = session.start([label], jobs=opened.settings.build.jobs, keep_going=False, listener=call.progress)
        result = interruption.wait(running)
        call.progress.close()
    if not result.ok:
        return _report_failure(call, result, session)
    made = result[label]
    if call.verbose:
        call.note(say_summary(result, call.ink, here=call.here, root=session.output_root, verbose=True))
    for each in result.targets.values():
        if each.rows_lost:
            call.note(say_lost_rows(each, call.ink))
    _check_rows(made, rows)
    _show(call, made, record, full, rows)
    return 0


def _check_rows(made: TargetResult, rows: int) -> None:
    if made.rows:
        return
    empty = made.upstream or made.label
    raise BuildError(
        f"`{say_label(empty)}` has none of the {count(rows, 'row')} of this preview left",
        hint=f"`ddbuild preview {say_label(made.label)} -n {10 * rows}` takes more of them",
    )


def _show(call: Call, made: TargetResult, record: int | None, full: bool, most: int) -> None:
    total = made.count_records()
    if record is not None and record >= total:
        raise UsageError(f"this preview of `{say_label(made.label)}` has no row {record}", facts={"rows": f"{total:,}"})
    data = made.data
    assert data is not None, "what has rows has a file"
    found = table.read_rows(data, total) if record is None else table.read_rows(data, 1, record)
    if call.json:
        call.write_document(describe_rows(made.label, found, total) | {"preview": most})
        return
    ink = choose_ink(call.out)
    if full or record is not None:
        width = choose_width(call.out) if can_animate(call.out) else None
        call.write(draw_records(found, ink, first=record or 0, width=width) + "\n")
        return
    page = draw_table(found, ink, first=0, width=choose_width(call.out))
    call.write(page.text + "\n")
    text = f"a preview of {count(total, 'row')}, in {say_path(data.parent, call.here)}"
    if page.hidden:
        text += f"; no room for {list_words(page.hidden[:6])}"
        text += f" and {len(page.hidden) - 6} more" if len(page.hidden) > 6 else ""
        text += ", `-x` shows all columns"
    call.note(text)


def _report_failure(call: Call, result: BuildResult, session: Session) -> int:
    call.progress.say(
        say_summary(result, call.ink, here=call.here, root=session.output_root, quiet=call.quiet, verbose=call.verbose)
    )
    if call.json:
        call.write_document(describe_build(result, session.root))
    return result.exit_code


def _write_abandoned(call: Call) -> None:
    if call.json:
        call.write_document(describe_failure(InterruptedBuildError("the preview was interrupted")))
