"""The log of a target's Data Designer run, and its last lines."""

from __future__ import annotations

from pathlib import Path

from ddbuild.building.logs import log_path
from ddbuild.building.results import TargetResult
from ddbuild.report.ink import make_safe

__all__ = ["find_log", "read_last_lines"]

_LOGGED = ("generate", "process")
_MOST_BYTES = 64 << 10


def find_log(target: TargetResult, root: Path) -> Path | None:
    """Return the log of the run in which `target` failed; None where it did not fail in a run of Data Designer."""
    if target.error is None or not target.actions or target.actions[-1].kind not in _LOGGED:
        return None
    path = log_path(root, target.label)
    return path if path.is_file() else None


def read_last_lines(path: Path, lines: int = 10) -> list[str]:
    """Return the last `lines` lines of a log; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _MOST_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [make_safe(line).rstrip() for line in text.splitlines()[-lines:]]
