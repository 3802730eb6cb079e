"""Many cheap ideas, of which a callback keeps the good ones, and costly work for those alone: ideas -> articles."""

from pathlib import Path

import data_designer.config as dd

from ddbuild import stage

LOWEST_RATING = 7.0


def ideas() -> dd.DataDesignerConfigBuilder:
    """Ideas with a rating."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(pick("subject", "bees", "bread", "bridges", "clouds", "rivers"))
    config.add_column(pick("angle", "a mistake", "a record", "a recipe", "an inventor"))
    # With a model, the rating is a judge's: see ../judge.
    config.add_column(
        dd.SamplerColumnConfig(
            name="rating", sampler_type="uniform", params=dd.UniformSamplerParams(low=0, high=10, decimal_places=1)
        )
    )
    return config


def articles() -> dd.DataDesignerConfigBuilder:
    """An article for every idea that is left; with a model, `article` is the LLM column that costs."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(pick("reader", "a beginner", "a child", "an expert"))
    config.add_column(
        dd.ExpressionColumnConfig(name="article", expr="What {{ reader }} learns about {{ subject }} from {{ angle }}.")
    )
    return config


def pick(name: str, *values: str) -> dd.SamplerColumnConfig:
    """Return a column that draws one of `values` for each row."""
    return dd.SamplerColumnConfig(
        name=name, sampler_type="category", params=dd.CategorySamplerParams(values=list(values))
    )


def keep_good(stage_path: Path) -> Path:
    """Keep the ideas whose rating is good enough."""
    import pandas as pd  # here, so that a build with nothing to do need not wait for it

    rows = pd.read_parquet(stage_path / "parquet-files")
    kept = stage_path / "kept.parquet"
    rows[rows["rating"] >= LOWEST_RATING].to_parquet(kept)
    return kept


stage("ideas", config=ideas, num_records=200, on_success=keep_good)
# No num_records: as many as the callback has left.
stage("articles", config=articles, depends_on=[":ideas"])
