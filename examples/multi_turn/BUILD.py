"""Conversations, one stage for each turn, with two models in turn: opening -> advice -> follow_up -> chats."""

from pathlib import Path
from typing import Any

import data_designer.config as dd
from models import make_caller, make_expert

from ddbuild import stage, transform


def opening() -> dd.DataDesignerConfigBuilder:
    """The caller asks."""
    config = dd.DataDesignerConfigBuilder(model_configs=[make_caller()])
    config.add_column(
        dd.SamplerColumnConfig(
            name="problem",
            sampler_type="category",
            params=dd.CategorySamplerParams(values=["a flat tyre", "a lost key", "a noisy neighbour", "burnt rice"]),
        )
    )
    config.add_column(
        dd.LLMTextColumnConfig(
            name="opening", model_alias="caller", prompt="You have {{ problem }}. Ask for help in one sentence."
        )
    )
    return config


def advice() -> dd.DataDesignerConfigBuilder:
    """The expert answers; another model, another prompt."""
    config = dd.DataDesignerConfigBuilder(model_configs=[make_expert()])
    config.add_column(
        dd.LLMTextColumnConfig(
            name="advice",
            model_alias="expert",
            system_prompt="You give advice in one short sentence.",
            prompt="{{ opening }}",
        )
    )
    return config


def follow_up() -> dd.DataDesignerConfigBuilder:
    """The caller asks again, and knows what was said."""
    config = dd.DataDesignerConfigBuilder(model_configs=[make_caller()])
    config.add_column(
        dd.LLMTextColumnConfig(
            name="follow_up",
            model_alias="caller",
            prompt="You asked: {{ opening }}\nYou were told: {{ advice }}\nAsk one more question about {{ problem }}.",
        )
    )
    return config


def make_chats(parents: dict[str, Path]) -> Any:
    """Put the turns of each row together, in the form that training takes."""
    import pandas as pd

    turns = {"opening": "user", "advice": "assistant", "follow_up": "user"}
    rows = pd.read_parquet(parents["follow_up"])
    messages = [[{"role": role, "content": row[turn]} for turn, role in turns.items()] for _, row in rows.iterrows()]
    return pd.DataFrame({"problem": rows["problem"], "messages": messages})


stage("opening", config=opening, num_records=2)
stage("advice", config=advice, depends_on=[":opening"])
stage("follow_up", config=follow_up, depends_on=[":advice"])
transform("chats", make_chats, depends_on=[":follow_up"])
