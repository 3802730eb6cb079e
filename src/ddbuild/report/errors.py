"""Errors as people read them on stderr: what is wrong, the facts in a column, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from ddbuild.errors import DdbuildError
from ddbuild.report.ink import Ink
from ddbuild.report.wording import say_message

__all__ = ["say_error"]


def say_error(error: DdbuildError, ink: Ink, *, without: tuple[str, ...] = ()) -> str:
    """Return `error` as lines of text, understandable without colour; facts named in `without` are left out.

    Nothing is wrapped or cut: a path that is broken over two lines cannot be copied.
    """
    facts = {name: value for name, value in error.facts.items() if name not in without}
    lines = [f"{ink.paint('error:', 'bold', 'red')} {say_message(error.message)}", *_say_facts(facts, ink)]
    if error.hint:
        first, *rest = say_message(error.hint).splitlines()
        lines += ["", f"{ink.paint('hint:', 'bold', 'cyan')} {first}", *(f"      {line}" for line in rest)]
    return "\n".join(lines)


def _say_facts(facts: Mapping[str, str], ink: Ink) -> list[str]:
    width = max((len(name) for name in facts), default=0) + 1
    lines = []
    for name, value in facts.items():
        first, *rest = say_message(str(value)).splitlines() or [""]
        lines.append(f"  {ink.paint(f'{name}:', 'dim')}{' ' * (width - len(name) - 1)}  {first}".rstrip())
        lines += [f"  {' ' * width}  {line}".rstrip() for line in rest]
    return lines
