"""Requests that everyday edits cost: ddbuild, CompositeWorkflow, a plain script, and what had to be asked.

    python benchmarks/edits.py [--json FILE] [--only WORD] [--verbose]

Every request is counted where it arrives, at a stub that speaks the OpenAI protocol; health checks are left out. Each
edit starts from the same finished run of its job. A figure with a star was too cheap, or paid for nothing: the rows are
not what they should be after the edit.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("NEMO_TELEMETRY_ENABLED", "false")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from edit_check import find_wrong
from edit_ideal import IdealTool
from edit_jobs import EDITS, Edit, Job
from edit_replies import Replies
from edit_tools import Composite, Ddbuild, PlainScript

from ddbuild.workspace import Graph
from stub_provider import StubProvider

TOOLS = ("ddbuild", "CompositeWorkflow", "script")


@dataclass(frozen=True, slots=True)
class Made:
    """What one tool did after an edit; `wrong` is what is wrong with the rows that it gave."""

    requests: int
    wrong: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """One edit: what had to be asked, and what each tool asked."""

    job: str
    edit: str
    full: int
    ideal: int
    tools: dict[str, Made]

    @property
    def ratio(self) -> float | None:
        """Requests of ddbuild for each one needed; None where it made some and none was needed."""
        made = self.tools["ddbuild"].requests
        return made / self.ideal if self.ideal else None if made else 1.0


class Bench:
    """One folder in which all tools run all jobs, beside one stub."""

    def __init__(self, folder: Path, stub: Any, replies: Replies, *, verbose: bool) -> None:
        provider = stub.provider(name="embedded")
        self._tools = [Ddbuild(), Composite(provider), PlainScript(provider)]
        self._folder = folder
        self._stub = stub
        self._replies = replies
        self._verbose = verbose
        self._full: dict[str, int] = {}

    def measure(self, edit: Edit) -> Line:
        """Return what `edit` costs; its job is run first if it was not yet."""
        if edit.job.name not in self._full:
            self._full[edit.job.name] = self._run_first(edit.job)
        ideal, expected, graph = self._reckon(edit)
        tools = {}
        for tool in self._tools:
            place = self._restore(edit, tool.name)
            if edit.moved:
                tool.move(place / "state")
            made, requests, seconds = self._run(tool, place)
            wrong = find_wrong(graph, made, expected, self._replies)
            if requests < ideal:
                wrong.append(f"{ideal - requests} requests too few")
            tools[tool.name] = Made(requests, wrong, round(seconds, 2))
            if self._verbose:
                print(f"{edit.job.name}: {edit.what}: {tool.name} {tools[tool.name]}", file=sys.stderr)
        return Line(edit.job.name, edit.what, self._full[edit.job.name], ideal, tools)

    def _run_first(self, job: Job) -> int:
        """Run `job` with every tool, keep what they have then, and return how many requests all of it takes."""
        full, expected, graph = 0, {}, None
        for tool in self._tools:
            place = self._place(job, tool.name)
            job.write(place / "workspace")
            (place / "state").mkdir()
            if graph is None:
                graph = Graph.load(place / "workspace")
                full, expected = IdealTool(self._replies).run(graph)
            made, requests, seconds = self._run(tool, place)
            wrong = find_wrong(graph, made, expected, self._replies)
            if requests != full or wrong:
                raise SystemExit(f"{job.name}: {tool.name} made {requests} requests, expected {full}; {wrong}")
            if self._verbose:
                print(f"{job.name}: {tool.name}: {requests} requests in {seconds:.2f} s", file=sys.stderr)
            place.rename(place.with_name(place.name + ".kept"))
        return full

    def _reckon(self, edit: Edit) -> tuple[int, dict[Any, Any], Any]:
        """Return how many requests the edit needs, the rows as they should be, and the edited graph."""
        workspace = self._folder / "ideal" / edit.job.name.replace(" ", "-")
        shutil.rmtree(workspace, ignore_errors=True)
        edit.job.write(workspace)
        tool = IdealTool(self._replies)
        tool.run(Graph.load(workspace))
        for change in edit.changes:
            change.apply(workspace)
        graph = Graph.load(workspace)
        needed, rows = tool.run(graph)
        return needed, rows, graph

    def _restore(self, edit: Edit, tool: str) -> Path:
        """Return a place with what `tool` had after the first run, and with the edit made."""
        kept = self._place(edit.job, tool).with_name(self._place(edit.job, tool).name + ".kept")
        place = self._place(edit.job, tool)
        if edit.moved:
            place = place.with_name("elsewhere-" + place.name)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(kept, place)
        if edit.moved:
            for left in (".ddbuild", "ddbuild-out"):
                shutil.rmtree(place / "workspace" / left, ignore_errors=True)
        for change in edit.changes:
            change.apply(place / "workspace")
        return place

    def _run(self, tool: Any, place: Path) -> tuple[dict[Any, Any], int, float]:
        before, started = self._stub.requests, time.perf_counter()
        made = tool.run(place / "workspace", place / "state")
        return made, self._stub.requests - before, time.perf_counter() - started

    def _place(self, job: Job, tool: str) -> Path:
        return self._folder / tool / job.name.replace(" ", "-")


def run(*, only: str = "", verbose: bool = False) -> list[Line]:
    """Return a line for each edit that has `only` in its name or its job's."""
    # Data Designer tells much, and much of it twice.
    logging.disable(logging.CRITICAL)
    replies = Replies()
    with tempfile.TemporaryDirectory(prefix="ddbuild-edits-") as name, StubProvider(replies) as stub:
        os.environ["DDBUILD_EXAMPLE_URL"] = stub.endpoint
        os.environ["DATA_DESIGNER_HOME"] = str(Path(name, "home"))
        bench = Bench(Path(name).resolve(), stub, replies, verbose=verbose)
        return [bench.measure(edit) for edit in EDITS if only in edit.what or only in edit.job.name]


