"""Running one action and publishing what it made.

Each action works in a folder of its own and leaves nothing half-done behind: a result is put together there,
checked, and published in one step.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from ddbuild import table
from ddbuild.building.events import TargetProgress
from ddbuild.building.failures import call_user_function
from ddbuild.building.generate import Generator
from ddbuild.building.job import Job
from ddbuild.building.media import MediaFinder, media_of, name_media
from ddbuild.building.stage_folder import check_unchanged, hydrate, put_folder, resolve_returned, take_snapshot
from ddbuild.building.workbench import Workbench, copy_file, parents_media
from ddbuild.cache.result import ActionResult, Lost
from ddbuild.designer import RunRequest, find_output, processor_builder
from ddbuild.errors import BuildError
from ddbuild.graph.targets import Stage, Transform
from ddbuild.label import Label
from ddbuild.plan.actions import find_source_files, source_format

__all__ = ["ActionRunner"]


class ActionRunner:
    """Runs actions for one build; safe to use for many at once from one event loop."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._generator = Generator(bench)

    def log_file(self, label: Label) -> Path:
        """Return where Data Designer's log of this target goes."""
        return self._bench.log_file(label)

    async def run(self, job: Job) -> ActionResult:
        """Run `job` and return the result that counts: what it made, or what somebody else published first.

        Raises:
            BuildError: the action failed; nothing of it is in the cache but finished batches.
        """
        self._bench.emit(TargetProgress(job.target.label, job.action.kind))
        if job.action.kind == "generate":
            return await self._generator.generate(job)
        if job.action.kind == "process":
            return await self._process(job)
        steps = {"callback": self._call_back, "transform": self._transform, "source": self._import}
        return await asyncio.to_thread(steps[job.action.kind], job)

    async def _process(self, job: Job) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and before is not None
        started = time.monotonic()
        with self._bench.scratch() as folder:
            await asyncio.to_thread(hydrate, before.files, folder / "dataset", self._bench.cache)
            made = folder / "dataset"
            if stage.output_processors:
                seed = folder / "seed.parquet"
                await asyncio.to_thread(copy_file, self._bench.fetch(before), seed)
                inner = folder / "processing"
                inner.mkdir()
                request = RunRequest(
                    label=str(stage.label),
                    builder=processor_builder(
                        self._bench.compiler.processors(stage),
                        like=self._bench.compiler.config(stage)[0],
                        subject=str(stage.label),
                    ),
                    seed=seed,
                    num_records=before.rows,
                    folder=inner,
                    log_file=self._bench.log_file(stage.label),
                )
                outcome = await self._bench.designer.run(request)
                outcome.folder.rename(made / "output-processors")
            return await asyncio.to_thread(self._keep_processed, job, made, started)

    def _keep_processed(self, job: Job, folder: Path, started: float) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and before is not None
        output = folder.parent / "output.parquet"
        name = stage.output.removeprefix("processor:")
        own = stage.output == "final" or any(each.name == name for each in self._bench.compiler.processors(stage))
        made = folder / "output-processors" if own and stage.output_processors else folder
        rows = table.unify(find_output(made, stage.output), output)
        files = put_folder(folder, self._bench.cache)
        return self._bench.publish(job, output, rows=rows, files=files, counts=_counts(before), started=started)

    def _call_back(self, job: Job) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and stage.on_success is not None and before is not None
        started = time.monotonic()
        with self._bench.scratch() as folder:
            given = folder / "dataset"
            hydrate(before.files, given, self._bench.cache)
            snapshot = take_snapshot(given)
            subject = f"the callback of `{stage.label}`"
            returned = call_user_function(stage.on_success, given, subject=subject)
            check_unchanged(snapshot, given, str(stage.label))
            path = resolve_returned(returned, given, str(stage.label))
            output = folder / "output.parquet"
            rows = table.write_result(path, output)
            finder = MediaFinder(self._bench.cache, media_of(before.files), [given, *_folder_of(path)])
            files = name_media(output, finder)
            return self._bench.publish(job, output, rows=rows, files=files, counts=_counts(before), started=started)

    def _transform(self, job: Job) -> ActionResult:
        transform = job.target
        assert isinstance(transform, Transform)
        started = time.monotonic()
        with self._bench.scratch() as folder:
            copies = self._bench.give(job, folder)
            given = {role.removeprefix("name:"): copy for role, copy in copies.items()}
            value = call_user_function(transform.function, given, subject=f"the function of `{transform.label}`")
            output = folder / "output.parquet"
            rows = table.write_result(value, output)
            folders = [*(copy.parent for copy in copies.values()), *_folder_of(value)]
            files = name_media(output, MediaFinder(self._bench.cache, parents_media(job), folders))
            return self._bench.publish(job, output, rows=rows, files=files, started=started)

    def _import(self, job: Job) -> ActionResult:
        source = self._bench.compiler.source_of(job.target)
        assert source is not None
        origin = "overridden" if self._bench.compiler.is_overridden(source.label) else "imported"
        started = time.monotonic()
        with self._bench.scratch() as folder:
            files = find_source_files(source)
            output = folder / "output.parquet"
            table.import_files(files, source_format(source, files), output)
            # A file edited while it was read would be kept under the digest that it had before.
            if self._bench.compiler.compile(job.target)[0].parts != job.action.parts:
                raise BuildError(f"the files of `{source.label}` changed while they were read", hint="build again")
            self._bench.cut(output)
            finder = MediaFinder(self._bench.cache, {}, {file.parent for file in files}, only_by_content=True)
            media = name_media(output, finder)
            rows = table.count_rows([output])
            return self._bench.publish(job, output, rows=rows, files=media, started=started, origin=origin)


def _folder_of(returned: object) -> list[Path]:
    """The folder that the paths in what a function returned may start from, if it returned a path."""
    if not isinstance(returned, (str, os.PathLike)):
        return []
    path = Path(returned)
    return [path if path.is_dir() else path.parent]


def _counts(result: ActionResult) -> tuple[int | None, int | None, list[Lost]]:
    return result.rows_requested, result.rows_made, result.lost
