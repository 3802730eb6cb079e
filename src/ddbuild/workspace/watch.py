"""Seeing what this process looks at: files, folders and variables, whoever in it looks.

Opening and listing come as Python's audit events. Looking whether something is there does not, and neither does
asking for the current folder or writing to a stream: while somebody watches, `os.stat` and its like, `os.getcwd`,
`os.environ` and the two streams are replaced by ones that tell. Nothing is hidden from the code that is watched, and
nothing is changed for it. Not seen are libraries that open files in C++ or Rust. Whatever else users' code does that
Python audits is a surprise.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from ddbuild.file_state import sign

if TYPE_CHECKING:
    from ddbuild.file_state import Listing

__all__ = ["Watcher", "copy_environment", "is_installed", "is_standard", "watching"]


class Watcher(Protocol):
    """Is told what the process looks at; paths are absolute. What it does must neither raise nor take long."""

    def see_open(self, path: str) -> None:
        """A file is about to be opened for reading."""

    def see_write(self, path: str) -> None:
        """A file is about to be opened for writing, or a folder to be made."""

    def see_stat(self, path: str) -> None:
        """Something is asked about what `path` leads to."""

    def see_link(self, path: str) -> None:
        """Something is asked about `path` itself, which may be a link."""

    def see_access(self, path: str, mode: int) -> None:
        """It is asked whether `path` may be used in this way."""

    def see_list(self, path: str, kind: Listing) -> None:
        """The names in a folder are about to be listed."""

    def see_variable(self, name: str) -> None:
        """A variable is looked up."""

    def see_names(self) -> None:
        """The names of all variables are looked through."""

    def see_current_folder(self) -> None:
        """Something depends on the folder that the process was started in."""

    def see_text(self, text: str) -> None:
        """Something is printed."""

    def see_surprise(self, what: str) -> None:
        """Something is done that another time may come out differently, and that no record can tell."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` what happens inside the block, in all threads."""
    _start(watcher)
    try:
        yield
    finally:
        _stop(watcher)


def copy_environment() -> dict[str, str]:
    """Return all variables, unseen by who watches."""
    plain, environ = _PLAIN_ENVIRON, os.environ
    return {name: plain.__getitem__(environ, name) for name in plain.__iter__(environ)}


def is_standard(path: str) -> bool:
    """Return whether `path` lies in Python's own library, or is no file that could be edited."""
    return path.startswith(_NO_FILES) or (path.startswith(_STANDARD) and not path.startswith(_SITE))


def is_installed(path: str) -> bool:
    """Return whether `path` belongs to Python's library or to an installed one."""
    return path.startswith(_SITE) or is_standard(path)


def _folders(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.join(sysconfig.get_path(name), "") for name in names))  # noqa: PTH118


_STANDARD = _folders("stdlib", "platstdlib")
_SITE = _folders("purelib", "platlib")
_NO_FILES = ("/dev/", "/proc/", "/sys/", "<")
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120
_OUR_STATE = (f"{os.sep}.ddbuild{os.sep}", f"{os.sep}v1{os.sep}cas{os.sep}", f"{os.sep}v1{os.sep}actions{os.sep}")
_CODE = (".py", ".pyc", ".so", ".zip")

_LOCK = threading.RLock()
_watchers: tuple[Watcher, ...] = ()
_hooked = False
_streams: tuple[Any, Any] | None = None

_REAL: dict[str, Any] = {name: getattr(os, name) for name in ("stat", "lstat", "access", "readlink", "getcwd")}
_PLAIN_ENVIRON = type(os.environ)
_IMPORT_SYSTEM = ("<frozen importlib._bootstrap_external>", os.path.join("importlib", "metadata", "__init__.py"))  # noqa: PTH118


def _start(watcher: Watcher) -> None:
    global _hooked, _streams, _watchers
    with _LOCK:
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        if not _watchers:
            os.environ.__class__ = _WatchedEnviron
            for name, watched in _WATCHED.items():
                setattr(os, name, watched)
            _streams = (sys.stdout, sys.stderr)
            sys.stdout, sys.stderr = (_Overheard(stream) if stream is not None else None for stream in _streams)
        _watchers = (*_watchers, watcher)


