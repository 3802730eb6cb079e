"""The seed of a config as the name of a build target: no path, no rows, and nothing that has to be there yet."""

from __future__ import annotations

from typing import Literal

from data_designer.config.seed_source import SeedSource
from pydantic import Field, field_validator

from ddbuild.errors import UsageError
from ddbuild.label import parse_label

__all__ = ["TargetSeedSource"]


class TargetSeedSource(SeedSource):  # type: ignore[misc]  # Data Designer is not typed for us
    """The current rows of a build target as a seed dataset.

    The config can be made before the target was ever built; its rows are looked up when Data Designer reads them.
    Where the workspace and its cache lie is this machine's business: both fields are left out of YAML and JSON, and
    so of Data Designer's fingerprint too.

    Attributes:
        target: The target's label from the workspace's root, `//judged` or `//qa:judged`.
        workspace: A folder of the workspace; left out, the current folder when the rows are read.
        cache: The folder of the local cache, if it is not the one that the workspace's settings name.
    """

    seed_type: Literal["ddbuild"] = "ddbuild"
    target: str = Field(description="Label of the build target, `//name` or `//package:name`")
    workspace: str | None = Field(default=None, exclude=True, description="A folder of the workspace")
    cache: str | None = Field(default=None, exclude=True, description="The folder of the local cache")

    @field_validator("target")
    @classmethod
    def _check_target(cls, value: str) -> str:
        if not value.startswith("//"):
            raise ValueError(f"`{value}` is not a label from the workspace's root: write `//{value.lstrip(':/')}`")
        try:
            parse_label(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value
