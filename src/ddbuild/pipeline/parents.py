"""What a stage reads: the stages that it depends on, and what makes its seed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ddbuild.designer.workflow_errors import PipelineError
from ddbuild.graph.targets import Concat, Join, SeedSpec, Stage
from ddbuild.label import Label
from ddbuild.pipeline.checks import read_names
from ddbuild.suggestion import suggest

__all__ = ["read_parents"]


def read_parents(
    name: str,
    depends_on: Sequence[str] | str | None,
    seed: str | SeedSpec | None,
    *,
    known: Mapping[str, Stage],
    workflow: str,
) -> tuple[tuple[str, ...], SeedSpec | None]:
    """Return the names of the parents of the stage `name`, and its seed; None where that is its only parent's output.

    Parents are among the `known` stages, those that were added before it, so that there can be no cycle. Where
    nothing says which ones, it is the last of them.

    Raises:
        PipelineError: a parent is not known, or they do not go with the seed.
    """
    spec: SeedSpec | None = Label("", seed) if isinstance(seed, str) else seed
    named: tuple[Label, ...] = ()
    if isinstance(spec, Label):
        named = (spec,)
    elif isinstance(spec, (Concat, Join)):
        named = spec.parents
    elif spec is not None and not callable(spec):
        raise PipelineError("Stage seed must be a stage name, a concat, a join or a function.")
    if depends_on is not None:
        parents = read_names(depends_on, "Stage depends_on")
    else:
        parents = () if named or not known else (next(reversed(list(known))),)
    parents = tuple(dict.fromkeys((*parents, *(label.name for label in named))))
    for parent in parents:
        if parent not in known:
            near = suggest(parent, known)
            raise PipelineError(
                f"Stage {name!r} depends on {parent!r}, which was not added to workflow {workflow!r} before it.",
                hint=f"did you mean {near!r}?" if near else None,
            )
    if spec is None and len(parents) > 1:
        raise PipelineError(
            f"Stage {name!r} depends on {len(parents)} stages, and nothing says which one is its seed.",
            hint=f"add seed={parents[0]!r}, or a ddbuild.concat(...), ddbuild.join(...) or function of them",
        )
    if spec is not None and not parents:
        raise PipelineError(f"Stage {name!r} has a seed function, and depends on no stage that it could read.")
    return parents, spec
