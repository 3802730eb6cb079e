"""What a BUILD.py calls.

`stage`, `source` and `transform` add a target to its package, `concat` and `join` make seeds, and `override` names the
reviewed rows that stand in for a target's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from ddbuild.errors import GraphError, Location
from ddbuild.graph.targets import Concat, Join, JoinKind, SeedSpec, Target
from ddbuild.label import Label
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields
from ddbuild.workspace.overrides import make_override
from ddbuild.workspace.target_fields import make_concat, make_join, make_source, make_stage, make_transform

__all__ = ["concat", "declaring", "is_declaring", "join", "override", "source", "stage", "transform"]

_CURRENT: ContextVar[BuildFile | None] = ContextVar("ddbuild_build_file", default=None)


@contextmanager
def declaring(build_file: BuildFile) -> Iterator[None]:
    """Make the calls inside the block, on this thread, declare targets of `build_file`."""
    token = _CURRENT.set(build_file)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def is_declaring() -> bool:
    """Return whether a build file is being run on this thread."""
    return _CURRENT.get() is not None


def stage(
    name: str,
    config: Any = None,
    *,
    num_records: int | None = None,
    depends_on: Sequence[str | Label] = (),
    seed: str | SeedSpec | None = None,
    sampling_strategy: Literal["ordered", "shuffle"] = "ordered",
    selection_strategy: Any = None,
    on_success: Callable[[Path], Path | str] | str | None = None,
    on_success_version: str | None = None,
    output: str = "final",
    output_processors: Sequence[Any] = (),
    allow_empty: bool = False,
    min_yield: float | None = None,
    reuse: Literal["auto", "off"] | Mapping[str, bool] = "auto",
    version: str | None = None,
    salt: str | None = None,
    **unknown: Any,
) -> Label:
    """Declare one Data Designer run with its boundary, and return its label.

    Args:
        name: The target's name in this package.
        config: A DataDesignerConfigBuilder, a DataDesignerConfig, a path ("judge.yaml", "judge.py",
            "judge.py:function") relative to this file's folder, or a function without arguments that returns one of
            the first two.
        num_records: Rows to ask for; left out, as many as the seed has.
        depends_on: Labels of the targets that it reads. With one, that one's rows are the seed.
        seed: Which of several parents is the seed, or how one is made of them: `concat(...)`, `join(...)`, or a
            function of `{parent's name: parquet file}`.
        sampling_strategy: How seed rows are drawn, as in Data Designer.
        selection_strategy: Which seed rows are drawn from, as in Data Designer.
        on_success: A function of the finished stage's folder that returns the parquet file, or folder of them, which
            becomes the stage's output.
        on_success_version: Stands for the callback in keys, beside its source.
        output: "final", or "processor:<name>" for what a processor made.
        output_processors: Processors that run on the finished rows.
        allow_empty: Whether no rows at all are a good result.
        min_yield: The share of the requested rows that is enough; left out, the workspace's.
        reuse: "off" asks for every row anew. A mapping says of columns, `{"notes": True}`, that they are made row by
            row and without effects of their own, where ddbuild cannot tell; with False they are never reused.
        version: Stands in for functions that cannot be hashed.
        salt: Any text; another one makes other keys.

    Raises:
        GraphError: it is not called from a build file, or an argument is unknown or wrong.
    """
    values = {key: value for key, value in locals().items() if key not in ("name", "unknown")}
    return _declare("stage", name, {**values, **unknown}, make_stage)


def source(
    name: str,
    files: str | Path | Sequence[str | Path] | None = None,
    *,
    format: Literal["parquet", "csv", "jsonl"] | None = None,
    salt: str | None = None,
    **unknown: Any,
) -> Label:
    """Declare rows that people keep in files, and return their label.

    Args:
        name: The target's name in this package.
        files: Paths or patterns of parquet, CSV or JSONL files, relative to this file's folder.
        format: What the files are, where their names do not say it.
        salt: Any text; another one makes other keys.

    Raises:
        GraphError: it is not called from a build file, or an argument is unknown or wrong.
    """
    return _declare("source", name, {"files": files, "format": format, "salt": salt, **unknown}, make_source)


def transform(
    name: str,
    function: Callable[[Mapping[str, Path]], Any] | str | None = None,
    *,
    depends_on: Sequence[str | Label] = (),
    allow_empty: bool = False,
    version: str | None = None,
    salt: str | None = None,
    **unknown: Any,
) -> Label:
    """Declare rows that a function makes without Data Designer, and return their label.

    Args:
        name: The target's name in this package.
        function: Gets `{parent's name: parquet file}` and returns a pyarrow Table, a pandas DataFrame or a path.
        depends_on: Labels of the targets that it reads.
        allow_empty: Whether no rows at all are a good result.
        version: Stands in for a function that cannot be hashed.
        salt: Any text; another one makes other keys.

    Raises:
        GraphError: it is not called from a build file, or an argument is unknown or wrong.
    """
    values = {key: value for key, value in locals().items() if key not in ("name", "unknown")}
    return _declare("transform", name, {**values, **unknown}, make_transform)


def concat(*parents: str | Label) -> Concat:
    """Return a seed of the rows of several parents, one after the other; in a script a bare name is the root's target.

    Raises:
        GraphError: there are fewer than two, or one is no label.
    """
    package, fields = _open_seed("concat", {})
    return make_concat(parents, package, fields)


def join(*parents: str | Label, on: str | Sequence[str] | None = None, how: JoinKind = "inner") -> Join:
    """Return a seed of several parents joined from left to right on the columns `on`.

    Raises:
        GraphError: there are fewer than two parents, one is no label, or `on` and `how` do not fit.
    """
    package, fields = _open_seed("join", {"on": on, "how": how})
    return make_join(parents, package, fields)


def override(target: str | Label, file: str | Path) -> None:
    """Take the rows in `file`, which a person has reviewed, for what `target` would make.

    Args:
        target: A target's label; a bare name is one of this package.
        file: A parquet, CSV or JSONL file, or a folder of parquet files, relative to this file's folder.

    Raises:
        GraphError: it is not called from a build file, or there is no such file.
    """
    build_file = _CURRENT.get()
    if build_file is None:
        raise GraphError(
            "`override` is called outside a build file",
            hint="in a script, write `graph.add_override(...)`, or `build(graph, ..., overrides={label: file})`",
        )
    location = _locate("override", build_file)
    fields = Fields(f"the override of `{target}`", {"file": file}, lambda field: location)
    build_file.overrides.append(make_override(target, fields, build_file))


def _open_seed(kind: str, values: Mapping[str, Any]) -> tuple[str, Fields]:
    build_file = _CURRENT.get()
    if build_file is None:
        return "", Fields("a seed", values, lambda field: None, "script")
    location = _locate(kind, build_file)
    return build_file.package, Fields("a seed", values, lambda field: location)


def _declare(
    kind: str, name: Any, values: Mapping[str, Any], make: Callable[[object, Fields, BuildFile], Target]
) -> Label:
    build_file = _CURRENT.get()
    if build_file is None:
        raise GraphError(
            f"`{kind}` is called outside a build file",
            hint=f"in a script, write `graph = Graph()` and then `graph.add_{kind}(...)`",
        )
    location = _locate(kind, build_file)
    target = make(name, Fields(f"{kind} `{name}`", values, lambda field: location), build_file)
    build_file.targets.append(target)
    return target.label


def _locate(kind: str, build_file: BuildFile) -> Location:
    """Return the line of the build file that is being run, also where it calls a helper that declares targets."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if os.path.normpath(code.co_filename) == str(build_file.file):
            return build_file.at(frame.f_lineno)
        if code.co_name == "<module>" and build_file.importer.owns(code.co_filename):
            shown = build_file.importer.relative(code.co_filename)
            raise GraphError(
                f"`{kind}` is called while `{shown}` is imported, which happens once for all packages",
                facts={"at": f"{shown}:{frame.f_lineno}"},
                hint="call it in a function there, and call that function from the build file",
            )
        frame = frame.f_back  # type: ignore[assignment]
    return build_file.at(None)
