"""What went wrong in a run, as one error that is Data Designer's and ddbuild's at once, in words about stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ddbuild.building.results import BuildResult, TargetResult
from ddbuild.designer.workflow_errors import PipelineError, wrap_error
from ddbuild.errors import DdbuildError, InterruptedBuildError

__all__ = ["describe_failure", "in_pipeline_words"]

_NO_FILES = ("returned a path that does not exist", "returned a folder without parquet files")


@contextmanager
def in_pipeline_words(*, generating: bool = True) -> Iterator[None]:
    """Turn what ddbuild raises into a PipelineError.

    It is `generating` where Data Designer would find the same thing wrong only in generating: a model that nobody
    defines, a seed file that is gone.
    """
    try:
        yield
    except (PipelineError, InterruptedBuildError):
        raise
    except DdbuildError as error:
        raise wrap_error(error, message=_say(error.message), generating=generating) from error


def describe_failure(build: BuildResult, results: Any) -> BaseException:
    """Return the error for a run that did not come to its end; `results` is what it made all the same.

    What a callback has raised is returned as it is, since people raise errors of their own there and catch them
    around the run. Everything else is a PipelineError.
    """
    failed = [target for target in build.targets.values() if target.error is not None]
    if not failed:
        return PipelineError("the run did not finish", results=results, exit_code=build.exit_code)
    first = failed[0]
    assert first.error is not None
    step = first.actions[-1].kind if first.actions else "generate"
    if step == "callback" and first.error.__cause__ is not None:
        where = f", at {first.error.facts['at']}" if "at" in first.error.facts else ""
        first.error.__cause__.add_note(f"raised by the callback of stage {_name_of(first)!r}{where}")
        return first.error.__cause__
    message, is_workflows = _translate(first, first.error)
    generating = step in ("generate", "process") and not is_workflows
    error: PipelineError = wrap_error(first.error, message=message, generating=generating, results=results)
    if _name_of(first) not in message:
        error.facts["stage"] = _name_of(first)
    if len(failed) > 1:
        error.facts["failed too"] = ", ".join(map(_name_of, failed[1:]))
    return error


def _translate(target: TargetResult, error: DdbuildError) -> tuple[str, bool]:
    """Return the message, and whether it is one that Data Designer has for workflows."""
    name = _name_of(target)
    if error.message.endswith("came out empty"):
        return f"Stage {name!r} produced an empty output.", True
    if any(words in error.message for words in _NO_FILES):
        return f"No parquet files found at {error.facts.get('returned', '')!r}: {_say(error.message)}", True
    if error.message.endswith("has written no rows"):
        processor = error.message.split("`")[1]
        return f"Stage output processor {processor!r} did not produce artifacts.", True
    return _say(error.message), False


def _say(message: str) -> str:
    """Return `message` with stages by their names: labels mean nothing in a pipeline."""
    return message.replace("`//:", "stage `").replace("//:", "stage ")


def _name_of(target: TargetResult) -> str:
    return target.label.name
