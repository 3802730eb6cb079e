"""Users' Python files whose code ran while a workspace was loaded: what ran of each, and what their imports lead to."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import tokenize
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

from ddbuild.snapshot.scopes import Function, Import, ScopeMaker
from ddbuild.workspace.modules import BUILD_FILES
from ddbuild.workspace.watch import is_installed

__all__ = ["Unit", "UserFile", "UserFiles", "is_users"]

_INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<generic parameters of ", "__annotate__")
_NEVER_HIDDEN = sys.stdlib_module_names | {"ddbuild", "data_designer"}

Unit = ast.Module | Function


class UserFile:
    """One file: its scopes, and the functions of it that ran."""

    def __init__(self, path: Path, shown: str, tree: ast.Module, ran: set[tuple[str, int]]) -> None:
        self.path = path
        self.shown = shown
        self.scopes = ScopeMaker(tree)
        self.units: list[Unit] = [
            node for node in ast.walk(tree) if isinstance(node, Unit) and (_name(node), _first_line(node)) in ran
        ]
        self.has_all = len({(_name(each), _first_line(each)) for each in self.units}) == len(ran)
        self.has_module = any(isinstance(each, ast.Module) for each in self.units)


class UserFiles:
    """All of them, by path.

    Raises:
        OSError: a file cannot be read.
        SyntaxError: it is no Python any more.
    """

    def __init__(self, code: Iterable[CodeType], root: Path) -> None:
        self._root = root
        self._places: dict[tuple[Path, str], Path | None] = {}
        ran: dict[Path, set[tuple[str, int]]] = {}
        for each in code:
            if is_users(each.co_filename) and not _runs_inline(each):
                path = Path(os.path.normpath(each.co_filename))
                ran.setdefault(path, set()).add((each.co_name, each.co_firstlineno))
        self.files = {path: self._read(path, names) for path, names in sorted(ran.items())}

    def find(self, file: UserFile, found: Import) -> tuple[Path, tuple[str, ...]] | None:
        """Return the place of what an import leads to, a file or a folder, and the names to be looked up in it.

        None is a library's, or nobody's.
        """
        parts = (*found.parts, found.name) if found.name is not None else found.parts
        if found.level:
            return _descend(file.path.parents[found.level - 1], parts)
        if parts[0] in _NEVER_HIDDEN or (top := self._find_top(file.path, parts[0])) is None:
            return None
        return _descend(top, parts)

    def descend(self, place: Path, names: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
        """Return the place that names lead to in the module at `place`, and those of them that are no modules."""
        if place.name == "__init__.py":
            found, left = _descend(place.parent, names)
            return (place if found == place.parent else found), left
        return (place, names) if place.suffix == ".py" else _descend(place, names)

    def _find_top(self, file: Path, name: str) -> Path | None:
        """Return the folder in which an import finds `name`, None where that is a library's: as `Importer` does."""
        key = (file.parent, name)
        if key not in self._places:
            self._places[key] = self._look_for(file, name)
        return self._places[key]

    def _look_for(self, file: Path, name: str) -> Path | None:
        folders: list[Path] = []
        if file.is_relative_to(self._root):
            above = [folder for folder in file.parents if folder.is_relative_to(self._root)]
            package = next((each for each in above if any((each / n).is_file() for n in BUILD_FILES)), self._root)
            folders = list(dict.fromkeys((file.parent, package, self._root)))
        for folder in folders:
            found = _find_module(folder, name)
            if found is not None and found.suffix == ".py":
                return folder
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            spec = None
        origin = spec.origin if spec is not None else None
        if origin is not None and is_users(origin):
            return Path(origin).parent.parent if Path(origin).name == "__init__.py" else Path(origin).parent
        if origin is not None:
            return None
        return next((folder for folder in folders if (folder / name).is_dir()), None)

    def _read(self, path: Path, ran: set[tuple[str, int]]) -> UserFile:
        with tokenize.open(path) as stream:
            tree = ast.parse(stream.read(), str(path))
        shown = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
        return UserFile(path, shown, tree, ran)


def is_users(filename: str) -> bool:
    """Return whether code in `filename` is neither Python's, nor an installed library's, nor ours."""
    return os.path.isabs(filename) and not is_installed(filename) and not filename.startswith(_OURS)  # noqa: PTH117


def _runs_inline(code: CodeType) -> bool:
    """Whether code is part of what surrounds it: a comprehension, the body of a class."""
    is_class = not code.co_flags & inspect.CO_OPTIMIZED and code.co_name != "<module>"
    return is_class or code.co_name.startswith(_INLINE)


def _descend(folder: Path, parts: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    place = folder
    for position, part in enumerate(parts):
        if place.suffix == ".py" and place.name != "__init__.py":
            return place, parts[position:]
        if (below := _find_module(folder, part)) is None:
            return place, parts[position:]
        place, folder = below, folder / part
    return place, ()


def _find_module(folder: Path, name: str) -> Path | None:
    if (folder / name / "__init__.py").is_file():
        return folder / name / "__init__.py"
    if (folder / f"{name}.py").is_file():
        return folder / f"{name}.py"
    return folder / name if (folder / name).is_dir() else None


def _name(node: Unit) -> str:
    if isinstance(node, ast.Module):
        return "<module>"
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: Unit) -> int:
    if isinstance(node, ast.Module):
        return 1
    if isinstance(node, ast.Lambda):
        return node.lineno
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _find_our_folders() -> tuple[str, ...]:
    folders = [str(Path(__file__).parents[1])]
    if (spec := find_spec("data_designer")) is not None:
        folders += spec.submodule_search_locations or []
    return tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118


_OURS = _find_our_folders()
