"""What `allow_resize` columns did, without them: topics -> questions (1:N) -> answers -> quizzes (N:1)."""

from pathlib import Path
from typing import Any

import data_designer.config as dd

from ddbuild import stage, transform


@dd.custom_column_generator(required_columns=["topic"])
def write_questions(row: dict) -> dict:
    """Write from none to three questions; with a model, this is where it is asked."""
    how_many = {"bread": 3, "rivers": 2, "clouds": 1}.get(row["topic"], 0)
    row["question"] = [f"What is question {number} about {row['topic']}?" for number in range(1, how_many + 1)]
    return row


def topics() -> dd.DataDesignerConfigBuilder:
    """Topics, each with the list of its questions in one cell."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(
        dd.SamplerColumnConfig(
            name="topic",
            sampler_type="category",
            params=dd.CategorySamplerParams(values=["bread", "rivers", "clouds", "nothing"]),
        )
    )
    config.add_column(dd.CustomColumnConfig(name="question", generator_function=write_questions))
    return config


def one_row_for_each(stage_path: Path) -> Path:
    """Make a row of every question; a topic without any is gone."""
    import pandas as pd

    rows = pd.read_parquet(stage_path / "parquet-files")
    questions = stage_path / "questions.parquet"
    rows.explode("question").dropna(subset=["question"]).to_parquet(questions, index=False)
    return questions


def answers() -> dd.DataDesignerConfigBuilder:
    """The columns that came after the resizing one: they see the new rows."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(dd.ExpressionColumnConfig(name="answer", expr="It is the answer to: {{ question }}"))
    return config


def make_quizzes(parents: dict[str, Path]) -> Any:
    """Make one row of all that belongs to a topic."""
    import pandas as pd

    rows = pd.read_parquet(parents["answers"])
    return rows.groupby("topic", as_index=False).agg(questions=("question", list), answers=("answer", list))


stage("questions", config=topics, num_records=20, on_success=one_row_for_each)
stage("answers", config=answers, depends_on=[":questions"])
transform("quizzes", make_quizzes, depends_on=[":answers"])
