"""What a run has of one stage: its kept results, put where somebody can look at them when somebody asks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ddbuild.building.results import TargetResult
from ddbuild.building.stage_folder import hydrate
from ddbuild.cache import Cache, CacheMissError
from ddbuild.cache.result import ActionResult
from ddbuild.designer.workflow_errors import PipelineError
from ddbuild.errors import DdbuildError
from ddbuild.graph.targets import Stage
from ddbuild.materialize import DATA_FILE, is_media, materialize
from ddbuild.plan.decision import Hit
from ddbuild.plan.planner import TargetPlan

__all__ = ["STAGES_FOLDER", "KeptStage"]

STAGES_FOLDER = "ddbuild-stages"
"""Where stages' folders are laid out again, by their keys, below the pipeline's folder."""


@dataclass(frozen=True, kw_only=True)
class KeptStage:
    """One stage of a run.

    `found` is what the run has of it; None where the run had no need to look at it. Then, and for what a stage itself
    has made some other time although now a file stands in for it (`override`), `find` looks at what is kept.
    """

    stage: Stage
    index: int
    found: TargetResult | None
    find: Callable[[], TargetPlan]
    cache: Cache
    root: Path
    override: Path | None = None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.label.name

    @property
    def output(self) -> ActionResult:
        """The result that holds what the stage hands on.

        Raises:
            PipelineError: it is not kept any more.
        """
        if self.found is not None and self.found.result is not None:
            return self.found.result
        decision = self._plan.decision if self._plan is not None else None
        if not isinstance(decision, Hit):
            raise self._is_gone()
        return decision.result

    @property
    def is_plain(self) -> bool:
        """Whether the stage hands on just what Data Designer's run, or its output processors', has made."""
        return self.override is None and self.stage.output == "final" and self.stage.on_success is None

    def fetch(self) -> Path:
        """Return the one parquet file with what the stage hands on; it is read-only."""
        with self._whole():
            return self.cache.fetch(self.output.output)

    def place(self) -> Path:
        """Put what the stage hands on where people look for it, and return that.

        It is a folder with one parquet file; where rows name images, that file, and they are in `images/` beside it.
        """
        if self.override is not None:
            return self.override
        with self._whole():
            folder = materialize(self.output, self.stage.label, self.cache, self.root)
        return folder / DATA_FILE if any(map(is_media, self.output.files)) else folder

    def lay_out(self) -> Path:
        """Return the folder of the stage as Data Designer left it, laid out again from the cache.

        It is the user's to write to: a later run of the stage has another key, and a folder of its own.
        """
        made = self._made()
        # Labels and indices change, keys do not: the folder says by its name what is in it.
        home = self.root / STAGES_FOLDER / made.key / f"stage-{self.index}-{self.name}"
        if not home.is_dir():
            self._write(made, home)
        return home / "output-processors" if made.kind == "process" and self.stage.output_processors else home

    @cached_property
    def _plan(self) -> TargetPlan | None:
        """What is kept of the stage as it is, whatever stands in for it; None where that cannot be told any more."""
        try:
            return self.find()
        except DdbuildError:
            return None

    def _made(self) -> ActionResult:
        """Return what Data Designer's runs have made, before any callback; an override where nothing else is kept."""
        wanted = "process" if self.stage.output_processors else "generate"
        results = self.found.results if self.found is not None and self.override is None else self._find_results()
        for result in results:
            if result.kind == wanted:
                return result
        if self.override is not None:
            return self.output
        raise self._is_gone()

    def _find_results(self) -> list[ActionResult]:
        actions = self._plan.actions if self._plan is not None else []
        return [each.decision.result for each in actions if isinstance(each.decision, Hit)]

    def _write(self, made: ActionResult, home: Path) -> None:
        from ddbuild.designer.stage_result import write_builder_config  # Data Designer's engine

        files = dict(made.files)
        if made.kind not in ("generate", "process"):
            files["parquet-files/batch_00000.parquet"] = made.output
        home.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=home.parent, prefix=".draft-"))
        try:
            with self._whole():
                hydrate(files, draft, self.cache)
            for folder in (draft, draft / "output-processors"):
                if folder.is_dir():
                    write_builder_config(self.stage.config, folder)
            draft.chmod(0o755)
            draft.rename(home)
        except OSError:
            # Somebody else was quicker.
            if not home.is_dir():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except CacheMissError as error:
            raise self._is_gone() from error

    def _is_gone(self) -> PipelineError:
        return PipelineError(
            f"the rows of stage {self.name!r} are not in the cache any more",
            hint=f"run(targets={self.name!r}) makes them again",
        )
