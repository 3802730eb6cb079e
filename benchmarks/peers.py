"""A build with nothing to do: make, ninja, doit, pytask, Snakemake, DVC and ddbuild on graphs of the same shape.

python benchmarks/peers.py [--quick | --full]

The graph has ten layers; each target but those of the first layer needs one of the layer above. All tools are asked for
all targets, and ddbuild for one as well. The peers come from the Python package registry, into .bench/peers, but for
make, which is there or is not.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reporting import Section, run_alone, settle, time_once

__all__ = ["measure"]

HOME = Path(".bench/peers")
PACKAGES = ("ninja", "doit", "pytask", "snakemake", "dvc")
LAYERS = 10
PAUSE = 3.0
SLOW = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """How a tool is told of `count` targets, how it is called, and up to how many targets it is asked for here."""

    name: str
    write: Callable[[Path, int], None]
    command: Callable[[Path], Sequence[str]]
    most: int
    why: str = ""
    package: str = ""


def parent_of(number: int, count: int) -> int | None:
    """Return the target that target `number` needs, if any."""
    width = max(1, count // LAYERS)
    return number - width if number >= width else None


def _write_make(folder: Path, count: int) -> None:
    lines = ["all: " + " ".join(f"t{n}" for n in range(count))]
    for number in range(count):
        above = parent_of(number, count)
        lines += [f"t{number}: {f't{above}' if above is not None else 'seed'}", "\t@cp $< $@"]
    (folder / "Makefile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_ninja(folder: Path, count: int) -> None:
    lines = ["rule copy", "  command = cp $in $out"]
    for number in range(count):
        above = parent_of(number, count)
        lines.append(f"build t{number}: copy {f't{above}' if above is not None else 'seed'}")
    (folder / "build.ninja").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_doit(folder: Path, count: int) -> None:
    (folder / "dodo.py").write_text(
        f"""
