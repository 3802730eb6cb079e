"""What people read when ddbuild itself fails: one sentence, and where the traceback is."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from ddbuild.errors import BuildError, DdbuildError
from ddbuild.report.ink import make_safe

__all__ = ["explain_bug"]


def explain_bug(error: Exception, *, verbose: bool) -> DdbuildError:
    """Keep the traceback of `error` in a file and return what to say; `verbose` prints the traceback as well.

    Trouble with a file, such as a disk that is full, is not a bug.
    """
    text = "".join(traceback.format_exception(error))
    if verbose:
        print(make_safe(text), file=sys.stderr)
    if isinstance(error, OSError) and error.strerror and error.errno:
        facts = {"file": str(error.filename)} if error.filename else {}
        return BuildError(f"cannot go on: {error.strerror.lower()}", facts=facts)
    facts = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    place = _write(text)
    if place is not None:
        facts["traceback"] = str(place)
    return BuildError(
        "ddbuild hit a bug", facts=facts, hint="report it with the traceback; `-v` prints it here as well"
    )


def _write(text: str) -> Path | None:
    stamp = f"{datetime.now(UTC).isoformat(timespec='seconds')}  ddbuild {' '.join(sys.argv[1:])}\n\n"
    for folder in _find_folders():
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            place = folder / "crash.log"
            place.write_text(stamp + text, encoding="utf-8", errors="backslashreplace")
            return place
    return None


def _find_folders() -> list[Path]:
    from ddbuild.workspace import find_workspace  # a bug in here must not hide the one to tell of

    folders = [Path(tempfile.gettempdir()) / "ddbuild"]
    with contextlib.suppress(Exception):
        folders.insert(0, find_workspace() / ".ddbuild")
    return folders
