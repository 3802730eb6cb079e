"""One config as a chain of stages, so that editing a late column costs only what comes after it."""

from __future__ import annotations

from typing import Any, Literal

from ddbuild.designer import load_config, split_builder
from ddbuild.errors import GraphError
from ddbuild.suggestion import suggest
from ddbuild.workspace import Graph, is_declaring

__all__ = ["split_config", "split_stages"]

_OF_THE_FIRST = ("num_records", "depends_on", "seed", "sampling_strategy", "selection_strategy")
_OF_THE_LAST = ("on_success", "on_success_version", "output", "output_processors")
_OF_ALL = ("allow_empty", "min_yield", "version", "salt")


def split_config(
    config: Any, *, name: str, at: list[str] | None = None, by: Literal["model"] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    """Return the arguments of `stage` for a chain of stages that makes the rows of one config.

    In a build file:

        for part in split_config(everything, name="judged", at=["verdict"], num_records=100):
            stage(**part)

    The last stage is called `name`, those before it `name.1`, `name.2` and so on.

    Args:
        config: A DataDesignerConfigBuilder, a DataDesignerConfig, the Path of a config file, or a function without
            arguments that returns one of the first two.
        name: The name of the last stage.
        at: The columns with which a new part begins.
        by: "model" begins a new part at each column that asks other models than the ones before it.
        fields: What `stage` takes: what is about the seed goes to the first stage, what is about the output to the
            last one, and policies, `version` and `salt` to all.

    Raises:
        GraphError: the config cannot be cut there; the message says what is in the way.
    """
    for field in fields:
        known = (*_OF_THE_FIRST, *_OF_THE_LAST, *_OF_ALL)
        if field not in known:
            near = suggest(field, known)
            hint = f"did you mean `{near}`?" if near else None
            raise GraphError(f"`split_config` has no argument `{field}`", hint=hint)
    if (at is None) == (by is None):
        raise GraphError(f"`{name}` is to be split, and either `at` or `by` says where, not both")
    builders = split_builder(load_config(config, subject=name), subject=name, at=at, by=by)
    names = [f"{name}.{number}" for number in range(1, len(builders))] + [name]
    parts = []
    for position, (own, builder) in enumerate(zip(names, builders, strict=True)):
        part = {"name": own, "config": builder, **_choose(fields, _OF_ALL)}
        if position == 0:
            part |= _choose(fields, _OF_THE_FIRST)
        else:
            part["depends_on"] = [f":{names[position - 1]}"]
        if position == len(builders) - 1:
            part |= _choose(fields, _OF_THE_LAST)
        parts.append(part)
    return parts


def split_stages(
    config: Any,
    graph: Graph | None = None,
    *,
    name: str,
    at: list[str] | None = None,
    by: Literal["model"] | None = None,
    num_records: int | None = None,
    **fields: Any,
) -> Graph:
    """Return `graph`, or a new one, with a chain of stages that makes the rows of one config; see `split_config`.

    Raises:
        GraphError: the config cannot be cut there, and the message says what is in the way; or it is called in a build
            file, which has no graph of its own.
    """
    if is_declaring():
        raise GraphError(
            "`split_stages` is for scripts, and this is a build file",
            hint="for part in split_config(..., name=...): stage(**part)",
        )
    graph = graph if graph is not None else Graph()
    for part in split_config(config, name=name, at=at, by=by, num_records=num_records, **fields):
        graph.add_stage(**part)
    return graph


def _choose(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}
