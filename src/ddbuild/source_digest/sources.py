"""The source files that one walk reads: each as the code that was loaded from it has it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from ddbuild.errors import UnhashableError
from ddbuild.source_digest.ownership import Ownership
from ddbuild.source_digest.refusal import HINT, quote_subject
from ddbuild.source_digest.source_file import SourceFile, open_source

__all__ = ["Sources"]


class Sources:
    """Opens files for one walk; `subject` says in errors what needs the digest."""

    def __init__(self, owner: Ownership, subject: str) -> None:
        self._owner = owner
        self._subject = subject

    def open(self, file: object, namespace: Mapping[str, Any] | None, *, is_loaded: bool = True) -> SourceFile | None:
        """Return the source of a module's file, or None where there is none that is Python."""
        source = open_source(file, namespace, is_loaded=is_loaded) if isinstance(file, str) else None
        try:
            return source if source is not None and source.tree else None
        except (SyntaxError, ValueError, RecursionError):
            return None

    def open_module(self, file: str) -> SourceFile:
        """Return the source that an import of the real path `file` would run, or has run already.

        Raises:
            UnhashableError: it cannot be read as Python.
        """
        source = None
        # A load of the workspace may hold the text that it ran, under a spelling of the path of its own.
        loads = {name.partition(".")[0] for name in self._owner.namespaces}
        for name, module in list(sys.modules.items()):
            held = getattr(module, "__file__", None) if name.partition(".")[0] in loads else None
            if isinstance(held, str) and os.path.realpath(held) == file:
                source = self.open(held, vars(module))
                break
        else:
            source = self.open(file, None, is_loaded=False)
        if source is None:
            raise UnhashableError(
                f"{quote_subject(self._subject)} imports `{self.show(file)}`, which cannot be read as Python",
                hint=HINT,
            )
        return source

    def show(self, file: str) -> str:
        """Return a file's path as messages have it: below the workspace where it lies there."""
        root = self._owner.root
        return os.path.relpath(file, root) if root and os.path.realpath(file).startswith(root + os.sep) else file
