"""Keeping stdout for data: a build file or a callback that prints must not end up in somebody's pipe."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

__all__ = ["reserve_stdout", "write_bytes", "write_out"]


@contextmanager
def reserve_stdout() -> Iterator[TextIO]:
    """Yield the true stdout; whatever else is printed meanwhile, by anybody in this process, goes to stderr."""
    printed_to = sys.stdout
    if printed_to is None:
        with Path(os.devnull).open("w") as nowhere:
            yield nowhere
        return
    printed_to.flush()
    out = _move_descriptor(printed_to)
    sys.stdout = sys.stderr
    try:
        yield out or printed_to
    finally:
        sys.stdout = printed_to
        if out is not None:
            _flush(out)
            os.dup2(out.fileno(), 1)
            out.close()


def write_out(out: TextIO, text: str) -> None:
    """Write `text` to `out` and flush; a reader that has seen enough, as `head` has, is no error."""
    try:
        out.write(text)
        out.flush()
    except BrokenPipeError:
        _silence(out)


def write_bytes(out: TextIO, source: BinaryIO) -> None:
    """Write all of `source` to `out`, as `write_out` does."""
    try:
        shutil.copyfileobj(source, out.buffer)
        out.flush()
    except BrokenPipeError:
        _silence(out)


def _move_descriptor(stream: TextIO) -> TextIO | None:
    """Give what is stdout of this process a new descriptor, and let descriptor 1 be stderr's."""
    try:
        if stream.fileno() != 1:
            return None
        copy = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
    return os.fdopen(copy, "w", encoding=stream.encoding, errors="backslashreplace", newline="")


def _flush(out: TextIO) -> None:
    try:
        out.flush()
    except BrokenPipeError:
        _silence(out)


def _silence(out: TextIO) -> None:
    """Send what is still buffered nowhere, so that closing `out` does not fail again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
