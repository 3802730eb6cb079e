"""A seed of kept cells, which reach the columns that read them as the values they were.

Through Data Designer's own readers a kept list would come back as an array and an integer beside a null as a floating
point number. Here the columns of a true seed go that way still, as in any run, and kept columns do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_designer.engine.resources.seed_reader import SeedReader

from ddbuild.kept_seed.source import KeptSeedSource
from ddbuild.table import read_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KeptSeedReader"]


class KeptSeedReader(SeedReader[KeptSeedSource]):  # type: ignore[misc]
    """Reads a KeptSeedSource, always in the order of its rows."""

    def get_dataset_uri(self) -> str:
        """Return the file."""
        return str(self.source.path)

    def create_duckdb_connection(self) -> Any:
        """Return a connection that reads the file by its name."""
        import duckdb

        return duckdb.connect()

    def create_batch_reader(self, *, batch_size: int, index_range: Any, shuffle: bool) -> Any:
        """Return what Data Designer's own reader gives, the kept columns put in."""
        inner = super().create_batch_reader(batch_size=batch_size, index_range=index_range, shuffle=False)
        values = read_columns(Path(self.source.path), self.source.kept)
        return _BatchReader(inner, values, 0 if index_range is None else index_range.start)


class _BatchReader:
    def __init__(self, inner: Any, values: dict[str, list[object]], start: int) -> None:
        self._inner = inner
        self._values = values
        self._start = start

    def read_next_batch(self) -> _Batch:
        frame = self._inner.read_next_batch().to_pandas()
        start, self._start = self._start, self._start + len(frame)
        return _Batch(frame, {name: values[start : self._start] for name, values in self._values.items()})


class _Batch:
    def __init__(self, frame: pd.DataFrame, values: dict[str, list[object]]) -> None:
        self._frame = frame
        self._values = values

    def to_pandas(self) -> pd.DataFrame:
        import pandas as pd

        for name, values in self._values.items():
            self._frame[name] = pd.Series(values, index=self._frame.index, dtype=object)
        return self._frame
