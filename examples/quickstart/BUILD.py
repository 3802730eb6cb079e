"""Five people, quiz questions for them, and a judge who drops the unclear ones: personas -> questions -> judged."""

from pathlib import Path

import data_designer.config as dd
from models import make_model_configs

from ddbuild import stage

LOWEST_SCORE = 3


def personas() -> dd.DataDesignerConfigBuilder:
    """People with a job and a hobby."""
    config = dd.DataDesignerConfigBuilder(model_configs=make_model_configs())
    config.add_column(pick("job", "baker", "bus driver", "carpenter", "librarian", "nurse", "teacher"))
    config.add_column(pick("hobby", "chess", "cooking", "gardening", "hiking", "painting"))
    config.add_column(
        dd.LLMTextColumnConfig(
            name="persona", model_alias="writer", prompt="Write one sentence about a {{ job }} who loves {{ hobby }}."
        )
    )
    return config


def questions() -> dd.DataDesignerConfigBuilder:
    """A quiz question for each person; the columns of `personas` are there to refer to."""
    config = dd.DataDesignerConfigBuilder(model_configs=make_model_configs())
    config.add_column(pick("topic", "beginners", "mistakes", "money", "safety", "tools"))
    config.add_column(
        dd.LLMTextColumnConfig(
            name="question",
            model_alias="writer",
            prompt="Write a quiz question about {{ hobby }} for a {{ job }}. It should mention {{ topic }}.",
        )
    )
    return config


def judged() -> dd.DataDesignerConfigBuilder:
    """A score from 1 to 4 for each question."""
    config = dd.DataDesignerConfigBuilder(model_configs=make_model_configs())
    config.add_column(
        dd.LLMJudgeColumnConfig(
            name="judgement",
            model_alias="judge",
            prompt="How clear is this question about {{ hobby }}?\n\n{{ question }}",
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
    """Keep the rows whose score is good enough; change LOWEST_SCORE and build again: no model is asked."""
    import pandas as pd  # here, so that a build with nothing to do need not wait for it

    rows = pd.read_parquet(stage_path / "parquet-files")
    kept = stage_path / "kept.parquet"
    rows[rows["score"] >= LOWEST_SCORE].to_parquet(kept)
    return kept


stage("personas", config=personas, num_records=5)
stage("questions", config=questions, num_records=8, depends_on=[":personas"])
stage("judged", config=judged, depends_on=[":questions"], on_success=keep_clear)
