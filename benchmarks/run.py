"""All benchmarks, one subject after the other, into docs/benchmarks.md and .bench/benchmarks.json.

python benchmarks/run.py [--quick | --full] [SUBJECT ...]

A subject that is not named keeps the figures that it had in .bench/benchmarks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from reporting import Section, describe_machine

HERE = Path(__file__).resolve().parent
RECORDS = Path(".bench/benchmarks.json")
PAGE = HERE.parent / "docs" / "benchmarks.md"
SUBJECTS = ("null_build", "peers", "loading", "scheduling", "hashing", "materializing", "streaming", "cells", "edits")

INTRODUCTION = """# Benchmarks

    make bench              all of it
    make bench QUICK=1      small sizes and one round
    make bench FULL=1       the largest sizes: 10,000 targets, 10 million rows

Look at the ratios: both of their figures come from one run on one machine. This page is written by `make bench`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--full", action="store_true", help="the largest sizes")
    options = parser.parse_args()
    if unknown := set(options.subjects) - set(SUBJECTS):
        parser.error(f"no subject of these names: {', '.join(sorted(unknown))}")
    records, failed = _read_records(), []
    for subject in options.subjects or SUBJECTS:
        print(f"measuring {subject}", file=sys.stderr, flush=True)
        try:
            section = measure(subject, options.quick, options.full)
        except SystemExit as error:
            print(f"{subject} is left out: {error}", file=sys.stderr, flush=True)
            failed.append(subject)
            continue
        records[subject] = asdict(section) | {"measured": _say_when(options)}
        RECORDS.parent.mkdir(exist_ok=True)
        RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(write_page(records), encoding="utf-8")
    print(write_page(records))
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def measure(subject: str, quick: bool, full: bool) -> Section:
    """Measure one subject in a process of its own, so that none finds what another one has imported."""
    file = RECORDS.parent / f"{subject}.json"
    before = os.getloadavg()[0]
    if subject == "null_build":
        sizes = ["10", "100"] if quick else ["10", "100", "1000", "10000"] if full else ["10", "100", "1000"]
        text = _run([str(HERE / "null_build.py"), *sizes])
        section = Section("A build with nothing to do", f"python benchmarks/null_build.py {' '.join(sizes)}", (), [])
        section.text = text
    elif subject == "edits":
        text = _run([str(HERE / "edits.py"), "--json", str(file)])
        section = Section("Everyday edits", "python benchmarks/edits.py", (), [])
        section.text = text
        section.figures = {"edits": json.loads(file.read_text(encoding="utf-8"))}
        section.notes = [
            "Requests to models that an edit costs, counted at a local server, health checks left out. Needed: those "
            "for cells whose column's recipe, or whose values that it reads, have changed, and no others.",
            "A star: the rows were not what they should be after the edit. CompositeWorkflow is resumed with "
            "`ResumeMode.IF_POSSIBLE` and with an `on_success_version` that changes when the callback does.",
        ]
    else:
        flags = ["--quick"] * quick + ["--full"] * full
        _run([str(HERE / f"{subject}.py"), "--json", str(file), *flags])
        found = json.loads(file.read_text(encoding="utf-8"))
        section = Section(**found)
    section.load = (before, os.getloadavg()[0])
    return section


def write_page(records: dict[str, dict[str, object]]) -> str:
    """Return docs/benchmarks.md."""
    parts = [INTRODUCTION, *(f"- {line}" for line in describe_machine()), ""]
    for subject in SUBJECTS:
        if subject in records:
            record = dict(records[subject])
            measured = record.pop("measured")
            section = Section(**record)  # type: ignore[arg-type]
            section.notes = [*section.notes, f"{measured}."]
            parts.append(section.write())
    return "\n".join(parts)


def _run(command: list[str]) -> str:
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed")
    return done.stdout.strip()


def _read_records() -> dict[str, dict[str, object]]:
    try:
        records: dict[str, dict[str, object]] = json.loads(RECORDS.read_text(encoding="utf-8"))
        return records
    except (OSError, ValueError):
        return {}


def _say_when(options: argparse.Namespace) -> str:
    sizes = "small sizes" if options.quick else "the largest sizes" if options.full else "usual sizes"
    return f"Measured on {time.strftime('%Y-%m-%d')}, {sizes}"


if __name__ == "__main__":
    main()
