"""The language models of this workspace: the one file to change for your own provider.

The default is the model that `python examples/embedded_model.py` serves on this machine. To use another one, set
PROVIDER and MODEL. A key belongs in the environment: `api_key` takes the name of a variable.

    OpenAI    dd.ModelProvider(name="openai", endpoint="https://api.openai.com/v1", api_key="OPENAI_API_KEY")
              MODEL = "gpt-4.1-mini"
    NVIDIA    dd.ModelProvider(name="nvidia", endpoint="https://integrate.api.nvidia.com/v1", api_key="NVIDIA_API_KEY")
              MODEL = "nvidia/nemotron-3-nano-30b-a3b"
    vLLM      dd.ModelProvider(name="vllm", endpoint="http://127.0.0.1:8000/v1")
              MODEL = "the/model-that-you-serve"
    Ollama    dd.ModelProvider(name="ollama", endpoint="http://127.0.0.1:11434/v1")
              MODEL = "llama3.2"

A key of ddbuild holds the provider's name and type and the model's name and parameters, not the provider's address:
a server that moves to another port makes nothing stale, another model does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import data_designer.config as dd

if TYPE_CHECKING:
    from data_designer.interface import DataDesigner

PROVIDER = dd.ModelProvider(name="embedded", endpoint=os.environ.get("DDBUILD_EXAMPLE_URL", "http://127.0.0.1:8951/v1"))
MODEL = "smollm2"

# The judge may answer in nothing but this form. The embedded model, with its 135 million parameters, would rarely get
# it right alone; for a large model it can go.
JUDGEMENT = {
    "type": "object",
    "properties": {
        "clarity": {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string", "minLength": 10, "maxLength": 100},
                "score": {"type": "integer", "enum": [1, 2, 3, 4]},
            },
            "required": ["reasoning", "score"],
            "additionalProperties": False,
        }
    },
    "required": ["clarity"],
    "additionalProperties": False,
}


def make_model_configs() -> list[dd.ModelConfig]:
    """Return the models that BUILD.py calls `writer` and `judge`."""
    answer_form = {"type": "json_schema", "json_schema": {"name": "judgement", "schema": JUDGEMENT}}
    return [
        dd.ModelConfig(
            alias="writer",
            provider=PROVIDER.name,
            model=MODEL,
            inference_parameters=dd.ChatCompletionInferenceParams(
                temperature=0.5, top_p=0.9, max_tokens=60, extra_body={"stop": ["\n"]}
            ),
        ),
        dd.ModelConfig(
            alias="judge",
            provider=PROVIDER.name,
            model=MODEL,
            inference_parameters=dd.ChatCompletionInferenceParams(
                temperature=0.9, max_tokens=160, extra_body={"response_format": answer_form}
            ),
        ),
    ]


def make_designer() -> DataDesigner:
    """Return the one DataDesigner that runs all stages; ddbuild.toml names this function."""
    from data_designer.interface import DataDesigner

    return DataDesigner(model_providers=[PROVIDER], auto_configure_logging=False)
