"""A hundred personas, ten conversations with each: personas -> conversations."""

import data_designer.config as dd

from ddbuild import stage

PERSONAS = 100
CONVERSATIONS_EACH = 10


def personas() -> dd.DataDesignerConfigBuilder:
    """People, each with an id that tells which conversations are theirs."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(dd.SamplerColumnConfig(name="persona_id", sampler_type="uuid", params=dd.UUIDSamplerParams()))
    config.add_column(pick("job", "baker", "bus driver", "carpenter", "librarian", "nurse", "teacher"))
    config.add_column(pick("mood", "busy", "cheerful", "curious", "patient", "stern"))
    # With a model, an LLM column takes the place of this one; ../judge/models.py says how to have models:
    #     dd.LLMTextColumnConfig(name="persona", model_alias="writer", prompt="Describe a {{ mood }} {{ job }}.")
    config.add_column(dd.ExpressionColumnConfig(name="persona", expr="A {{ mood }} {{ job }}"))
    return config


def conversations() -> dd.DataDesignerConfigBuilder:
    """Conversations; what is drawn here is drawn anew for each of a persona's ten."""
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(pick("topic", "a holiday", "a lost key", "dinner", "the news", "the weather"))
    config.add_column(pick("place", "at a party", "on the phone", "on the train"))
    # Here too: an LLM column with the prompt "Write a conversation {{ place }} about {{ topic }} with {{ persona }}."
    config.add_column(
        dd.ExpressionColumnConfig(name="conversation", expr="{{ persona }} talks {{ place }} about {{ topic }}.")
    )
    return config


def pick(name: str, *values: str) -> dd.SamplerColumnConfig:
    """Return a column that draws one of `values` for each row."""
    return dd.SamplerColumnConfig(
        name=name, sampler_type="category", params=dd.CategorySamplerParams(values=list(values))
    )


stage("personas", config=personas, num_records=PERSONAS)
# More records than the parent has: its rows are taken in order, again and again.
stage("conversations", config=conversations, num_records=PERSONAS * CONVERSATIONS_EACH, depends_on=[":personas"])
