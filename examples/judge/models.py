"""The language models of this workspace: the one file to change for your own provider.

The default is the model that `python examples/embedded_model.py` serves on this machine. Other providers, and what
`api_key` takes, are listed in ../quickstart/models.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import data_designer.config as dd

if TYPE_CHECKING:
    from data_designer.interface import DataDesigner

PROVIDER = dd.ModelProvider(name="embedded", endpoint=os.environ.get("DDBUILD_EXAMPLE_URL", "http://127.0.0.1:8951/v1"))
WRITER_MODEL = "smollm2"
JUDGE_MODEL = "smollm2"

# The judge may answer in nothing but this form; for a large model it can go.
JUDGEMENT = {
    "type": "object",
    "properties": {
        "clarity": {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string", "minLength": 10, "maxLength": 40},
                "score": {"type": "integer", "enum": [1, 2, 3, 4]},
            },
            "required": ["reasoning", "score"],
            "additionalProperties": False,
        }
    },
    "required": ["clarity"],
    "additionalProperties": False,
}


def make_writer() -> dd.ModelConfig:
    """Return the model that BUILD.py calls `writer`."""
    return dd.ModelConfig(
        alias="writer",
        provider=PROVIDER.name,
        model=WRITER_MODEL,
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=0.5, top_p=0.9, max_tokens=40, extra_body={"stop": ["\n"]}
        ),
    )


def make_judge() -> dd.ModelConfig:
    """Return the model that BUILD.py calls `judge`."""
    answer_form = {"type": "json_schema", "json_schema": {"name": "judgement", "schema": JUDGEMENT}}
    return dd.ModelConfig(
        alias="judge",
        provider=PROVIDER.name,
        model=JUDGE_MODEL,
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=0.9, max_tokens=120, extra_body={"response_format": answer_form}
        ),
    )


def make_designer() -> DataDesigner:
    """Return the one DataDesigner that runs all stages; ddbuild.toml names this function."""
    from data_designer.interface import DataDesigner

    return DataDesigner(model_providers=[PROVIDER], auto_configure_logging=False)
