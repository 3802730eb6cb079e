"""`ddbuild export`: rows as a file for other programs."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.output import write_bytes
from ddbuild.cli.reading import LAST, note_last
from ddbuild.cli.targets import TARGET, find_target
from ddbuild.errors import UsageError
from ddbuild.report.wording import count, say_label

if TYPE_CHECKING:
    from ddbuild.building.results import TargetResult

__all__ = ["command"]

Format = Literal["parquet", "csv", "jsonl"]


@click.command("export", cls=WorkspaceCommand, takes_json=False)
@click.argument("target", type=TARGET)
@click.argument("path", metavar="PATH", type=click.Path(allow_dash=True))
@click.option("--format", type=click.Choice(get_args(Format)), help="The format, where PATH's suffix does not say it.")
@LAST
@click.pass_obj
def command(call: Call, target: str, path: str, format: Format | None, last: bool) -> None:
    """Write the rows of a target to PATH, as parquet, CSV or JSONL.

    A file that is there is replaced, whole; into a folder goes a file named after the target; `-` is stdout.
    Nothing is ever generated: a stale target is an error.
    """
    opened = call.open()
    result = opened.session.read(find_target(opened, target), last=last, materialized=False)
    note_last(call, opened, result, last=last)
    if path == "-":
        _print(call, result, format or "jsonl")
        return
    destination = _resolve(Path(path), result, format)
    result.export(destination, format=format)
    call.note(f"{say_label(result.label)}: {count(result.count_records(), 'row')} in {destination}")


def _resolve(path: Path, result: TargetResult, format: str | None) -> Path:
    """Return the file to write.

    Raises:
        UsageError: it cannot be one.
    """
    if path.is_dir():
        path = path / f"{result.label.name}.{format or 'parquet'}"
    if not path.parent.is_dir():
        raise UsageError(
            f"`{path}` cannot be written: there is no folder `{path.parent}`",
            hint=f"make it with `mkdir -p {shlex.quote(str(path.parent))}`",
        )
    if path.exists() and not path.is_file():
        raise UsageError(f"`{path}` is not a file that could be replaced", hint="`-` writes to stdout")
    # A link stays a link: what it points to is replaced.
    return path.resolve() if path.is_symlink() else path


def _print(call: Call, result: TargetResult, format: Format) -> None:
    with tempfile.TemporaryDirectory(prefix="ddbuild-") as folder:
        file = Path(folder) / "rows"
        result.export(file, format=format)
        with file.open("rb") as rows:
            write_bytes(call.out, rows)
