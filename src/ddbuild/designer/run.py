"""One run of Data Designer: what it is asked for, how it is carried out, and what came of it, counted on disk.

Data Designer reports success with rows missing, so nothing that it returns is taken for granted: rows are counted in
the files, and reasons for the missing ones come from its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ddbuild.designer.active import ActiveRun, current_run
from ddbuild.designer.config import copy_builder
from ddbuild.designer.engine import prepare_engine
from ddbuild.designer.failure import CannotResume, RunFailedError
from ddbuild.designer.health import HealthChecks
from ddbuild.designer.logs import LogFile, RoutedLogs
from ddbuild.designer.messages import explain, find_solution, is_provider_error, root_cause
from ddbuild.designer.resume import DATASET, find_batches, prepare_resume, redact_builder_config
from ddbuild.designer.seeds import readable_seed
from ddbuild.designer.usage import CountedUsage
from ddbuild.designer.violations import catch_violations
from ddbuild.errors import DdbuildError, InterruptedBuildError

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder
    from data_designer.interface import DataDesigner

__all__ = ["LostRows", "RunOutcome", "RunRequest", "carry_out"]

T = TypeVar("T")

_GRACE_SECONDS = 1.0
"""How long a run that was told to stop may take before it is left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One run: `num_records` rows of the config `builder` into `folder`/dataset.

    `seed` is one parquet file that takes the place of the config's own seed; `kept_columns` are those of its columns
    that are kept cells. With `resume` the run goes on with the
    batches that the folder has. `on_progress` gets the rows that are finished and the requests that were answered,
    from any thread.
    """

    label: str
    builder: DataDesignerConfigBuilder
    num_records: int
    folder: Path
    log_file: Path
    seed: Path | None = None
    kept_columns: tuple[str, ...] = ()
    sampling_strategy: Literal["ordered", "shuffle"] = "ordered"
    selection_strategy: Any = None
    resume: bool = False
    on_progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class LostRows:
    """Rows that were asked for and are not there, with the reason as far as Data Designer gives one."""

    rows: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run made: `files` are parquet files in the order of their rows, below `folder`.

    `rows_resumed` were there before. `provider_trouble` says that rows are missing because of a model's provider, or
    of a disk, so that another try may make them; `notes` tell what else did not go well.
    """

    folder: Path
    files: tuple[Path, ...]
    rows_requested: int
    rows_made: int
    rows_resumed: int
    lost: tuple[LostRows, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    early_shutdown: bool
    provider_trouble: bool
    notes: tuple[str, ...]


async def carry_out(
    request: RunRequest,
    *,
    get_designer: Callable[[], DataDesigner],
    find_secrets: Callable[[], frozenset[str]],
    health: HealthChecks,
    on_start: Callable[[ActiveRun], None],
) -> RunOutcome:
    """Carry out `request` on the designer that `get_designer` gives; `on_start` gets what can stop the run.

    A run that is cancelled, or stopped, returns within seconds, even where a thread of it cannot be stopped and is
    left behind.

    Raises:
        CannotResume: the folder's batches cannot be gone on with.
        RunFailedError: there are no rows.
        InterruptedBuildError: the run was stopped.
    """
    log = LogFile(request.log_file, find_secrets)
    run = ActiveRun(request.label, log.write_line, request.on_progress)
    token = current_run.set(run)
    logs = RoutedLogs()
    logs.enter()
    try:
        on_start(run)
        return await _create(request, run, get_designer, health, log)
    finally:
        current_run.reset(token)
        run.crew.dismiss()
        log.close()
        if run.left_behind is None:
            logs.leave()
        else:
            run.left_behind.add_done_callback(lambda _: logs.leave())


async def _create(
    request: RunRequest,
    run: ActiveRun,
    get_designer: Callable[[], DataDesigner],
    health: HealthChecks,
    log: LogFile,
) -> RunOutcome:
    with contextlib.ExitStack() as stack:
        try:
            designer = await _unless_stopped(run, asyncio.to_thread(get_designer))
            stack.enter_context(CountedUsage())
            seed = stack.enter_context(readable_seed(request.seed)) if request.seed is not None else None
            builder = _make_builder(request, seed)
            await _unless_stopped(run, asyncio.to_thread(_prepare, request, run, designer, builder, health))
            await _unless_stopped(run, _start(designer, request, run, builder))
        except DdbuildError:
            raise
        except Exception as error:
            if run.is_stopping:
                raise InterruptedBuildError(f"`{request.label}` was stopped") from error
            if "Cannot resume" in str(error):
                raise CannotResume(f"Data Designer does not go on with `{request.label}`: {explain(error)}") from error
            if type(error).__name__ != "DataDesignerProfilingError":
                raise _describe_failure(error, request, run, log) from error
            # The rows are there and whole; only statistics about them are not.
            run.notes.append(f"the dataset could not be profiled: {explain(error)}")
    outcome = await asyncio.to_thread(_collect, request, run, log)
    # A run that was told to stop when all was done has its rows, and they count.
    if run.is_stopping and outcome.lost:
        raise InterruptedBuildError(f"`{request.label}` was stopped")
    return outcome


def _make_builder(request: RunRequest, seed: Path | None) -> DataDesignerConfigBuilder:
    from data_designer.config.seed import SamplingStrategy
    from data_designer.config.seed_source import LocalFileSeedSource

    builder = copy_builder(request.builder)
    if seed is not None and request.kept_columns:
        from ddbuild.kept_seed.source import KeptSeedSource

        builder.with_seed_dataset(KeptSeedSource(path=str(seed), kept=list(request.kept_columns)))
    elif seed is not None:
        builder.with_seed_dataset(
            LocalFileSeedSource(path=str(seed)),
            sampling_strategy=SamplingStrategy(request.sampling_strategy),
            selection_strategy=request.selection_strategy,
        )
    return builder


def _prepare(
    request: RunRequest,
    run: ActiveRun,
    designer: DataDesigner,
    builder: DataDesignerConfigBuilder,
    health: HealthChecks,
) -> None:
    # pyarrow, behind its own door.
    from ddbuild.table import count_rows

    request.folder.mkdir(parents=True, exist_ok=True)
    dataset = request.folder / DATASET
    if not request.resume:
        shutil.rmtree(dataset, ignore_errors=True)
    elif prepare_resume(request.folder, num_records=request.num_records, buffer_size=designer.run_config.buffer_size):
        run.rows_resumed = count_rows(find_batches(dataset / "parquet-files"))
        run.add_rows(run.rows_resumed)
    prepare_engine()
    catch_violations()
    health.check(designer, builder, run)


async def _start(
    designer: DataDesigner, request: RunRequest, run: ActiveRun, builder: DataDesignerConfigBuilder
) -> None:
    from data_designer.engine.storage.artifact_storage import ResumeMode
    from data_designer.interface import DataDesigner

    dataset = request.folder / DATASET
    resumable = request.resume and dataset.is_dir()
    view: Any = _DesignerView(designer, _make_batch_callback(run, dataset))
    await DataDesigner.acreate(
        view,
        builder,
        num_records=request.num_records,
        dataset_name=DATASET,
        resume=ResumeMode.ALWAYS if resumable else ResumeMode.NEVER,
        artifact_path=request.folder,
    )


class _DesignerView:
    """A DataDesigner whose `acreate` hands a callback for finished batches to `create`, which the true one cannot."""

    def __init__(self, designer: DataDesigner, on_batch_complete: Callable[[Path], None]) -> None:
        self._ddbuild_designer = designer
        self._ddbuild_callback = on_batch_complete

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ddbuild_designer, name)

    def create(self, *args: Any, **options: Any) -> Any:
        return self._ddbuild_designer.create(*args, on_batch_complete=self._ddbuild_callback, **options)


