"""The RunConfig fields of the settings, and the versions of packages: parts of a key that need no Data Designer.

The names and defaults are written down here so that a hit does not import Data Designer; a test compares them with
the RunConfig of the installed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from ddbuild.digest import Digest, digest_of
from ddbuild.errors import GraphError
from ddbuild.suggestion import suggest

__all__ = ["DD_PACKAGES", "OTHER_FIELDS", "ROW_FIELDS", "normalize_run_config", "package_versions"]

DD_PACKAGES = ("data-designer", "data-designer-config", "data-designer-engine")

ROW_FIELDS: Mapping[str, bool | int | float | str] = {
    "buffer_size": 1000,
    "disable_early_shutdown": False,
    "jinja_rendering_engine": "secure",
    "max_conversation_correction_steps": 0,
    "max_conversation_restarts": 5,
    "preserve_dropped_columns": True,
    "shutdown_error_rate": 0.5,
    "shutdown_error_window": 10,
}
"""The fields that change rows, with Data Designer's defaults."""

OTHER_FIELDS = (
    "async_trace",
    "display_tui",
    "max_concurrent_row_groups",
    "max_in_flight_tasks",
    "non_inference_max_parallel_workers",
    "otel_metrics_port",
    "progress_interval",
    "request_admission",
    "write_scheduler_events",
)
"""The fields that change time and what is written about a run."""


def normalize_run_config(fields: Mapping[str, Any]) -> list[tuple[str, str, Digest]]:
    """Return the parts of a key for the RunConfig that `fields` make, those left out at their defaults.

    Raises:
        GraphError: a field has a name that RunConfig does not know, or a value of a wrong type.
    """
    known = (*ROW_FIELDS, *OTHER_FIELDS)
    for name in fields:
        if name not in known:
            guess = suggest(name, known)
            raise GraphError(
                f"`{name}` is no field of Data Designer's RunConfig",
                facts={"known": ", ".join(sorted(known))},
                hint=f"did you mean `{guess}`?" if guess else None,
            )
    parts = []
    for name, default in ROW_FIELDS.items():
        value = getattr(fields.get(name, default), "value", fields.get(name, default))
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default):
            raise GraphError(
                f"`{name}` of Data Designer's RunConfig has a wrong type",
                facts={"value": repr(value), "expected": type(default).__name__},
            )
        parts.append(("run_config", name, digest_of(value)))
    return parts


def package_versions(names: Iterable[str] = DD_PACKAGES) -> dict[str, str]:
    """Return the installed version of each package, without importing any.

    Raises:
        GraphError: a package is not installed.
    """
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise GraphError(
                f"package `{name}` is not installed, and keys are to depend on its version",
                hint="install it, or take it out of `versions` in ddbuild.toml",
            ) from None
    return versions
