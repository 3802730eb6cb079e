"""The Python face: `build(graph, target)`, `abuild`, and the session that the command line works with."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbuild.building.events import Listener
from ddbuild.building.results import BuildFailedError, BuildResult
from ddbuild.building.running import RunningBuild
from ddbuild.building.session import Session
from ddbuild.building.tiers import open_tiers
from ddbuild.cache import Cache
from ddbuild.designer import Designer, prepare_home
from ddbuild.designer.default_models import read_defaults_once
from ddbuild.errors import UsageError
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Source
from ddbuild.label import Label, parse_label, parse_pattern
from ddbuild.plan.actions import KeySettings
from ddbuild.plan.overrides import read_override
from ddbuild.workspace import Graph, Reads, Settings, find_package, load_factory, load_workspace

__all__ = ["WorkspaceSession", "abuild", "build", "make_session", "open_session"]


@dataclass(frozen=True, slots=True)
class WorkspaceSession:
    """A session with the settings that it was opened with; `package` is that of the folder it was started from.

    `reads` is a record of what all this looked at, which grows when the session makes a plan.
    """

    session: Session
    settings: Settings
    package: str
    reads: Reads


def open_session(
    start: Path | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> WorkspaceSession:
    """Load the workspace around the folder `start` (the current one if None) and return a session on it.

    Args:
        start: Any folder of the workspace.
        overrides: Settings by dotted name that go before environment and file, `{"build.jobs": 4}`.
        on_warning: Told what people should know and what stops nothing.

    Raises:
        GraphError: a setting, a build file or the graph is wrong, or there is no workspace.
    """
    folder = (start or Path.cwd()).resolve()
    reads = Reads()

    def warn(text: str) -> None:
        reads.see_surprise("a warning was given")
        (on_warning or _warn)(text)

    with reads.recording():
        # Build files import Data Designer, which wants a home of its own even where there is none.
        prepare_home()
    read_defaults_once()
    workspace = load_workspace(folder, overrides=dict(overrides or {}), reads=reads)
    session = make_session(workspace.graph, workspace.settings, on_warning=warn, reads=reads)
    session.watching = reads.recording
    return WorkspaceSession(session, workspace.settings, find_package(workspace.root, folder), reads)


def build(
    graph: TargetGraph,
    target: str | Label | Iterable[str | Label],
    *,
    data_designer: Any = None,
    cache: Cache | Path | str | None = None,
    shared_cache: Path | str | None = None,
    jobs: int | None = None,
    keep_going: bool | None = None,
    listener: Listener | None = None,
    overrides: Mapping[str | Label, Path | str] | None = None,
    reuse: bool | None = None,
    retry_lost: bool = False,
) -> BuildResult:
    """Build one or several targets of `graph` and return their results by label.

    Works in scripts, in notebooks, where an event loop is running already, and from threads. It prints nothing:
    `listener` is told what happens.

    Args:
        graph: Made by `Graph()` and its `add_...` methods, or by `Graph.load(path)`.
        target: Labels or patterns; a bare name is a target of the root package.
        data_designer: The one DataDesigner for all stages; a plain one is made where none is given.
        cache: The local cache, or its folder.
        shared_cache: The folder that a team shares.
        jobs: How many targets may run at once.
        keep_going: Go on after a failure with what does not depend on it.
        listener: Called with each event, from the build's own thread.
        overrides: Files with rows that a person has reviewed, by the label of the target that they stand in for; they
            go before those that build files name.
        reuse: Whether kept cells stand in for new ones in stages that have to run; left out, as the settings say.
        retry_lost: Ask again for the rows that the named stages lost.

    Raises:
        BuildFailedError: something that was requested could not be built; its `result` holds what could.
        UsageError: something was wrong before anything ran.
    """
    running = _start(
        graph, target, data_designer, cache, shared_cache, jobs, keep_going, listener, overrides, reuse, retry_lost
    )
    try:
        result = running.wait()
    except KeyboardInterrupt:
        running.interrupt()
        raise
    return _checked(result)


async def abuild(
    graph: TargetGraph,
    target: str | Label | Iterable[str | Label],
    *,
    data_designer: Any = None,
    cache: Cache | Path | str | None = None,
    shared_cache: Path | str | None = None,
    jobs: int | None = None,
    keep_going: bool | None = None,
    listener: Listener | None = None,
    overrides: Mapping[str | Label, Path | str] | None = None,
    reuse: bool | None = None,
    retry_lost: bool = False,
) -> BuildResult:
    """Build like `build`, without blocking the caller's event loop; cancelling the task interrupts the build."""
    running = _start(
        graph, target, data_designer, cache, shared_cache, jobs, keep_going, listener, overrides, reuse, retry_lost
    )
    try:
        result = await asyncio.wrap_future(running.future)
    except asyncio.CancelledError:
        running.interrupt()
        raise
    return _checked(result)


