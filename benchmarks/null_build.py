"""How long a build with nothing to do takes, beside starting Python with click: whole processes, one after the other.

python benchmarks/null_build.py [TARGETS ...]

Each round starts every command once, so that what else the machine does counts for all alike; a ratio is the median of
the rounds' ratios to `import click`. CPU is what the processes used of it, which others on the machine change least.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 25
COUNTS = (10, 100, 1_000, 10_000)
BUILD_FILE = """
import data_designer.config as dd
import pyarrow as pa
from ddbuild import stage, transform

def draw():
    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    builder.add_column(name="n", column_type="sampler", sampler_type="uniform", params={{"low": 0, "high": 1}})
    return builder

def make(parents):
    return pa.table({{"id": [1]}})

stage("drawn", config=draw, num_records=5)
transform("judged", make, depends_on=[":drawn"])
for number in range({count} - 2):
    transform(f"t{{number}}", make, salt=str(number))
"""


@dataclass(frozen=True)
class Taken:
    """What one process took: seconds by the clock and of a processor, and KiB of memory at most."""

    wall: float
    cpu: float
    memory: int


class Runner:
    """Starts processes in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Byte code is kept, as it is for everybody who does not forbid it.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment = kept | {"DDBUILD_CACHE_DIR": str(folder / "cache"), "DDBUILD_EXPLAIN_SNAPSHOT": "1"}

    def run(self, command: list[str], **environment: str) -> Taken:
        """Run a command that has to succeed."""
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
        return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    def warm_up(self, command: list[str]) -> None:
        """Run a build until it is answered from a snapshot."""
        for _ in range(4):
            done = subprocess.run(
                command, cwd=self._folder, env=self._environment, check=True, capture_output=True, text=True
            )
            if "snapshot" not in done.stderr:
                return
            time.sleep(0.2)
        raise SystemExit(done.stderr)

    def count_calls(self, command: list[str]) -> tuple[int, int] | None:
        """Return how many system calls a command makes, and how many of them open a file; None without strace."""
        try:
            done = subprocess.run(
                ["strace", "-f", "-c", *command],
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            return None
        # usecs/call, calls, errors if any, name
        counts = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:(\d+) +)?(\w+)$", done.stderr, re.MULTILINE)
        calls = {name: (int(number), int(errors or 0)) for number, errors, name in counts}
        opened = calls.get("openat", (0, 0))
        return calls["total"][0], opened[0] - opened[1]


def measure(runner: Runner, ddbuild: str, count: int) -> None:
    """Print a row for each command in a workspace of `count` targets."""
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "python -c pass": ([sys.executable, "-c", "pass"], {}),
        "ddbuild //judged": ([ddbuild, "//judged"], {}),
        "ddbuild --help": ([ddbuild, "--help"], {}),
        "complete //t7": (
            [ddbuild],
            {"_DDBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "ddbuild //t7", "COMP_CWORD": "1"},
        ),
    }
    runner.warm_up([ddbuild, "//judged"])
    click, taken = [], {name: [] for name in commands}
    for _ in range(ROUNDS):
        click.append(runner.run([sys.executable, "-c", "import click"]))
        for name, (command, environment) in commands.items():
            taken[name].append(runner.run(command, **environment))
    print(f"\n{count:,} targets; `import click` takes {1000 * statistics.median(each.wall for each in click):.1f} ms")
    for name, each in taken.items():
        wall = statistics.median(one.wall / other.wall for one, other in zip(each, click, strict=True))
        cpu = statistics.median(one.cpu / other.cpu for one, other in zip(each, click, strict=True))
        seconds = 1000 * statistics.median(one.wall for one in each)
        memory = max(one.memory for one in each) / 1024
        print(f"  {name:<18} {seconds:>7.1f} ms  {wall:>5.2f} x wall  {cpu:>5.2f} x CPU  {memory:>5.0f} MiB")
    for name in ("ddbuild //judged", "python -c pass"):
        if (calls := runner.count_calls(commands[name][0])) is not None:
            print(f"  {name:<18} {calls[0]:,} system calls, {calls[1]} files opened")


def main() -> None:
    """Measure in workspaces of as many targets as are asked for."""
    ddbuild = str(Path(sys.executable).with_name("ddbuild"))
    for count in [int(text) for text in sys.argv[1:]] or COUNTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "ddbuild.toml").touch()
            (folder / "BUILD.py").write_text(BUILD_FILE.format(count=count))
            measure(Runner(folder), ddbuild, count)


if __name__ == "__main__":
    main()
