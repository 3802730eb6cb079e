"""Processors at the boundary of a stage: a run of its own over the finished rows, and where outputs are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.messages import explain
from ddbuild.designer.resume import find_batches
from ddbuild.errors import BuildError, GraphError

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["find_output", "make_processors", "processor_builder"]


def make_processors(processors: Sequence[Any], *, subject: str) -> tuple[Any, ...]:
    """Return `processors` as Data Designer's own; a mapping, as a build file in YAML has it, becomes one.

    Raises:
        GraphError: a mapping is no processor.
    """
    if not any(isinstance(each, Mapping) for each in processors):
        return tuple(processors)
    from data_designer.config.processors import ProcessorType, get_processor_config_from_kwargs

    made = []
    for each in processors:
        try:
            if isinstance(each, Mapping):
                fields = dict(each)
                kind = ProcessorType(fields.pop("processor_type"))
                each = get_processor_config_from_kwargs(kind, **fields)
        except Exception as error:
            facts = {"problem": explain(error)}
            raise GraphError(f"an output processor of `{subject}` is wrong", facts=facts) from error
        made.append(each)
    return tuple(made)


def processor_builder(
    processors: Sequence[Any], *, like: DataDesignerConfigBuilder | None = None, subject: str
) -> DataDesignerConfigBuilder:
    """Return a config that only runs `processors` over its seed; models and tools are those of the config `like`.

    Raises:
        GraphError: Data Designer does not take one of the processors.
    """
    from data_designer.config.config_builder import DataDesignerConfigBuilder

    builder = DataDesignerConfigBuilder(
        model_configs=list(like.model_configs) if like else None, tool_configs=list(like.tool_configs) if like else None
    )
    try:
        for processor in processors:
            builder.add_processor(processor.model_copy(deep=True))
    except Exception as error:
        raise GraphError(f"an output processor of `{subject}` is wrong", facts={"problem": explain(error)}) from error
    return builder


def find_output(dataset: Path, output: str) -> list[Path]:
    """Return the parquet files of `output`, "final" or "processor:<name>", of the finished folder `dataset`.

    Raises:
        BuildError: the processor wrote no files.
    """
    if output == "final":
        return find_batches(dataset / "parquet-files")
    name = output.removeprefix("processor:")
    folder = dataset / "processors-files" / name
    if folder.is_dir() and (files := find_batches(folder) or sorted(folder.glob("*.parquet"))):
        return files
    file = folder.with_name(f"{name}.parquet")
    if file.is_file():
        return [file]
    raise BuildError(f"processor `{name}` has written no rows", facts={"looked in": str(folder)})
