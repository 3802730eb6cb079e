"""Run what users wrote while a workspace is loaded: their prints go to stderr, their errors become one sentence."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from ddbuild.errors import GraphError, Location
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.modules import Importer

__all__ = ["running_user_code"]


@contextmanager
def running_user_code(build_file: BuildFile, subject: str, location: Location | None = None) -> Iterator[None]:
    """Run the block's user code, noting what it reads; stdout is kept for data, except in a script.

    Args:
        build_file: What the code belongs to, and what a message sends its reader to.
        subject: What the code is in messages, "`qa/BUILD.py`".
        location: The place in the build file, where that is known without a traceback.

    Raises:
        GraphError: The code raised something; the innermost line of the workspace's own code is named.
    """
    is_script = build_file.syntax == "script"
    quiet = contextlib.nullcontext() if is_script else redirect_stdout(sys.stderr)
    try:
        with quiet, build_file.importer.reads.recording():
            yield
    except (Exception, SystemExit) as error:
        raise _explain(error, build_file, subject, location or build_file.at(None)) from None


def _explain(error: BaseException, build_file: BuildFile, subject: str, location: Location) -> GraphError:
    importer, inside = build_file.importer, None
    for frame, line in traceback.walk_tb(error.__traceback__):
        filename = frame.f_code.co_filename
        if importer.owns(filename):
            inside = Location(importer.relative(filename), line)
            if inside.file == location.file:
                location = inside
    if isinstance(error, GraphError):
        error.facts.setdefault(build_file.fact, str(location))
        return error
    if isinstance(error, SyntaxError) and error.filename and importer.owns(error.filename):
        inside = Location(importer.relative(error.filename), error.lineno)
        message = f"`{inside.file}` is not valid Python: {error.msg}"
    else:
        text = _tidy(str(error), importer)
        message = f"{subject} raised `{type(error).__name__}`" + (f": {text}" if text else "")
    if inside is None or inside.file == location.file:
        return GraphError(message, facts={build_file.fact: str(inside or location)})
    return GraphError(message, facts={"at": str(inside), build_file.fact: str(location)})


def _tidy(text: str, importer: Importer) -> str:
    lines = [line for line in text.strip().splitlines() if "errors.pydantic.dev" not in line]
    return "\n  ".join(lines).replace(f"{importer.prefix}.", "")
