"""A stage out of kept cells and runs for the cells that are missing.

Rows that lack the same columns make one run: its seed is the stage's seed with the kept columns that the missing ones
read, its config has the missing ones only. What the runs make and what is kept is put together in the order of the
rows. The folder that results looks like the one that a run of the whole stage leaves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild import table
from ddbuild.building.media import give_absolute_paths
from ddbuild.cache import Cache
from ddbuild.cache.result import Blob
from ddbuild.cells import Reuse, SeedRows
from ddbuild.designer import (
    ASSEMBLED,
    CannotResume,
    Designer,
    LostRows,
    RunFailedError,
    RunOutcome,
    RunRequest,
    cell_builder,
    drop_short_batches,
    is_dropped,
    list_columns,
)
from ddbuild.digest import digest_file, digest_of

if TYPE_CHECKING:
    from ddbuild.table import CellGroup, Piece, SourceColumn

__all__ = ["Assembled", "CellRuns"]

_ROW = "__ddbuild_row"
"""The column of a run's seed that tells which rows came back."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """The finished folder, as of one run; `samples` says where each cell was made first."""

    outcome: RunOutcome
    samples: Path
    reuse: Reuse

    @property
    def notes(self) -> dict[str, Any]:
        """What a result says of its rows' origin."""
        return {
            **{name: value for name, value in asdict(self.reuse.counts).items() if value is not None},
            "from": [{"key": each.result.key, "label": each.result.provenance.label} for each in self.reuse.kept],
            "runs": [
                {
                    "rows": len(group.rows),
                    "columns": [name for unit in self.reuse.units(group.units) for name in unit.makers],
                }
                for group in self.reuse.groups
            ],
        }


@dataclass(frozen=True, slots=True)
class _Run:
    """One run for the rows of `group`; `rows` has what came of it, None where nothing did."""

    group: CellGroup
    rows: Path | None
    outcome: RunOutcome | None
    error: RunFailedError | None


