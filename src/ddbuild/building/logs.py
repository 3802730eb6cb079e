"""Where Data Designer's log of a target goes."""

from __future__ import annotations

from pathlib import Path

from ddbuild.label import Label

__all__ = ["log_path"]


def log_path(root: Path, label: Label) -> Path:
    """Return the file that holds the log of the last run of `label`."""
    return root / ".ddbuild" / "logs" / label.package / f"{label.name}.log"
