"""New rows that a person has asked for although nothing has changed.

A key never changes its content, so new rows for the same inputs need another key: a renewed action gets a salt of its
own. The salts are kept in one small file of the workspace, so that the builds that follow go on with the newest rows.
A salt goes with the action as it is: an edited one is back under its plain key, which it shares with everybody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from ddbuild.digest import digest_of
from ddbuild.errors import BuildError
from ddbuild.keys import Action, Part

__all__ = ["Renewals"]

_SCHEMA = 1


class Renewals:
    """The salts of the actions that were renewed in the workspace `root`.

    They are read once: what other processes renew meanwhile does not change a build under way.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / ".ddbuild" / "renewals.json"
        self._salts: dict[str, str] | None = None

    def apply(self, action: Action) -> Action:
        """Return `action` with its salt among its parts; unchanged where it was never renewed."""
        if self._salts is None:
            self._salts = self._read()
        salt = self._salts.get(_name(action)) if self._salts else None
        if salt is None:
            return action
        return replace(action, parts=(*action.parts, Part("renewal", "", digest_of(salt))))

    def renew(self, actions: Iterable[Action]) -> None:
        """Give each of `actions`, as they are without a salt, a new one, and keep it.

        Raises:
            BuildError: the file cannot be written.
        """
        salt = uuid4().hex
        self._salts = self._read() | {_name(action): salt for action in actions}
        # Two processes at once: the last to write wins, and the rows of the other are only not found again.
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.{uuid4().hex}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"schema": _SCHEMA, "salts": self._salts}, indent=1, sort_keys=True))
            temporary.replace(self._path)
        except OSError as error:
            facts = {"file": str(self._path), "reason": error.strerror or str(error)}
            raise BuildError("it cannot be noted that new rows were asked for", facts=facts) from error

    def _read(self) -> dict[str, str]:
        try:
            document = json.loads(self._path.read_bytes())
            salts = document["salts"] if document["schema"] == _SCHEMA else {}
            return {str(name): str(salt) for name, salt in salts.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # Without its salts an action is under its plain key: older rows, and never wrong ones.
            return {}


def _name(action: Action) -> str:
    """Return what tells an action as it is, whatever its parents and its number of records.

    So a renewed stage grows from its renewed rows, and stays renewed when a parent has other rows.
    """
    return digest_of((str(action.label), action.kind, sorted(tuple(part) for part in action.parts)))
