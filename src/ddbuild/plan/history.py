"""The last result of each target in a workspace: what reasons are told against, and what `--last` shows.

One small file a target below `.ddbuild/history/`, replaced whole. Nothing is decided from it: without it a build is
the same, and only the reasons say less.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ddbuild.cache.result import ActionResult
from ddbuild.label import Label

__all__ = ["History"]

_RESULTS = TypeAdapter(list[ActionResult])


class History:
    """The kept action results of each target's last build, first action first."""

    def __init__(self, root: Path) -> None:
        self._folder = root / ".ddbuild" / "history"

    def read(self, label: Label) -> list[ActionResult]:
        """Return the last results of `label`; empty where there are none or they cannot be read."""
        try:
            return _RESULTS.validate_json(self._path(label).read_bytes())
        except (OSError, ValidationError):
            return []

    def write(self, label: Label, results: list[ActionResult]) -> None:
        """Keep `results` as the last ones of `label`; a folder that cannot be written is no error.

        An action that was not looked at, because a later one was a hit, stays as it was last seen.
        """
        path = self._path(label)
        known = self.read(label)
        kinds = {result.kind for result in results}
        kept = [*(result for result in known if result.kind not in kinds), *results]
        if kept == known:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(_RESULTS.dump_json(kept, by_alias=True))
            Path(name).replace(path)
        except OSError:
            return

    def forget(self, label: Label) -> None:
        """Drop what is kept of `label`."""
        self._path(label).unlink(missing_ok=True)

    def _path(self, label: Label) -> Path:
        return self._folder / f"{label.package.replace('/', '%2F')}:{label.name}.json"
