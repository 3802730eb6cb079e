"""The Python files of a workspace as modules: always compiled from the source now on disk, one module for each file.

An import statement in a workspace file looks in the file's own folder, then in its package's folder, then in the
workspace's root, then where Python looks; Python's own modules cannot be hidden. So two packages may each have a
`helper.py`, and that holds for imports inside functions too, whenever they run: each module's `__builtins__` carries
an `__import__` that knows the module's file. Nothing goes through byte-code caches (an edit within a second that keeps
the size would be missed) or through names in `sys.modules` that an earlier load, a notebook or a library may hold.

Modules are in `sys.modules` under names of their own (`ddbuild_workspace_1.qa.helper`), because dataclasses, pydantic
and `inspect` look a class's module up there. `importlib.import_module` in workspace code finds modules of the root.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import itertools
import linecache
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakSet

from ddbuild.errors import GraphError
from ddbuild.workspace.reads import Reads

__all__ = ["BUILD_FILES", "Importer"]

BUILD_FILES = ("BUILD.py", "BUILD.yaml")

_PREFIX = "ddbuild_workspace_"
_NUMBERS = itertools.count(1)


class Importer:
    """The modules of one load of one workspace.

    `packages` are the folders with a build file. Another load has another importer and shares no module with this one,
    so a graph keeps the code that it was loaded with. `superseded` are the files of which a later load has run another
    text: this load's functions can no longer be told by their source.
    """

    def __init__(self, root: Path, reads: Reads, packages: Iterable[Path] = ()) -> None:
        self.root = root
        self.reads = reads
        self.prefix = f"{_PREFIX}{next(_NUMBERS)}"
        self.superseded: set[Path] = set()
        self._packages = set(packages)
        self._modules: dict[Path, ModuleType] = {}
        self._files: set[Path] = set()
        self._aliases: set[str] = set()
        self._installed: dict[str, bool] = {}
        # Not held while a build file runs: it may start threads that import.
        self._lock = threading.RLock()
        _forget_aliases()
        _IMPORTERS.add(self)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)

    def run_build_file(self, file: Path) -> ModuleType:
        """Return the module that running the BUILD.py `file` makes; whatever it raises passes through."""
        module, code = self._prepare(file)
        self._execute(file, module, code)
        return module

    def import_file(self, file: Path) -> ModuleType:
        """Return the module of the Python file `file`."""
        return self._load(file)

    def import_module(self, name: str) -> ModuleType:
        """Return the module that a file in the workspace's root would import by this dotted name."""
        return self.import_statement(self.root / "_", name, None, None, ("",), 0)

    def note_script(self, file: Path) -> None:
        """Count `file`, which Python runs by itself, as one of the workspace's in messages."""
        self._files.add(file)

    def owns(self, filename: str) -> bool:
        """Return whether code with this `co_filename` was loaded here."""
        return Path(os.path.normpath(filename)) in self._files

    def relative(self, filename: str) -> str:
        """Return `filename` as messages name it: relative to the workspace, with `/` between folders."""
        path = Path(os.path.normpath(filename))
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def close(self) -> None:
        """Take this load's modules out of `sys.modules`; functions that came from them go on working."""
        for module in self._modules.values():
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
        self._forget_aliases()
        _unpin(self)

    # What follows is one import statement: where a name leads, and which modules it makes.

    def import_statement(
        self,
        file: Path,
        name: str,
        globals: Mapping[str, object] | None,
        locals: Mapping[str, object] | None,
        fromlist: Sequence[str] | None,
        level: int,
    ) -> ModuleType:
        """Carry out an import statement of `file`; the arguments are those of `__import__`."""
        parts = name.split(".") if name else []
        if level:
            folder = file.parent
            for _ in range(level - 1):
                folder = folder.parent
            if not folder.is_relative_to(self.root):
                raise ImportError("relative import beyond the workspace's root")
        else:
            found = self._find_top(file, parts[0])
            if found is None:
                return builtins.__import__(name, globals, locals, fromlist or (), level)
            folder = found
        with self._lock:
            first, last = self._import_parts(folder, parts)
            if not fromlist:
                return first
            self._import_members(last, fromlist)
            return last

    def _find_top(self, file: Path, name: str) -> Path | None:
        """Return the folder in which an import of `name` by `file` finds it, None where it is not the workspace's."""
        if name in _HIDDEN_BY_NOTHING:
            return None
        folders = self._list_scope(file)
        for folder in folders:
            if _find(folder, name, plain_folders=False):
                return folder
        for folder in folders:
            # As in Python, a plain folder does not hide a real module elsewhere.
            if (folder / name).is_dir() and not self._is_installed(name):
                return folder
        return None

    def _list_scope(self, file: Path) -> list[Path]:
        package = next((folder for folder in file.parents if folder in self._packages), self.root)
        return list(dict.fromkeys((file.parent, package, self.root)))

    def _is_installed(self, name: str) -> bool:
        if name not in self._installed:
            finders = [finder for finder in sys.meta_path if finder is not _FINDER and hasattr(finder, "find_spec")]
            specs = (finder.find_spec(name, None) for finder in finders)
            self._installed[name] = any(spec is not None and spec.origin is not None for spec in specs)
        return self._installed[name]

    def _import_parts(self, folder: Path, parts: Sequence[str]) -> tuple[ModuleType, ModuleType]:
        first = last = self._load_folder(folder) if not parts else None
        for position, part in enumerate(parts):
            found = _find(folder, part)
            if found is None or (last is not None and not hasattr(last, "__path__")):
                name = ".".join(parts[: position + 1])
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            module = self._load(found)
            if last is not None:
                setattr(last, part, module)
            first, last, folder = first or module, module, folder / part
        assert first is not None and last is not None
        return first, last

    def _import_members(self, module: ModuleType, names: Sequence[str]) -> None:
        if not hasattr(module, "__path__"):
            return
        if "*" in names:
            names = [*names, *getattr(module, "__all__", ())]
        for name in names:
            if name != "*" and not hasattr(module, name):
                found = _find(Path(module.__path__[0]), name)
                if found is not None:
                    setattr(module, name, self._load(found))

    # Making modules.

    def _load(self, place: Path) -> ModuleType:
        with self._lock:
            if place.name in BUILD_FILES:
                raise GraphError(
                    f"`{self.relative(str(place))}` is a build file, and build files cannot be imported",
                    hint="move what several files need into a module of its own",
                )
            if (known := self._modules.get(place)) is not None:
                return known
            if place.is_dir():
                return self._load_folder(place)
            module, code = self._prepare(place)
            self._execute(place, module, code)
            return module

    def _load_folder(self, folder: Path) -> ModuleType:
        if (folder / "__init__.py").is_file():
            return self._load(folder / "__init__.py")
        if (known := self._modules.get(folder)) is not None:
            return known
        module = ModuleType(self._name(folder))
        module.__path__ = [str(folder)]
        module.__package__ = module.__name__
        return self._register(folder, module)

    def _prepare(self, file: Path) -> tuple[ModuleType, Any]:
        content = file.read_bytes()
        self.reads.add_file(file, content)
        self._files.add(file)
        try:
            text = importlib.util.decode_source(content)
        except UnicodeDecodeError as error:
            raise SyntaxError(f"it is not {error.encoding} text", (str(file), None, None, None)) from None
        except SyntaxError as error:
            raise SyntaxError(error.msg, (str(file), None, None, None)) from None
        filename = str(file)
        _pin(file, text, self)
        code = compile(content, filename, "exec", dont_inherit=True)
        is_package = file.name == "__init__.py"
        module = ModuleType(self._name(file.parent if is_package else file.with_suffix("")))
        module.__file__ = filename
        module.__package__ = module.__name__ if is_package else self._name(file.parent)
        if is_package:
            module.__path__ = [str(file.parent)]
        loader: Any = _Source(text, self)
        module.__loader__ = loader
        module.__spec__ = ModuleSpec(module.__name__, loader, origin=filename, is_package=is_package)
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _bind_import(self, file)}
        return module, code

    def _execute(self, file: Path, module: ModuleType, code: Any) -> None:
        self._register(file, module)
        try:
            exec(code, module.__dict__)
        except BaseException:
            # As in Python: an import that failed is tried again by the next one.
            self._modules.pop(file, None)
            sys.modules.pop(module.__name__, None)
            raise

    def _register(self, place: Path, module: ModuleType) -> ModuleType:
        self._modules[place] = module
        sys.modules[module.__name__] = module
        return module

    def _name(self, place: Path) -> str:
        parts = place.relative_to(self.root).parts if place.is_relative_to(self.root) else place.parts
        return ".".join((self.prefix, *(re.sub(r"\W", lambda sign: f"_{ord(sign[0]):x}_", part) for part in parts)))

    # `importlib.import_module` in workspace code.

    def find_for_import_module(self, fullname: str) -> Path | None:
        """Return the place of a root module by its dotted name, or of any module by its name in `sys.modules`."""
        parent, _, name = fullname.rpartition(".")
        if not parent:
            if name == self.prefix:
                return self.root
            if name in _HIDDEN_BY_NOTHING:
                return None
            return _find(self.root, name, plain_folders=not self._is_installed(name))
        module = sys.modules.get(parent)
        if module is None or module not in self._modules.values():
            return None
        return _find(Path(module.__path__[0]), name)

    def import_alias(self, fullname: str, place: Path) -> ModuleType:
        """Return the module of `place`, and remember that it is in `sys.modules` as `fullname` too."""
        if not fullname.startswith(_PREFIX):
            self._aliases.add(fullname)
        return self._load(place)

    def _forget_aliases(self) -> None:
        for name in self._aliases:
            if sys.modules.get(name) in self._modules.values():
                del sys.modules[name]
        self._aliases.clear()


