"""What is said about a tier that gives trouble."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ddbuild.errors import CacheError

__all__ = ["describe_local", "describe_shared", "reason"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_SLOW = frozenset({errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ENETUNREACH})
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})

_ELSEWHERE = "choose another folder with DDBUILD_CACHE_DIR or `[cache] dir` in ddbuild.toml"


def describe_local(folder: Path, error: OSError) -> CacheError:
    """Return the error that says what is wrong with the local cache."""
    facts = {"error": reason(error)}
    if error.filename is not None and Path(os.fsdecode(error.filename)) != folder:
        facts["file"] = os.fsdecode(error.filename)
    if error.errno in _FULL:
        message, hint = f"the local cache `{folder}` is full", f"free some space, or {_ELSEWHERE}"
    elif error.errno in _FORBIDDEN:
        message, hint = f"the local cache `{folder}` cannot be written to", _ELSEWHERE
    else:
        message, hint = f"the local cache `{folder}` cannot be used", _ELSEWHERE
    return CacheError(message, facts=facts, hint=hint)


def describe_shared(folder: Path, error: OSError, writing: bool) -> tuple[str, str]:
    """Return a kind of trouble with the shared cache, and the warning that says so once."""
    subject = f"the shared cache `{folder}`"
    if error.errno in _FULL:
        return "full", f"{subject} is full; new results stay in the local one"
    if error.errno in _SLOW:
        return "slow", f"{subject} does not answer ({reason(error)}); the build goes on with the local one"
    if error.errno in _MISSING:
        return "missing", f"{subject} is not there ({reason(error)}); the build goes on with the local one"
    if error.errno in _FORBIDDEN and writing:
        return "read-only", f"{subject} cannot be written to ({reason(error)}); new results stay in the local one"
    return f"failing {error.errno}", f"{subject} gives trouble ({reason(error)}); the build goes on with the local one"


def reason(error: OSError) -> str:
    """Return what the system says, as a part of a sentence."""
    if error.errno is None:
        return str(error)
    return os.strerror(error.errno)[:1].lower() + os.strerror(error.errno)[1:]