def _start(
    graph: TargetGraph,
    target: str | Label | Iterable[str | Label],
    data_designer: Any,
    cache: Cache | Path | str | None,
    shared_cache: Path | str | None,
    jobs: int | None,
    keep_going: bool | None,
    listener: Listener | None,
    overrides: Mapping[str | Label, Path | str] | None,
    reuse: bool | None,
    retry_lost: bool,
) -> RunningBuild:
    graph.validate()
    settings = graph.settings if isinstance(graph, Graph) and graph.settings is not None else None
    if settings is None:
        settings = Settings.load(Path.cwd())
    session = make_session(graph, settings, data_designer=data_designer, cache=cache, shared_cache=shared_cache)
    session.reuse = session.reuse if reuse is None else reuse
    session.retry_lost = retry_lost
    session = session.override({_find_label(graph, each): Path(file) for each, file in (overrides or {}).items()})
    running = session.start(
        find_labels(graph, target),
        jobs=jobs if jobs is not None else settings.build.jobs,
        keep_going=keep_going if keep_going is not None else settings.build.keep_going,
        listener=listener,
    )
    running.future.add_done_callback(lambda done: session.designer.close())
    return running


def find_labels(graph: TargetGraph, target: str | Label | Iterable[str | Label]) -> list[Label]:
    """Return the labels that a script means by `target`.

    Raises:
        UsageError: one of them chooses nothing.
    """
    wanted = [target] if isinstance(target, (str, Label)) else list(target)
    labels = [graph.find(each) for each in wanted if isinstance(each, Label)]
    texts = [each for each in wanted if isinstance(each, str)]
    patterns = [parse_pattern(text if text.startswith(("/", ":", "-", "...")) else f":{text}") for text in texts]
    found = sorted({*labels, *graph.resolve(patterns)})
    if not found:
        raise UsageError("no target was named", hint='build(graph, "//judged")')
    return found


def _find_label(graph: TargetGraph, text: str | Label) -> Label:
    if isinstance(text, str):
        text = parse_label(text if text.startswith(("/", ":")) else f":{text}")
    return graph.find(text)


def make_session(
    graph: TargetGraph,
    settings: Settings,
    *,
    data_designer: Any = None,
    cache: Cache | Path | str | None = None,
    shared_cache: Path | str | None = None,
    output_root: Path | None = None,
    on_warning: Callable[[str], None] | None = None,
    reads: Reads | None = None,
) -> Session:
    """Return a session on `graph` with the caches and the designer that are given, or else those of `settings`.

    Results, logs and history go below `output_root`, by default the root of `settings`.
    """
    if not isinstance(cache, Cache):
        # A link to the shared folder may be moved.
        with nullcontext() if reads is None else reads.recording():
            tiers = open_tiers(settings, cache=cache, shared_cache=shared_cache)
        cache = Cache(*tiers, on_warning or _warn)
    factory = data_designer
    if factory is None and settings.designer.factory is not None:
        factory = load_factory(settings.root, settings.designer.factory, reads)
    designer = Designer(factory, run_config=settings.designer.run_config if data_designer is None else None)
    keys = KeySettings(
        salt=settings.build.salt, versions=tuple(settings.build.versions), key_endpoints=settings.build.key_endpoints
    )
    with nullcontext() if reads is None else reads.recording():
        overrides = _read_overrides(graph)
    return Session(
        graph,
        root=settings.root,
        cache=cache,
        designer=designer,
        key_settings=keys,
        output_root=output_root,
        overrides=overrides,
        declared=overrides,
        reuse=settings.build.reuse,
    )


def _read_overrides(graph: TargetGraph) -> dict[Label, Source]:
    """Return the files that the build files of `graph` put in the place of what targets make."""
    found: dict[Label, Source] = {}
    for label, override in graph.overrides.items() if isinstance(graph, Graph) else ():
        try:
            found[label] = read_override(label, override.path)
        except UsageError as error:
            if override.location is not None:
                error.facts = {"build file": str(override.location), **error.facts}
            raise
    return found


def _checked(result: BuildResult) -> BuildResult:
    if not result.ok:
        raise BuildFailedError(result)
    return result


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)
