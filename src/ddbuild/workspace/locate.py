"""Find the workspace that a folder belongs to."""

from __future__ import annotations

from pathlib import Path

from ddbuild.errors import GraphError

__all__ = ["SETTINGS_FILE", "find_workspace"]

SETTINGS_FILE = "ddbuild.toml"


def find_workspace(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` upwards, that holds a `ddbuild.toml`; `start` None is the current one.

    Raises:
        GraphError: there is none.
    """
    folder = (start or Path()).resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    raise GraphError(
        f"no workspace: neither `{folder}` nor a folder above it has a `{SETTINGS_FILE}`",
        hint="`ddbuild init` makes one here",
    )