def _stop(watcher: Watcher) -> None:
    global _streams, _watchers
    with _LOCK:
        remaining = list(_watchers)
        remaining.remove(watcher)
        _watchers = tuple(remaining)
        if _watchers:
            return
        os.environ.__class__ = _PLAIN_ENVIRON
        for name, watched in _WATCHED.items():
            # Whoever has put a function of their own there keeps it.
            if getattr(os, name) is watched:
                setattr(os, name, _REAL[name])
        out, err = _streams or (None, None)
        if isinstance(sys.stdout, _Overheard):
            sys.stdout = out
        if isinstance(sys.stderr, _Overheard):
            sys.stderr = err
        _streams = None


# Audit events.

_SURPRISES = {
    "subprocess.Popen": "a program was started",
    "os.system": "a program was started",
    "os.exec": "a program was started",
    "os.posix_spawn": "a program was started",
    "os.spawn": "a program was started",
    "os.fork": "the process was forked",
    "os.forkpty": "the process was forked",
    "socket.connect": "something was asked of the network",
    "socket.getaddrinfo": "something was asked of the network",
    "socket.gethostbyname": "something was asked of the network",
    "urllib.Request": "something was asked of the network",
    "sqlite3.connect": "a database was opened",
}
_EXPECTED = frozenset(
    {
        *(
            "builtins.id",
            "code.__new__",
            "compile",
            "exec",
            "function.__new__",
            "import",
            "marshal.dumps",
            "marshal.load",
        ),
        *("marshal.loads", "object.__delattr__", "object.__getattr__", "object.__setattr__", "open", "os.chdir"),
        *("os.chmod", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir"),
        *("os.symlink", "os.truncate", "os.utime", "sys._getframe", "sys._getframemodulename", "time.sleep"),
        *("glob.glob", "glob.glob/2", "os.walk", "pathlib.Path.glob", "pathlib.Path.rglob", "sys.excepthook"),
        "sqlite3.connect/handle",
    }
)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # Hooks cannot be taken away again, so this one costs a comparison for the rest of the process.
    if not _watchers:
        return
    if event == "open":
        path, _, flags = arguments
        if (place := _place(path)) is None:
            _refuse_to_users("an open file was opened again")
        elif not place.endswith(".pyc"):
            _refuse_unseen(place)
            _audit_open(place, flags if isinstance(flags, int) else 0)
    elif event in ("os.listdir", "os.scandir"):
        path = "." if arguments[0] is None else arguments[0]
        if (place := _place(path)) is None:
            _refuse_to_users("an open folder was listed")
        else:
            _refuse_unseen(f"{place}/")
            by_import = sys._getframe(1).f_code.co_filename.endswith(_IMPORT_SYSTEM)
            for watcher in _watchers:
                watcher.see_list(place, "modules" if by_import else "all")
    elif event == "os.mkdir":
        if (place := _place(arguments[0])) is not None and sign(place) is None:
            for watcher in _watchers:
                watcher.see_write(place)
    elif event == "os.chdir":
        _place(arguments[0])
    elif (what := _SURPRISES.get(event)) is not None:
        for watcher in _watchers:
            watcher.see_surprise(what)
    elif event not in _EXPECTED:
        _refuse_to_users(f"`{event}` was done")


def _refuse_to_users(what: str) -> None:
    """Tell of something that only a library may do, for reasons of its own."""
    if is_asked_by_user():
        for watcher in _watchers:
            watcher.see_surprise(what)


def _refuse_unseen(place: str) -> None:
    """Tell of something that users' code looks at and that is not recorded: of Python's own, or of the system."""
    is_unseen = is_standard(place) and place != os.devnull and not place.endswith(_CODE)
    if is_unseen or any(name in place for name in _OUR_STATE):
        _refuse_to_users(f"`{place}` was looked at")


def is_asked_by_user() -> bool:
    """Return whether what happens now was asked for by users' code, directly or by way of Python's own library."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and not is_standard(name):
            return os.path.isabs(name) and not name.startswith((*_SITE, _OURS))  # noqa: PTH117
        frame = frame.f_back
    return False


def _audit_open(place: str, flags: int) -> None:
    is_read = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if not is_read and not flags & os.O_TRUNC and sign(place) is not None:
        # What is there stays, and can be read where that is not forbidden.
        if flags & os.O_WRONLY:
            return
        is_read = True
    for watcher in _watchers:
        watcher.see_open(place) if is_read else watcher.see_write(place)


def _place(path: Any) -> str | None:
    """Return the absolute path that is meant; None for an open file's number. Called in audit hooks: raises nothing."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    try:
        text = os.fsdecode(path)
        if not os.path.isabs(text):  # noqa: PTH117
            for watcher in _watchers:
                watcher.see_current_folder()
            text = os.path.join(_REAL["getcwd"](), text)  # noqa: PTH118
    except Exception:
        return None
    return os.path.normpath(text)


# What there is no event for.


def _tell(path: Any, options: dict[str, Any], tell: Callable[[Watcher, str], None]) -> None:
    if not _watchers:
        return
    place = _place(path) if options.get("dir_fd") is None else None
    if place is None:
        _refuse_to_users("an open file was asked about")
    elif not is_installed(place):
        _refuse_unseen(place)
        for watcher in _watchers:
            tell(watcher, place)
    elif not place.endswith(_CODE):
        _refuse_to_users(f"`{place}` was looked at")


def _watched_stat(path: Any, **options: Any) -> os.stat_result:
    follows = options.get("follow_symlinks", True)
    _tell(path, options, lambda watcher, place: watcher.see_stat(place) if follows else watcher.see_link(place))
    result: os.stat_result = _REAL["stat"](path, **options)
    return result


def _watched_lstat(path: Any, **options: Any) -> os.stat_result:
    _tell(path, options, lambda watcher, place: watcher.see_link(place))
    result: os.stat_result = _REAL["lstat"](path, **options)
    return result


def _watched_readlink(path: Any, **options: Any) -> Any:
    _tell(path, options, lambda watcher, place: watcher.see_link(place))
    return _REAL["readlink"](path, **options)


def _watched_access(path: Any, mode: int, **options: Any) -> bool:
    _tell(path, options, lambda watcher, place: watcher.see_access(place, mode))
    result: bool = _REAL["access"](path, mode, **options)
    return result


def _watched_getcwd() -> str:
    if _watchers and not _is_idle_question(sys._getframe(1)):
        for watcher in _watchers:
            watcher.see_current_folder()
    result: str = _REAL["getcwd"]()
    return result


def _is_idle_question(frame: FrameType) -> bool:
    """Whether a library asks for the current folder while it is imported, or as one of several places for `/tmp`."""
    code = frame.f_code
    return (code.co_name == "<module>" and is_installed(code.co_filename)) or code.co_filename.endswith("tempfile.py")


_WATCHED: dict[str, Any] = {
    "stat": _watched_stat,
    "lstat": _watched_lstat,
    "readlink": _watched_readlink,
    "access": _watched_access,
    "getcwd": _watched_getcwd,
}
for _abilities in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
    # Python's own library asks these sets what a function can do.
    _abilities.update(_WATCHED[name] for name, real in _REAL.items() if real in _abilities)


class _WatchedEnviron(_PLAIN_ENVIRON):  # type: ignore[misc, valid-type]
    """`os.environ` while something watches: every holder of that one object is seen, however it was imported."""

    def __getitem__(self, name: str) -> str:
        for watcher in _watchers:
            watcher.see_variable(name)
        value: str = super().__getitem__(name)
        return value

    def __iter__(self) -> Iterator[str]:
        for watcher in _watchers:
            watcher.see_names()
        yield from super().__iter__()

    def __repr__(self) -> str:
        return f"environ({dict(self)!r})"

    def __len__(self) -> int:
        for watcher in _watchers:
            watcher.see_names()
        count: int = super().__len__()
        return count


class _Overheard:
    """A stream that passes everything on, and lets watchers hear it while there are any."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> Any:
        for watcher in _watchers:
            watcher.see_text(str(text))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            for watcher in _watchers:
                watcher.see_surprise("bytes were printed")
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> _Overheard:
        return self

    def __exit__(self, *arguments: object) -> None:
        self._stream.flush()
