"""Making a DataDesigner: our own, or the one that a user's factory returns, without what it would do to the process.

A DataDesigner takes over the root logger, may print a table of providers, and its first run opens a port for metrics.
None of that may happen in a build.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.home import prepare_home
from ddbuild.designer.messages import clean, explain
from ddbuild.designer.providers import load_default_providers
from ddbuild.errors import DdbuildError, GraphError

if TYPE_CHECKING:
    from data_designer.interface import DataDesigner

__all__ = ["call_factory", "make_default", "quieten"]

_NOISY = ("data_designer", "httpx", "matplotlib", "mcp")


def make_default(run_config: Mapping[str, Any], artifact_path: Path) -> DataDesigner:
    """Return a DataDesigner with the default providers and the RunConfig that `run_config` makes.

    Raises:
        GraphError: a value in `run_config`, or the list of providers, is wrong.
    """
    prepare_home()
    # Data Designer's engine costs two seconds and is imported only where something runs.
    from data_designer.config.models import ModelProvider
    from data_designer.config.run_config import RunConfig
    from data_designer.interface import DataDesigner

    # One that nobody asks, where there is none: a workspace without models needs no provider.
    providers = load_default_providers() or [ModelProvider(name="none", endpoint="http://127.0.0.1:9/v1")]
    try:
        settings = RunConfig(**{**run_config, "otel_metrics_port": None, "display_tui": False})
    except Exception as error:
        raise GraphError("Data Designer does not take these settings", facts={"problem": explain(error)}) from error
    with _kept_logging():
        designer = DataDesigner(artifact_path, model_providers=providers, auto_configure_logging=False)
    designer.set_run_config(settings)
    return designer


def call_factory(factory: Callable[[], Any]) -> DataDesigner:
    """Return what `factory` makes.

    Raises:
        GraphError: it raises, or returns something else than a DataDesigner.
    """
    prepare_home()
    name = f"{getattr(factory, '__module__', '')}:{getattr(factory, '__qualname__', factory)}".lstrip(":")
    try:
        # stdout is for data, also while somebody else's function runs.
        with _kept_logging(), contextlib.redirect_stdout(sys.stderr):
            designer = factory()
    except DdbuildError:
        raise
    except Exception as error:
        facts = {"problem": explain(error)}
        raise GraphError(f"the designer factory `{name}` does not work", facts=facts) from error
    from data_designer.interface import DataDesigner

    if not isinstance(designer, DataDesigner):
        raise GraphError(
            f"the designer factory `{name}` returns no DataDesigner", facts={"returned": clean(repr(designer), 80)}
        )
    return designer


def quieten(designer: DataDesigner) -> Callable[[], None]:
    """Keep `designer` from opening its metrics port and from drawing on the terminal; return what undoes it.

    The settings are changed in place: `set_run_config` would replace the limiter of requests that runs share.
    """
    settings = designer.run_config
    before = (settings.otel_metrics_port, settings.display_tui)
    settings.otel_metrics_port = None
    settings.display_tui = False

    def restore() -> None:
        settings.otel_metrics_port, settings.display_tui = before

    return restore


@contextlib.contextmanager
def _kept_logging() -> Iterator[None]:
    """Bring the root logger back to what it was, its handlers open; handlers that are not Data Designer's may join."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    others = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in _NOISY}
    # Data Designer closes the handlers that it finds.
    root.handlers[:] = []
    try:
        yield
    finally:
        added = [each for each in root.handlers if not type(each).__module__.startswith("data_designer.")]
        root.handlers[:] = [*handlers, *(each for each in added if each not in handlers)]
        root.setLevel(level)
        for name, (old_level, old_handlers) in others.items():
            logger = logging.getLogger(name)
            logger.setLevel(old_level)
            logger.handlers[:] = [*old_handlers, *(each for each in logger.handlers if each not in old_handlers)]
