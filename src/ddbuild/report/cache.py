"""The cache as people and programs read about it: numbers, lists of results, damage, what a collection took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddbuild.cache.gc import GcReport
from ddbuild.cache.stats import KeptResult, TierStats
from ddbuild.cache.verify import Damage, VerifyReport
from ddbuild.report.ink import make_safe
from ddbuild.report.quantities import say_age, say_size
from ddbuild.report.wording import count, list_words

__all__ = [
    "describe_gc",
    "describe_results",
    "describe_stats",
    "describe_verify",
    "draw_results",
    "draw_stats",
    "say_damage",
    "say_gc",
    "say_label_text",
    "say_verify",
]

SCHEMA = 1

_KEY_LETTERS = 12


def say_label_text(label: str) -> str:
    """Return a label out of a result, which anybody may have written, as people type it and safe for a terminal."""
    text = make_safe(label).replace("\n", " ")
    return f"//{text[3:]}" if text.startswith("//:") else text


# Numbers


def draw_stats(stats: Sequence[TierStats]) -> str:
    """Return the numbers of the tiers as lines of text."""
    blocks = []
    for each in stats:
        head = f"{each.name} cache  {each.folder}"
        if not each.there:
            blocks.append(f"{head}\n  nothing there\n")
            continue
        lines = [
            ("results", f"{each.results:,}", _note(each.unusable, f"{each.unusable:,} unusable")),
            ("blobs", f"{each.blobs:,}", say_size(each.bytes)),
            ("unreferenced", say_size(each.unreferenced_bytes), _note(each.unreferenced_bytes, "`gc` takes them")),
            ("work folders", f"{each.work:,}", _note(each.work, say_size(each.work_bytes))),
            ("quarantine", f"{each.quarantine:,}", _note(each.quarantine, say_size(each.quarantine_bytes))),
            ("trash", say_size(each.trash_bytes), ""),
            ("pins", f"{each.pins:,}", ""),
            ("leases", f"{each.leases:,}", ""),
        ]
        width = max(len(value) for _, value, _ in lines)
        blocks.append(
            "".join(f"{line}\n" for line in [head, *(f"  {n:<13} {v:>{width}}  {x}".rstrip() for n, v, x in lines)])
        )
    return "\n".join(blocks)


def _note(condition: object, text: str) -> str:
    return text if condition else ""


def describe_stats(stats: Sequence[TierStats]) -> dict[str, Any]:
    """Return the JSON document of `cache stats`."""
    tiers = []
    for each in stats:
        tiers.append(
            {
                "tier": each.name,
                "folder": str(each.folder),
                "there": each.there,
                "results": each.results,
                "unusable": each.unusable,
                "blobs": each.blobs,
                "bytes": each.bytes,
                "unreferenced_bytes": each.unreferenced_bytes,
                "work": each.work,
                "work_bytes": each.work_bytes,
                "quarantine": each.quarantine,
                "quarantine_bytes": each.quarantine_bytes,
                "trash_bytes": each.trash_bytes,
                "pins": each.pins,
                "leases": each.leases,
                "temporary": each.temporary,
            }
        )
    return {"schema": SCHEMA, "tiers": tiers}


# Results


def draw_results(results: Sequence[KeptResult]) -> str:
    """Return `results` as a table, one a line."""
    head = ("label", "step", "rows", "size", "age", "origin", "made by", "in", "key")
    rows = [head]
    for each in results:
        facts = each.facts
        who = " ".join(make_safe(f"{facts.user}@{facts.host}" if facts.host else facts.user).split())
        rows.append(
            (
                say_label_text(facts.label) + (" (pinned)" if each.pinned else ""),
                facts.kind,
                f"{facts.rows:,}",
                say_size(each.size),
                "?" if each.age is None else say_age(each.age),
                facts.origin,
                who or "?",
                "both" if len(each.tiers) > 1 else each.tiers[0],
                facts.key[:_KEY_LETTERS] + (f".{facts.retry}" if facts.retry else ""),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    to_right = {2, 3, 4}
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if column in to_right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def describe_results(results: Sequence[KeptResult]) -> dict[str, Any]:
    """Return the JSON document of `cache ls`."""
    described = []
    for each in results:
        facts = each.facts
        described.append(
            {
                "label": facts.label,
                "kind": facts.kind,
                "key": facts.key,
                "deep_key": facts.deep_key,
                "retry": facts.retry,
                "digest": facts.digest,
                "rows": facts.rows,
                "bytes": each.size,
                "created": facts.created,
                "age": None if each.age is None else round(each.age),
                "origin": facts.origin,
                "user": facts.user,
                "host": facts.host,
                "tiers": list(each.tiers),
                "pinned": each.pinned,
            }
        )
    return {"schema": SCHEMA, "results": described}


# Damage


def say_damage(damage: Damage, tier: str) -> str:
    """Return one thing that is wrong as a line of text."""
    done = f"; {damage.repair}" if damage.repair is not None else ""
    whose = f"  ({list_words([say_label_text(label) for label in damage.labels[:3]])})" if damage.labels else ""
    noun = "result" if damage.kind == "incomplete" else damage.kind
    return f"{tier} {noun} {damage.name}{whose}: {damage.what}{done}"


def say_verify(report: VerifyReport, tier: str) -> str:
    """Return the last word on a tier."""
    seen = f"{tier}: {count(report.results, 'result')}, {count(report.blobs, 'blob')}, {say_size(report.bytes)}"
    open_ = [each for each in report.damage if each.repair is None]
    words = [f"{len(report.damage):,} damaged" if report.damage else "no damage"]
    if report.damage and len(open_) < len(report.damage):
        words.append(f"{len(report.damage) - len(open_):,} of them repaired")
    for number, text in (
        (report.newer, "of a newer ddbuild"),
        (report.untrusted, "without a trusted signature"),
        (report.unreadable, "not readable by you"),
    ):
        if number:
            words.append(f"{count(number, 'result')} {text}")
    return f"{seen}: {', '.join(words)}"


def describe_verify(reports: Sequence[tuple[str, VerifyReport]], exit_code: int) -> dict[str, Any]:
    """Return the JSON document of `cache verify`."""
    tiers = []
    for tier, report in reports:
        tiers.append(
            {
                "tier": tier,
                "ok": report.ok,
                "results": report.results,
                "blobs": report.blobs,
                "bytes": report.bytes,
                "newer": report.newer,
                "untrusted": report.untrusted,
                "unreadable": report.unreadable,
                "parents_gone": report.parents_gone,
                "parents_changed": report.parents_changed,
                "damage": [
                    {
                        "kind": each.kind,
                        "name": each.name,
                        "path": str(each.path),
                        "what": each.what,
                        "labels": list(each.labels),
                        "repair": each.repair,
                    }
                    for each in report.damage
                ],
            }
        )
    return {"schema": SCHEMA, "ok": exit_code == 0, "exit_code": exit_code, "tiers": tiers}


# Collections


def say_gc(report: GcReport, tier: str, *, dry_run: bool, verbose: bool) -> list[str]:
    """Return what a collection took out of a tier, or would take, as lines of text."""
    lines = []
    if dry_run or verbose:
        for each in report.results:
            size, age = say_size(each.size), say_age(each.age)
            lines.append(f"  {say_label_text(each.label)}  {count(each.rows, 'row')}, {size}, last used {age} ago")
    verb = "would remove" if dry_run else "removed"
    swept = [
        f"{count(len(report.results), 'result')}",
        f"{count(report.blobs, 'blob')} ({say_size(report.blob_bytes)})",
    ]
    left = report.leftovers
    for number, noun in (
        (left.temporary, "temporary file"),
        (left.leases, "stale lease"),
        (left.work, "abandoned work folder"),
        (left.quarantine, "quarantined file"),
        (left.notes, "stale note"),
    ):
        if number:
            swept.append(count(number, noun))
    kept = f"{count(report.kept_results, 'result')} stay, {say_size(report.kept_bytes)}"
    pinned = f", {report.pinned:,} of them pinned" if report.pinned else ""
    lines.append(f"{tier}: {verb} {list_words(swept)}; {kept}{pinned}")
    if report.waiting:
        lines.append(
            f"  {say_size(report.waiting)} go with a later `gc`, {say_age(report.grace)} from now at the earliest: "
            "a build elsewhere may be reading them"
        )
    if report.linked:
        lines.append(f"  {say_size(report.linked)} stay on the disk, linked into `ddbuild-out/` of some workspace")
    if report.put_back:
        lines.append(f"  {count(report.put_back, 'blob')} put back, for a build has begun to use them")
    if report.excess:
        lines.append(
            f"  {say_size(report.excess)} more than asked for: the rest is pinned, or was used within the grace period"
        )
    if report.blocked:
        lines.append(f"  no blob was removed: {make_safe(report.blocked)}")
    return lines


def describe_gc(reports: Sequence[tuple[str, GcReport]], *, dry_run: bool) -> dict[str, Any]:
    """Return the JSON document of `cache gc`."""
    tiers = []
    for tier, report in reports:
        left = report.leftovers
        tiers.append(
            {
                "tier": tier,
                "results": [
                    {"label": r.label, "key": r.key, "rows": r.rows, "bytes": r.size, "age": round(r.age)}
                    for r in report.results
                ],
                "blobs": report.blobs,
                "blob_bytes": report.blob_bytes,
                "freed_bytes": report.freed,
                "waiting_bytes": report.waiting,
                "linked_bytes": report.linked,
                "put_back": report.put_back,
                "pinned": report.pinned,
                "kept_results": report.kept_results,
                "kept_bytes": report.kept_bytes,
                "excess_bytes": report.excess,
                "blocked": report.blocked,
                "leftovers": {
                    "temporary": left.temporary,
                    "leases": left.leases,
                    "work": left.work,
                    "quarantine": left.quarantine,
                    "notes": left.notes,
                },
            }
        )
    return {"schema": SCHEMA, "dry_run": dry_run, "tiers": tiers}
