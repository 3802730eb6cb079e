"""What all subjects share: measured sections, their Markdown, and the machine that they were measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "Section",
    "compare",
    "describe_machine",
    "mark_load",
    "median_of",
    "run_alone",
    "run_child",
    "settle",
    "time_once",
]

# What must not reach out of a benchmark, nor into it.
_SETTINGS = ("DDBUILD_CACHE_DIR", "DDBUILD_SHARED_CACHE", "DDBUILD_SHARED_MODE", "DDBUILD_JOBS", "DDBUILD_NO_SNAPSHOT")


@dataclass(slots=True)
class Section:
    """A subject's table, or its `text`; `load` is the machine's load average before and after it was measured."""

    title: str
    command: str
    columns: Sequence[str]
    rows: list[Sequence[str]]
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    load: tuple[float, float] = (0.0, 0.0)

    def write(self) -> str:
        """Return the section in Markdown."""
        lines = [f"## {self.title}", "", f"    {self.command}", ""]
        if self.rows:
            lines += [f"| {' | '.join(self.columns)} |", "|---" + "|--:" * (len(self.columns) - 1) + "|"]
            lines += [f"| {' | '.join(row)} |" for row in self.rows]
            lines.append("")
        if self.text:
            table = self.text.startswith("|")
            lines += [*(line if table else f"    {line}" for line in self.text.splitlines()), ""]
        lines += [f"- {note}" for note in self.notes]
        if (busy := mark_load(self.load)) is not None:
            lines.append(f"- {busy}")
        return "\n".join(lines).rstrip() + "\n"


def mark_load(load: tuple[float, float]) -> str | None:
    """Return a warning for a section that was measured beside other work; None where the machine was free."""
    cores = os.cpu_count() or 1
    before, after = load
    if before <= 0.25 * cores:
        return None
    return f"**Measured on a busy machine**: load average {before:.1f} before and {after:.1f} after, on {cores} cores."


@contextmanager
def settle() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a new folder, and make this process and its children use homes and caches of their own in it."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="ddbuild-bench-") as name:
        folder = Path(name).resolve()
        for each in _SETTINGS:
            os.environ.pop(each, None)
        (folder / "home").mkdir()
        os.environ |= {
            "HOME": str(folder / "home"),
            "DATA_DESIGNER_HOME": str(folder / "home" / "data-designer"),
            "DDBUILD_CACHE_DIR": str(folder / "cache"),
            "NEMO_TELEMETRY_ENABLED": "false",
        }
        try:
            yield folder, dict(os.environ)
        finally:
            os.environ.clear()
            os.environ.update(kept)


def time_once(act: Callable[[], object]) -> float:
    """Return the seconds that `act` takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def median_of(act: Callable[[], object], rounds: int) -> float:
    """Return the median of the seconds that `act` takes."""
    return statistics.median(time_once(act) for _ in range(rounds))


def compare(base: Callable[[], object], act: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of both, taken in turns, so that what disturbs one disturbs the other as well."""
    seconds = [(time_once(base), time_once(act)) for _ in range(rounds)]
    return statistics.median(each[0] for each in seconds), statistics.median(each[1] for each in seconds)


def run_child(code: str, *arguments: str, cwd: Path) -> dict[str, Any]:
    """Run Python code in a process of its own and return what it prints last, with its seconds and peak memory."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"a measured process failed:\n{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {"process_seconds": seconds} | found


def describe_machine() -> list[str]:
    """Return lines about the machine and the versions."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {name: metadata.version(name) for name in ("ddbuild", "data-designer", "pyarrow", "duckdb", "xxhash")}
    return [
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB of memory, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def run_alone(measure: Callable[[bool, bool], Section], document: str | None) -> None:
    """Measure one subject from the command line and print it."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--full", action="store_true", help="the largest sizes")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    section = measure(options.quick, options.full)
    section.load = (before, os.getloadavg()[0])
    print(section.write())
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(asdict(section), indent=1) + "\n", encoding="utf-8")
