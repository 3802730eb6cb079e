"""A seed of kept cells as a config names it."""

from __future__ import annotations

from typing import Literal

from data_designer.config.seed_source import SeedSource
from pydantic import Field

__all__ = ["KeptSeedSource"]


class KeptSeedSource(SeedSource):  # type: ignore[misc]  # Data Designer is not typed for us
    """A parquet file of which some columns are kept cells."""

    seed_type: Literal["ddbuild-kept"] = "ddbuild-kept"
    path: str = Field(description="The parquet file")
    kept: list[str] = Field(description="Its columns that are kept cells")
