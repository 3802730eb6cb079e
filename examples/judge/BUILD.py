"""Questions, a judge's score for each, and a callback that keeps the clear ones: questions -> judged."""

from pathlib import Path

import data_designer.config as dd
from models import make_judge, make_writer

from ddbuild import stage

LOWEST_SCORE = 3


def questions() -> dd.DataDesignerConfigBuilder:
    """Quiz questions: the rows that no edit of the judge may touch."""
    config = dd.DataDesignerConfigBuilder(model_configs=[make_writer()])
    config.add_column(pick("subject", "animals", "cooking", "history", "music", "sports", "weather"))
    config.add_column(
        dd.LLMTextColumnConfig(
            name="question", model_alias="writer", prompt="Write one short quiz question about {{ subject }}."
        )
    )
    return config


def judged() -> dd.DataDesignerConfigBuilder:
    """A score from 1 to 4 for each question; the judge's model is a matter of this stage alone."""
    config = dd.DataDesignerConfigBuilder(model_configs=[make_judge()])
    config.add_column(
        dd.LLMJudgeColumnConfig(
            name="judgement",
            model_alias="judge",
            prompt="How clear is this question about {{ subject }}?\n\n{{ question }}",
            scores=[
                dd.Score(
                    name="clarity",
                    description="How clear the question is.",
                    options={4: "very clear", 3: "clear", 2: "hard to understand", 1: "no question at all"},
                )
            ],
        )
    )
    config.add_column(dd.ExpressionColumnConfig(name="score", expr="{{ judgement.clarity.score }}", dtype="int"))
    return config


def pick(name: str, *values: str) -> dd.SamplerColumnConfig:
    """Return a column that draws one of `values` for each row."""
    return dd.SamplerColumnConfig(
        name=name, sampler_type="category", params=dd.CategorySamplerParams(values=list(values))
    )


def keep_clear(stage_path: Path) -> Path:
    """Keep the questions whose score is good enough."""
    import pandas as pd  # here, so that a build with nothing to do need not wait for it

    rows = pd.read_parquet(stage_path / "parquet-files")
    kept = stage_path / "kept.parquet"
    rows[rows["score"] >= LOWEST_SCORE].to_parquet(kept)
    return kept


stage("questions", config=questions, num_records=3)
# allow_empty: of so few rows, the judge may like none.
stage("judged", config=judged, depends_on=[":questions"], on_success=keep_clear, allow_empty=True)
