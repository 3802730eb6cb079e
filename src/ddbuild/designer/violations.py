"""What Data Designer finds wrong with a config: into the log and the error of its run, not onto the screen.

Data Designer prints it to standard output in a box, and its error only says that there is something to see.
"""

from __future__ import annotations

from typing import Any

from ddbuild.designer.active import current_run

__all__ = ["catch_violations"]


def catch_violations() -> None:
    """Let violations that belong to a run of ours go to that run, from now on; others are printed as ever."""
    from data_designer.engine import compiler

    printed = compiler.rich_print_violations
    if getattr(printed, "of_ddbuild", False):
        return

    def note(violations: list[Any]) -> None:
        run = current_run.get()
        if run is None:
            printed(violations)
            return
        for each in violations:
            subject = f"column `{each.column}`: " if each.column else ""
            run.write_line(f"{each.level.value} {subject}{each.message}")
            if each.level.value == "ERROR":
                run.violations.append(f"{subject}{each.message}")

    note.of_ddbuild = True  # type: ignore[attr-defined]
    compiler.rich_print_violations = note
