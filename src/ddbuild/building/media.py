"""Media: files that rows name by a path relative to the dataset's folder, such as `images/photo/<digest>.png`.

Data Designer names images at random, so each of them gets the name of its content here, in the rows as well: equal
images make equal rows. In a result, paths are always relative. Whoever has to open the files gets copies of them: a
callback and a transform where the relative paths lead, a child of Data Designer by absolute paths, because Data
Designer takes nothing else in a seed. What the absolute paths became in its rows is made relative again.

A text names a file if it is the file's path, as a whole, or as a word of a longer text, as in the list that an
expression has written. Nothing else is asked of a column, so media survive renamed columns, joins and callbacks.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from uuid import uuid4

from ddbuild import table
from ddbuild.cache import Cache, clone_file
from ddbuild.cache.result import Blob
from ddbuild.digest import digest_file
from ddbuild.errors import BuildError
from ddbuild.materialize import MEDIA_FOLDERS, is_media

__all__ = [
    "ATTEMPT",
    "MediaFinder",
    "copy_media",
    "find_absolute",
    "find_named",
    "give_absolute_paths",
    "make_lasting_folder",
    "media_of",
    "name_dataset",
    "name_media",
    "place_media",
]

_MARKS = tuple(f"{folder}/" for folder in MEDIA_FOLDERS)
_BATCHES = ("parquet-files/", "dropped-columns-parquet-files/")
_WORD = r"[\w.+@=-]*\w"
_DIGEST = re.compile(r"[0-9a-f]{32}")

ATTEMPT = r"/(?:[^\"'<>\n]*/)?attempt-[^/\"'<>\n]+/media/"
"""Where the media of a seed lie while a stage runs, in whichever attempt: an interrupted one has left its paths."""


class MediaFinder:
    """Finds out which files texts name, and gives the files names by their content.

    `known` are files that are blobs already, by their names; `folders` are datasets' folders that may hold more, and
    paths below them may also be written in full. `prefixes` are patterns of what else may stand before a name. With
    `only_by_content` a file counts only if its name is that of its content already, so that a key which has hashed the
    rows has hashed the file as well. Only files in `folders` need a cache.
    """

    def __init__(
        self,
        cache: Cache | None,
        known: Mapping[str, Blob],
        folders: Iterable[Path] = (),
        prefixes: Iterable[str] = (),
        *,
        only_by_content: bool = False,
    ) -> None:
        self._only_by_content = only_by_content
        self._cache = cache
        self._files: dict[str, Path] = {}
        self._names: dict[str, str] = {name: name for name in known}
        self._blobs = dict(known)
        beginnings = list(prefixes)
        for folder in dict.fromkeys(folders):
            for name in _list_media(folder):
                self._files.setdefault(name, folder / name)
            beginnings += [re.escape(f"{place}/") for place in dict.fromkeys((folder, folder.resolve()))]
        places = {name.rpartition("/")[0] for name in (*known, *self._files)}
        longest_first = "|".join(re.escape(place) for place in sorted(places, key=len, reverse=True))
        prefix = f"(?:{'|'.join(beginnings)})?" if beginnings else ""
        self._whole = re.compile(rf"{prefix}(?P<name>(?:{longest_first})/[^/]+)", re.DOTALL)
        self._word = re.compile(rf"{prefix}(?P<name>(?:{longest_first})/{_WORD})")

    @property
    def is_empty(self) -> bool:
        """Whether there is no file that a text could name."""
        return not self._blobs and not self._files

    def rename(self, texts: Iterable[str]) -> tuple[dict[str, str], dict[str, Blob]]:
        """Return what stands in the place of those of `texts` that change, and the files that they name."""
        changed: dict[str, str] = {}
        named: dict[str, Blob] = {}

        def settle(match: re.Match[str]) -> str:
            name = self._settle(match["name"])
            if name is None:
                return match[0]
            named[name] = self._blobs[name]
            return name

        for text in sorted(texts):
            whole = self._whole.fullmatch(text)
            if whole is not None and self._settle(whole["name"]) is not None:
                new = settle(whole)
            else:
                new = self._word.sub(settle, text)
            if new != text:
                changed[text] = new
        return changed, named

    def _settle(self, name: str) -> str | None:
        """Return the name by content of the file `name`; None if there is no such file."""
        if name not in self._names:
            if name not in self._files:
                return None
            path = PurePosixPath(name)
            if self._only_by_content and not _DIGEST.fullmatch(path.stem):
                return None
            assert self._cache is not None
            blob = self._cache.put_file(self._files[name])
            new = str(path.with_name(blob.digest.rpartition(":")[2] + path.suffix.lower()))
            if self._only_by_content and new != name:
                return None
            self._names[name] = self._names[new] = new
            self._blobs[new] = blob
        return self._names[name]


def media_of(files: Mapping[str, Blob]) -> dict[str, Blob]:
    """Return those of a result's files that rows can name."""
    return {name: blob for name, blob in files.items() if is_media(name)}


