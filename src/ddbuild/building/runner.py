"""Running one action and publishing what it made.

Each action works in a folder of its own and leaves nothing half-done behind: a result is put together there,
checked, and published in one step. A Data Designer run that stops early leaves its finished batches under its key.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ddbuild import table
from ddbuild.building.cell_runs import Assembled, CellRuns
from ddbuild.building.events import Event, TargetProgress
from ddbuild.building.failures import call_user_function
from ddbuild.building.logs import log_path
from ddbuild.building.media import (
    ATTEMPT,
    MediaFinder,
    give_absolute_paths,
    media_of,
    name_dataset,
    name_media,
    place_media,
)
from ddbuild.building.provenance import Origin
from ddbuild.building.seed import make_seed
from ddbuild.building.stage_folder import (
    check_unchanged,
    digest_folder,
    hydrate,
    list_kept,
    put_folder,
    resolve_returned,
    take_snapshot,
)
from ddbuild.cache import Cache, CacheLease, WorkFolder, clone_file
from ddbuild.cache.result import ActionResult, Blob, Input, KeyPart, Lost, Provenance, Unit, Usage
from ddbuild.cells import NOTE, SeedRows, find_reuse, list_units, note_kept, number_seed_rows
from ddbuild.designer import (
    CannotResume,
    CellScheme,
    Designer,
    NotRowWise,
    RunOutcome,
    RunRequest,
    drop_damaged,
    drop_short_batches,
    find_output,
    list_columns,
    processor_builder,
    write_own_seed,
)
from ddbuild.digest import Digest, Key, digest_of
from ddbuild.errors import BuildError
from ddbuild.graph.targets import Stage, Target, Transform
from ddbuild.keys import Action
from ddbuild.label import Label
from ddbuild.materialize import is_media
from ddbuild.plan.acceptance import rows_needed
from ddbuild.plan.actions import ActionCompiler, find_source_files, seed_of, source_format

__all__ = ["ActionRunner", "Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """One action that has to run, with its inputs resolved.

    `parents` are the outputs of other targets by label; `before` is what this target's action before it made.
    `retry` is the number that its result is published under.
    """

    action: Action
    target: Target
    key: Key
    deep_key: Key
    retry: int
    parents: Mapping[Label, ActionResult]
    before: ActionResult | None
    lease: CacheLease

    @property
    def contents(self) -> list[Digest]:
        """The content digests of the inputs, in their order."""
        return input_contents(self.action, self.parents, self.before)


def input_contents(action: Action, parents: Mapping[Label, ActionResult], before: ActionResult | None) -> list[Digest]:
    """Return the content digests of what `action` reads, in the order of its inputs."""
    contents = []
    for each in action.inputs:
        if each.label is not None:
            contents.append(Digest(parents[each.label].digest))
        else:
            assert before is not None, "an input without a label is the output of the action before"
            contents.append(Digest(before.folder_digest))
    return contents


def seed_rows(action: Action, parents: Mapping[Label, ActionResult]) -> int | None:
    """Return the rows of the one parent that seeds `action`; None where there is no such parent."""
    return next((parents[each.label].rows for each in action.inputs if each.role == "seed" and each.label), None)


class ActionRunner:
    """Runs actions for one build; safe to use for many at once from one event loop.

    `root` holds the user's code; logs go below `output_root`. `most_rows` cuts sources and seeds, for a preview.
    Without `reuse` every row of a stage is asked for anew.
    """

    def __init__(
        self,
        *,
        root: Path,
        output_root: Path,
        cache: Cache,
        designer: Designer,
        compiler: ActionCompiler,
        emit: Callable[[Event], None],
        most_rows: int | None = None,
        reuse: bool = True,
    ) -> None:
        self._output_root = output_root
        self._cache = cache
        self._designer = designer
        self._compiler = compiler
        self._emit = emit
        self._most_rows = most_rows
        self._reuses_cells = reuse and most_rows is None
        self._origin = Origin(root)

    async def run(self, job: Job) -> ActionResult:
        """Run `job` and return the result that counts: what it made, or what somebody else published first.

        Raises:
            BuildError: the action failed; nothing of it is in the cache but finished batches.
        """
        self._emit(TargetProgress(job.target.label, job.action.kind))
        if job.action.kind == "generate":
            return await self._generate(job)
        if job.action.kind == "process":
            return await self._process(job)
        steps = {"callback": self._call_back, "transform": self._transform, "source": self._import}
        return await asyncio.to_thread(steps[job.action.kind], job)

    async def _generate(self, job: Job) -> ActionResult:
        stage = job.target
        assert isinstance(stage, Stage)
        started = time.monotonic()
        work = await asyncio.to_thread(self._cache.claim_work, job.key, lease=job.lease)
        try:
            if work.resumed:
                await asyncio.to_thread(drop_damaged, work.path)
            return await self._generate_in(work, stage, job, started)
        except BaseException:
            # Finished batches are for whoever builds this key next, this process included.
            work.leave()
            raise

    async def _generate_in(self, work: WorkFolder, stage: Stage, job: Job, started: float) -> ActionResult:
        _, description = self._compiler.config(stage)
        seed, rows = await asyncio.to_thread(self._prepare_seed, stage, job, work.path)
        num_records = stage.num_records or rows
        if not num_records:
            raise BuildError(f"`{stage.label}` has a seed without rows")
        scheme = self._find_scheme(stage)
        cells = await asyncio.to_thread(self._find_cells, stage, job, scheme, num_records, work.path)
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
        raise short_error(stage, outcome.rows_made, outcome.rows_requested, lost, self.log_file(stage.label))

    async def _run_whole(
        self, stage: Stage, job: Job, num_records: int, seed: Path | None, folder: Path
    ) -> tuple[RunOutcome, str]:
        """Make all rows of a stage in one run, or go on with those that are there; return what came of it, and how."""
        resume = (folder / "dataset").is_dir() and stage.sampling_strategy == "ordered"
        grown = not resume and await asyncio.to_thread(self._grow, job, num_records, folder)

        def report(done: int, requests: int) -> None:
            self._emit(TargetProgress(stage.label, "generate", done, num_records, requests))

        request = RunRequest(
            label=str(stage.label),
            builder=self._compiler.config(stage)[0],
            seed=seed,
            sampling_strategy=stage.sampling_strategy,
            selection_strategy=stage.selection_strategy,
            num_records=num_records,
            folder=folder,
            resume=resume or grown,
            log_file=self.log_file(stage.label),
            on_progress=report,
        )
        try:
            outcome = await self._designer.run(request)
        except CannotResume:
            outcome = await self._designer.run(replace(request, resume=False))
        return outcome, "generated" if not outcome.rows_resumed else "grown" if grown else "resumed"

    def _find_scheme(self, stage: Stage) -> CellScheme | NotRowWise | None:
        try:
            return self._compiler.cells(stage) if self._most_rows is None else None
        except NotRowWise as reason:
            return reason

    def _find_cells(
        self, stage: Stage, job: Job, scheme: CellScheme | NotRowWise | None, num_records: int, folder: Path
    ) -> CellRuns | None:
        """Return how to make the stage out of kept cells; None where there are none, or a whole run was begun."""
        if not isinstance(scheme, CellScheme) or not self._reuses_cells or (folder / "dataset").is_dir():
            return None
        seed = self._find_seed_rows(stage, num_records, folder)
        renewal = next((part.digest for part in job.action.parts if part.part == "renewal"), None)
        reuse = find_reuse(scheme, self._cache, num_records, seed, renewal=renewal)
        if reuse is None:
            return None

        def report(done: int, requests: int) -> None:
            self._emit(TargetProgress(stage.label, "generate", done, num_records, requests))

        return CellRuns(
            reuse,
            label=str(stage.label),
            builder=self._compiler.config(stage)[0],
            seed=seed,
            work=folder,
            log_file=self.log_file(stage.label),
            designer=self._designer,
            cache=self._cache,
            media=_parents_media(job),
            on_progress=report,
        )

    def _find_seed_rows(self, stage: Stage, num_records: int, folder: Path) -> SeedRows | None:
        if seed_of(stage) is not None:
            file = folder / "seed.parquet"
            return number_seed_rows(file, table.count_rows(file), num_records, stage.selection_strategy)
        builder, description = self._compiler.config(stage)
        if not description.has_seed:
            return None
        file = folder / "own-seed.parquet"
        write_own_seed(builder, file, subject=str(stage.label))
        return number_seed_rows(file, table.count_rows(file), num_records, builder.get_seed_config().selection_strategy)

    def _prepare_seed(self, stage: Stage, job: Job, folder: Path) -> tuple[Path | None, int | None]:
        spec = seed_of(stage)
        if spec is None:
            rows = self._compiler.seed_rows(stage)
            return None, rows if rows is None or self._most_rows is None else min(rows, self._most_rows)
        destination = folder / "seed.parquet"
        media = _parents_media(job)
        if not destination.exists():
            partial = destination.with_name("partial-" + destination.name)
            partial.unlink(missing_ok=True)
            if callable(spec):
                with self._scratch() as given:
                    make_seed(stage, spec, self._give(job, given), partial, _copy)
                    name_media(partial, MediaFinder(self._cache, media, prefixes=_prefixes(given)))
            else:
                files = {each.role: self._fetch(job.parents[each.label]) for each in job.action.inputs if each.label}
                make_seed(stage, spec, files, partial, _copy)
            self._cut(partial)
            partial.replace(destination)
        rows = table.count_rows([destination])
        absolute = destination.with_name("seed-with-paths.parquet")
        if give_absolute_paths(destination, absolute, media, folder / "media", self._cache):
            return absolute, rows
        return destination, rows

    def _cut(self, file: Path) -> None:
        if self._most_rows is not None and table.count_rows([file]) > self._most_rows:
            table.rewrite(file, file, limit=self._most_rows)

    def _give(self, job: Job, folder: Path) -> dict[str, Path]:
        """Write private copies of the parents' rows, each beside its media, and return them by their roles."""
        given = {}
        for position, each in enumerate(job.action.inputs):
            if each.label is None or each.role == "after":
                continue
            parent = job.parents[each.label]
            given[each.role] = copy = folder / f"{position}" / f"{each.label.name}.parquet"
            copy.parent.mkdir(parents=True)
            _copy(self._fetch(parent), copy)
            place_media(media_of(parent.files), copy.parent, self._cache)
        return given

    def _grow(self, job: Job, num_records: int, folder: Path) -> bool:
        """Put the largest kept result with fewer records into `folder`, to be extended; False where there is none."""
        if not job.action.grows or not isinstance(job.action.num_records, int):
            return False
        if not self._reuses_cells or not _may_reuse(job.target):
            return False
        members = self._cache.family_members(job.action.family(job.contents))
        for count, key in sorted(members, reverse=True):
            found = self._cache.lookup(key) if count < num_records else None
            # Data Designer does not go on with rows that it has not made in one run.
            if found is None or found[0].samples is not None:
                continue
            if found[0].rows_made == found[0].rows_requested:
                hydrate(found[0].files, folder / "dataset", self._cache)
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
        result = self._publish(
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
            models=self._designer.provider_records(providers) if providers else [],
            units=list_units(scheme) if isinstance(scheme, CellScheme) else None,
            samples=cells.samples if cells is not None else None,
            notes=_note_reuse(scheme, cells),
        )
        note_kept(result, self._cache)
        if isinstance(job.action.num_records, int) and job.action.grows:
            family = job.action.family(job.contents)
            self._cache.record_family(family, job.action.num_records, Key(result.key))
        return result

    def _settle_dataset(self, job: Job, outcome: RunOutcome, output: Path) -> tuple[int, dict[str, Blob]]:
        """Write the rows of a finished dataset to `output` and put all files that belong to it into the cache."""
        stage = job.target
        assert isinstance(stage, Stage)
        kept = list_kept(outcome.folder)
        scratch = outcome.folder.with_name("rewritten")
        try:
            parquet = {name: path for name, path in kept.items() if name.endswith(".parquet")}
            finder = MediaFinder(self._cache, _parents_media(job), [outcome.folder], [ATTEMPT])
            better, media = name_dataset(parquet, list_columns(self._compiler.config(stage)[0]), finder, scratch)
            batches = [better.get(f"{file.relative_to(outcome.folder)}", file) for file in outcome.files]
            rows = table.unify(batches, output)
            # Files that no row names were left by rows that got lost.
            files = {n: self._cache.put_file(better.get(n, path)) for n, path in kept.items() if not is_media(n)}
            return rows, files | media
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    async def _process(self, job: Job) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and before is not None
        started = time.monotonic()
        with self._scratch() as folder:
            await asyncio.to_thread(hydrate, before.files, folder / "dataset", self._cache)
            made = folder / "dataset"
            if stage.output_processors:
                seed = folder / "seed.parquet"
                await asyncio.to_thread(_copy, self._fetch(before), seed)
                inner = folder / "processing"
                inner.mkdir()
                request = RunRequest(
                    label=str(stage.label),
                    builder=processor_builder(
                        self._compiler.processors(stage), like=self._compiler.config(stage)[0], subject=str(stage.label)
                    ),
                    seed=seed,
                    num_records=before.rows,
                    folder=inner,
                    log_file=self.log_file(stage.label),
                )
                outcome = await self._designer.run(request)
                outcome.folder.rename(made / "output-processors")
            return await asyncio.to_thread(self._keep_processed, job, made, started)

    def _keep_processed(self, job: Job, folder: Path, started: float) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and before is not None
        output = folder.parent / "output.parquet"
        name = stage.output.removeprefix("processor:")
        own = stage.output == "final" or any(each.name == name for each in self._compiler.processors(stage))
        made = folder / "output-processors" if own and stage.output_processors else folder
        rows = table.unify(find_output(made, stage.output), output)
        files = put_folder(folder, self._cache)
        return self._publish(job, output, rows=rows, files=files, counts=_counts(before), started=started)

    def _call_back(self, job: Job) -> ActionResult:
        stage, before = job.target, job.before
        assert isinstance(stage, Stage) and stage.on_success is not None and before is not None
        started = time.monotonic()
        with self._scratch() as folder:
            given = folder / "dataset"
            hydrate(before.files, given, self._cache)
            snapshot = take_snapshot(given)
            subject = f"the callback of `{stage.label}`"
            returned = call_user_function(stage.on_success, given, subject=subject)
            check_unchanged(snapshot, given, str(stage.label))
            path = resolve_returned(returned, given, str(stage.label))
            output = folder / "output.parquet"
            rows = table.write_result(path, output)
            finder = MediaFinder(self._cache, media_of(before.files), [given, *_folder_of(path)])
            files = name_media(output, finder)
            return self._publish(job, output, rows=rows, files=files, counts=_counts(before), started=started)

    def _transform(self, job: Job) -> ActionResult:
        transform = job.target
        assert isinstance(transform, Transform)
        started = time.monotonic()
        with self._scratch() as folder:
            copies = self._give(job, folder)
            given = {role.removeprefix("name:"): copy for role, copy in copies.items()}
            value = call_user_function(transform.function, given, subject=f"the function of `{transform.label}`")
            output = folder / "output.parquet"
            rows = table.write_result(value, output)
            folders = [*(copy.parent for copy in copies.values()), *_folder_of(value)]
            files = name_media(output, MediaFinder(self._cache, _parents_media(job), folders))
            return self._publish(job, output, rows=rows, files=files, started=started)

    def _import(self, job: Job) -> ActionResult:
        source = self._compiler.source_of(job.target)
        assert source is not None
        origin = "overridden" if self._compiler.is_overridden(source.label) else "imported"
        started = time.monotonic()
        with self._scratch() as folder:
            files = find_source_files(source)
            output = folder / "output.parquet"
            table.import_files(files, source_format(source, files), output)
            # A file edited while it was read would be kept under the digest that it had before.
            if self._compiler.compile(job.target)[0].parts != job.action.parts:
                raise BuildError(f"the files of `{source.label}` changed while they were read", hint="build again")
            self._cut(output)
            finder = MediaFinder(self._cache, {}, {file.parent for file in files}, only_by_content=True)
            media = name_media(output, finder)
            rows = table.count_rows([output])
            return self._publish(job, output, rows=rows, files=media, started=started, origin=origin)

    def _publish(
        self,
        job: Job,
        output: Path,
        *,
        rows: int,
        started: float,
        files: dict[str, Blob] | None = None,
        counts: tuple[int | None, int | None, list[Lost]] = (None, None, []),
        origin: str = "computed",
        usage: Usage | None = None,
        models: list[dict[str, str]] | None = None,
        units: list[Unit] | None = None,
        samples: Path | None = None,
        notes: dict[str, Any] | None = None,
    ) -> ActionResult:
        digest = table.digest_rows([output])
        commit, clean = self._origin.git
        provenance = Provenance(
            label=str(job.target.label),
            origin=origin,
            created=self._origin.now(),
            seconds=round(time.monotonic() - started, 3),
            user=self._origin.user,
            host=self._origin.host,
            git_commit=commit,
            git_clean=clean,
            versions=self._compiler.versions(),
            models=models or [],
            # A later step of a stage carries what its rows have cost, so that reuse can say what it saved.
            usage=usage or (job.before.provenance.usage if job.before is not None else Usage()),
            notes=notes or {},
        )
        result = ActionResult(
            kind=job.action.kind,
            key=job.key,
            deep_key=job.deep_key,
            retry=job.retry,
            digest=digest,
            folder_digest=digest_folder(digest, files or {}, job.before.folder_digest if job.before else None),
            output=self._cache.put_file(output),
            files=files or {},
            rows=rows,
            rows_requested=counts[0],
            rows_made=counts[1],
            lost=counts[2],
            inputs=_record_inputs(job),
            parts=_record_parts(job),
            units=units or [],
            samples=self._cache.put_file(samples) if samples is not None else None,
            provenance=provenance,
        )
        return self._cache.publish(result)

    def log_file(self, label: Label) -> Path:
        """Return where Data Designer's log of this target goes."""
        return log_path(self._output_root, label)

    def _fetch(self, result: ActionResult) -> Path:
        # The bytes are read anyway: whatever is wrong with them is found before rows are made from them.
        self._cache.verify(result.output)
        return self._cache.fetch(result.output)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="ddbuild-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def short_error(stage: Stage, made: int, requested: int, lost: list[Lost], log_file: Path) -> BuildError:
    """Return the error for a result that has fewer rows than `min_yield` takes."""
    facts = {
        "rows": f"{made} of {requested}, and min_yield = {stage.min_yield:g} needs {rows_needed(stage, requested)}"
    }
    for each in lost[:3]:
        facts[f"{each.rows} lost"] = each.reason
    facts["log"] = str(log_file)
    return BuildError(
        f"`{stage.label}` lost too many rows",
        facts=facts,
        hint=f"build again to try once more, or accept it with `min_yield={made / requested:.2f}`",
    )


