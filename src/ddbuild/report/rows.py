"""Rows to look at: a table that fits the terminal, or one record after the other in full."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ddbuild.label import Label
from ddbuild.report.ink import Ink, make_safe

__all__ = ["Page", "choose_width", "describe_rows", "draw_records", "draw_table"]

_PLAIN_WIDTH = 120
_GAP = 2
_NARROWEST = 10
_NUMBER = "#"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn table, and the columns for which there was no room."""

    text: str
    hidden: tuple[str, ...]


def describe_rows(label: Label, rows: Sequence[Row], total: int) -> dict[str, Any]:
    """Return the JSON document of `show`."""
    return {"schema": 1, "label": str(label), "rows": list(rows), "total": total}


def choose_width(stream: TextIO, environ: Mapping[str, str] = os.environ) -> int:
    """Return how wide a table on `stream` may be: the terminal's width, or where there is none a good deal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _PLAIN_WIDTH
    except (OSError, ValueError, AttributeError):
        columns = environ.get("COLUMNS", "")
        return max(_PLAIN_WIDTH, int(columns) if columns.isdecimal() else 0)


def draw_table(rows: Sequence[Row], ink: Ink, *, first: int, width: int) -> Page:
    """Return `rows` as a table of at most `width` cells across; cells that are too long are cut with an ellipsis.

    `first` is the number of the first row; rows are counted from 0, as `--offset` and `--record` count them.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    numbers = [str(first + position) for position in range(len(rows))]
    cells = {name: [_say_cell(row.get(name)) for row in rows] for name in names}
    heads = {name: " ".join(make_safe(name).split()) for name in names}
    margin = max(map(len, [_NUMBER, *numbers]))
    natural = {n: max(map(cell_len, [heads[n], *cells[n]])) for n in names}
    widths = _share_out(natural, width - margin)
    right = {name for name in widths if all(_is_number(row.get(name)) for row in rows)}
    gap = " " * _GAP
    head = [_fit(heads[name], columns, right=name in right) for name, columns in widths.items()]
    lines = [
        ink.paint(gap.join([f"{_NUMBER:>{margin}}", *head]).rstrip(), "bold"),
        "─" * (margin + sum(columns + _GAP for columns in widths.values())),
    ]
    for position, (number, row) in enumerate(zip(numbers, rows, strict=True)):
        line = [ink.paint(f"{number:>{margin}}", "dim")]
        for name, columns in widths.items():
            cell = _fit(cells[name][position], columns, right=name in right)
            line.append(ink.paint(cell, "dim") if row.get(name) is None else cell)
        lines.append(gap.join(line).rstrip())
    return Page("\n".join(lines), tuple(name for name in names if name not in widths))


def draw_records(rows: Sequence[Row], ink: Ink, *, first: int, width: int | None) -> str:
    """Return `rows` one after the other, each column on lines of its own, in full.

    Long text is folded at `width`, and left alone where that is None.
    """
    blocks = []
    for position, row in enumerate(rows):
        heading = ink.paint(f"record {first + position}", "bold")
        names = {name: " ".join(make_safe(name).split()) for name in row}
        pad = max(map(cell_len, names.values()), default=0)
        lines = [heading]
        for name, value in row.items():
            head = names[name] + " " * (pad - cell_len(names[name]))
            body = _fold(_say_in_full(value, ink), None if width is None else width - pad - _GAP, ink)
            lines.append(f"{ink.paint(head, 'cyan')}{' ' * _GAP}{body[0]}".rstrip())
            lines += [f"{' ' * (pad + _GAP)}{line}".rstrip() for line in body[1:]]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _share_out(natural: Mapping[str, int], room: int) -> dict[str, int]:
    """Return a width for as many columns as fit, from the left; what is left over goes to those that are cut."""
    widths: dict[str, int] = {}
    for name, wanted in natural.items():
        least = min(wanted, _NARROWEST)
        if widths and least + _GAP > room:
            break
        widths[name] = min(least, max(1, room - _GAP))
        room -= widths[name] + _GAP
    while room > 0 and (short := [name for name in widths if widths[name] < natural[name]]):
        share = max(1, room // len(short))
        for name in short:
            more = min(share, natural[name] - widths[name], room)
            widths[name] += more
            room -= more
    return widths


def _fit(text: str, width: int, *, right: bool) -> str:
    """Return `text` cut or padded to `width` cells."""
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def _say_cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(make_safe(text).split())


def _say_in_full(value: Any, ink: Ink) -> str:
    if value is None:
        return ink.paint("null", "dim")
    if isinstance(value, str):
        return make_safe(value).expandtabs()
    flat = json.dumps(value, ensure_ascii=False)
    text = flat if len(flat) <= _NARROWEST * 6 else json.dumps(value, ensure_ascii=False, indent=2)
    return make_safe(text)


def _fold(text: str, width: int | None, ink: Ink) -> list[str]:
    lines = text.splitlines() or [""]
    if width is None:
        return lines
    console = Console(file=io.StringIO(), width=max(width, 20))
    folded: list[str] = []
    for line in lines:
        if ink.enabled and "\x1b" in line:
            folded.append(line)
            continue
        pieces = Text(line).wrap(console, max(width, 20), overflow="fold")
        folded += [piece.plain.rstrip() for piece in pieces] or [""]
    return folded


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
