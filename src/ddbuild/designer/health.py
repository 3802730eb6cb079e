"""One health check for each model of a build, where Data Designer would make one for each run."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ddbuild.designer.active import ActiveRun
from ddbuild.designer.config import copy_builder

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder
    from data_designer.interface import DataDesigner

__all__ = ["HealthChecks"]

Identity = tuple[str, str, str]


class HealthChecks:
    """Remembers which models have answered; runs that need a model while it is checked wait for the answer.

    A model that has not answered is not asked again in this build: Data Designer has tried several times by then,
    which takes a quarter of a minute.
    """

    def __init__(self) -> None:
        self._answers: dict[Identity, Exception | None] = {}
        self._locks: defaultdict[Identity, threading.Lock] = defaultdict(threading.Lock)

    def check(self, designer: DataDesigner, builder: DataDesignerConfigBuilder, run: ActiveRun) -> None:
        """Check the models that `builder` uses and that were not checked yet, and have its own run check none.

        Raises:
            Exception: Data Designer's own error for the first model that does not answer.
        """
        used = {alias for column in builder.get_column_configs() for alias in column.get_model_aliases()}
        for model in builder.model_configs:
            if model.alias in used and not model.skip_health_check:
                identity = (model.provider, model.model, str(model.generation_type))
                with self._locks[identity]:
                    if identity not in self._answers and not run.is_stopping:
                        self._answers[identity] = _ask(designer, builder, model.alias)
                    if run.is_stopping:
                        self._answers.pop(identity, None)
                        return
                if (error := self._answers[identity]) is not None:
                    raise error
        for model in builder.model_configs:
            model.skip_health_check = True


def _ask(designer: DataDesigner, builder: DataDesignerConfigBuilder, alias: str) -> Exception | None:
    try:
        with _no_folder_left(designer.artifact_path):
            designer.check_models(_only(builder, alias))
    except Exception as error:
        return error
    return None


def _only(builder: DataDesignerConfigBuilder, alias: str) -> DataDesignerConfigBuilder:
    copy = copy_builder(builder)
    for model in copy.model_configs:
        model.skip_health_check = model.alias != alias
    return copy


@contextlib.contextmanager
def _no_folder_left(folder: Path) -> Iterator[None]:
    """Remove `folder` afterwards where it was not there before: a check makes the designer's artifact folder."""
    existed = folder.exists()
    try:
        yield
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