def write_table(lines: list[Line]) -> str:
    """Return the lines as a Markdown table, with their sums below."""
    text = [
        f"| job | edit | all of it | needed | {' | '.join(TOOLS)} | ddbuild / needed |",
        "|---|---" + "|--:" * 6 + "|",
    ]
    for line in lines:
        made = " | ".join(f"{line.tools[tool].requests}{'*' if line.tools[tool].wrong else ''}" for tool in TOOLS)
        ratio = f"{line.ratio:.2f}" if line.ratio is not None else f"{line.tools['ddbuild'].requests} / 0"
        text.append(f"| {line.job} | {line.edit} | {line.full} | {line.ideal} | {made} | {ratio} |")
    sums = [sum(line.tools[tool].requests for line in lines) for tool in TOOLS]
    needed = sum(line.ideal for line in lines)
    ratio = f"{sums[0] / needed:.2f}" if needed else "-"
    text.append(f"| all | | | {needed} | {' | '.join(map(str, sums))} | {ratio} |")
    return "\n".join(text)


def write_json(lines: list[Line]) -> str:
    """Return the lines for programs."""
    return json.dumps([asdict(line) | {"ratio": line.ratio} for line in lines], indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(".bench/edits.json"), help="where the figures go")
    parser.add_argument("--only", default="", help="only edits with this in their name or their job's")
    parser.add_argument("--verbose", action="store_true", help="tell each run on stderr")
    options = parser.parse_args()
    started = time.perf_counter()
    lines = run(only=options.only, verbose=options.verbose)
    print(write_table(lines))
    print(
        f"\n{len(lines)} edits in {time.perf_counter() - started:.0f} s; load {os.getloadavg()[0]:.1f}", file=sys.stderr
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(write_json(lines), encoding="utf-8")
    if wrong := {line.edit: line.tools["ddbuild"].wrong for line in lines if line.tools["ddbuild"].wrong}:
        raise SystemExit(f"ddbuild has served wrong rows: {wrong}")


if __name__ == "__main__":
    main()
