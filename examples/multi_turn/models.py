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

# Two aliases, here for one model: give the expert a large one. They may have different providers, too.
CALLER_MODEL = "smollm2"
EXPERT_MODEL = "smollm2"


def make_caller() -> dd.ModelConfig:
    """Return the model that BUILD.py calls `caller`: small, and lively."""
    return make_model("caller", CALLER_MODEL, temperature=0.9)


def make_expert() -> dd.ModelConfig:
    """Return the model that BUILD.py calls `expert`: sober."""
    return make_model("expert", EXPERT_MODEL, temperature=0.3)


def make_model(alias: str, model: str, temperature: float) -> dd.ModelConfig:
    """Return a model that answers with one short line."""
    return dd.ModelConfig(
        alias=alias,
        provider=PROVIDER.name,
        model=model,
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=temperature, top_p=0.9, max_tokens=24, extra_body={"stop": ["\n"]}
        ),
    )


def make_designer() -> DataDesigner:
    """Return the one DataDesigner that runs all stages; ddbuild.toml names this function."""
    from data_designer.interface import DataDesigner

    return DataDesigner(model_providers=[PROVIDER], auto_configure_logging=False)
