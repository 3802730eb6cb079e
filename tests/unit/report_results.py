"""Results of builds, made by hand for tests of what is said about them."""

from pathlib import Path

from ddbuild.building.results import ActionRun, BuildResult, TargetResult
from ddbuild.cache.result import ActionResult, Blob, Lost, Provenance, Usage
from ddbuild.label import Label

ROOT = Path("/work")
HEX = "0123456789abcdef" * 2


def make_result(rows=10, requested=None, lost=(), usage=None):
    digest = f"xxh3_128:{HEX}"
    return ActionResult(
        kind="generate",
        key=HEX,
        deep_key=HEX,
        digest=digest,
        folder_digest=digest,
        output=Blob(digest=digest, size=1),
        rows=rows,
        rows_requested=requested,
        rows_made=None if requested is None else requested - sum(count for count, _ in lost),
        lost=[Lost(rows=count, reason=reason) for count, reason in lost],
        provenance=Provenance(
            label="//:x", origin="generated", created="2025-01-01T00:00:00+00:00", seconds=1, usage=usage or Usage()
        ),
    )


def make_target(name, status, *, requested=True, rows=10, asked=None, lost=(), package="", **more):
    label = Label(package, name)
    there = status in ("hit", "cutoff", "built", "completed_empty")
    result = make_result(rows, asked, lost) if there else None
    runs = {
        "built": [ActionRun("generate", "ran", 1.5)],
        "failed": [ActionRun("generate", "failed", 0.4)],
        "completed_empty": [ActionRun("generate", "ran", 1.5)],
        "hit": [ActionRun("generate", "hit")],
        "cutoff": [ActionRun("generate", "hit")],
    }
    values = {
        "label": label,
        "kind": "stage",
        "requested": requested,
        "status": status,
        "rows": rows if there else None,
        "rows_requested": asked if there else None,
        "rows_lost": result.rows_lost if result else 0,
        "key": HEX if there else None,
        "digest": f"xxh3_128:{HEX}" if there else None,
        "path": ROOT / "ddbuild-out" / package / name if there and requested else None,
        "actions": runs.get(status, []),
        "result": result,
        "tier": "local" if status in ("hit", "cutoff") else None,
    }
    return TargetResult(**(values | more))


def make_build(*targets, seconds=12.34, exit_code=0):
    return BuildResult(targets={each.label: each for each in targets}, seconds=seconds, exit_code=exit_code)
