"""`Pipeline`: stages that are added one by one and run together, as Data Designer's CompositeWorkflow has them.

A pipeline is a graph of the root package with a folder of its own, `<artifact path>/<name>/`, for what people look at
and for what is noted between runs. Rows are in the cache, under keys that know neither the folder nor the name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ddbuild.building.api import make_session
from ddbuild.building.events import Event, Listener, TargetFinished, TargetStarted
from ddbuild.building.results import BuildResult, TargetResult
from ddbuild.building.running import RunningBuild
from ddbuild.building.session import Session
from ddbuild.cache import Cache
from ddbuild.designer.workflow import clone_config, clone_processors, default_num_records, make_skipped
from ddbuild.designer.workflow_errors import PipelineError
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import SeedSpec, Stage
from ddbuild.label import Label
from ddbuild.pipeline.checks import (
    check_dir_name,
    check_jobs,
    check_output,
    check_processors,
    check_scalars,
    read_names,
    read_overrides,
    read_resume,
)
from ddbuild.pipeline.failures import describe_failure, in_pipeline_words
from ddbuild.pipeline.kept_stage import KeptStage
from ddbuild.pipeline.parents import read_parents
from ddbuild.pipeline.results import PipelineResults
from ddbuild.pipeline.reuse import check_reusable
from ddbuild.workspace import Settings

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder
    from data_designer.interface import DataDesigner

__all__ = ["Pipeline", "compose_workflow"]

logger = logging.getLogger(__name__)

_WITH_ROWS = ("hit", "cutoff", "built", "completed_empty")


@dataclass(slots=True)
class _Run:
    """One run under way: what it is about, and the build that carries it out."""

    names: tuple[str, ...]
    final: str
    overrides: dict[str, Path]
    session: Session
    plain_session: Session
    running: RunningBuild


class Pipeline:
    """Named stages of Data Designer, run in the order of their dependencies, on ddbuild's cache.

    It takes what `DataDesigner.compose_workflow(name=...)` takes, and more. A run reuses whatever is kept for what the
    stages are now; another name, another process or another machine with the same cache reuses it too.
    """

    def __init__(
        self,
        data_designer: DataDesigner,
        *,
        name: str,
        cache: Cache | Path | str | None = None,
        shared_cache: Path | str | None = None,
    ) -> None:
        """Make a pipeline without stages.

        Args:
            data_designer: The one DataDesigner for all stages; `<its artifact path>/<name>/` is the pipeline's folder.
            name: The folder's name, under which forced reruns are remembered.
            cache: The local cache, or its folder; left out, the one of the settings.
            shared_cache: The folder that a team shares; left out, the one of the settings.

        Raises:
            PipelineError: the name cannot name a folder, or a setting is wrong.
        """
        self.name = check_dir_name(name, "workflow name")
        self._data_designer = data_designer
        self._cache = cache
        self._shared_cache = shared_cache
        with in_pipeline_words(generating=False):
            self._settings = Settings.load(Path.cwd())
        self._stages: dict[str, Stage] = {}

    @property
    def folder(self) -> Path:
        """The pipeline's folder."""
        return (Path(self._data_designer.artifact_path) / self.name).absolute()

    def add_stage(
        self,
        name: str,
        config_builder: DataDesignerConfigBuilder,
        *,
        num_records: int | None = None,
        depends_on: Sequence[str] | str | None = None,
        seed: str | SeedSpec | None = None,
        on_success: Callable[[Path], Path | str] | None = None,
        on_success_version: str | None = None,
        output_processors: Sequence[Any] | None = None,
        output: str = "final",
        allow_empty: bool = False,
        sampling_strategy: Any = None,
        selection_strategy: Any = None,
        min_yield: float | None = None,
        reuse: Literal["auto", "off"] | Mapping[str, bool] = "auto",
        version: str | None = None,
        salt: str | None = None,
    ) -> Pipeline:
        """Add a stage and return the pipeline.

        Args:
            name: The stage's name, which also names a folder.
            config_builder: What is generated; a copy is taken.
            num_records: Rows to ask for; left out, as many as the seed has, or Data Designer's 10 without a seed.
            depends_on: Names of the stages that it reads; left out, the one added before it; `[]` is none.
            seed: Which of several parents is the seed, or how one is made of them: `ddbuild.concat(...)`,
                `ddbuild.join(..., on=...)`, or a function of `{parent's name: parquet file}`.
            on_success: A function of the finished stage's folder that returns the parquet file, or folder of them,
                which the stage hands on.
            on_success_version: Stands for the callback in keys, beside its source.
            output_processors: Processors that run on the finished rows, at the stage's boundary.
            output: "final", or "processor:<name>" for what a processor made.
            allow_empty: Whether to hand on no rows is fine; what is below is skipped then.
            sampling_strategy: How seed rows are drawn, a SamplingStrategy of Data Designer; left out, in their order.
            selection_strategy: Which seed rows are drawn from, an IndexRange or PartitionBlock of Data Designer.
            min_yield: The share of the requested rows that is enough; left out, that of the settings, 0.9.
            reuse: "off" asks for every row anew; a mapping says of columns that they are made row by row and without
                effects of their own, where that cannot be told (True), or are never reused (False).
            version: Stands in for functions that cannot be hashed.
            salt: Any text; another one asks for everything again.

        Raises:
            PipelineError: an argument is wrong.
        """
        check_dir_name(name, "stage name")
        if name in self._stages:
            raise PipelineError(f"Stage name {name!r} is already used in workflow {self.name!r}.")
        check_scalars(locals())
        with in_pipeline_words(generating=False):
            config = clone_config(config_builder, subject=name)
        processors = list(output_processors or ())
        own = config.get_processor_configs()
        output = check_output(output, own, processors)
        check_processors(own, processors)
        parents, spec = read_parents(name, depends_on, seed, known=self._stages, workflow=self.name)
        has_seed = config.get_seed_config() is not None
        if parents and has_seed:
            logger.warning(
                "Stage %r has a seed dataset; workflow will seed it from upstream stage %r.", name, parents[0]
            )
        if num_records is None and not parents and not has_seed:
            num_records = default_num_records()
        self._stages[name] = Stage(
            label=Label("", name),
            config=config,
            num_records=num_records,
            depends_on=tuple(Label("", parent) for parent in parents),
            seed=spec,
            sampling_strategy="ordered" if sampling_strategy is None else sampling_strategy.value,
            selection_strategy=selection_strategy,
            on_success=on_success,
            on_success_version=on_success_version,
            output=output,
            output_processors=clone_processors(processors),
            allow_empty=allow_empty,
            min_yield=self._settings.build.min_yield if min_yield is None else float(min_yield),
            reuse=reuse if isinstance(reuse, str) else dict(reuse),
            version=version,
            salt=salt,
        )
        return self

    def run(
        self,
        *,
        resume: Any = "if_possible",
        targets: str | Sequence[str] | None = None,
        rerun_from: str | None = None,
        stage_output_overrides: Mapping[str, Path | str] | None = None,
        jobs: int | None = None,
        keep_going: bool | None = None,
        listener: Listener | None = None,
    ) -> PipelineResults:
        """Run what is not there yet, and return everything by stage name.

        Works in scripts, in notebooks and from threads.

        Args:
            resume: Data Designer's ResumeMode. IF_POSSIBLE, the default here, reuses what is kept for the stages as
                they are; NEVER makes all of it anew; ALWAYS raises rather than start a stage anew.
            targets: The stages to come to, with what they need; left out, all.
            rerun_from: Make this stage and all below it anew, although nothing has changed.
            stage_output_overrides: Files that a person has reviewed, by the stage whose output they stand in for.
            jobs: How many stages may run at once.
            keep_going: Go on after a failure with what does not depend on it.
            listener: Told what happens, from the build's own thread.

        Raises:
            PipelineError: an argument is wrong, or a stage did not succeed; its `results` are what did.
            Exception: whatever a callback has raised, as it is.
        """
        run = self._start(resume, targets, rerun_from, stage_output_overrides, jobs, keep_going, listener)
        try:
            with in_pipeline_words():
                build = run.running.wait()
        except KeyboardInterrupt:
            run.running.interrupt()
            raise
        return self._conclude(run, build)

    async def arun(
        self,
        *,
        resume: Any = "if_possible",
        targets: str | Sequence[str] | None = None,
        rerun_from: str | None = None,
        stage_output_overrides: Mapping[str, Path | str] | None = None,
        jobs: int | None = None,
        keep_going: bool | None = None,
        listener: Listener | None = None,
    ) -> PipelineResults:
        """Run like `run`, without blocking the caller's event loop; cancelling the task interrupts the run."""
        start = (resume, targets, rerun_from, stage_output_overrides, jobs, keep_going, listener)
        run = await asyncio.to_thread(self._start, *start)
        try:
            with in_pipeline_words():
                build = await asyncio.wrap_future(run.running.future)
        except asyncio.CancelledError:
            run.running.interrupt()
            raise
        return self._conclude(run, build)

    def _start(
        self,
        resume: Any,
        targets: str | Sequence[str] | None,
        rerun_from: str | None,
        overrides: Mapping[str, Path | str] | None,
        jobs: int | None,
        keep_going: bool | None,
        listener: Listener | None,
    ) -> _Run:
        mode = read_resume(resume)
        check_jobs(jobs)
        if not self._stages:
            raise PipelineError(f"Workflow {self.name!r} has no stages.")
        if rerun_from is not None and mode == "never":
            raise PipelineError("rerun_from requires resume to be ResumeMode.IF_POSSIBLE or ResumeMode.ALWAYS.")
        graph = self._make_graph()
        requested = self._read_targets(graph, targets)
        in_run = graph.ancestors(requested)
        names = tuple(name for name, stage in self._stages.items() if stage.label in in_run)
        if rerun_from is not None and rerun_from not in self._stages:
            raise PipelineError(f"Unknown rerun_from stage: {rerun_from!r}.")
        if rerun_from is not None and rerun_from not in names:
            raise PipelineError("rerun_from must be an ancestor of at least one target stage.")
        files = read_overrides(overrides or {}, self._stages, names)
        with in_pipeline_words():
            plain_session = make_session(
                graph,
                self._settings,
                data_designer=self._data_designer,
                cache=self._cache,
                shared_cache=self._shared_cache,
                output_root=self.folder,
            )
            try:
                session = plain_session.override({Label("", name): file for name, file in files.items()})
                # What only an overridden stage would read is not looked at.
                looked_at = session.graph.ancestors(requested)
                remade = looked_at if mode == "never" else set()
                if rerun_from is not None:
                    remade = looked_at & session.graph.descendants([Label("", rerun_from)])
                if mode == "always":
                    fresh = remade | set(session.overrides)
                    check_reusable(
                        session.plan(requested), fresh, name=self.name, cache=session.cache, root=self.folder
                    )
                if remade:
                    # Noted before anything runs: a run that is interrupted is gone on with by the next one.
                    session.renew(sorted(remade - set(session.overrides)))
                running = session.start(
                    # A file that stands in for a stage is taken in at any rate: somebody may ask for its rows.
                    [*requested, *(label for label in session.overrides if label not in requested)],
                    jobs=self._settings.build.jobs if jobs is None else jobs,
                    keep_going=self._settings.build.keep_going if keep_going is None else keep_going,
                    listener=_log_events(listener),
                )
            except BaseException:
                plain_session.designer.close()
                raise
        running.future.add_done_callback(lambda done: plain_session.designer.close())
        final = [name for name in names if Label("", name) in requested][-1]
        return _Run(names, final, files, session, plain_session, running)

    def _make_graph(self) -> TargetGraph:
        graph = TargetGraph()
        for stage in self._stages.values():
            graph.add(stage)
        return graph

    def _read_targets(self, graph: TargetGraph, targets: str | Sequence[str] | None) -> list[Label]:
        if targets is None:
            return [label for label in graph if not graph.children(label)]
        names = read_names(targets, "targets")
        if not names:
            raise PipelineError("target must include at least one stage.")
        if unknown := sorted(set(names).difference(self._stages)):
            raise PipelineError(f"Unknown target stage(s): {', '.join(unknown)}.")
        return [Label("", name) for name in self._stages if name in names]

    def _conclude(self, run: _Run, build: BuildResult) -> PipelineResults:
        values: dict[str, Any] = {}
        kept: dict[str, KeptStage] = {}
        for index, (name, stage) in enumerate(self._stages.items()):
            if name not in run.names:
                continue
            found = build.targets.get(stage.label) or build.spared.get(stage.label)
            if found is not None and found.status == "skipped_empty_upstream":
                values[name] = make_skipped(found.upstream.name if found.upstream else "")
            elif found is None or found.status in _WITH_ROWS:
                kept[name] = self._keep(run, index, stage, found)
                values[name] = _make_value(kept[name])
        results = PipelineResults(
            name=self.name, stage_results=values, kept=kept, final_stage_name=run.final, build=build
        )
        if not build.ok:
            raise describe_failure(build, results)
        return results

    def _keep(self, run: _Run, index: int, stage: Stage, found: TargetResult | None) -> KeptStage:
        return KeptStage(
            stage=stage,
            index=index,
            found=found,
            find=lambda: run.plain_session.plan([stage.label]).targets[stage.label],
            cache=run.session.cache,
            root=run.session.output_root,
            override=run.overrides.get(stage.label.name),
        )


def compose_workflow(
    data_designer: DataDesigner,
    *,
    name: str,
    cache: Cache | Path | str | None = None,
    shared_cache: Path | str | None = None,
) -> Pipeline:
    """Return a new pipeline: `compose_workflow(designer, name=...)` for `designer.compose_workflow(name=...)`."""
    return Pipeline(data_designer, name=name, cache=cache, shared_cache=shared_cache)


def _make_value(kept: KeptStage) -> Any:
    from ddbuild.designer.stage_result import StageResult  # Data Designer's engine

    return StageResult(kept.lay_out, kept.stage.config)


def _log_events(listener: Listener | None) -> Listener:
    """Return what logs the course of a run, as Data Designer does, and passes it on."""

    def tell(event: Event) -> None:
        if isinstance(event, TargetStarted):
            logger.info("Stage %r is running.", event.label.name)
        elif isinstance(event, TargetFinished):
            logger.info("Stage %r: %s, %s rows.", event.label.name, event.status.replace("_", " "), event.rows)
            if event.rows_lost:
                logger.warning("Stage %r lost %d of its rows.", event.label.name, event.rows_lost)
        if listener is not None:
            listener(event)

    return tell
