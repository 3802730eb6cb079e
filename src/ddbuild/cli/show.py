"""`ddbuild show`: look at rows."""

from __future__ import annotations

import click

from ddbuild import table
from ddbuild.building.results import TargetResult
from ddbuild.cli.call import Call, WholeNumber, WorkspaceCommand
from ddbuild.cli.reading import LAST, note_last
from ddbuild.cli.targets import TARGET, find_target
from ddbuild.errors import UsageError
from ddbuild.report.ink import can_animate, choose_ink
from ddbuild.report.rows import choose_width, describe_rows, draw_records, draw_table
from ddbuild.report.wording import count, list_words, say_label
from ddbuild.suggestion import suggest

__all__ = ["command"]

_ROWS = 10


@click.command("show", cls=WorkspaceCommand)
@click.argument("target", type=TARGET)
@click.option("-n", "--rows", type=WholeNumber(1), metavar="N", help=f"Show so many rows; {_ROWS} if not given.")
@click.option("--offset", type=WholeNumber(), default=0, metavar="N", help="Leave out the first N rows.")
@click.option("--record", type=WholeNumber(), metavar="N", help="Show row N in full; the first row is 0.")
@click.option("-x", "--full", is_flag=True, help="Show each row in full, a line or more for each column.")
@click.option("-c", "--columns", metavar="A,B", help="Show only these columns, in this order.")
@LAST
@click.pass_obj
def command(
    call: Call,
    target: str,
    rows: int | None,
    offset: int,
    record: int | None,
    full: bool,
    columns: str | None,
    last: bool,
) -> None:
    """Print rows of a target as a table, cut to fit, or in full. Nothing is ever generated."""
    if record is not None:
        rows, offset, full = 1, record, True
    opened = call.open()
    result = opened.session.read(find_target(opened, target), last=last, materialized=False)
    note_last(call, opened, result, last=last)
    total = result.count_records()
    if record is not None and record >= total:
        raise UsageError(f"`{say_label(result.label)}` has no row {record}", facts={"rows": f"{total:,}"})
    data = result.data
    assert data is not None, "what has rows has a file"
    found = table.read_rows(data, _ROWS if rows is None else rows, offset)
    if columns is not None:
        found = _choose_columns(found, columns, result)
    if call.json:
        call.write_document(describe_rows(result.label, found, total))
        return
    if not found:
        call.note(f"{say_label(result.label)} has {_say_total(total, offset)}")
        return
    ink = choose_ink(call.out)
    if full:
        width = choose_width(call.out) if can_animate(call.out) else None
        call.write(draw_records(found, ink, first=offset, width=width) + "\n")
        return
    page = draw_table(found, ink, first=offset, width=choose_width(call.out))
    call.write(page.text + "\n")
    call.note(_say_rest(len(found), total, page.hidden))


def _choose_columns(rows: list[dict[str, object]], columns: str, result: TargetResult) -> list[dict[str, object]]:
    names = [name.strip() for name in columns.split(",") if name.strip()]
    known = list(rows[0]) if rows else names
    for name in names:
        if name not in known:
            near = suggest(name, known)
            raise UsageError(
                f"`{say_label(result.label)}` has no column `{name}`",
                facts={"columns": ", ".join(known)},
                hint=f"did you mean `{near}`?" if near else None,
            )
    return [{name: row.get(name) for name in names} for row in rows]


def _say_total(total: int, offset: int) -> str:
    return "no rows" if not total else f"{count(total, 'row')}, and none from row {offset} on"


def _say_rest(shown: int, total: int, hidden: tuple[str, ...]) -> str:
    text = count(total, "row") if shown == total else f"{shown:,} of {count(total, 'row')}; `-n` shows more"
    if hidden:
        text += f"; no room for {list_words(hidden[:6])}" + (f" and {len(hidden) - 6} more" if len(hidden) > 6 else "")
        text += ", `-x` shows all columns"
    return text
