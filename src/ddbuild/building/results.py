"""What a build gives back: one result a target, by label, with its rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ddbuild import table
from ddbuild.building.media import copy_media, find_absolute, find_named, make_lasting_folder, media_of
from ddbuild.cache.result import ActionResult, Blob, Provenance, Usage
from ddbuild.cells import ReuseCounts
from ddbuild.errors import BuildError, DdbuildError, UsageError
from ddbuild.graph.graph import shorten
from ddbuild.label import Label, parse_label
from ddbuild.plan.decision import Reason, TierName
from ddbuild.suggestion import suggest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ActionRun", "BuildFailedError", "BuildResult", "Status", "TargetResult"]

Status = Literal[
    "hit",
    "cutoff",
    "built",
    "failed",
    "skipped",
    "completed_empty",
    "skipped_empty_upstream",
    "interrupted",
    "stale",
    "undecided",
]
"""`stale` and `undecided` are a plan's; the others are a build's."""

_WITH_ROWS = ("hit", "cutoff", "built", "completed_empty")


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action of a target in this build: a kept result was a `hit`, or it `ran` for so many seconds."""

    kind: str
    status: Literal["hit", "ran", "failed"]
    seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class TargetResult:
    """What became of one target.

    `path` is the folder in `ddbuild-out/` that holds `data.parquet`; None for a target that has no rows or was not
    asked for. `usage` counts what this build asked of models; `saved` what the reused results, or cells, had cost.
    `reuse` counts the cells of a stage that runs. `results` has one kept result for each of its actions that was
    looked at, `result` the one that holds its output. `overridden` is the file, or the folder of several, with the
    reviewed rows that stand in for its own.
    """

    label: Label
    kind: str
    requested: bool
    status: Status
    tier: TierName | None = None
    key: str | None = None
    digest: str | None = None
    rows: int | None = None
    rows_requested: int | None = None
    rows_lost: int = 0
    path: Path | None = None
    reasons: tuple[Reason, ...] = ()
    actions: list[ActionRun] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    saved: Usage = field(default_factory=Usage)
    reuse: ReuseCounts | None = None
    seconds: float = 0.0
    overridden: Path | None = None
    upstream: Label | None = None
    error: DdbuildError | None = None
    result: ActionResult | None = None
    results: list[ActionResult] = field(default_factory=list, repr=False)
    locate: Callable[[], Path] | None = field(default=None, repr=False)
    fetch: Callable[[Blob], Path] | None = field(default=None, repr=False)
    config: Any = field(default=None, repr=False)

    @property
    def data(self) -> Path | None:
        """The one parquet file with the rows, brought here from the shared tier if need be; None without rows."""
        return self.locate() if self.locate is not None else None

    @property
    def provenance(self) -> Provenance | None:
        """What made the rows; None where there are none."""
        return self.result.provenance if self.result is not None else None

    def load_dataset(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame.

        Raises:
            BuildError: the target has no rows in this build.
        """
        return table.read_frame(self._require_data())

    def count_records(self) -> int:
        """Return how many rows there are; 0 for an empty result."""
        self._require_data()
        return self.rows or 0

    def export(self, path: Path | str, *, format: Literal["parquet", "csv", "jsonl"] | None = None) -> Path:
        """Write the rows to `path`, in the format of its suffix unless `format` says another.

        The media that the rows name are put into folders beside it, `images/...`, where their relative paths lead.

        Raises:
            UsageError: no format was given and the suffix names none.
            BuildError: a file cannot be written.
        """
        destination = Path(path)
        data = self._require_data()
        chosen = export_format(destination, format)
        if media := self._media:
            copy_media({name: self._fetch(blob) for name, blob in find_named(data, media).items()}, destination.parent)
        table.export(data, destination, chosen)
        return destination

    def to_config_builder(self, columns: list[str] | None = None) -> Any:
        """Return a Data Designer config builder that is seeded with these rows, or with some of their columns.

        Paths of media are absolute in it, because Data Designer opens no others.
        """
        from ddbuild.designer import seeded_builder  # a hit imports no Data Designer

        rows = table.read_frame(self.locate_seed(make_lasting_folder))
        return seeded_builder(rows, columns, like=self.config)

    @property
    def _media(self) -> dict[str, Blob]:
        return media_of(self.result.files) if self.result is not None and self.fetch is not None else {}

    def _fetch(self, blob: Blob) -> Path:
        assert self.fetch is not None, "what has media was made with a cache"
        return self.fetch(blob)

    def locate_seed(self, make_folder: Callable[[], Path]) -> Path:
        """Return a parquet file of the rows that names media by absolute paths, as Data Designer needs it in a seed.

        Where there are media, files are written to a folder that `make_folder` makes.

        Raises:
            BuildError: the target has no rows in this build.
        """
        data, media = self._require_data(), self._media
        if not media:
            return data
        scratch = make_folder()
        # A target that nobody asked for is not materialized.
        folder = self.path or scratch
        texts, named = find_absolute(data, media.keys(), folder)
        if self.path is None:
            copy_media({name: self._fetch(media[name]) for name in named}, folder)
        absolute = scratch / "rows.parquet"
        table.rewrite(data, absolute, texts=texts)
        return absolute

    def _require_data(self) -> Path:
        data = self.data
        if data is None:
            reason = f"it is empty because `{self.upstream}` is" if self.upstream else f"its status is {self.status}"
            raise BuildError(f"`{shorten(str(self.label))}` has no rows: {reason}")
        return data


@dataclass(slots=True, kw_only=True)
class BuildResult(Mapping[str, TargetResult]):
    """The results of a build by label, requested targets and whatever had to be looked at.

    `spared` has the ancestors that nobody had to look at and whose results are kept all the same; `overridden` all
    targets and ancestors whose rows a person has put in their place, and where they are.
    """

    targets: dict[Label, TargetResult]
    seconds: float
    exit_code: int
    spared: dict[Label, TargetResult] = field(default_factory=dict, repr=False)
    overridden: dict[Label, Path] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything that was requested is there."""
        return self.exit_code == 0

    def __getitem__(self, label: str | Label) -> TargetResult:
        wanted = label if isinstance(label, Label) else self._find(label)
        if wanted not in self.targets:
            near = suggest(str(wanted), map(str, self.targets))
            raise KeyError(f"{label}" + (f" (did you mean {near}?)" if near else ""))
        return self.targets[wanted]

    def __iter__(self) -> Iterator[str]:
        return iter(map(str, self.targets))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def requested(self) -> list[TargetResult]:
        """The results of the targets that were asked for."""
        return [each for each in self.targets.values() if each.requested]

    def load_dataset(self) -> pd.DataFrame:
        """Return the rows of the one requested target."""
        return self._only().load_dataset()

    def count_records(self) -> int:
        """Return the row count of the one requested target."""
        return self._only().count_records()

    def export(self, path: Path | str, *, format: Literal["parquet", "csv", "jsonl"] | None = None) -> Path:
        """Write the rows of the one requested target to `path`."""
        return self._only().export(path, format=format)

    def _find(self, text: str) -> Label:
        try:
            label = parse_label(text if text.startswith(("//", ":")) else f":{text}")
        except UsageError as error:
            raise KeyError(text) from error
        root = Label("", label.name)
        return root if label.short and label not in self.targets and root in self.targets else label

    def _only(self) -> TargetResult:
        if len(self.requested) != 1:
            raise UsageError(f"{len(self.requested)} targets were requested", hint='say which one: `result["//name"]`')
        return self.requested[0]


class BuildFailedError(BuildError):
    """Something that was requested could not be built; `result` holds what could."""

    def __init__(self, result: BuildResult) -> None:
        failed = [each for each in result.targets.values() if each.error is not None]
        message = failed[0].error.message if failed and failed[0].error else "the build did not finish"
        facts = failed[0].error.facts if failed and failed[0].error else {}
        hint = failed[0].error.hint if failed and failed[0].error else None
        super().__init__(message, facts=facts, hint=hint)
        self.result = result


def export_format(path: Path, format: str | None) -> Literal["parquet", "csv", "jsonl"]:
    """Return the format to write `path` in.

    Raises:
        UsageError: none was given and the suffix names none.
    """
    name = format or path.suffix.removeprefix(".").lower()
    if name in ("parquet", "csv", "jsonl"):
        return name  # type: ignore[return-value]
    raise UsageError(
        f"`{name or path.name}` is not a format to export to",
        facts={"known": "parquet, csv, jsonl"},
        hint="give the file one of these suffixes, or say `--format`",
    )
