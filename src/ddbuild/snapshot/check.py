"""Whether all that an answer depends on is still as it was: inputs, what the cache has, what was materialized.

Each function here returns True only where nothing can have changed. It need not be the other way round: whatever
cannot be told is False, and then the workspace is loaded.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, start_new_thread

from ddbuild.file_state import ask, digest_text, is_folder, list_folder, sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["digest_names", "inputs_hold", "note_use", "outputs_hold", "results_hold"]

ACTIONS = os.path.join("v1", "actions")  # noqa: PTH118 - pathlib takes long to import
"""Where a tier keeps action results; `cache/layout.py` says so, and takes long to import."""

CAS = os.path.join("v1", "cas")  # noqa: PTH118
"""Where a tier keeps blobs."""

USES = os.path.join("v1", "uses")  # noqa: PTH118
"""Where a tier notes what was used when."""

_NOTE_SECONDS = 600.0

_ASK_SECONDS = 3.0
"""How long the shared tier may take here; the long way has more patience."""

_CHUNK = 1 << 20


def inputs_hold(inputs: Any) -> bool:
    """Return whether files, folders and variables are as they were; `inputs` are those of `inputs.collect_inputs`."""
    files, asked, unsure, absent, sought, places, folders, links, accesses, variables, names = inputs
    environ = os.environ
    # The name of a variable that is not set may be a secret by itself, an API key that was tried as one.
    hidden = {name for name, digest in variables if digest is None and name.startswith("blake2b:")}
    if hidden and not hidden.isdisjoint(map(digest_text, environ)):
        return False
    for name, digest in variables:
        value = environ.get(name)
        if (None if value is None else digest_text(value)) != digest:
            return False
    return (
        (names is None or digest_names() == names)
        and _files_hold(files)
        and all(ask(path) == signature for path, signature in asked)
        and all(sign(path) is None for path in absent)
        and all(ask(path) is None for path in sought)
        and all(is_folder(sign(path)) for path in places)
        and all(_folder_holds(*folder) for folder in folders)
        and all(_read_link(path) == text for path, text in links)
        and all(os.access(path, mode) == allowed for path, mode, allowed in accesses)
        and all(_content_holds(*file) for file in unsure)
    )


def digest_names() -> str:
    """Return the digest of the names of all variables, in the order in which a program finds them."""
    return digest_text("\0".join(os.environ))


def results_hold(steps: Iterable[Sequence[Any]], tiers: tuple[str, str | None, bool]) -> bool:
    """Return whether each tier's records of action results are as they were: (tier, path, signature).

    What somebody else has put into the shared tier meanwhile counts before what is here; so what was not there is
    looked for as well.
    """
    local = os.path.join(tiers[0], ACTIONS)  # noqa: PTH118
    elsewhere = []
    for tier, path, signature in steps:
        if tier:
            elsewhere.append((path, signature))
        elif sign(f"{local}/{path}") != signature:
            return False
    return tiers[1] is None or _within_time(lambda: _shared_results_hold(elsewhere, str(tiers[1])))


def note_use(name: str, tiers: tuple[str, str | None, bool]) -> None:
    """Note that what the note `name` is about is still used, so that a collection of garbage leaves it alone.

    It need not be known to the minute.
    """
    local, shared, is_written = tiers
    _touch(os.path.join(local, USES, name))  # noqa: PTH118
    if shared is not None and is_written:
        note = os.path.join(shared, USES, name)  # noqa: PTH118
        _within_time(lambda: _touch(note))


def outputs_hold(root: str, local: str, place: str, files: Sequence[Any], blobs: Iterable[Sequence[Any]]) -> bool:
    """Return whether the files of a result lie in the workspace, untouched, and its blobs in the local tier.

    `files` are (name, size, modified, inode) in the folder `place`, as `materialize.py` tells one that was not
    touched; `blobs` are (path, size).
    """
    folder = os.path.join(root, place)  # noqa: PTH118
    for name, size, modified, inode in files:
        found = os.lstat(f"{folder}/{name}")
        if (found.st_size, found.st_mtime_ns, found.st_ino) != (size, modified, inode):
            return False
    cas = os.path.join(local, CAS)  # noqa: PTH118
    for path, size in blobs:
        found = os.lstat(f"{cas}/{path}")
        if found.st_mode & 0o170000 != 0o100000 or found.st_size != size:
            return False
    return True


def _touch(note: str) -> bool:
    try:
        if time.time() - os.stat(note).st_mtime > _NOTE_SECONDS:  # noqa: PTH116
            os.utime(note)
    except OSError:
        # A build that does more than this one writes it anew.
        return False
    return True


def _files_hold(files: Iterable[Sequence[Any]]) -> bool:
    # The one loop that is long: hundreds of modules, and each seed file.
    stat = os.stat
    for path, signature in files:
        found = stat(path)
        if signature != (
            found.st_mode,
            found.st_ino,
            found.st_dev,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        ):
            return False
    return True


def _folder_holds(path: str, kind: Any, signature: Any, digest: str | None, is_remote: bool) -> bool:
    """Whether a folder lists what it did; a signature of None is one that proves nothing."""
    if signature is not None and (ask(path) if is_remote else sign(path)) == signature:
        return True
    return list_folder(path, kind) == digest


def _content_holds(path: str, size: int, digest: str) -> bool:
    """Whether a file has the bytes that it had, for one that had been written too shortly before."""
    import xxhash  # seldom needed

    hasher = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        if os.fstat(file.fileno()).st_size != size:
            return False
        while data := file.read(_CHUNK):
            hasher.update(data)
    return "xxh3_128:" + hasher.hexdigest() == digest


def _read_link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115
    except (OSError, ValueError):
        return None


def _shared_results_hold(results: Iterable[Sequence[Any]], folder: str) -> bool:
    _open_folder(folder)
    actions = os.path.join(folder, ACTIONS)  # noqa: PTH118
    for path, signature in results:
        found = ask(f"{actions}/{path}")
        if found is None:
            # Nothing may be known of the folder either: the rule of `cache/disk.py`.
            _look_again(f"{actions}/{path}", folder)
            found = sign(f"{actions}/{path}")
        if found != signature:
            return False
    return True


def _look_again(path: str, root: str) -> None:
    missing = []
    folder = os.path.dirname(path)  # noqa: PTH120
    while folder.startswith(root) and not _opens(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120
    while missing and _opens(missing[-1]):
        missing.pop()


def _opens(folder: str) -> bool:
    try:
        _open_folder(folder)
    except OSError:
        return False
    return True


def _open_folder(folder: str) -> None:
    os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _within_time(question: Any) -> bool:
    """Return the answer to `question`, False where it does not come in time: a hung mount never answers."""
    answers: list[bool] = []
    ended = allocate_lock()
    ended.acquire()

    def ask() -> None:
        try:
            answers.append(question())
        except Exception:
            answers.append(False)
        finally:
            ended.release()

    start_new_thread(ask, ())
    return ended.acquire(timeout=_ASK_SECONDS) and answers[0]
