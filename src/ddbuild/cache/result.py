"""The action result: what one action made, kept under its key as one small JSON document.

A result is a manifest of blobs with their row counts, the content that each parent had, the key's parts and the
provenance. It holds no secret, no absolute path, and no name that could leave the folder it is materialized in.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["SCHEMA", "ActionKind", "ActionResult", "Blob", "Input", "KeyPart", "Lost", "Provenance", "Unit", "Usage"]

SCHEMA = 1
"""The version of this document; a result with a higher one is a miss for this program."""

ActionKind = Literal["generate", "process", "callback", "source", "transform"]

_HEX = r"[0-9a-f]{32}"
DigestText = Annotated[str, Field(pattern=rf"^xxh3_128:{_HEX}$")]
KeyText = Annotated[str, Field(pattern=rf"^{_HEX}$")]


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    parts = name.split("/")
    if path.is_absolute() or not name or "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"file name {name!r} leaves its folder")
    return name


FileName = Annotated[str, Field(max_length=1024), AfterValidator(_inside)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Blob(_Document):
    """Some bytes in the CAS; `size` in bytes."""

    digest: DigestText
    size: int = Field(ge=0)


class KeyPart(_Document):
    """One typed thing that a key hashes: `part` says what kind of thing, `name` which one."""

    part: str
    name: str = ""
    digest: str


class Input(_Document):
    """A parent as one action saw it: its role, and the key and content digest that it had."""

    role: str
    label: str
    key: KeyText
    digest: DigestText


class Lost(_Document):
    """Rows that were asked for and not made, with the reason in Data Designer's words where it gives one."""

    rows: int = Field(ge=1)
    reason: str


class Usage(_Document):
    """What was asked of models."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Unit(_Document):
    """Columns whose cells were made together, by one recipe."""

    recipe: KeyText
    columns: list[str] = Field(min_length=1)


class Provenance(_Document):
    """What made a result; for people, never part of a key."""

    label: str
    origin: Literal[
        "generated", "resumed", "grown", "assembled", "computed", "imported", "cutoff", "adopted", "overridden"
    ]
    created: str
    seconds: float
    user: str = ""
    host: str = ""
    git_commit: str | None = None
    git_clean: bool | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    models: list[dict[str, Any]] = Field(default_factory=list)
    usage: Usage = Usage()
    notes: dict[str, Any] = Field(default_factory=dict)


class ActionResult(_Document):
    """What one action made.

    `key` is the content key and `deep_key` the key known before anything ran; `retry` counts the kept results of
    this key that an acceptance policy turned down before this one. `digest` is the content digest of the output's
    rows, `folder_digest` that of everything a callback can see. `output` is one parquet file; `files` are the other
    files of the finished stage's folder, by their path in it. `units` say by which recipes its rows were made, where
    they were made one by one; `samples` is a parquet file with where each cell was made first, where that is not here.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: ActionKind
    key: KeyText
    deep_key: KeyText
    retry: int = Field(default=0, ge=0)
    digest: DigestText
    folder_digest: DigestText
    output: Blob
    files: dict[FileName, Blob] = Field(default_factory=dict)
    rows: int = Field(ge=0)
    rows_requested: int | None = None
    rows_made: int | None = None
    lost: list[Lost] = Field(default_factory=list)
    inputs: list[Input] = Field(default_factory=list)
    parts: list[KeyPart] = Field(default_factory=list)
    units: list[Unit] = Field(default_factory=list)
    samples: Blob | None = None
    provenance: Provenance

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @property
    def blobs(self) -> list[Blob]:
        """Every blob that this result needs, the output first."""
        return [self.output, *self.files.values(), *([self.samples] if self.samples else [])]

    @property
    def rows_lost(self) -> int:
        """Rows that were requested and not made."""
        if self.rows_requested is None or self.rows_made is None:
            return 0
        return max(0, self.rows_requested - self.rows_made)
