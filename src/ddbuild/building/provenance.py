"""Who made a result, where, when and from which commit: for people, never for a key."""

from __future__ import annotations

import getpass
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

__all__ = ["Origin"]


@dataclass
class Origin:
    """The place that a build runs in; git is asked once, and only if something is built."""

    root: Path

    @cached_property
    def git(self) -> tuple[str | None, bool | None]:
        """The workspace's commit and whether everything was committed; None outside of a repository."""
        commit = self._run_git("rev-parse", "HEAD")
        if commit is None:
            return None, None
        status = self._run_git("status", "--porcelain", "--", ".")
        return commit, status == "" if status is not None else None

    @cached_property
    def user(self) -> str:
        """The user's name, or "" where the system knows none."""
        try:
            return getpass.getuser()
        except (KeyError, OSError, ImportError):
            return ""

    @cached_property
    def host(self) -> str:
        """The machine's name."""
        return platform.node()

    @staticmethod
    def now() -> str:
        """The time in UTC, to the second."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    def _run_git(self, *arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self.root, capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip() if done.returncode == 0 else None
