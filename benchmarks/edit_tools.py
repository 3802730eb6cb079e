"""The tools that run a job, each with a folder for what it keeps: ddbuild, CompositeWorkflow, and a plain script.

The stages are those of the workspace's build file. What a tool cannot say itself is done for it in the way that costs
it least: a stage that does not follow the one before it starts a workflow of its own, seeded with its parent's rows.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import data_designer.config as dd
import pandas as pd
from data_designer.engine.storage.artifact_storage import ResumeMode
from data_designer.interface import DataDesigner
from edit_rows import call_back, make_seed, read_source, run_transform, sort_targets

from ddbuild.building.api import open_session
from ddbuild.digest import digest_of
from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Source, Stage, Transform
from ddbuild.label import Label
from ddbuild.source_digest import digest_function
from ddbuild.workspace import Graph


class Tool(Protocol):
    """Something that makes the datasets of a workspace."""

    name: str

    def run(self, workspace: Path, state: Path) -> dict[Label, pd.DataFrame]:
        """Make them, with what `state` keeps of earlier runs, and return the rows of each target."""

    def move(self, state: Path) -> None:
        """Leave in `state` what a team member on another machine has."""


class Ddbuild:
    """ddbuild, with a cache for this machine and one for the team."""

    name = "ddbuild"

    def run(self, workspace: Path, state: Path) -> dict[Label, pd.DataFrame]:
        (state / "team").mkdir(parents=True, exist_ok=True)
        settings = {"cache.dir": str(state / "local"), "cache.shared": str(state / "team")}
        session = open_session(workspace, overrides=settings, on_warning=lambda text: None).session
        try:
            running = session.start(list(session.graph), jobs=4, keep_going=False, listener=None)
            result = running.wait(120)
        finally:
            session.designer.close()
        for each in result.targets.values():
            if each.error is not None:
                raise each.error
        return {
            label: pd.read_parquet(each.path / "data.parquet") for label, each in result.targets.items() if each.path
        }

    def move(self, state: Path) -> None:
        shutil.rmtree(state / "local")


@dataclass
class PlainScript:
    """`create()` for one stage after the other; nothing is kept."""

    provider: dd.ModelProvider
    name: str = "script"

    def run(self, workspace: Path, state: Path) -> dict[Label, pd.DataFrame]:
        designer = _make_designer(self.provider, state)
        graph = Graph.load(workspace)
        outputs: dict[Label, pd.DataFrame] = {}
        for label in sort_targets(graph):
            target = graph[label]
            if isinstance(target, Source):
                outputs[label] = read_source(target)
            elif isinstance(target, Transform):
                outputs[label] = run_transform(target, outputs)
            else:
                outputs[label] = self._create(designer, target, outputs, state)
        return outputs

    def _create(
        self, designer: DataDesigner, stage: Stage, outputs: dict[Label, pd.DataFrame], state: Path
    ) -> pd.DataFrame:
        builder = stage.config()
        seed = make_seed(stage, outputs)
        if seed is not None:
            builder.with_seed_dataset(_write_seed(seed, state, stage.label.name))
        count = stage.num_records or (0 if seed is None else len(seed))
        made = designer.create(builder, num_records=count, dataset_name=stage.label.name)
        if stage.on_success is None:
            return made.load_dataset()
        return call_back(stage.on_success, made.artifact_storage.base_dataset_path)

    def move(self, state: Path) -> None:
        pass


@dataclass
class Composite:
    """Data Designer's `CompositeWorkflow`, resumed wherever it finds that possible; its folder moves along.

    Without `on_success_version` it would run a stage with a callback every time.
    """

    provider: dd.ModelProvider
    name: str = "CompositeWorkflow"

    def run(self, workspace: Path, state: Path) -> dict[Label, pd.DataFrame]:
        designer = _make_designer(self.provider, state)
        graph = Graph.load(workspace)
        chains = _find_chains(graph)
        outputs: dict[Label, pd.DataFrame] = {}
        for label in sort_targets(graph):
            target = graph[label]
            if isinstance(target, Source):
                outputs[label] = read_source(target)
            elif isinstance(target, Transform):
                outputs[label] = run_transform(target, outputs)
            elif label in chains:
                self._run_chain(designer, [graph[each] for each in chains[label]], outputs, state)
        return outputs

    def _run_chain(
        self, designer: DataDesigner, stages: list[Any], outputs: dict[Label, pd.DataFrame], state: Path
    ) -> None:
        first = stages[0]
        workflow = designer.compose_workflow(name=first.label.name)
        for stage in stages:
            builder, count = stage.config(), stage.num_records
            if stage is first and (seed := make_seed(stage, outputs)) is not None:
                builder.with_seed_dataset(_write_seed(seed, state, stage.label.name))
                count = count or len(seed)
            workflow.add_stage(
                stage.label.name,
                builder,
                num_records=count,
                on_success=stage.on_success,
                on_success_version=_version_of(stage),
                allow_empty=stage.allow_empty,
            )
        made = workflow.run(resume=ResumeMode.IF_POSSIBLE)
        for stage in stages:
            outputs[stage.label] = made.load_stage_output(stage.label.name)

    def move(self, state: Path) -> None:
        pass


def _find_chains(graph: TargetGraph) -> dict[Label, list[Label]]:
    """Return, by its first stage, each line of stages that one workflow can hold."""
    chains: list[list[Label]] = []
    for label in sort_targets(graph):
        stage = graph[label]
        if isinstance(stage, Stage):
            follows = list(stage.depends_on) if stage.seed is None else []
            chain = next((each for each in chains if [each[-1]] == follows), None)
            if chain is None:
                chains.append([label])
            else:
                chain.append(label)
    return {chain[0]: chain for chain in chains}


def _version_of(stage: Stage) -> str | None:
    """Return the version that somebody gives a callback who never forgets to count it up, and never does in vain."""
    if stage.on_success is None:
        return None
    digest = digest_function(stage.on_success, root=None, subject=stage.label.name)
    return digest_of(sorted(map(repr, digest.parts("callback"))))


def _write_seed(rows: pd.DataFrame, state: Path, name: str) -> dd.LocalFileSeedSource:
    file = state / "seeds" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(file)
    return dd.LocalFileSeedSource(path=str(file))


def _make_designer(provider: dd.ModelProvider, state: Path) -> DataDesigner:
    designer = DataDesigner(state / "artifacts", model_providers=[provider], auto_configure_logging=False)
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))
    return designer
