"""A content-addressed build system for datasets generated with NVIDIA NeMo Data Designer.

In a build file:

    from ddbuild import stage, source, transform, concat, join

In a script or notebook:

    from ddbuild import Graph, build

Names are imported when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddbuild.building.api import abuild, build
    from ddbuild.building.results import BuildFailedError, BuildResult, TargetResult
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
    from ddbuild.workspace import Graph, concat, join, source, stage, transform

__version__ = "0.1.0"

_HOMES = {
    "ddbuild.building.api": ("abuild", "build"),
    "ddbuild.building.results": ("BuildFailedError", "BuildResult", "TargetResult"),
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
    "ddbuild.workspace": ("Graph", "concat", "join", "source", "stage", "transform"),
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
    "StaleError",
    "TargetResult",
    "UnhashableError",
    "UsageError",
    "abuild",
    "build",
    "concat",
    "join",
    "source",
    "stage",
    "transform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ddbuild' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
