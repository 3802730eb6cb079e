"""Following a name through the imports of users' files to what it leads to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ddbuild.snapshot.scopes import Import, Scope
from ddbuild.snapshot.user_files import UserFile, UserFiles

__all__ = ["Found", "follow"]


@dataclass(slots=True)
class Found:
    """What a name may lead to.

    `chains` are names of a library's, the first a module's. `modules` are users' own modules as values. `of_sets` has,
    for each set it may be, what is asked for on that. A name that leads to none of them is something that users' code
    has made, and `is_unknown` one that nobody has.
    """

    chains: list[list[str]] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    of_sets: list[Sequence[str]] = field(default_factory=list)
    is_unknown: bool = False


def follow(files: UserFiles, file: UserFile, scope: Scope, name: str, names: Sequence[str]) -> Found:
    """Return what `name` in a scope of `file` leads to, with `names` asked for on it, one after the other."""
    found = Found()
    found.is_unknown = not _Following(files, found).add(file, scope, name, names)
    # Of several imports of one name, the one that worked counts: `try: import a except ImportError: import b as a`.
    found.chains = [chain for chain in found.chains if chain[0] in sys.modules] or found.chains
    return found


class _Following:
    def __init__(self, files: UserFiles, found: Found) -> None:
        self._files = files
        self._found = found
        self._seen: set[tuple[Path, int, str]] = set()

    def add(self, file: UserFile, scope: Scope, name: str, names: Sequence[str]) -> bool:
        """Add what a name leads to, and return whether somebody has it."""
        if (step := (file.path, id(scope), name)) in self._seen:
            return True
        self._seen.add(step)
        binding = scope.find(name)
        if binding is not None:
            if name in binding.orderless:
                self._found.of_sets.append(names)
            for each in binding.imports.get(name, ()):
                self._add_import(file, each, names)
            return True
        for star in file.scopes.module.stars:
            place = self._files.find(file, star)
            other = self._files.files.get(place[0]) if place is not None and not place[1] else None
            if other is not None and self.add(other, other.scopes.module, name, names):
                return True
        return False

    def _add_import(self, file: UserFile, found: Import, names: Sequence[str]) -> None:
        place = self._files.find(file, found)
        if place is None:
            name = (found.name,) if found.name is not None else ()
            self._found.chains.append([*found.parts, *name, *names])
            return
        path, left = place
        if not left:
            path, left = self._files.descend(path, tuple(names))
        else:
            left = (*left, *names)
        if not left:
            self._found.modules.append(path.stem)
        elif (other := self._files.files.get(path)) is not None:
            if not self.add(other, other.scopes.module, left[0], left[1:]) and left[0] not in _OF_ALL_MODULES:
                self._found.chains.append([path.stem, *left])
        else:
            # Nothing of it was run, so what it has is not known.
            self._found.chains.append([path.stem, *left])


_OF_ALL_MODULES = frozenset({"__doc__", "__file__", "__name__", "__version__"})
