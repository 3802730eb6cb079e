"""The workspace: its settings, its packages, and the build files that declare a graph of targets.

    locate, settings          ddbuild.toml, the environment and flags
    loader, graph             packages to a graph; the graph that scripts make
    declarations, yaml_file   the two kinds of build file
    fields, target_fields     what both may say, checked
    references, modules       what they point to: configs, functions, Python files, always fresh
    reads                     what all this looked at

Names are imported when they are first used: who only needs the settings does not pay for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddbuild.workspace.declarations import concat, is_declaring, join, override, source, stage, transform
    from ddbuild.workspace.graph import Graph
    from ddbuild.workspace.init import write_workspace
    from ddbuild.workspace.loader import Workspace, find_package, load_factory, load_graph, load_workspace
    from ddbuild.workspace.locate import find_workspace
    from ddbuild.workspace.reads import Reads
    from ddbuild.workspace.references import ConfigFile, ConfigFunction, InlineConfig
    from ddbuild.workspace.settings import Settings

__all__ = [
    "ConfigFile",
    "ConfigFunction",
    "Graph",
    "InlineConfig",
    "Reads",
    "Settings",
    "Workspace",
    "concat",
    "find_package",
    "find_workspace",
    "is_declaring",
    "join",
    "load_factory",
    "load_graph",
    "load_workspace",
    "override",
    "source",
    "stage",
    "transform",
    "write_workspace",
]

_HOMES = {
    "declarations": ("concat", "is_declaring", "join", "override", "source", "stage", "transform"),
    "graph": ("Graph",),
    "init": ("write_workspace",),
    "loader": ("Workspace", "find_package", "load_factory", "load_graph", "load_workspace"),
    "locate": ("find_workspace",),
    "reads": ("Reads",),
    "references": ("ConfigFile", "ConfigFunction", "InlineConfig"),
    "settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
