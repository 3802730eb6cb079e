"""The last words of a build, for people: where the rows are, what was reused, what was lost, and what went wrong."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from ddbuild.building.results import BuildResult, TargetResult
from ddbuild.cells import ReuseCounts
from ddbuild.label import Label
from ddbuild.plan.reasons import say_reason
from ddbuild.report.errors import say_error
from ddbuild.report.ink import Ink, make_safe
from ddbuild.report.logs import find_log, read_last_lines
from ddbuild.report.totals import Totals, count_totals
from ddbuild.report.wording import count, list_words, say_duration, say_label, say_message, say_path

__all__ = ["say_lost_rows", "say_overridden", "say_reuse", "say_summary"]

_WITH_ROWS = ("hit", "cutoff", "built", "completed_empty")
_MOST_LINES = 10
_MOST_REASONS = 3
_MOST_NAMES = 6


def say_summary(
    result: BuildResult, ink: Ink, *, here: Path, root: Path, quiet: bool = False, verbose: bool = False
) -> str:
    """Return the summary of `result`; "" where it is `quiet` and all went well.

    `here` is the folder that paths are told from.
    """
    targets = list(result.targets.values())
    blocks = [
        _say_failure(each, ink, here=here, root=root, verbose=verbose) for each in targets if each.status == "failed"
    ]
    lines: list[str] = []
    if verbose:
        lines += [line for each in targets for line in _say_details(each, ink)]
    if not quiet:
        lines += _say_requested(result.requested, here)
        lines += [say_overridden(label, place, ink, here) for label, place in result.overridden.items()]
        lines += [line for each in targets for line in _say_reused(each, verbose)]
    lines += [say_lost_rows(each, ink) for each in targets if each.rows_lost]
    lines += _say_empty(targets, ink)
    lines += _say_not_built(targets, ink)
    totals = count_totals(targets)
    if not quiet and (totals.hit != len(targets) or verbose):
        lines.append(_say_totals(totals, result.seconds))
    if totals.interrupted:
        lines.append("interrupted: the same command goes on from here; finished batches are kept")
    return "\n\n".join(block for block in [*blocks, "\n".join(lines)] if block)


def _say_reused(target: TargetResult, verbose: bool) -> list[str]:
    """What a stage that ran has reused; that it could reuse nothing is for those who want to know it all."""
    if target.reuse is None or (target.reuse.reason is not None and not verbose):
        return []
    return [f"{say_label(target.label)}: {say_reuse(target.reuse)}"]


def say_lost_rows(target: TargetResult, ink: Ink) -> str:
    """Return which share of its rows `target` lost, and why."""
    assert target.result is not None
    lost = target.result.lost
    reasons = [f"{each.rows:,} {make_safe(each.reason)}" for each in lost[:_MOST_REASONS]]
    if rest := sum(each.rows for each in lost[_MOST_REASONS:]):
        reasons.append(f"{rest:,} for other reasons")
    text = (
        f"{say_label(target.label)} lost {target.rows_lost:,} of {count(target.rows_requested or 0, 'requested row')}"
    )
    return f"{ink.paint('short:', 'bold', 'yellow')} {text}" + (f": {'; '.join(reasons)}" if reasons else "")


def say_reuse(reuse: ReuseCounts) -> str:
    """Return what of a stage is kept and what is made anew."""
    if reuse.reason is not None:
        return f"reuses no cell: {say_message(reuse.reason)}"
    if not reuse.rows_new:
        text = f"all {count(reuse.rows, 'row')} kept"
    else:
        text = f"{reuse.rows_new:,} of {count(reuse.rows, 'row')} new, {reuse.columns_new:,} of "
        text += count(reuse.columns, "column")
    if reuse.requests or reuse.requests_saved:
        text += f"; {count(reuse.requests, 'request')}, {reuse.requests_saved:,} reused"
    return text


def _say_requested(requested: list[TargetResult], here: Path) -> list[str]:
    there = [each for each in requested if each.status in _WITH_ROWS and each.path is not None]
    fresh = [each for each in there if not _is_up_to_date(each)]
    old = [each for each in there if _is_up_to_date(each)]
    lines = []
    if len(old) <= _MOST_LINES:
        lines += [f"{say_label(t.label)} is up to date ({_rows(t)}, {_place(t, here)})" for t in old]
    else:
        more = "more " if fresh else ""
        lines.append(f"{count(len(old), f'{more}target')} {'is' if len(old) == 1 else 'are'} up to date")
    lines += [f"{say_label(each.label)}: {_rows(each)} in {_place(each, here)}" for each in fresh]
    return lines


def say_overridden(label: Label, place: Path, ink: Ink, here: Path | None) -> str:
    """Return where the rows are that a person has put in the place of those of `label`."""
    return (
        f"{ink.paint('overridden:', 'bold')} {say_label(label)} is what a person has put into {say_path(place, here)}"
    )


def _is_up_to_date(target: TargetResult) -> bool:
    return target.status in ("hit", "cutoff") or all(action.status == "hit" for action in target.actions)


def _rows(target: TargetResult) -> str:
    return count(target.rows or 0, "row")


def _place(target: TargetResult, here: Path) -> str:
    assert target.path is not None
    return say_path(target.path, here)


def _say_totals(totals: Totals, seconds: float) -> str:
    spent = _say_cost("", totals.requests, totals.tokens)
    saved = _say_cost("saved ", totals.requests_saved, totals.tokens_saved)
    parts = []
    if totals.built:
        # Where nothing was reused as a whole, it is a built target whose earlier steps were kept.
        parts.append(f"built {totals.built:,}" + _in_brackets(spent, "" if totals.hit else saved))
    if totals.hit:
        parts.append(f"reused {totals.hit:,}" + _in_brackets(saved))
    for word in ("failed", "skipped", "interrupted"):
        if number := getattr(totals, word):
            parts.append(f"{word} {number:,}")
    return f"{', '.join(parts) or 'built nothing'} in {say_duration(seconds)}"


def _say_cost(verb: str, requests: int, tokens: int) -> str:
    if not requests:
        return ""
    return f"{verb}{count(requests, 'LLM request')}" + (f" and {count(tokens, 'token')}" if tokens else "")


def _in_brackets(*costs: str) -> str:
    text = ", ".join(cost for cost in costs if cost)
    return f" ({text})" if text else ""


def _say_empty(targets: list[TargetResult], ink: Ink) -> list[str]:
    lines = []
    for each in targets:
        if each.status == "completed_empty":
            below = [t.label for t in targets if t.status == "skipped_empty_upstream" and t.upstream == each.label]
            text = f"{say_label(each.label)} has no rows"
            text += f", so nothing was made of {_names(below)}" if below else ""
            lines.append(f"{ink.paint('empty:', 'bold', 'yellow')} {text}")
    return lines


def _say_not_built(targets: list[TargetResult], ink: Ink) -> list[str]:
    lines = []
    skipped = [each for each in targets if each.status == "skipped"]
    for cause in dict.fromkeys(each.upstream for each in skipped):
        names = _names([each.label for each in skipped if each.upstream == cause])
        because = f"because {say_label(cause)} failed" if cause is not None else "because of the failure"
        lines.append(f"{ink.paint('skipped:', 'bold')} {names}, {because}")
    return lines


def _names(labels: Sequence[Label]) -> str:
    shown = [say_label(label) for label in labels[:_MOST_NAMES]]
    if len(labels) > _MOST_NAMES:
        shown.append(f"{len(labels) - _MOST_NAMES:,} more")
    return list_words(shown)


def _say_failure(target: TargetResult, ink: Ink, *, here: Path, root: Path, verbose: bool) -> str:
    assert target.error is not None, "what failed says how"
    log = find_log(target, root)
    text = say_error(target.error, ink, without=("log",) if log is not None else ())
    if log is not None and (last := read_last_lines(log)):
        text += f"\n\n{ink.paint('the last lines of', 'dim')} {say_path(log, here)}\n"
        text += "\n".join(f"  {line}".rstrip() for line in last)
    if verbose and (cause := target.error.__cause__) is not None:
        text += "\n\n" + make_safe("".join(traceback.format_exception(cause))).rstrip()
    return text


def _say_details(target: TargetResult, ink: Ink) -> list[str]:
    """What `-v` adds for each target: its steps and why it had to run."""
    steps = [
        f"{action.kind} {action.status}" + (f" ({say_duration(action.seconds)})" if action.seconds is not None else "")
        for action in target.actions
    ]
    tier = f" ({target.tier} tier)" if target.tier else ""
    head = f"{say_label(target.label)}: {target.status.replace('_', ' ')}{tier}"
    lines = [head + (f"; {', '.join(steps)}" if steps else "")]
    lines += [ink.paint(f"  because {say_message(say_reason(reason))}", "dim") for reason in target.reasons]
    return lines
