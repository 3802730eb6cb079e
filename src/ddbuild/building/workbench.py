"""What every action needs to run: its inputs as files, a folder to work in, and the way into the cache."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddbuild import table
from ddbuild.building.events import Event
from ddbuild.building.job import Job
from ddbuild.building.logs import log_path
from ddbuild.building.media import media_of, place_media
from ddbuild.building.provenance import Origin
from ddbuild.building.stage_folder import digest_folder
from ddbuild.cache import Cache, clone_file
from ddbuild.cache.result import ActionResult, Blob, Input, KeyPart, Lost, Provenance, Unit, Usage
from ddbuild.designer import Designer
from ddbuild.digest import digest_of
from ddbuild.label import Label
from ddbuild.plan.actions import ActionCompiler

__all__ = ["Workbench", "copy_file", "parents_media"]


class Workbench:
    """The cache, the designer and the compiler of one build, for actions that run; safe to use for many at once.

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
        self.cache = cache
        self.designer = designer
        self.compiler = compiler
        self.emit = emit
        self.most_rows = most_rows
        self.reuses_cells = reuse and most_rows is None
        self._output_root = output_root
        self._origin = Origin(root)

    def log_file(self, label: Label) -> Path:
        """Return where Data Designer's log of this target goes."""
        return log_path(self._output_root, label)

    def fetch(self, result: ActionResult) -> Path:
        """Return a file with the rows of `result`, whose bytes are those that were published.

        Raises:
            CacheMissError: they are gone, or damaged.
        """
        # The bytes are read anyway: whatever is wrong with them is found before rows are made from them.
        self.cache.verify(result.output)
        return self.cache.fetch(result.output)

    def give(self, job: Job, folder: Path) -> dict[str, Path]:
        """Write private copies of the parents' rows, each beside its media, and return them by their roles."""
        given = {}
        for position, each in enumerate(job.action.inputs):
            if each.label is None or each.role == "after":
                continue
            parent = job.parents[each.label]
            given[each.role] = copy = folder / f"{position}" / f"{each.label.name}.parquet"
            copy.parent.mkdir(parents=True)
            copy_file(self.fetch(parent), copy)
            place_media(media_of(parent.files), copy.parent, self.cache)
        return given

    def cut(self, file: Path) -> None:
        """Leave as many rows in a parquet file as a preview has."""
        if self.most_rows is not None and table.count_rows([file]) > self.most_rows:
            table.rewrite(file, file, limit=self.most_rows)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for as long as the context lasts."""
        folder = Path(tempfile.mkdtemp(prefix="ddbuild-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
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
        """Put the rows in `output` and the files of a result into the cache, and return the result that counts.

        Args:
            job: What ran.
            output: The parquet file with the rows.
            rows: How many there are.
            started: When it began, by the monotonic clock.
            files: The other files of a finished stage, by their names.
            counts: Rows requested, rows made, and what was lost; of a stage.
            origin: How the rows came about.
            usage: What was asked of models.
            models: Provider and URL of the models in use.
            units: What the rows were made of, if they were made one by one.
            samples: Where each cell was made first, where that is not here.
            notes: For the provenance.

        Raises:
            CacheError: the local tier cannot be written.
        """
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
            versions=self.compiler.versions(),
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
            output=self.cache.put_file(output),
            files=files or {},
            rows=rows,
            rows_requested=counts[0],
            rows_made=counts[1],
            lost=counts[2],
            inputs=_record_inputs(job),
            parts=_record_parts(job),
            units=units or [],
            samples=self.cache.put_file(samples) if samples is not None else None,
            provenance=provenance,
        )
        return self.cache.publish(result)


def parents_media(job: Job) -> dict[str, Blob]:
    """The files that rows of the job's parents can name; equal names are equal files."""
    labels = [each.label for each in job.action.inputs if each.label is not None and each.role != "after"]
    return {name: blob for label in labels for name, blob in media_of(job.parents[label].files).items()}


def copy_file(source: Path, destination: Path) -> None:
    """Write a private, writable copy."""
    clone_file(source, destination, link=False)
    destination.chmod(0o644)


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