def _make_batch_callback(run: ActiveRun, dataset: Path) -> Callable[[Path], None]:
    from data_designer.engine.dataset_builders.errors import DatasetGenerationError

    # pyarrow, behind its own door.
    from ddbuild.table import count_rows

    def on_batch_complete(file: Path) -> None:
        run.add_rows(count_rows([Path(file)]))
        # Not before the dataset can be resumed: after the first batch `metadata.json` is still to be written.
        if run.is_stopping and (dataset / "metadata.json").is_file():
            # The one kind of error that Data Designer lets through from here.
            raise DatasetGenerationError("stopped")

    return on_batch_complete


async def _unless_stopped(run: ActiveRun, work: Awaitable[T]) -> T:
    """Wait for `work`; where the run is stopped or cancelled, only a little longer than that."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(run.stopped.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        run.stop()
        await _wait_a_little(run, task)
        raise
    finally:
        stop.cancel()
    if not task.done():
        await _wait_a_little(run, task)
    if not task.done() or task.cancelled():
        raise InterruptedBuildError(f"`{run.label}` was stopped")
    return task.result()


async def _wait_a_little(run: ActiveRun, task: asyncio.Future[Any]) -> None:
    await asyncio.wait({task}, timeout=_GRACE_SECONDS)
    if not task.done():
        # It is not cancelled, since its thread would go on all the same.
        run.left_behind = task
    # Somebody has to look at what it raises, or asyncio complains.
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)


def _describe_failure(error: Exception, request: RunRequest, run: ActiveRun, log: LogFile) -> RunFailedError:
    cause = root_cause(error)
    trouble = is_provider_error(error) or run.losses.is_provider_trouble(request.num_records)
    # Where rows were dropped until none was left, the error is only about files that are not there.
    problem = run.losses.main_reason() or explain(cause)
    if run.violations:
        # Data Designer's own error does not say what is wrong.
        problem = "; ".join(run.violations)
    log.write_line(f"ERROR the run failed: {problem}")
    return RunFailedError(
        f"Data Designer made no rows of `{request.label}`",
        facts={"problem": log.redact(problem), "log": str(request.log_file)},
        hint=find_solution(cause),
        provider_trouble=trouble,
        log_file=request.log_file,
        last_lines=tuple(log.last_lines),
    )


def _collect(request: RunRequest, run: ActiveRun, log: LogFile) -> RunOutcome:
    # pyarrow, behind its own door.
    from ddbuild.table import count_rows

    dataset = request.folder / DATASET
    redact_builder_config(dataset)
    with contextlib.suppress(OSError):
        (dataset / "tmp-partial-parquet-files").rmdir()
    files = find_batches(dataset / "parquet-files")
    made = count_rows(files) if files else 0
    if made == 0:
        raise RunFailedError(
            f"Data Designer made no rows of `{request.label}`",
            facts={
                "problem": log.redact(run.losses.summarize(request.num_records)[0][1]),
                "log": str(request.log_file),
            },
            provider_trouble=run.losses.is_provider_trouble(request.num_records),
            log_file=request.log_file,
            last_lines=tuple(log.last_lines),
        )
    lost = max(0, request.num_records - made)
    return RunOutcome(
        folder=dataset,
        files=tuple(files),
        rows_requested=request.num_records,
        rows_made=made,
        rows_resumed=run.rows_resumed,
        lost=tuple(LostRows(rows, log.redact(reason)) for rows, reason in run.losses.summarize(lost)),
        requests=run.requests,
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        early_shutdown=run.losses.early_shutdown,
        provider_trouble=run.losses.is_provider_trouble(lost),
        notes=tuple(map(log.redact, run.notes)),
    )
