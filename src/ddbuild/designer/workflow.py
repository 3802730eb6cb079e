"""What `compose_workflow` takes and gives back, in Data Designer's own types: checks, skipped stages, formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ddbuild.designer.config import copy_builder, load_config
from ddbuild.designer.home import prepare_home

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = [
    "RESUME_MODES",
    "clone_config",
    "clone_processors",
    "default_num_records",
    "is_sampling_strategy",
    "is_selection_strategy",
    "make_skipped",
    "unsupported_format",
]

RESUME_MODES = ("never", "if_possible", "always")
"""The values of Data Designer's ResumeMode, which is an enum of texts."""


def clone_config(config: Any, *, subject: str) -> DataDesignerConfigBuilder:
    """Return a private copy of a config builder; what Data Designer finds wrong in one is raised as it is.

    A DataDesignerConfig, or a function that returns one or the other, is taken as well.

    Raises:
        GraphError: it is none of these.
    """
    prepare_home()
    from data_designer.config.config_builder import DataDesignerConfigBuilder

    if isinstance(config, DataDesignerConfigBuilder):
        config.build()
        return copy_builder(config)
    return load_config(config, subject=subject)


def clone_processors(processors: Sequence[Any]) -> tuple[Any, ...]:
    """Return private copies of processor configs."""
    return tuple(processor.model_copy(deep=True) for processor in processors)


def default_num_records() -> int:
    """Return how many records Data Designer makes where nobody says it."""
    from data_designer.config.utils.constants import DEFAULT_NUM_RECORDS

    return int(DEFAULT_NUM_RECORDS)


def is_sampling_strategy(value: object) -> bool:
    """Return whether `value` is one of Data Designer's SamplingStrategy."""
    from data_designer.config.seed import SamplingStrategy

    return isinstance(value, SamplingStrategy)


def is_selection_strategy(value: object) -> bool:
    """Return whether `value` is an IndexRange or a PartitionBlock of Data Designer."""
    from data_designer.config.seed import IndexRange, PartitionBlock

    return isinstance(value, (IndexRange, PartitionBlock))


def make_skipped(upstream: str) -> Any:
    """Return Data Designer's result for a stage that was skipped because the stage `upstream` is empty."""
    from data_designer.interface.composite_workflow import SkippedStageResult, SkippedStageStatus

    return SkippedStageResult(status=SkippedStageStatus.SKIPPED_EMPTY_UPSTREAM, upstream_stage=upstream)


def unsupported_format(name: str, known: Sequence[Literal["jsonl", "csv", "parquet"]]) -> Exception:
    """Return Data Designer's error for a format that rows cannot be exported to."""
    from data_designer.config.errors import InvalidFileFormatError

    error: Exception = InvalidFileFormatError(
        f"Unsupported export format: {name!r}. Choose one of: {', '.join(known)}."
    )
    return error
