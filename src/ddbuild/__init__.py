"""A content-addressed build system for datasets generated with NVIDIA NeMo Data Designer.

In a build file:

    from ddbuild import stage, source, transform, concat, join

In a script or notebook:

    from ddbuild import Graph, build

Names are imported when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

# `typing` and `importlib` would take longer than all else that a start of the command line imports.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ddbuild.building.api import abuild, build
    from ddbuild.building.preview import preview
    from ddbuild.building.results import BuildFailedError, BuildResult, TargetResult
    from ddbuild.building.split_stages import split_config, split_stages
    from ddbuild.designer.workflow_errors import PipelineError
    from ddbuild.errors import (
        BuildError,
        CacheError,
        DdbuildError,
        GraphError,
        InterruptedBuildError,
        StaleError,
        UnhashableError,
        UsageError,
    )
    from ddbuild.label import Label
    from ddbuild.pipeline import Pipeline, PipelineResults, compose_workflow
    from ddbuild.plugin.seed_source import TargetSeedSource
    from ddbuild.workspace import Graph, concat, join, override, source, stage, transform

__version__ = "0.1.0"

_HOMES = {
    "ddbuild.building.api": ("abuild", "build"),
    "ddbuild.building.preview": ("preview",),
    "ddbuild.building.results": ("BuildFailedError", "BuildResult", "TargetResult"),
    "ddbuild.building.split_stages": ("split_config", "split_stages"),
    "ddbuild.designer.workflow_errors": ("PipelineError",),
    "ddbuild.errors": (
        "BuildError",
        "CacheError",
        "DdbuildError",
        "GraphError",
        "InterruptedBuildError",
        "StaleError",
        "UnhashableError",
        "UsageError",
    ),
    "ddbuild.label": ("Label",),
    "ddbuild.pipeline": ("Pipeline", "PipelineResults", "compose_workflow"),
    "ddbuild.plugin.seed_source": ("TargetSeedSource",),
    "ddbuild.workspace": ("Graph", "concat", "join", "override", "source", "stage", "transform"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BuildError",
    "BuildFailedError",
    "BuildResult",
    "CacheError",
    "DdbuildError",
    "Graph",
    "GraphError",
    "InterruptedBuildError",
    "Label",
    "Pipeline",
    "PipelineError",
    "PipelineResults",
    "StaleError",
    "TargetResult",
    "TargetSeedSource",
    "UnhashableError",
    "UsageError",
    "abuild",
    "build",
    "compose_workflow",
    "concat",
    "join",
    "override",
    "preview",
    "source",
    "split_config",
    "split_stages",
    "stage",
    "transform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ddbuild' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
