"""What a run of a pipeline gives back: one value a stage, by name, and what each stage hands on."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ddbuild import table
from ddbuild.building.results import BuildResult
from ddbuild.cache.result import Provenance
from ddbuild.designer.workflow import unsupported_format
from ddbuild.designer.workflow_errors import PipelineError
from ddbuild.label import Label
from ddbuild.pipeline.kept_stage import KeptStage

if TYPE_CHECKING:
    import pandas as pd
    from data_designer.config.analysis.dataset_profiler import DatasetProfilerResults
    from data_designer.interface import DatasetCreationResults, SkippedStageResult

__all__ = ["ExportFormat", "PipelineResults"]

ExportFormat = Literal["jsonl", "csv", "parquet"]


class PipelineResults:
    """The results of a run by stage name, in the order in which the stages were added.

    A stage's value is Data Designer's own `DatasetCreationResults`: what its run made, or its output processors' run,
    before a callback. One that was skipped has a `SkippedStageResult`. `load_stage_output` and its like tell what a
    stage hands on, which is also what a callback, a chosen processor or a person's file has made of it.

    `stage_results` are these values, `final_stage_name` is the last stage that was asked for, and `build` what ddbuild
    has to say of the run: statuses, reasons, provenance, requests.
    """

    def __init__(
        self,
        *,
        name: str,
        stage_results: Mapping[str, Any],
        kept: Mapping[str, KeptStage],
        final_stage_name: str,
        build: BuildResult,
    ) -> None:
        self.name = name
        self.stage_results = dict(stage_results)
        self.final_stage_name = final_stage_name
        self.build = build
        self._kept = dict(kept)

    def __getitem__(self, stage_name: str) -> DatasetCreationResults | SkippedStageResult:
        return self.stage_results[stage_name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stage_results)

    def __len__(self) -> int:
        return len(self.stage_results)

    def __contains__(self, stage_name: object) -> bool:
        return stage_name in self.stage_results

    def __repr__(self) -> str:
        stages = ", ".join(f"{name}: {self.get_status(name)}" for name in self.stage_results)
        return f"PipelineResults({self.name!r}, {stages})"

    def keys(self) -> KeysView[str]:
        """Return the names of the stages of this run."""
        return self.stage_results.keys()

    def items(self) -> ItemsView[str, DatasetCreationResults | SkippedStageResult]:
        """Return the stages' names and values."""
        return self.stage_results.items()

    @property
    def final_result(self) -> DatasetCreationResults:
        """The value of the final stage.

        Raises:
            PipelineError: it was skipped.
        """
        self._require_final()
        return self.stage_results[self.final_stage_name]

    def get_status(self, stage_name: str) -> str:
        """Return what became of a stage in this run: `hit`, `cutoff`, `built`, `completed_empty`, `overridden`, ...

        `spared` is one that nothing needed, and whose rows are not kept for what it is now.
        """
        label = Label("", self._known(stage_name))
        kept = self._kept.get(stage_name)
        if kept is not None and kept.override is not None:
            return "overridden"
        found = self.build.targets.get(label) or self.build.spared.get(label)
        return found.status if found is not None else "spared"

    def get_provenance(self, stage_name: str) -> Provenance:
        """Return what made the rows that a stage hands on: who, when, with which models, at what cost."""
        return self._require(stage_name).output.provenance

    def load_dataset(self) -> pd.DataFrame:
        """Return what the final stage hands on."""
        self._require_final()
        return self.load_stage_output(self.final_stage_name)

    def load_analysis(self) -> DatasetProfilerResults:
        """Return the profile of the final stage."""
        return self.final_result.load_analysis()

    def count_records(self) -> int:
        """Return how many rows the final stage hands on."""
        self._require_final()
        return self.count_stage_output_records(self.final_stage_name)

    def load_stage_output(self, stage_name: str) -> pd.DataFrame:
        """Return what a stage hands on."""
        return table.read_frame(self._require(stage_name).fetch())

    def count_stage_output_records(self, stage_name: str) -> int:
        """Return how many rows a stage hands on."""
        return self._require(stage_name).output.rows

    def get_stage_output_path(self, stage_name: str) -> Path:
        """Return where what a stage hands on lies: a folder with a parquet file, or a parquet file.

        What is there is for people to look at and is never read again, except for a file that overrides a stage.
        """
        return self._require(stage_name).place()

    def export(self, path: Path | str, *, format: ExportFormat | None = None) -> Path:
        """Write what the final stage hands on to one file, in the format of its suffix unless `format` says another."""
        self._require_final()
        return self.export_stage(self.final_stage_name, path, format=format)

    def export_stage(self, stage_name: str, path: Path | str, *, format: ExportFormat | None = None) -> Path:
        """Write what a stage hands on to one file, in the format of its suffix unless `format` says another."""
        kept = self._require(stage_name)
        destination = Path(path)
        known = get_args(ExportFormat)
        chosen = format if format is not None else destination.suffix.lstrip(".").lower()
        if chosen not in known:
            raise unsupported_format(chosen, known)
        table.export(kept.fetch(), destination, cast(ExportFormat, chosen))
        return destination

    def push_to_hub(self, *args: Any, **kwargs: Any) -> str:
        """Push the final stage to the Hugging Face Hub, unless it hands on something that was chosen or changed."""
        final = self.final_result
        kept = self._require(self.final_stage_name)
        if not kept.is_plain:
            raise PipelineError(
                "push_to_hub() does not support selected workflow outputs yet. "
                "Use export() for the selected output, or push the stage result directly."
            )
        return cast(str, final.push_to_hub(*args, **kwargs))

    def _known(self, stage_name: str) -> str:
        if stage_name not in self.stage_results:
            raise KeyError(stage_name)
        return stage_name

    def _require(self, stage_name: str) -> KeptStage:
        """Return what is kept of a stage.

        Raises:
            KeyError: the run was not about it.
            PipelineError: it was skipped.
        """
        kept = self._kept.get(self._known(stage_name))
        if kept is None:
            status = self.stage_results[stage_name].status.value
            raise PipelineError(f"Stage {stage_name!r} was skipped: {status}.")
        return kept

    def _require_final(self) -> None:
        if self.final_stage_name not in self.stage_results:
            raise PipelineError(f"Final stage {self.final_stage_name!r} did not finish.")
        if self.final_stage_name not in self._kept:
            status = self.stage_results[self.final_stage_name].status.value
            raise PipelineError(f"Final stage {self.final_stage_name!r} was skipped: {status}.")