class _Source:
    """A module's `__loader__`: it knows the source that was run, which may no longer be the one on disk."""

    def __init__(self, text: str, importer: Importer) -> None:
        self._text = text
        self.importer = importer

    def get_source(self, fullname: str) -> str:
        return self._text


class _Alias:
    """Hands a module that is there already to the import system, under another name."""

    def __init__(self, importer: Importer, fullname: str, place: Path) -> None:
        self._importer, self._fullname, self._place = importer, fullname, place
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self._importer.import_alias(self._fullname, self._place)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder:
    """Finds workspace modules for `importlib.import_module` in workspace code; libraries never see them."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        frame = sys._getframe(1)
        while frame.f_back is not None and _IMPORTLIB.match(frame.f_code.co_filename):
            frame = frame.f_back
        loader = frame.f_globals.get("__loader__")
        if not isinstance(loader, _Source):
            return None
        importer = loader.importer
        place = importer.find_for_import_module(fullname)
        if place is None:
            return None
        is_package = place.is_dir() or place.name == "__init__.py"
        return ModuleSpec(fullname, _Alias(importer, fullname, place), is_package=is_package)  # type: ignore[arg-type]


_FINDER: Any = _Finder()
_HIDDEN_BY_NOTHING = sys.stdlib_module_names | {"ddbuild", "data_designer"}
_IMPORTLIB = re.compile(r"<frozen importlib|.*[/\\]importlib[/\\]__init__\.py$")
_IMPORTERS: WeakSet[Importer] = WeakSet()


def _forget_aliases() -> None:
    for importer in list(_IMPORTERS):
        importer._forget_aliases()


def _bind_import(importer: Importer, file: Path) -> Any:
    def import_for_workspace_file(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        return importer.import_statement(file, name, globals, locals, fromlist, level)

    return import_for_workspace_file


def _find(folder: Path, name: str, plain_folders: bool = True) -> Path | None:
    base = folder / name
    for candidate in (base / "__init__.py", folder / f"{name}.py"):
        if candidate.is_file():
            return candidate
    return base if plain_folders and base.is_dir() else None


# `inspect.getsource` and keys read sources through linecache, which drops an entry when the file on disk has changed,
# unless the entry has no mtime. So a function keeps the source that it really runs, for as long as its graph lives.
# There is one text for each file: the newest load's. A load that still holds another one is superseded.
_PINS: dict[str, tuple[str, WeakSet[Importer]]] = {}
# Reentrant, because a graph that is collected while this lock is held lets go of its pins.
_PINS_LOCK = threading.RLock()


def _pin(file: Path, text: str, importer: Importer) -> None:
    filename = str(file)
    with _PINS_LOCK:
        pinned, holders = _PINS.get(filename, (text, WeakSet()))
        if pinned != text:
            for holder in list(holders):
                holder.superseded.add(file)
            holders = WeakSet()
        holders.add(importer)
        _PINS[filename] = (text, holders)
        lines = list(io.StringIO(text if text.endswith("\n") else text + "\n"))
        linecache.cache[filename] = (len(text), None, lines, filename)


def _unpin(importer: Importer) -> None:
    with _PINS_LOCK:
        for filename, (_, holders) in list(_PINS.items()):
            holders.discard(importer)
            if not holders:
                del _PINS[filename]
                linecache.cache.pop(filename, None)
