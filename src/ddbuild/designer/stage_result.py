"""The result of one stage as Data Designer's own `DatasetCreationResults`, over a folder that is made when needed.

Unlike the rest of this package, this module imports Data Designer's engine: import it once there are results.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from data_designer.config.analysis.dataset_profiler import DatasetProfilerResults
from data_designer.config.column_configs import SeedDatasetColumnConfig
from data_designer.config.config_builder import BuilderConfig
from data_designer.config.dataset_metadata import DatasetMetadata
from data_designer.config.run_config import RunConfig
from data_designer.engine.analysis.dataset_profiler import DataDesignerDatasetProfiler, DatasetProfilerConfig
from data_designer.engine.storage.artifact_storage import ArtifactStorage, ResumeMode
from data_designer.interface.results import DatasetCreationResults
from pydantic import ValidationError

from ddbuild.designer.cells import ASSEMBLED
from ddbuild.designer.config import copy_builder
from ddbuild.designer.resume import redact_builder_config

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["StageResult", "write_builder_config"]


class StageResult(DatasetCreationResults):  # type: ignore[misc]  # a base without types
    """What Data Designer made of one stage, before a callback: its rows, analysis, processors' files and media.

    `locate` gives the stage's folder as Data Designer laid it out. It is asked for it once, when something needs it.
    """

    def __init__(self, locate: Callable[[], Path], builder: DataDesignerConfigBuilder) -> None:
        self._locate = locate
        self._config_builder = builder
        self.dataset_metadata = DatasetMetadata()
        self.task_traces: list[Any] = []

    @cached_property
    def artifact_storage(self) -> ArtifactStorage:
        """Data Designer's view of the stage's folder: a private copy, which nothing else reads."""
        folder = self._locate()
        return ArtifactStorage(artifact_path=folder.parent, dataset_name=folder.name, resume=ResumeMode.ALWAYS)

    @cached_property
    def _analysis(self) -> DatasetProfilerResults | None:
        """What was kept of the profile: the statistics of columns. None where there are none.

        Rows that were put together have no profile yet, and get one now.
        """
        try:
            metadata = json.loads(self.artifact_storage.metadata_file_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not metadata.get("column_statistics"):
            return self._profile(metadata["target_num_records"]) if metadata.get(ASSEMBLED) else None
        rows = metadata.get("actual_num_records")
        rows = self.count_records() if rows is None else rows
        try:
            return DatasetProfilerResults.model_validate(
                {
                    "num_records": rows,
                    "target_num_records": metadata.get("target_num_records", rows),
                    "column_statistics": metadata["column_statistics"],
                    "side_effect_column_names": metadata.get("side_effect_column_names"),
                    "column_profiles": metadata.get("column_profiles"),
                }
            )
        except ValidationError:
            return None

    def _profile(self, target_num_records: int) -> DatasetProfilerResults:
        frame = self.artifact_storage.load_dataset_with_dropped_columns()
        columns = self._config_builder.get_column_configs()
        made = {name for each in columns for name in (each.name, *each.side_effect_columns)}
        seed = [SeedDatasetColumnConfig(name=name) for name in frame.columns if name not in made]
        config = DatasetProfilerConfig(column_configs=[*columns, *seed])
        # Of all resources it asks for the settings alone.
        resources: Any = SimpleNamespace(run_config=RunConfig())
        return DataDesignerDatasetProfiler(config, resources).profile_dataset(target_num_records, frame)


def write_builder_config(builder: DataDesignerConfigBuilder, folder: Path) -> None:
    """Write the config of a stage into its folder, as Data Designer does, without the token of a seed.

    It is not kept with the rows, and who publishes them wants it.
    """
    config: BuilderConfig = copy_builder(builder).get_builder_config()
    config.to_json(folder / "builder_config.json")
    redact_builder_config(folder)
