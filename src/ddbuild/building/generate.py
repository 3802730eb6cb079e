"""Making the rows of a stage: out of kept cells and runs for the rest, or in one run of Data Designer.

A run that stops early leaves its finished batches under its key, for whoever builds that key next.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ddbuild import table
from ddbuild.building.cell_runs import Assembled, CellRuns
from ddbuild.building.events import TargetProgress
from ddbuild.building.failures import short_error
from ddbuild.building.job import Job
from ddbuild.building.media import ATTEMPT, MediaFinder, give_absolute_paths, name_dataset, name_media
from ddbuild.building.seed import make_seed
from ddbuild.building.stage_folder import hydrate, list_kept
from ddbuild.building.workbench import Workbench, copy_file, parents_media
from ddbuild.cache import WorkFolder
from ddbuild.cache.result import ActionResult, Blob, Lost, Usage
from ddbuild.cells import NOTE, SeedRows, find_reuse, list_units, note_kept, number_seed_rows
from ddbuild.designer import (
    CannotResume,
    CellScheme,
    NotRowWise,
    RunOutcome,
    RunRequest,
    drop_damaged,
    drop_short_batches,
    list_columns,
    write_own_seed,
)
from ddbuild.digest import Key
from ddbuild.errors import BuildError
from ddbuild.graph.targets import Stage, Target
from ddbuild.materialize import is_media
from ddbuild.plan.acceptance import rows_needed
from ddbuild.plan.actions import seed_of

__all__ = ["Generator"]


class Generator:
    """Runs the generate actions of one build."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def generate(self, job: Job) -> ActionResult:
        """Make the rows of a stage and return the result that counts.

        Raises:
            BuildError: there are none, or too few; nothing of it is in the cache but finished batches.
        """
        stage = job.target
        assert isinstance(stage, Stage)
        started = time.monotonic()
        work = await asyncio.to_thread(self._bench.cache.claim_work, job.key, lease=job.lease)
        try:
            if work.resumed:
                await asyncio.to_thread(drop_damaged, work.path)
            return await self._generate_in(work, stage, job, started)
        except BaseException:
            # Finished batches are for whoever builds this key next, this process included.
            work.leave()
            raise

    async def _generate_in(self, work: WorkFolder, stage: Stage, job: Job, started: float) -> ActionResult:
        _, description = self._bench.compiler.config(stage)
        seed, rows = await asyncio.to_thread(self._prepare_seed, stage, job, work.path)
        num_records = stage.num_records or rows
        if not num_records:
            raise BuildError(f"`{stage.label}` has a seed without rows")
        scheme = self._find_scheme(stage)
        try:
            cells = await asyncio.to_thread(self._find_cells, stage, job, scheme, num_records, work.path)
        except NotRowWise as reason:
            cells, scheme = None, reason
        if cells is not None:
            assembled = await cells.run()
            outcome, origin = assembled.outcome, "grown" if assembled.reuse.is_growth else "assembled"
        else:
            assembled = None
            outcome, origin = await self._run_whole(stage, job, num_records, seed, work.path)
        keep = partial(
            self._keep_generated, job, outcome, origin, started, description.providers, scheme=scheme, cells=assembled
        )
        if outcome.rows_made >= rows_needed(stage, outcome.rows_requested):
            result = await asyncio.to_thread(keep)
            await asyncio.to_thread(work.discard)
            return result
        # Too short: full batches stay for the next attempt. What was made is kept for a look, and for a `min_yield`
        # that takes it, unless the provider was at fault.
        kept = None if outcome.provider_trouble else await asyncio.to_thread(keep)
        if kept is not None and isinstance(scheme, CellScheme):
            # Its cells are reused from there: from here they would seem to be others.
            await asyncio.to_thread(work.discard)
            return kept
        await asyncio.to_thread(partial(drop_short_batches, work.path) if cells is None else cells.drop_short_batches)
        work.leave()
        if kept is not None:
            return kept
        lost = [Lost(rows=each.rows, reason=each.reason) for each in outcome.lost]
        raise short_error(stage, outcome.rows_made, outcome.rows_requested, lost, self._bench.log_file(stage.label))

    async def _run_whole(
        self, stage: Stage, job: Job, num_records: int, seed: Path | None, folder: Path
    ) -> tuple[RunOutcome, str]:
        """Make all rows of a stage in one run, or go on with those that are there; return what came of it, and how."""
        resume = (folder / "dataset").is_dir() and stage.sampling_strategy == "ordered"
        grown = not resume and await asyncio.to_thread(self._grow, job, num_records, folder)

        def report(done: int, requests: int) -> None:
            self._bench.emit(TargetProgress(stage.label, "generate", done, num_records, requests))

        request = RunRequest(
            label=str(stage.label),
            builder=self._bench.compiler.config(stage)[0],
            seed=seed,
            sampling_strategy=stage.sampling_strategy,
            selection_strategy=stage.selection_strategy,
            num_records=num_records,
            folder=folder,
            resume=resume or grown,
            log_file=self._bench.log_file(stage.label),
            on_progress=report,
        )
        try:
            outcome = await self._bench.designer.run(request)
        except CannotResume:
            outcome = await self._bench.designer.run(replace(request, resume=False))
        return outcome, "generated" if not outcome.rows_resumed else "grown" if grown else "resumed"

    def _find_scheme(self, stage: Stage) -> CellScheme | NotRowWise | None:
        try:
            return self._bench.compiler.cells(stage) if self._bench.most_rows is None else None
        except NotRowWise as reason:
            return reason

    def _find_cells(
        self, stage: Stage, job: Job, scheme: CellScheme | NotRowWise | None, num_records: int, folder: Path
    ) -> CellRuns | None:
        """Return how to make the stage out of kept cells; None where there are none, or a whole run was begun."""
        if not isinstance(scheme, CellScheme) or not self._bench.reuses_cells or (folder / "dataset").is_dir():
            return None
        seed = self._find_seed_rows(stage, num_records, folder)
        renewal = next((part.digest for part in job.action.parts if part.part == "renewal"), None)
        reuse = find_reuse(scheme, self._bench.cache, num_records, seed, renewal=renewal)
        if reuse is None:
            return None

        def report(done: int, requests: int) -> None:
            self._bench.emit(TargetProgress(stage.label, "generate", done, num_records, requests))

        return CellRuns(
            reuse,
            label=str(stage.label),
            builder=self._bench.compiler.config(stage)[0],
            seed=seed,
            work=folder,
            log_file=self._bench.log_file(stage.label),
            designer=self._bench.designer,
            cache=self._bench.cache,
            media=parents_media(job),
            on_progress=report,
        )

    def _find_seed_rows(self, stage: Stage, num_records: int, folder: Path) -> SeedRows | None:
        if seed_of(stage) is not None:
            file = folder / "seed.parquet"
            return number_seed_rows(file, table.count_rows(file), num_records, stage.selection_strategy)
        builder, description = self._bench.compiler.config(stage)
        if not description.has_seed:
            return None
        file = folder / "own-seed.parquet"
        write_own_seed(builder, file, subject=str(stage.label))
        return number_seed_rows(file, table.count_rows(file), num_records, builder.get_seed_config().selection_strategy)

    def _prepare_seed(self, stage: Stage, job: Job, folder: Path) -> tuple[Path | None, int | None]:
        spec = seed_of(stage)
        if spec is None:
            rows = self._bench.compiler.seed_rows(stage)
            return None, rows if rows is None or self._bench.most_rows is None else min(rows, self._bench.most_rows)
        destination = folder / "seed.parquet"
        media = parents_media(job)
        if not destination.exists():
            partial = destination.with_name("partial-" + destination.name)
            partial.unlink(missing_ok=True)
            if callable(spec):
                with self._bench.scratch() as given:
                    make_seed(stage, spec, self._bench.give(job, given), partial, copy_file)
                    name_media(partial, MediaFinder(self._bench.cache, media, prefixes=_prefixes(given)))
            else:
                files = {
                    each.role: self._bench.fetch(job.parents[each.label]) for each in job.action.inputs if each.label
                }
                make_seed(stage, spec, files, partial, copy_file)
            self._bench.cut(partial)
            partial.replace(destination)
        rows = table.count_rows([destination])
        absolute = destination.with_name("seed-with-paths.parquet")
        if give_absolute_paths(destination, absolute, media, folder / "media", self._bench.cache):
            return absolute, rows
        return destination, rows

    def _grow(self, job: Job, num_records: int, folder: Path) -> bool:
        """Put the largest kept result with fewer records into `folder`, to be extended; False where there is none."""
        if not job.action.grows or not isinstance(job.action.num_records, int):
            return False
        if not self._bench.reuses_cells or not _may_reuse(job.target):
            return False
        members = self._bench.cache.family_members(job.action.family(job.contents))
        for count, key in sorted(members, reverse=True):
            found = self._bench.cache.lookup(key) if count < num_records else None
            # Data Designer does not go on with rows that it has not made in one run.
            if found is None or found[0].samples is not None:
                continue
            if found[0].rows_made == found[0].rows_requested:
                hydrate(found[0].files, folder / "dataset", self._bench.cache)
                return True
        return False

    def _keep_generated(
        self,
        job: Job,
        outcome: RunOutcome,
        origin: str,
        started: float,
        providers: tuple[str, ...],
        *,
        scheme: CellScheme | NotRowWise | None,
        cells: Assembled | None,
    ) -> ActionResult:
        output = outcome.folder.parent / "output.parquet"
        rows, files = self._settle_dataset(job, outcome, output)
        lost = [Lost(rows=each.rows, reason=each.reason) for each in outcome.lost]
        unexplained = outcome.rows_requested - outcome.rows_made - sum(each.rows for each in lost)
        if unexplained > 0:
            lost.append(Lost(rows=unexplained, reason="no reason was given"))
        result = self._bench.publish(
            job,
            output,
            rows=rows,
            files=files,
            counts=(outcome.rows_requested, outcome.rows_made, lost),
            origin=origin,
            started=started,
            usage=Usage(
                requests=outcome.requests, input_tokens=outcome.input_tokens, output_tokens=outcome.output_tokens
            ),
            models=self._bench.designer.provider_records(providers) if providers else [],
            units=list_units(scheme) if isinstance(scheme, CellScheme) else None,
            samples=cells.samples if cells is not None else None,
            notes=_note_reuse(scheme, cells),
        )
        note_kept(result, self._bench.cache)
        if isinstance(job.action.num_records, int) and job.action.grows:
            family = job.action.family(job.contents)
            self._bench.cache.record_family(family, job.action.num_records, Key(result.key))
        return result

    def _settle_dataset(self, job: Job, outcome: RunOutcome, output: Path) -> tuple[int, dict[str, Blob]]:
        """Write the rows of a finished dataset to `output` and put all files that belong to it into the cache."""
        stage = job.target
        assert isinstance(stage, Stage)
        kept = list_kept(outcome.folder)
        scratch = outcome.folder.with_name("rewritten")
        try:
            parquet = {name: path for name, path in kept.items() if name.endswith(".parquet")}
            finder = MediaFinder(self._bench.cache, parents_media(job), [outcome.folder], [ATTEMPT])
            better, media = name_dataset(parquet, list_columns(self._bench.compiler.config(stage)[0]), finder, scratch)
            batches = [better.get(f"{file.relative_to(outcome.folder)}", file) for file in outcome.files]
            rows = table.unify(batches, output)
            # Files that no row names were left by rows that got lost.
            files = {n: self._bench.cache.put_file(better.get(n, path)) for n, path in kept.items() if not is_media(n)}
            return rows, files | media
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _prefixes(folder: Path) -> list[str]:
    return [f"{re.escape(str(place))}/[0-9]+/" for place in dict.fromkeys((folder, folder.resolve()))]


def _may_reuse(target: Target) -> bool:
    """Whether nobody has said that some column is always to be made anew."""
    reuse = target.reuse if isinstance(target, Stage) else "off"
    return reuse == "auto" or (not isinstance(reuse, str) and all(reuse.values()))


def _note_reuse(scheme: CellScheme | NotRowWise | None, cells: Assembled | None) -> dict[str, Any]:
    if isinstance(scheme, NotRowWise):
        return {NOTE: {"reason": str(scheme)}}
    return {NOTE: cells.notes} if cells is not None else {}