def name_media(file: Path, finder: MediaFinder) -> dict[str, Blob]:
    """Make the rows of a parquet file name their media by content, in place, and return the media that they name."""
    if finder.is_empty:
        return {}
    changed, named = finder.rename(table.list_texts(file, _MARKS))
    if changed:
        table.rewrite(file, file, texts=changed)
    return named


def find_named(file: Path, media: Mapping[str, Blob]) -> dict[str, Blob]:
    """Return those of `media` that the rows of a parquet file name."""
    return MediaFinder(None, media).rename(table.list_texts(file, _MARKS))[1] if media else {}


def name_dataset(
    files: Mapping[str, Path], order: Sequence[str], finder: MediaFinder, scratch: Path
) -> tuple[dict[str, Path], dict[str, Blob]]:
    """Return what stands in the place of a dataset's parquet files, and the media that their rows name.

    `files` are the parquet files by their names; what has to be different is written below `scratch`. The batches
    get the columns in `order`: Data Designer has them in the order in which they happened to be finished.
    """
    texts = {} if finder.is_empty else {name: table.list_texts(file, _MARKS) for name, file in files.items()}
    changed, named = finder.rename({text for found in texts.values() for text in found})
    better = {}
    for name, file in files.items():
        new = {text: changed[text] for text in texts.get(name, ()) if text in changed}
        columns = table.order_columns(file, order) if name.startswith(_BATCHES) else None
        if new or (columns is not None and columns != list(table.read_schema(file))):
            better[name] = scratch / name
            table.rewrite(file, better[name], columns=columns, texts=new)
    return better, named


def place_media(media: Mapping[str, Blob], folder: Path, cache: Cache, *, link: bool = False) -> None:
    """Write copies of `media` below `folder`; with `link` they may be one with the cache's own files, read-only."""
    for name, blob in media.items():
        destination = folder / name
        if destination.exists():
            continue
        # The bytes are about to be read: whatever is wrong with them is found before rows are made from them.
        cache.verify(blob)
        source = cache.fetch(blob)
        destination.parent.mkdir(parents=True, exist_ok=True)
        clone_file(source, destination, link=link)
        destination.chmod(0o444 if link else 0o644)


def copy_media(media: Mapping[str, Path], folder: Path) -> None:
    """Write copies of `media` below `folder` for people; a file with the right content is left as it is.

    Raises:
        BuildError: a file cannot be written.
    """
    for name, source in media.items():
        destination = folder / name
        try:
            if destination.is_file() and digest_file(destination) == digest_file(source):
                continue
            destination.parent.mkdir(parents=True, exist_ok=True)
            temporary = destination.with_name(f".{destination.name}.{uuid4().hex}")
            try:
                clone_file(source, temporary, link=False)
                temporary.chmod(0o644)
                temporary.replace(destination)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            facts = {"file": str(destination), "reason": error.strerror or str(error)}
            raise BuildError("a file that rows name cannot be written beside them", facts=facts) from error


def make_lasting_folder() -> Path:
    """Return a new folder that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ddbuild-media-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def find_absolute(file: Path, media: Set[str], folder: Path) -> tuple[dict[str, str], set[str]]:
    """Return what stands in the place of texts so that the rows of `file` name their media below `folder` in full.

    Only a text that is a path as a whole changes, or one that is a JSON list of them: this is what Data Designer
    opens. The second value is the media that are named so.
    """
    changed: dict[str, str] = {}
    named: set[str] = set()
    for text in table.list_texts(file, _MARKS):
        items = _read_list(text)
        found = {item for item in ([text] if items is None else items) if item in media}
        if not found:
            continue
        named |= found
        if items is None:
            changed[text] = str(folder / text)
        else:
            changed[text] = json.dumps([str(folder / item) if item in found else item for item in items])
    return changed, named


def give_absolute_paths(file: Path, destination: Path, media: Mapping[str, Blob], folder: Path, cache: Cache) -> bool:
    """Write the rows of `file` to `destination` with full paths of their media, which are put below `folder`.

    Returns whether there were any; if not, nothing is written.
    """
    texts, named = find_absolute(file, media.keys(), folder) if media else ({}, set())
    if not named:
        return False
    place_media({name: media[name] for name in named}, folder, cache, link=True)
    table.rewrite(file, destination, texts=texts)
    return True


def _read_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _list_media(folder: Path) -> Iterator[str]:
    for top in MEDIA_FOLDERS:
        for parent, _, names in os.walk(folder / top):
            for name in sorted(names):
                path = Path(parent, name)
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path.relative_to(folder).as_posix()
