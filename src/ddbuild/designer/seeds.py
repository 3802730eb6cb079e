"""The seed that a config brings along itself: its content for a key, its row count, and paths that DuckDB can read.

Content counts, names do not: a seed file that is renamed or moved stays the same seed. What a directory seed hands to
its columns are names below the directory, so there the names count too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.messages import clean, explain
from ddbuild.designer.plain import PlainWriter
from ddbuild.digest import Digest, digest_file, digest_of
from ddbuild.errors import GraphError

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["count_seed_rows", "describe_seed", "readable_seed", "write_own_seed"]

Part = tuple[str, str, Digest]

_SEED_BATCH = 65536
# A quote ends DuckDB's file name, the others are patterns to it; `name=value` in a folder's name makes a column.
_UNREADABLE = frozenset("'*?[]{}=")


def describe_seed(seed: Any, *, writer: PlainWriter, subject: str) -> list[Part]:
    """Return the parts of a key for a config's own seed, a SeedConfig.

    A Hugging Face seed is known by its path and endpoint; nothing is downloaded to look at it.

    Raises:
        GraphError: a seed file is missing, empty or unreadable.
    """
    source = seed.source
    if source.seed_type == "ddbuild":
        raise GraphError(
            f"the config of `{subject}` is seeded with the target `{source.target}`, which is not its parent",
            hint=f'say so: `depends_on=["{source.target}"]`; the parent\'s rows are the seed then',
        )
    strategy = writer.write(seed, "seed", without={"source"})
    parts = [("seed", "type", digest_of(source.seed_type)), ("seed", "strategy", digest_of(strategy))]
    if source.seed_type == "local":
        return parts + _describe_files(source.runtime_path, subject)
    if source.seed_type == "df":
        return [*parts, ("seed", "rows", _digest_frame(source.df, subject))]
    if source.seed_type == "hf":
        return [*parts, ("seed", "source", digest_of([source.path, source.endpoint]))]
    return parts + _describe_folder(source, writer, subject)


def count_seed_rows(builder: DataDesignerConfigBuilder, *, subject: str) -> int:
    """Return how many rows the selected part of the config's own seed has.

    Raises:
        GraphError: the seed cannot be read.
    """
    from data_designer.config.seed import PartitionBlock

    seed = builder.get_seed_config()
    if seed is None:
        raise GraphError(f"`{subject}` has no seed to count")
    try:
        rows = int(_open_reader(seed).get_seed_dataset_size())
    except Exception as error:
        raise GraphError(f"the seed of `{subject}` cannot be read", facts={"problem": explain(error)}) from error
    selection = seed.selection_strategy
    if selection is None:
        return rows
    return int((selection.to_index_range(rows) if isinstance(selection, PartitionBlock) else selection).size)


def write_own_seed(builder: DataDesignerConfigBuilder, destination: Path, *, subject: str) -> None:
    """Write the rows of the config's own seed, all of them in their order, as one parquet file.

    Raises:
        GraphError: the seed cannot be read.
    """
    # pyarrow and pandas, behind their own door.
    from ddbuild.table import unify, write_result

    seed = builder.get_seed_config()
    assert seed is not None, "only a config with a seed has rows to write"
    parts = destination.with_name(f"{destination.stem}-parts")
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    files: list[Path] = []
    try:
        reader = _open_reader(seed).create_batch_reader(batch_size=_SEED_BATCH, index_range=None, shuffle=False)
        with contextlib.suppress(StopIteration):
            while True:
                frame = reader.read_next_batch().to_pandas()
                files.append(parts / f"{len(files):06d}.parquet")
                write_result(frame, files[-1])
        unify(files, destination)
    except Exception as error:
        raise GraphError(f"the seed of `{subject}` cannot be read", facts={"problem": explain(error)}) from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _open_reader(seed: Any) -> Any:
    from data_designer.engine.resources.seed_reader import SeedReaderRegistry
    from data_designer.interface.data_designer import DEFAULT_SECRET_RESOLVER, DEFAULT_SEED_READERS

    return SeedReaderRegistry(readers=DEFAULT_SEED_READERS).get_reader(seed.source, DEFAULT_SECRET_RESOLVER)


@contextlib.contextmanager
def readable_seed(file: Path) -> Iterator[Path]:
    """Give a path of the parquet file `file` that DuckDB reads as just that file, for as long as the context lasts."""
    resolved = file.resolve()
    if not _UNREADABLE.intersection(str(resolved)):
        yield resolved
        return
    folder = Path(tempfile.mkdtemp(prefix="ddbuild-seed-"))
    try:
        copy = folder / "seed.parquet"
        try:
            os.link(resolved, copy)
        except OSError:
            shutil.copyfile(resolved, copy)
        yield copy.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe_files(pattern: str, subject: str) -> list[Part]:
    folder, star, rest = pattern.partition("*")
    files = sorted(Path(folder).glob(star + rest)) if star else [Path(pattern)]
    if not files:
        raise GraphError(f"the seed of `{subject}` has no files", facts={"looked for": pattern})
    return [
        ("seed", f"file {position:06d}", digest_of([_read_traits(file), _digest_readable(file, subject)]))
        for position, file in enumerate(files)
    ]


def _read_traits(file: Path) -> list[str]:
    """Return what of a file's path changes how DuckDB reads it: the suffix, and folders that make a column."""
    return [file.suffix.lower(), *(part for part in file.parts if "=" in part)]


