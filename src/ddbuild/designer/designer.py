"""The one DataDesigner of a build, on which all its runs go, so that its limits on requests hold for all of them."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.active import ActiveRun
from ddbuild.designer.failure import RunFailedError
from ddbuild.designer.health import HealthChecks
from ddbuild.designer.home import prepare_home
from ddbuild.designer.instance import call_factory, make_default, quieten
from ddbuild.designer.providers import (
    describe_providers,
    describe_tool_providers,
    find_missing_key,
    find_secrets,
    load_default_providers,
    record_providers,
)
from ddbuild.designer.run import RunOutcome, RunRequest, carry_out
from ddbuild.designer.run_config import ROW_FIELDS, normalize_run_config
from ddbuild.digest import Digest
from ddbuild.errors import GraphError, InterruptedBuildError

if TYPE_CHECKING:
    from data_designer.interface import DataDesigner

__all__ = ["Designer"]


class Designer:
    """Makes its DataDesigner when it is first needed, once, and runs configs on it, several at a time.

    `factory` is a DataDesigner, a function that returns one, or None for one of our own with the default providers
    and the RunConfig that `run_config` makes. Without a factory, nothing of Data Designer's engine is imported before
    something runs.
    """

    def __init__(
        self,
        factory: Callable[[], DataDesigner] | DataDesigner | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._factory = factory
        self._run_config = dict(run_config or {})
        if factory is not None and self._run_config:
            raise GraphError(
                "a designer factory and fields of Data Designer's RunConfig exclude each other",
                facts={"fields": ", ".join(sorted(self._run_config))},
                hint="call `set_run_config` in the factory",
            )
        normalize_run_config(self._run_config)
        self._designer: DataDesigner | None = None
        self._undo: list[Callable[[], None]] = []
        self._health = HealthChecks()
        self._active: list[ActiveRun] = []
        self._secrets: frozenset[str] = frozenset()
        self._cancelled = False
        self._lock = threading.Lock()

    def run_config_parts(self) -> list[tuple[str, str, Digest]]:
        """Return the parts of a key for the settings that change rows."""
        if self._factory is None:
            return normalize_run_config(self._run_config)
        settings = self._get().run_config
        return normalize_run_config({name: getattr(settings, name) for name in ROW_FIELDS})

    def keeps_dropped_columns(self) -> bool:
        """Return whether runs keep the columns that their output does not have."""
        if self._factory is None:
            return bool(self._run_config.get("preserve_dropped_columns", ROW_FIELDS["preserve_dropped_columns"]))
        return bool(self._get().run_config.preserve_dropped_columns)

    def provider_parts(self, names: Sequence[str], key_endpoints: bool = False) -> list[tuple[str, str, Digest]]:
        """Return the parts of a key for the model providers called `names`; their URLs count with `key_endpoints`.

        Raises:
            GraphError: there is no provider of a name.
        """
        return describe_providers(self._providers(), names, key_endpoints=key_endpoints)

    def tool_provider_parts(self, names: Sequence[str], key_endpoints: bool = False) -> list[tuple[str, str, Digest]]:
        """Return the parts of a key for the MCP providers called `names`.

        Raises:
            GraphError: there is no provider of a name.
        """
        return describe_tool_providers(self._tool_providers(), names, key_endpoints=key_endpoints) if names else []

    def provider_records(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Return name, type and URL of the model providers called `names`, without credentials.

        Raises:
            GraphError: there is no provider of a name.
        """
        return record_providers(self._providers(), names)

    async def run(self, request: RunRequest) -> RunOutcome:
        """Carry out `request`; several may be under way, as many as the loop's default executor has threads.

        Raises:
            CannotResume: the batches in the folder cannot be gone on with.
            RunFailedError: there are no rows.
            InterruptedBuildError: `cancel` was called.
        """
        runs: list[ActiveRun] = []

        def start(run: ActiveRun) -> None:
            runs.append(run)
            self._active.append(run)
            if self._cancelled:
                run.stop()

        if self._cancelled:
            raise InterruptedBuildError(f"`{request.label}` was stopped")
        self._check_keys(request)
        try:
            return await carry_out(
                request,
                get_designer=self._get,
                find_secrets=lambda: self._secrets,
                health=self._health,
                on_start=start,
            )
        finally:
            for run in runs:
                self._active.remove(run)

    def cancel(self) -> None:
        """Stop all runs, and any that is still to come; finished batches stay. For any thread and signal handlers."""
        self._cancelled = True
        for run in list(self._active):
            run.stop()

    def close(self) -> None:
        """Leave a DataDesigner that was given to us as it was."""
        while self._undo:
            self._undo.pop()()

    def _get(self) -> DataDesigner:
        with self._lock:
            if self._designer is None:
                self._designer = self._make()
                self._secrets = find_secrets(self._providers(), self._tool_providers())
            return self._designer

    def _make(self) -> DataDesigner:
        if self._factory is None:
            folder = Path(tempfile.mkdtemp(prefix="ddbuild-designer-"))
            self._undo.append(lambda: shutil.rmtree(folder, ignore_errors=True))
            return make_default(self._run_config, folder)
        factory = self._factory
        designer = call_factory(factory) if callable(factory) else factory
        self._undo.append(quieten(designer))
        return designer

    def _providers(self) -> list[Any]:
        if self._designer is not None:
            return list(self._designer.model_provider_registry.providers)
        if self._factory is not None:
            return list(self._get().model_provider_registry.providers)
        prepare_home()
        return load_default_providers()

    def _tool_providers(self) -> list[Any]:
        # Data Designer has no public way to its MCP providers.
        if self._factory is None:
            return []
        designer = self._designer if self._designer is not None else self._get()
        return list(getattr(designer, "_mcp_providers", None) or [])

    def _check_keys(self, request: RunRequest) -> None:
        if self._factory is not None:
            return
        builder = request.builder
        used = {alias for column in builder.get_column_configs() for alias in column.get_model_aliases()}
        names = sorted({model.provider for model in builder.model_configs if model.alias in used})
        if names and (missing := find_missing_key(self._providers(), names)) is not None:
            provider, variable = missing
            raise RunFailedError(
                f"`{request.label}` needs the model provider `{provider}`, and its API key is not set",
                facts={"variable": variable},
                hint=f"export {variable}=...",
                provider_trouble=True,
            )
