"""`ddbuild init`: a first workspace to try things with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from ddbuild.report.wording import say_path

__all__ = ["command"]


@click.command("init")
@click.argument("folder", default=".", metavar="[DIR]")
@click.option("-C", "--directory", metavar="DIR", help="Work as if started in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
def command(folder: str, directory: str | None, quiet: bool) -> None:
    """Write a small workspace into DIR, the current folder if not given. It builds without a model or an API key."""
    from ddbuild.workspace import write_workspace  # not for `--help`

    place = Path(directory or ".") / folder
    written = write_workspace(place)
    if quiet:
        return
    lines = [f"wrote {say_path(path, Path())}" for path in written]
    go = "" if place.resolve() == Path.cwd() else f"cd {shlex.quote(str(place))} && "
    lines += ["", "try:", f"  {go}ddbuild //..."]
    print("\n".join(lines), file=sys.stderr)
