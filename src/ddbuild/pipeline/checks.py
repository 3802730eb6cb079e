"""What may be said of a stage and of a run.

Where Data Designer's CompositeWorkflow checks something, it is checked here in the same way, with the same words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ddbuild import table
from ddbuild.designer.workflow import RESUME_MODES, is_sampling_strategy, is_selection_strategy
from ddbuild.designer.workflow_errors import PipelineError

__all__ = [
    "check_dir_name",
    "check_jobs",
    "check_output",
    "check_processors",
    "check_scalars",
    "read_names",
    "read_overrides",
    "read_resume",
]

_INVALID = frozenset('<>:"/\\|?*')


def check_dir_name(name: object, label: str) -> str:
    """Return `name` if it can name a folder; `label` says in errors what it is."""
    if not name or not isinstance(name, str):
        raise PipelineError(f"{label} must be a non-empty string.")
    if name in (".", ".."):
        raise PipelineError(f"{label} {name!r} is not allowed.")
    if not _INVALID.isdisjoint(name) or "\0" in name:
        raise PipelineError(f"{label} {name!r} contains invalid path characters.")
    return name


def check_scalars(values: Mapping[str, Any]) -> None:
    """Check the arguments of a stage that stand for themselves."""
    num_records = values["num_records"]
    if num_records is not None:
        if not isinstance(num_records, int) or isinstance(num_records, bool):
            raise PipelineError("Stage num_records must be an integer.")
        if num_records < 1:
            raise PipelineError("Stage num_records must be at least 1.")
    for name in ("on_success_version", "version", "salt"):
        if values[name] is not None and not isinstance(values[name], str):
            raise PipelineError(f"Stage {name} must be a string.")
    if not isinstance(values["allow_empty"], bool):
        raise PipelineError("Stage allow_empty must be a boolean.")
    if values["sampling_strategy"] is not None and not is_sampling_strategy(values["sampling_strategy"]):
        raise PipelineError("Stage sampling_strategy must be a SamplingStrategy.")
    if values["selection_strategy"] is not None and not is_selection_strategy(values["selection_strategy"]):
        raise PipelineError("Stage selection_strategy must be an IndexRange or PartitionBlock.")
    if values["on_success"] is not None and not callable(values["on_success"]):
        raise PipelineError("Stage on_success must be a function of the stage's folder.")
    min_yield = values["min_yield"]
    if min_yield is not None and (
        isinstance(min_yield, bool) or not isinstance(min_yield, (int, float)) or not 0 <= min_yield <= 1
    ):
        raise PipelineError("Stage min_yield must be a number from 0 to 1.")
    reuse = values["reuse"]
    if reuse not in ("auto", "off") and not (
        isinstance(reuse, Mapping) and all(isinstance(k, str) and isinstance(v, bool) for k, v in reuse.items())
    ):
        raise PipelineError("Stage reuse must be 'auto', 'off', or True or False for columns.")


def check_output(output: object, config_processors: Sequence[Any], output_processors: Sequence[Any]) -> str:
    """Return `output` if it is "final", or names a processor that the stage has."""
    if output == "final":
        return "final"
    if not isinstance(output, str) or not output.startswith("processor:"):
        raise PipelineError("Stage output must be 'final' or 'processor:<name>'.")
    name = check_dir_name(output.removeprefix("processor:"), "processor output name")
    if name not in {processor.name for processor in (*config_processors, *output_processors)}:
        raise PipelineError(f"Stage output processor {name!r} is not configured on this stage.")
    return output


def check_processors(config_processors: Sequence[Any], output_processors: Sequence[Any]) -> None:
    """Check that no two processors of a stage have one name."""
    names = [processor.name for processor in output_processors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PipelineError(f"Output processor names must be distinct within output_processors: {', '.join(twice)}.")
    if shared := sorted({processor.name for processor in config_processors}.intersection(names)):
        raise PipelineError(f"Output processor names must be distinct from stage processor names: {', '.join(shared)}.")


def check_jobs(jobs: object) -> None:
    """Check a number of jobs; None is one that was left out."""
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise PipelineError(f"jobs must be a whole number of at least 1, got {jobs!r}.")


def read_names(value: object, field: str) -> tuple[str, ...]:
    """Return one name or several as a tuple, each once, in the order written."""
    names: tuple[Any, ...] = (value,)
    if not isinstance(value, str):
        names = tuple(value) if isinstance(value, Iterable) else ()
    if not isinstance(value, Iterable) or not all(isinstance(name, str) for name in names):
        raise PipelineError(f"{field} must be a stage name, or a list of stage names.")
    return tuple(dict.fromkeys(names))


def read_resume(value: object) -> str:
    """Return the value of a ResumeMode, or of the text that it stands for."""
    mode = value.value if isinstance(value, Enum) else value
    if mode in RESUME_MODES:
        return str(mode)
    raise PipelineError(f"resume must be a ResumeMode, got {value!r}.", facts={"known": ", ".join(RESUME_MODES)})


def read_overrides(
    overrides: Mapping[str, Path | str], known: Collection[str], in_run: Collection[str]
) -> dict[str, Path]:
    """Return the absolute paths of overrides, which must be of stages that the run is about, and have rows in them."""
    if unknown := sorted(set(overrides).difference(known)):
        raise PipelineError(f"Unknown stage output override(s): {', '.join(unknown)}.")
    if others := sorted(set(overrides).difference(in_run)):
        raise PipelineError(f"Stage output override(s) must be ancestors of a target stage: {', '.join(others)}.")
    paths = {name: Path(path).expanduser().absolute() for name, path in sorted(overrides.items())}
    for name, path in paths.items():
        if problem := _find_problem(path):
            raise PipelineError(f"Invalid stage output override for stage {name!r}: {problem}")
    return paths


def _find_problem(path: Path) -> str | None:
    files = table.list_folder(path) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        return f"No parquet files found at {str(path)!r}."
    try:
        table.count_rows([file for file in files if file.suffix == ".parquet"])
    except table.TableError as error:
        return f"Failed to read parquet files at {str(path)!r}: {error.message}"
    return None
