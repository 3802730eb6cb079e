"""`ddbuild query`: ask which targets there are and how they hang together."""

from __future__ import annotations

import click

from ddbuild.cli.call import Call, WorkspaceCommand
from ddbuild.cli.targets import TARGET
from ddbuild.graph.query import run_query
from ddbuild.graph.targets import kind_of

__all__ = ["command"]


@click.command("query", cls=WorkspaceCommand)
@click.argument("expression", nargs=-1, required=True, type=TARGET, metavar="EXPRESSION")
@click.pass_obj
def command(call: Call, expression: tuple[str, ...]) -> None:
    """Print the labels that EXPRESSION chooses, one per line, parents first.

    \b
      //qa/...                      a label or a pattern
      "deps(//judged)"              all that //judged is made from, itself included
      "rdeps(//personas)"           all that is made from //personas
      "rdeps(//a) ^ deps(//b)"      in both; `+` is in either, `-` in the first only
    """
    opened = call.open()
    graph = opened.session.graph
    labels = run_query(graph, " ".join(expression), package=opened.package)
    if call.json:
        targets = [
            {
                "label": str(label),
                "kind": kind_of(graph[label]),
                "parents": [str(parent) for parent in graph.parents(label)],
            }
            for label in labels
        ]
        call.write_document({"schema": 1, "targets": targets})
        return
    call.write("".join(f"{label}\n" for label in labels))