def _parents_media(job: Job) -> dict[str, Blob]:
    """The files that rows of the job's parents can name; equal names are equal files."""
    labels = [each.label for each in job.action.inputs if each.label is not None and each.role != "after"]
    return {name: blob for label in labels for name, blob in media_of(job.parents[label].files).items()}


def _folder_of(returned: object) -> list[Path]:
    """The folder that the paths in what a function returned may start from, if it returned a path."""
    if not isinstance(returned, (str, os.PathLike)):
        return []
    path = Path(returned)
    return [path if path.is_dir() else path.parent]


def _prefixes(folder: Path) -> list[str]:
    return [f"{re.escape(str(place))}/[0-9]+/" for place in dict.fromkeys((folder, folder.resolve()))]


def _copy(source: Path, destination: Path) -> None:
    clone_file(source, destination, link=False)
    destination.chmod(0o644)


def _may_reuse(target: Target) -> bool:
    """Whether nobody has said that some column is always to be made anew."""
    reuse = target.reuse if isinstance(target, Stage) else "off"
    return reuse == "auto" or (not isinstance(reuse, str) and all(reuse.values()))


def _note_reuse(scheme: CellScheme | NotRowWise | None, cells: Assembled | None) -> dict[str, Any]:
    if isinstance(scheme, NotRowWise):
        return {NOTE: {"reason": str(scheme)}}
    return {NOTE: cells.notes} if cells is not None else {}


def _counts(result: ActionResult) -> tuple[int | None, int | None, list[Lost]]:
    return result.rows_requested, result.rows_made, result.lost


def _record_inputs(job: Job) -> list[Input]:
    own = str(job.target.label)
    recorded = []
    for each in job.action.inputs:
        result = job.parents[each.label] if each.label is not None else job.before
        assert result is not None
        digest = result.digest if each.label is not None else result.folder_digest
        recorded.append(Input(role=each.role, label=str(each.label or own), key=result.key, digest=digest))
    # What earlier actions of the target read stays on record, so that it can be checked where those are gone.
    if job.before is not None:
        recorded += [each for each in job.before.inputs if each.label != own]
    return recorded


def _record_parts(job: Job) -> list[KeyPart]:
    parts = [KeyPart(part=part, name=name, digest=digest) for part, name, digest in job.action.parts]
    if isinstance(job.action.num_records, int):
        parts.append(KeyPart(part="num_records", digest=digest_of(job.action.num_records)))
    return parts
