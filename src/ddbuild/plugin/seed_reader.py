"""Reads the current rows of a build target for Data Designer. Nothing is ever generated to have some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_designer.engine.resources.seed_reader import SeedReader, SeedReaderConfigError

from ddbuild.errors import DdbuildError
from ddbuild.plugin.seed_source import TargetSeedSource

if TYPE_CHECKING:
    from ddbuild.building.results import TargetResult

__all__ = ["TargetSeedReader"]

_VIEW = "ddbuild_target"


class TargetSeedReader(SeedReader[TargetSeedSource]):  # type: ignore[misc]  # Data Designer is not typed for us
    """Gives Data Designer the rows of a target as they are in the cache, media by absolute paths."""

    def get_dataset_uri(self) -> str:
        """Return the name that the rows have in the connection."""
        return _VIEW

    def create_duckdb_connection(self) -> Any:
        """Return a connection in which the rows have their name.

        Raises:
            SeedReaderConfigError: there is no such workspace or target, or the target is stale.
        """
        # Data Designer imports this module for everybody, and only who reads a target needs these.
        import duckdb

        from ddbuild.building.media import make_lasting_folder
        from ddbuild.cache import clone_file

        result = self._read()
        # A name of its own, free of what SQL and DuckDB's patterns would misread, and whose rows stay what they are
        # when a build replaces the target's files.
        folder = make_lasting_folder()
        file = folder / "seed.parquet"
        clone_file(result.locate_seed(lambda: folder), file, link=True)
        connection = duckdb.connect()
        connection.execute(f"CREATE VIEW {_VIEW} AS SELECT * FROM read_parquet('{file}', hive_partitioning = false)")
        return connection

    def _read(self) -> TargetResult:
        from ddbuild.building.api import open_session
        from ddbuild.label import parse_label

        source = self.source
        try:
            start = Path(source.workspace).expanduser() if source.workspace is not None else None
            session = open_session(start, overrides={"cache.dir": source.cache}).session
            return session.read(session.graph.find(parse_label(source.target)))
        except DdbuildError as error:
            facts = "".join(f"\n  {name}: {value}" for name, value in error.facts.items())
            hint = _hint(error, source)
            raise SeedReaderConfigError(f"🛑 {error.message}{facts}\n{hint}") from error


def _hint(error: DdbuildError, source: TargetSeedSource) -> str:
    from ddbuild.errors import StaleError

    if isinstance(error, StaleError):
        where = f"-C {source.workspace} " if source.workspace is not None else ""
        return f"build it first: `ddbuild {where}{source.target}`"
    if source.workspace is None and error.message.startswith("no workspace"):
        return 'name a folder of the workspace: `TargetSeedSource(target="...", workspace="...")`'
    return error.hint or ""