def _describe_folder(source: Any, writer: PlainWriter, subject: str) -> list[Part]:
    # Directory, file contents and agent rollouts, and whatever plugins add: all that they say, and the files below
    # their folder where they have one on this machine.
    plain = writer.write(source, "seed", without={"path", "token"})
    parts = [("seed", "source", digest_of(plain))]
    path = getattr(source, "runtime_path", None) or getattr(source, "path", None)
    if path is None:
        return parts
    folder = Path(str(path)).expanduser().resolve()
    if not folder.is_dir():
        if type(source).__module__.startswith("data_designer."):
            raise GraphError(f"the seed of `{subject}` has no folder", facts={"looked for": str(folder)})
        if folder.is_file():
            return [*parts, ("seed", "file", _digest_readable(folder, subject))]
        return [*parts, ("seed", "path", digest_of(str(path)))]
    pattern = getattr(source, "resolved_file_pattern", None) or getattr(source, "file_pattern", None) or "*"
    files = sorted(_walk(folder, pattern, getattr(source, "recursive", True)))
    if not files:
        raise GraphError(f"the seed of `{subject}` has no files", facts={"looked for": str(folder / pattern)})
    return parts + [("seed", f"file {name}", _digest_readable(folder / name, subject)) for name in files]


def _walk(folder: Path, pattern: str, recursive: bool) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        for name in names:
            if fnmatchcase(name, pattern):
                yield (Path(where) / name).relative_to(folder).as_posix()
        if not recursive:
            folders.clear()


def _digest_readable(file: Path, subject: str) -> Digest:
    try:
        if file.stat().st_size == 0:
            raise GraphError(f"a seed file of `{subject}` is empty", facts={"file": str(file)})
        return digest_file(file)
    except OSError as error:
        facts = {"file": str(file), "problem": clean(error.strerror or error)}
        raise GraphError(f"a seed file of `{subject}` cannot be read", facts=facts) from error


def _digest_frame(frame: Any, subject: str) -> Digest:
    # pandas and pyarrow, behind their own door.
    from ddbuild.table import TableError, digest_frame

    try:
        return digest_frame(frame)
    except TableError as error:
        raise GraphError(
            f"the data frame that seeds `{subject}` has no content to hash",
            facts={"problem": error.message} | error.facts,
            hint="give each column one type, or keep the rows in a file",
        ) from error