class CellRuns:
    """Makes what is missing of one stage in the folder `work`."""

    def __init__(
        self,
        reuse: Reuse,
        *,
        label: str,
        builder: Any,
        seed: SeedRows | None,
        work: Path,
        log_file: Path,
        designer: Designer,
        cache: Cache,
        media: Mapping[str, Blob],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._reuse = reuse
        self._label = label
        self._builder = builder
        self._seed = seed
        self._seed_columns = list(table.read_schema(seed.file)) if seed is not None else []
        self._floated = table.find_floated(seed.file, seed.numbers) if seed is not None else set()
        self._work = work
        self._log_file = log_file
        self._designer = designer
        self._cache = cache
        self._media = media
        self._on_progress = on_progress
        self._progress: dict[int, tuple[int, int]] = {}
        self._made = {name: unit for unit in reuse.scheme.units for name in unit.columns}

    async def run(self) -> Assembled:
        """Make what is missing and return everything put together.

        Raises:
            RunFailedError: there are no rows.
            InterruptedBuildError: the build was stopped; finished batches stay in the folder.
            TableError: kept and new rows have no common type.
        """
        self._report()
        # Where one fails the others still end here: nobody else may have the folder while they are in it.
        groups = (self._run_group(*each) for each in enumerate(self._reuse.groups))
        runs: list[_Run] = []
        for done in await asyncio.gather(*groups, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done
            runs.append(done)
        for run in runs:
            if run.error is not None and run.error.provider_trouble:
                # What the other runs have made is still in the folder.
                raise run.error
        return await asyncio.to_thread(self._assemble, runs)

    def drop_short_batches(self) -> None:
        """Remove the batches with rows missing, so that the next attempt makes these again."""
        for folder in (self._work / "cells").glob("*"):
            if folder.is_dir():
                drop_short_batches(folder)

    # Runs

    async def _run_group(self, number: int, group: CellGroup) -> _Run:
        request = await asyncio.to_thread(self._prepare, number, group)
        try:
            try:
                outcome = await self._designer.run(request)
            except CannotResume:
                outcome = await self._designer.run(replace(request, resume=False))
        except RunFailedError as error:
            # Rows that got lost: whether there are enough of the others is for the caller to say.
            return _Run(group, None, None, error)
        rows = request.folder / "rows.parquet"
        await asyncio.to_thread(table.unify, list(outcome.files), rows)
        return _Run(group, rows, outcome, None)

    def _prepare(self, number: int, group: CellGroup) -> RunRequest:
        units = self._reuse.units(group.units)
        own = {name for unit in units for name in unit.columns}
        read = {name for unit in units for name in unit.reads}
        if any(unit.reads_all for unit in units):
            read |= set(self._seed_columns) | set(self._made)
        columns: dict[str, Any] = {
            # Whether the row with the hole is in this run or in none: the others look the same.
            name: table.SourceColumn(
                [self._seed_piece(name)], self._seed.numbers[group.rows], as_float=name in self._floated
            )
            for name in self._seed_columns
            if name in read and self._seed is not None
        }
        kept = [name for name in self._made if name in read and name not in own]
        kept = [name for name in kept if self._made[name].name not in group.units]
        for name in kept:
            numbers = self._reuse.match.sources[self._made[name].name][group.rows]
            columns[name] = table.SourceColumn(self._kept_pieces(name), numbers)
        columns[_ROW] = group.rows
        draft = self._work / "cells" / f"seed-{number}.parquet"
        draft.parent.mkdir(parents=True, exist_ok=True)
        table.assemble(columns, draft)
        # By its content: an interrupted run goes on only where it would make the same.
        name = digest_of(([unit.recipe for unit in units], digest_file(draft))).removeprefix("xxh3_128:")[:16]
        folder = draft.parent / name
        folder.mkdir(exist_ok=True)
        seed = folder / "seed.parquet"
        draft.replace(seed)
        absolute = folder / "seed-with-paths.parquet"
        if give_absolute_paths(seed, absolute, self._media, self._work / "media", self._cache):
            seed = absolute

        def report(done: int, requests: int) -> None:
            self._progress[number] = (done, requests)
            self._report()

        return RunRequest(
            label=self._label,
            builder=cell_builder(self._builder, [name for unit in units for name in unit.makers], hidden=_ROW),
            seed=seed,
            kept_columns=tuple(kept),
            num_records=len(group.rows),
            folder=folder,
            resume=(folder / "dataset").is_dir(),
            log_file=self._log_file,
            on_progress=report,
        )

    def _report(self) -> None:
        done = list(self._progress.values())
        whole = self._reuse.rows - self._reuse.rows_to_make
        self._on_progress(whole + sum(rows for rows, _ in done), sum(requests for _, requests in done))

    # Putting together

    def _assemble(self, runs: Sequence[_Run]) -> Assembled:
        rows, sources = self._locate(runs)
        if not len(rows):
            raise next(run.error for run in runs if run.error is not None)
        columns: dict[str, SourceColumn] = {}
        if self._seed is not None:
            for name in self._seed_columns:
                columns[name] = table.SourceColumn(
                    [self._seed_piece(name)], self._seed.numbers[rows], as_float=name in self._floated
                )
        made = [run for run in runs if run.rows is not None]
        for name in list_columns(self._builder):
            pieces = self._kept_pieces(name)
            pieces += [
                table.Piece([[run.rows]], name, table.count_rows(run.rows)) for run in made if run.rows is not None
            ]
            columns[name] = table.SourceColumn(pieces, sources[self._made[name].name])
        folder = self._work / "assembled" / "dataset"
        stays = {name: column for name, column in columns.items() if not is_dropped(name, self._reuse.scheme)}
        file = folder / "parquet-files" / "batch_00000.parquet"
        table.assemble(stays, file, as_pandas=True)
        goes = {name: column for name, column in columns.items() if name not in stays}
        if goes and self._designer.keeps_dropped_columns():
            dropped = folder / "dropped-columns-parquet-files" / "batch_00000.parquet"
            table.assemble(goes, dropped, as_pandas=True)
        _write_metadata(folder, requested=self._reuse.rows, made=len(rows))
        samples = folder.parent / "samples.parquet"
        self._write_samples(sources, samples)
        outcomes = [run.outcome for run in runs if run.outcome is not None]
        return Assembled(
            RunOutcome(
                folder=folder,
                files=(file,),
                rows_requested=self._reuse.rows,
                rows_made=len(rows),
                rows_resumed=0,
                lost=tuple(self._list_lost(runs)),
                requests=sum(each.requests for each in outcomes),
                input_tokens=sum(each.input_tokens for each in outcomes),
                output_tokens=sum(each.output_tokens for each in outcomes),
                early_shutdown=any(each.early_shutdown for each in outcomes),
                provider_trouble=any(each.provider_trouble for each in outcomes)
                or any(run.error.provider_trouble for run in runs if run.error is not None),
                notes=tuple(note for each in outcomes for note in each.notes),
            ),
            samples,
            self._reuse,
        )

    def _locate(self, runs: Sequence[_Run]) -> tuple[Any, dict[str, Any]]:
        """Return the rows that are whole, and where the cells of each unit are: in kept rows first, then in runs."""
        found = []
        for run in runs:
            numbers = table.read_numbers(run.rows, _ROW) if run.rows is not None else None
            found.append((run.group.units, numbers))
        kept = sum(each.table.rows for each in self._reuse.kept)
        return table.locate_cells(self._reuse.match, kept, found)

    def _write_samples(self, sources: Mapping[str, Any], destination: Path) -> None:
        samples = {}
        for unit in self._reuse.scheme.units:
            kept = [each.table.samples.get(unit.name) for each in self._reuse.kept]
            samples[unit.name] = table.pick_samples(
                kept, [each.table.rows for each in self._reuse.kept], sources[unit.name]
            )
        table.write_samples(self._reuse.samples, samples, destination)

    def _list_lost(self, runs: Sequence[_Run]) -> list[LostRows]:
        lost: list[LostRows] = []
        for run in runs:
            if run.outcome is not None:
                lost += run.outcome.lost
            elif run.error is not None:
                reason = run.error.facts.get("problem", run.error.message)
                lost.append(LostRows(len(run.group.rows), reason))
        return lost

    def _seed_piece(self, name: str) -> Piece:
        assert self._seed is not None
        return table.Piece([[self._seed.file]], name, table.count_rows(self._seed.file))

    def _kept_pieces(self, name: str) -> list[Piece]:
        return [
            table.Piece(each.table.sheets, each.table.names.get(name, name), each.table.rows)
            for each in self._reuse.kept
        ]


def _write_metadata(folder: Path, *, requested: int, made: int) -> None:
    """Write what a callback may look up; Data Designer cannot go on with such a folder, and does not find out how."""
    document = {
        ASSEMBLED: True,
        "dataset_name": folder.name,
        "target_num_records": requested,
        "actual_num_records": made,
        "total_num_batches": 1,
        "num_completed_batches": 1,
        "file_paths": {
            each.name: sorted(f"{each.name}/{file.name}" for file in each.iterdir())
            for each in sorted(folder.iterdir())
            if each.is_dir()
        },
    }
    with suppress(OSError):
        (folder / "metadata.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
