"""Which code is the user's, and is looked into, and which is a library's, and is known by its name alone."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ddbuild

__all__ = [
    "Ownership",
    "find_imported_file",
    "find_namespace",
    "locate_code",
    "name_external",
    "unwrap_method",
]

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_BUILD_FILES = ("BUILD.py", "BUILD.yaml")
_OWN_NAMES = ("ddbuild", "data_designer")
_LIBRARY_FOLDERS = tuple(
    os.path.realpath(folder) + os.sep
    for folder in {
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *(folder for folder in getattr(ddbuild, "__path__", ())),
    }
)


class Ownership:
    """Decides for one workspace; `root` None means that everything outside of installed libraries is the user's."""

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else os.path.realpath(root)
        self.namespaces: dict[str, Mapping[str, Any]] = {}
        self._files: dict[str, bool] = {}
        self._classes: dict[type, bool] = {}

    def note_namespace(self, namespace: Mapping[str, Any]) -> None:
        """Keep a module's names for its classes, since the module need not be in `sys.modules` any more."""
        name = namespace.get("__name__")
        if isinstance(name, str):
            self.namespaces.setdefault(name, namespace)

    def owns(self, code: Any) -> bool:
        """Return whether a class or function, native ones included, is the user's."""
        if isinstance(code, type):
            return self.owns_class(code)
        if isinstance(code, types.FunctionType):
            return self.owns_code(code.__code__, code.__globals__)
        module = getattr(code, "__module__", None)
        return isinstance(module, str) and module in sys.modules and self.owns_module(module)

    def is_library_name(self, function: types.FunctionType) -> bool:
        """Return whether a library has a function under the name that it says it has, so that the name says all."""
        module = sys.modules.get(function.__module__)
        held = getattr(module, function.__name__, None)
        return held is function and not self.owns_module(function.__module__)

    def owns_class(self, kind: type) -> bool:
        """Return whether a class is the user's."""
        known = self._classes.get(kind)
        if known is None:
            is_made_here = kind.__module__ == "types" and not hasattr(types, kind.__name__)
            namespace = find_namespace(kind, self.namespaces)
            known = self._classes[kind] = is_made_here or self.owns_module(str(kind.__module__), namespace)
        return known

    def owns_file(self, file: str) -> bool:
        """Return whether a file is the user's; a virtual environment inside the workspace is not."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = _owns_file(file, self.root)
        return known

    def owns_module(self, name: str, namespace: Mapping[str, Any] | None = None) -> bool:
        """Return whether a module is the user's, known by its name, and by its namespace if that is at hand."""
        if namespace is None and name in sys.modules:
            namespace = vars(sys.modules[name])
        top = name.partition(".")[0]
        if top in sys.builtin_module_names or top in _OWN_NAMES:
            return False
        file = None if namespace is None else namespace.get("__file__")
        if isinstance(file, str):
            return self.owns_file(file)
        if namespace is not None and namespace.get("__path__") is not None and name:
            return all(self.owns_file(folder + os.sep) for folder in namespace["__path__"])
        return top not in sys.stdlib_module_names or top == "__main__"

    def owns_code(self, code: types.CodeType, namespace: Mapping[str, Any]) -> bool:
        """Return whether a function's code is the user's; code without a file belongs to its module's owner."""
        name = namespace.get("__name__")
        if isinstance(name, str) and name.partition(".")[0] in _OWN_NAMES:
            return False
        if not code.co_filename.startswith("<"):
            return self.owns_file(locate_code(code, namespace))
        if code.co_filename.startswith("<frozen "):
            return False
        return self.owns_module(name if isinstance(name, str) else "", namespace)

    def find_package(self, folder: Path) -> list[Path]:
        """Return the folder of the workspace's package that a folder is in, if it is in one."""
        if self.root is not None and folder.is_relative_to(self.root):
            for parent in (folder, *folder.parents):
                if any((parent / name).is_file() for name in _BUILD_FILES):
                    return [parent]
                if str(parent) == self.root:
                    break
        return []


def find_namespace(kind: type, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the names of the module that a class was defined in: its methods know it best."""
    name = str(kind.__module__)
    for value in list(vars(kind).values()):
        for function in unwrap_method(value):
            if function.__module__ == name and function.__globals__.get("__name__") == name:
                return function.__globals__
    if name in known:
        return known[name]
    module = sys.modules.get(name)
    return None if module is None else vars(module)


def locate_code(code: types.CodeType, namespace: Mapping[str, Any]) -> str:
    """Return the file of `code`; a script that was started by a relative path is found from any folder."""
    file = code.co_filename
    if file.startswith("<") or Path(file).is_absolute():
        return file
    known = namespace.get("__file__")
    if isinstance(known, str) and Path(known).name == Path(file).name:
        file = known
    return str(Path(file).absolute())


def find_imported_file(level: int, module: str, importer: str, owner: Ownership) -> str | None:
    """Return the user's file that `import module` in the file `importer` means, or None where it means a library.

    Found by folders alone: the importer's, that of its package's build file, the workspace's, then `sys.path`. What
    happens to be loaded already must not matter, and nothing is imported for it. A `level` below 0 starts at the
    workspace's folder.
    """
    folder = Path(importer).parent
    relative = module.replace(".", os.sep)
    if level > 0:
        folders = [folder, *folder.parents]
        return _find_file(folders[level - 1], relative, owner) if level <= len(folders) else None
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in _OWN_NAMES:
        return None
    around = [] if level < 0 else [folder, *owner.find_package(folder)]
    folders = [*around, *([Path(owner.root)] if owner.root else []), *map(Path, sys.path)]
    for candidate in dict.fromkeys(folders):
        found = _find_file(candidate, relative, owner)
        if found is not None:
            return found
    return None


def name_external(thing: Any) -> str:
    """Return `module.qualname` of a library's module, class or function."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    module = getattr(thing, "__module__", None) or getattr(getattr(thing, "__objclass__", None), "__module__", "")
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
    return f"{module}.{name}" if module else str(name)


def unwrap_method(value: object) -> list[Callable[..., Any]]:
    """Return the functions inside what a class keeps for a method: a function, `staticmethod`, `property`."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        found: list[Any] = [value.fget, value.fset, value.fdel]
    else:
        # `cached_property`, `partialmethod`, `singledispatchmethod`; nothing else is asked for attributes, since
        # pydantic builds its models when their parts are looked at.
        found = [value, value.func if type(value).__module__ == "functools" and hasattr(value, "func") else None]
    return [function for function in found if isinstance(function, types.FunctionType)]


@functools.lru_cache(maxsize=4096)
def _owns_file(file: str, root: str | None) -> bool:
    if file.startswith("<"):
        return True
    real = os.path.realpath(file)
    if real.startswith(_LIBRARY_FOLDERS):
        return False
    if root is not None and real.startswith(root + os.sep):
        real = real[len(root) :]
    return _INSTALLED.isdisjoint(Path(real).parts)


def _find_file(folder: Path, relative: str, owner: Ownership) -> str | None:
    base = folder / relative
    for candidate in (base / "__init__.py", *([base.with_name(base.name + ".py")] if relative else [])):
        if candidate.is_file():
            return os.path.realpath(candidate) if owner.owns_file(str(candidate)) else None
    return None
