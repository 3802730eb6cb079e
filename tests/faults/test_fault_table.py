"""Each trouble with each operation comes to what the table says, and docs/faults.md is the table."""

import os

import pytest

from cache_support import make_quick_folder
from faults.fault_matrix import DAMAGE, FAILURES, OPERATIONS, try_out
from faults.fault_table import PAGE, read_table, write_page

SECTIONS = read_table()
ROWS = [row for section in SECTIONS for row in section.rows]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.where}, {row.trouble}" for row in ROWS])
def test_each_operation_comes_to_what_the_table_says_and_tells_it_at_most_once(row):
    seen, told = {}, set()
    for operation in row.cells:
        with make_quick_folder() as folder:
            outcome, warnings = try_out(folder, row.where, operation, row.trouble)
            assert len(warnings) <= 1
        seen[operation] = outcome + " *" * len(warnings)
        told.update(text.partition("` ")[2] for text in warnings)
    assert seen == row.cells
    assert told == ({row.told} if row.told else set())


def test_the_table_has_all_troubles_with_all_operations_that_they_concern():
    assert [[row.trouble for row in section.rows] for section in SECTIONS] == 2 * [list(DAMAGE), list(FAILURES)]
    needs_a_result = [name for name in OPERATIONS if name not in ("lease", "note use", "pin")]
    assert [section.columns for section in SECTIONS] == 2 * [needs_a_result, list(OPERATIONS)]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="other file systems take other calls")
def test_the_page_is_made_from_the_table():
    assert PAGE.read_text() == write_page(), "python tests/faults/fault_table.py > docs/faults.md"
