"""The table of troubles and what becomes of them, `faults.txt`, and the page that is made from it.

python tests/faults/fault_table.py > docs/faults.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from faults.fault_matrix import OPERATIONS, TROUBLES
from faults.test_cache_crashes import CRASHED, count_calls

PAGE = Path(__file__).parents[2] / "docs/faults.md"

HEAD = """\
<!-- Made by `python tests/faults/fault_table.py > docs/faults.md` from tests/faults/faults.txt, which tests check. -->

# What trouble leads to

Each cell is tried by a test: what an operation of the cache comes to when a tier is damaged, or while calls to it fail.
`*` says that it is told, once, in the words of the last column. After each of them somebody who comes anew has whole
rows, then everybody has the same, and `verify --repair` leaves nothing damaged.

| word | what it means |
|---|---|
| hit, miss | the result counts, or is built anew |
| rows | they are read, and they are right |
| published | the result is in both tiers |
| local only, shared only | it is in that tier alone, and the build goes on |
| second try | the result that was there turned out bad when it was read; the build looks again, and publishes its own |
| to quarantine | what was damaged lies in `quarantine/`, for a person to look at |
| held, noted, pinned, collected | done as asked |
| result stays, no blob goes | a collection leaves alone what it cannot judge |
| clean, counted, damage | what `verify` says; counted is what only others can read |
| healed | taken from the other tier |
| error | a message that says what is wrong, and exit code 1 or 3 |

`fetch` is of a result that was looked up before the trouble began. `publish` is over a result that is there, where the
trouble is with that one. While calls fail, all of that kind do, until the operation has ended. A folder that is gone
in the middle of `verify` is an empty one; one that is gone before is an error.
"""

CRASHES = """\
## Crashes

A process dies before each single call that changes the disk, and in the middle of each write. Afterwards every result
is whole or absent, from each machine, and can be published. So many crash points are enumerated:

| what is crashed | crash points |
|---|---|
"""

TAIL = """
A second round loses power at the same points: data that was not fsynced is gone, and so are, or not, names in folders
that were not. A third lets each single call to the shared folder fail once, with EIO and with ESTALE. Collections and
repairs are killed at each call as well.

Real builds of several machines on one folder are killed too: by the clock, and before a call that is drawn by lot.
"""


@dataclass(frozen=True)
class Row:
    """One trouble in one tier: what each operation comes to, with ` *` where it is told, and what is told."""

    where: str
    trouble: str
    cells: dict[str, str]
    told: str


@dataclass(frozen=True)
class Section:
    """A part of the table."""

    title: str
    columns: list[str]
    rows: list[Row]


def read_table() -> list[Section]:
    sections = []
    for block in Path(__file__).with_name("faults.txt").read_text().strip().split("\n\n"):
        title, head, *lines = block.splitlines()
        _, *columns, _ = _cells(head)
        rows = [_read_row("local" if "local" in title else "shared", columns, line) for line in lines]
        sections.append(Section(title.removeprefix("== "), columns, rows))
    return sections


def _read_row(where: str, columns: list[str], line: str) -> Row:
    trouble, *cells, told = _cells(line)
    assert trouble in TROUBLES and set(columns) <= set(OPERATIONS), line
    return Row(where, trouble, dict(zip(columns, cells, strict=True)), told)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def write_page() -> str:
    return "\n".join([HEAD, *map(_write_section, read_table()), CRASHES]) + "\n".join(_count_crashes()) + "\n" + TAIL


def _write_section(section: Section) -> str:
    lines = [f"## {section.title[0].upper()}{section.title[1:]}", ""]
    lines.append(f"| trouble | {' | '.join(section.columns)} | told |")
    lines.append("|---" * (len(section.columns) + 2) + "|")
    lines += [f"| {row.trouble} | {' | '.join(row.cells.values())} | {row.told} |" for row in section.rows]
    return "\n".join(lines) + "\n"


def _count_crashes() -> Iterator[str]:
    for name, act in CRASHED.items():
        yield f"| {name} | {count_calls(act)} |"


if __name__ == "__main__":
    sys.stdout.write(write_page())
