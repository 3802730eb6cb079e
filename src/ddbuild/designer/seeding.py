"""A new config that starts from rows that exist already, for people who go on in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddbuild.designer.config import copy_builder

if TYPE_CHECKING:
    import pandas as pd
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["seeded_builder"]


def seeded_builder(
    rows: pd.DataFrame, columns: list[str] | None, *, like: DataDesignerConfigBuilder | None
) -> DataDesignerConfigBuilder:
    """Return a config builder seeded with `rows`, or some of their columns; models and tools are those of `like`."""
    from data_designer.config.config_builder import DataDesignerConfigBuilder
    from data_designer.config.seed_source_dataframe import DataFrameSeedSource

    copy = copy_builder(like) if like is not None else None
    builder = DataDesignerConfigBuilder(
        model_configs=copy.model_configs if copy else [], tool_configs=copy.tool_configs if copy else None
    )
    return builder.with_seed_dataset(DataFrameSeedSource(df=rows if columns is None else rows.loc[:, columns]))
