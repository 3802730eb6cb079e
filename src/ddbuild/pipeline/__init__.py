"""The face for people who come from Data Designer's `compose_workflow`: the same stages, on ddbuild's graph and cache.

    pipeline         stages are added, and run
    checks           what may be said of a stage and of a run, in Data Designer's words
    parents          what a stage reads
    reuse            whether `resume=ALWAYS` can be kept
    failures         what went wrong, as errors that are Data Designer's and ddbuild's at once
    results          what a run gives back
    kept_stage       one stage of it: its rows, its folder, its path

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddbuild.pipeline.pipeline import Pipeline, compose_workflow
    from ddbuild.pipeline.results import PipelineResults

__all__ = ["Pipeline", "PipelineResults", "compose_workflow"]

_HOME_OF = {"Pipeline": "pipeline", "PipelineResults": "results", "compose_workflow": "pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
