"""A preview: the whole path of a target with few rows, in a namespace of its own.

Every key of a preview has one more part, the number of rows, so that no build ever takes rows from a preview, nor a
preview from a build; a second preview of the same is a hit. What it makes lies below `.ddbuild/preview/`, and stays
out of the shared cache.

No stage is asked for more than `rows` rows, no source and no seed gives more. Half of them are enough, and none are
no failure: a filter may well take all of few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddbuild.building.api import find_labels, make_session
from ddbuild.building.events import Listener
from ddbuild.building.results import BuildFailedError, BuildResult
from ddbuild.building.session import Session
from ddbuild.cache import Cache
from ddbuild.errors import UsageError
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Stage, Target, Transform
from ddbuild.label import Label
from ddbuild.workspace import Graph, Settings

__all__ = ["DEFAULT_ROWS", "PreviewSession", "preview", "preview_graph"]

DEFAULT_ROWS = 5

_ENOUGH = 0.5


class PreviewSession(Session):
    """A session that builds previews of `rows` rows; everything else is that of the session it is made from."""

    def __init__(self, session: Session, rows: int, *, on_warning: Callable[[str], None] | None = None) -> None:
        # The modules that functions came from go when their graph goes.
        self._full = session
        self._rows = rows
        super().__init__(
            preview_graph(session.graph, rows),
            root=session.root,
            cache=Cache(session.cache.local, None, on_warning),
            designer=session.designer,
            key_settings=replace(session.key_settings, preview_rows=rows),
            output_root=session.output_root / ".ddbuild" / "preview",
            overrides=session.overrides,
            declared=session.declared,
            reuse=False,
        )
        self.most_rows = rows

    def override(self, files: Mapping[Label, Path]) -> PreviewSession:
        """Return this preview with rows that a person has reviewed, in `files`, for what these targets would make."""
        return PreviewSession(self._full.override(files), self._rows)


def preview_graph(graph: TargetGraph, rows: int) -> TargetGraph:
    """Return `graph` with stages that ask for at most `rows` rows and policies that few rows can meet."""
    small = TargetGraph()
    for target in graph.targets.values():
        small.add(_shrink(target, rows))
    return small


def preview(
    graph: TargetGraph,
    target: str | Label,
    rows: int = DEFAULT_ROWS,
    *,
    data_designer: Any = None,
    cache: Cache | Path | str | None = None,
    jobs: int | None = None,
    listener: Listener | None = None,
) -> BuildResult:
    """Build `target` and what it needs with few rows, apart from all builds, and return the results by label.

    Args:
        graph: As for `build`.
        target: The label of one target; a bare name is a target of the root package.
        rows: How many rows a source, a seed and a stage have at most.
        data_designer: The one DataDesigner for all stages; a plain one is made where none is given.
        cache: The local cache, or its folder.
        jobs: How many targets may run at once.
        listener: Called with each event, from the build's own thread.

    Raises:
        BuildFailedError: the target could not be built; its `result` holds what could.
        UsageError: something was wrong before anything ran.
    """
    if rows < 1:
        raise UsageError(f"a preview has at least one row, not {rows}")
    graph.validate()
    settings = graph.settings if isinstance(graph, Graph) and graph.settings is not None else Settings.load(Path.cwd())
    session = PreviewSession(make_session(graph, settings, data_designer=data_designer, cache=cache), rows)
    running = session.start(
        find_labels(graph, target), jobs=jobs or settings.build.jobs, keep_going=False, listener=listener
    )
    running.future.add_done_callback(lambda done: session.designer.close())
    try:
        result = running.wait()
    except KeyboardInterrupt:
        running.interrupt()
        raise
    if not result.ok:
        raise BuildFailedError(result)
    return result


def _shrink(target: Target, rows: int) -> Target:
    if isinstance(target, Transform):
        return replace(target, allow_empty=True)
    if not isinstance(target, Stage):
        return target
    return replace(
        target,
        num_records=None if target.num_records is None else min(rows, target.num_records),
        # A choice of rows by their numbers has no meaning for the few that the seed has here.
        selection_strategy=None,
        min_yield=min(target.min_yield, _ENOUGH),
        allow_empty=True,
    )