import shutil
COUNT, WIDTH = {count}, {max(1, count // LAYERS)}
def task_copy():
    for number in range(COUNT):
        source = f"t{{number - WIDTH}}" if number >= WIDTH else "seed"
        target = f"t{{number}}"
        copy = (shutil.copy, [source, target])
        yield {{"name": target, "file_dep": [source], "targets": [target], "actions": [copy]}}
""",
        encoding="utf-8",
    )


def _write_pytask(folder: Path, count: int) -> None:
    (folder / "task_copy.py").write_text(
        f"""
import shutil
from pathlib import Path
from typing import Annotated
from pytask import Product, task
COUNT, WIDTH = {count}, {max(1, count // LAYERS)}
HERE = Path(__file__).parent
for number in range(COUNT):
    source = HERE / (f"t{{number - WIDTH}}" if number >= WIDTH else "seed")
    @task(id=f"t{{number}}")
    def copy(source: Path = source, target: Annotated[Path, Product] = HERE / f"t{{number}}"):
        shutil.copy(source, target)
""",
        encoding="utf-8",
    )


def _write_snakemake(folder: Path, count: int) -> None:
    width = max(1, count // LAYERS)
    (folder / "Snakefile").write_text(
        f"""
import shutil
COUNT, WIDTH = {count}, {width}
rule all:
    input: [f"t{{n}}" for n in range(COUNT)]
for n in range(COUNT):
    rule:
        name: f"t{{n}}"
        input: f"t{{n - WIDTH}}" if n >= WIDTH else "seed"
        output: f"t{{n}}"
        shell: "cp {{input}} {{output}}"
""",
        encoding="utf-8",
    )


def _write_dvc(folder: Path, count: int) -> None:
    lines = ["stages:"]
    for number in range(count):
        above = parent_of(number, count)
        source = f"t{above}" if above is not None else "seed"
        lines += [f"  s{number}:", f"    cmd: cp {source} t{number}", f"    deps: [{source}]", f"    outs: [t{number}]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run([_tool("dvc"), "init", "--no-scm", "-q"], cwd=folder, check=True)
    subprocess.run([_tool("dvc"), "config", "core.analytics", "false"], cwd=folder, check=True)


def _write_ddbuild(folder: Path, count: int) -> None:
    (folder / "ddbuild.toml").touch()
    (folder / "BUILD.py").write_text(
        f"""
import pyarrow as pa
from ddbuild import transform
COUNT, WIDTH = {count}, {max(1, count // LAYERS)}
def make(parents):
    return pa.table({{"id": [1]}})
for number in range(COUNT):
    parents = [f":t{{number - WIDTH}}"] if number >= WIDTH else []
    transform(f"t{{number}}", make, salt=str(number), depends_on=parents)
""",
        encoding="utf-8",
    )


def _tool(name: str) -> str:
    return str((HOME / "bin" / name).absolute())


DDBUILD = Peer("ddbuild", _write_ddbuild, lambda folder: (sys.executable, "-m", "ddbuild", "//..."), 10_000)
ONE = Peer("ddbuild, for one", _write_ddbuild, lambda folder: (sys.executable, "-m", "ddbuild", "//:t9"), 10_000)
MAKE = Peer("make", _write_make, lambda folder: ("make", "-s", "-j2", "all"), 10_000)
TOOLS = (
    DDBUILD,
    ONE,
    MAKE,
    Peer("ninja", _write_ninja, lambda folder: (_tool("ninja"), "--quiet"), 10_000, package="ninja"),
    Peer("doit", _write_doit, lambda folder: (_tool("doit"), "-v0"), 10_000, package="doit"),
    Peer(
        "Snakemake",
        _write_snakemake,
        lambda folder: (_tool("snakemake"), "--cores", "2", "--quiet", "all"),
        100,
        "its first build of 1,000 targets takes minutes",
        "snakemake",
    ),
    Peer(
        "pytask",
        _write_pytask,
        lambda folder: (_tool("pytask"), "--verbose", "0"),
        1000,
        "its first build of 10,000 targets takes minutes",
        "pytask",
    ),
    Peer(
        "DVC",
        _write_dvc,
        lambda folder: (_tool("dvc"), "repro", "-q"),
        100,
        "its first build of 1,000 targets takes minutes",
        "dvc",
    ),
)


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each tool and a column for each size."""
    sizes = (10, 100) if quick else (10, 100, 1000, 10_000) if full else (10, 100, 1000)
    rounds = 1 if quick else 5
    versions = _install()
    section = Section(
        "Nothing to do, beside peers",
        "python benchmarks/peers.py" + (" --full" if full else ""),
        ("tool", *(f"{size:,} targets" for size in sizes)),
        [],
    )
    medians = {size: _time_all(size, rounds) for size in sizes}
    for tool in TOOLS:
        cells = []
        for size in sizes:
            seconds, ours = medians[size].get(tool.name), medians[size].get(DDBUILD.name)
            ratio = f" ({_write_ratio(seconds / ours)})" if seconds and ours and tool is not DDBUILD else ""
            cells.append("-" if seconds is None else f"{1000 * seconds:,.0f} ms{ratio}")
            section.figures[f"{tool.name}, {size}"] = seconds
        section.rows.append((f"{tool.name} {versions.get(tool.package or tool.name, '')}".strip(), *cells))
    section.notes += [
        f"Medians of {rounds} whole processes, the tools taking turns; in brackets, how many times as long as ddbuild.",
        *(f"{peer.name} stops at {peer.most:,} targets: {peer.why}." for peer in TOOLS if peer.most < sizes[-1]),
        "make and ninja compare times of files; doit, pytask, Snakemake and DVC compare content, as ddbuild does.",
    ]
    return section


def _write_ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def _install() -> dict[str, str]:
    python = HOME / "bin" / "python"
    if not python.exists():
        HOME.parent.mkdir(exist_ok=True)
        venv.create(HOME, with_pip=True)
    missing = [name for name in PACKAGES if not (HOME / "bin" / name).exists()]
    if missing:
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing]
        if subprocess.run(command).returncode:
            print("some peers could not be installed; they are left out", file=sys.stderr)
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True
    ).stdout
    versions = dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)
    if shutil.which("make"):
        first = subprocess.run(["make", "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
        versions["make"] = first.rpartition(" ")[2]
    return versions


def _time_all(size: int, rounds: int) -> dict[str, float]:
    """Return the median of the seconds that each tool takes for `size` targets; not of those that are not asked."""
    with settle() as (folder, environment):
        builds = {}
        for tool in TOOLS:
            is_there = Path(_tool(tool.package)).exists() if tool.package else tool is not MAKE or shutil.which("make")
            if size <= tool.most and is_there:
                builds[tool.name] = _prepare(tool, size, folder / tool.name.replace(", ", "-"), environment)
        # Nobody can trust the times of files that are very young, and some tools look at content as long.
        time.sleep(PAUSE)
        seconds: dict[str, list[float]] = {name: [] for name in builds}
        for turn in range(rounds + 2):
            for name, build in builds.items():
                # The first two may still write down what was made, and what is slow needs no more.
                if turn < 2 or not seconds[name] or seconds[name][0] < SLOW:
                    spent = time_once(build)
                    if turn >= 2 or spent >= SLOW:
                        seconds[name].append(spent)
        return {name: statistics.median(spent) for name, spent in seconds.items()}


def _prepare(tool: Peer, size: int, work: Path, environment: dict[str, str]) -> Callable[[], None]:
    """Build everything once and return what builds it again."""
    work.mkdir()
    (work / "seed").write_text("seed\n", encoding="utf-8")
    tool.write(work, size)
    command = list(tool.command(work))

    def build() -> None:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{tool.name} with {size} targets failed:\n{done.stdout}\n{done.stderr}")

    build()
    return build


if __name__ == "__main__":
    run_alone(measure, __doc__)
