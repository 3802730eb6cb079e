"""How long a build with nothing to do takes, beside starting Python with click: medians of whole processes.

python benchmarks/null_build.py [TARGETS ...]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
BUILD_FILE = """
import pyarrow as pa
from ddbuild import transform

def make(parents):
    return pa.table({{"id": [1]}})

for number in range({count}):
    transform(f"t{{number}}", make, salt=str(number))
"""


def measure(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Return the median of `command`'s seconds."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    """Print a row for each size of workspace, with the ratio to `import click` of the same run."""
    counts = [int(text) for text in sys.argv[1:]] or [10, 100, 1000]
    ddbuild = [sys.executable, "-m", "ddbuild", "//:t0"]
    print(f"{'targets':>8}  {'import click':>12}  {'ddbuild //:t0':>13}  {'ratio':>6}")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "ddbuild.toml").touch()
            (folder / "BUILD.py").write_text(BUILD_FILE.format(count=count))
            environment = os.environ | {"DDBUILD_CACHE_DIR": str(folder / "cache")}
            subprocess.run(ddbuild, cwd=folder, env=environment, check=True, capture_output=True)
            click = measure([sys.executable, "-c", "import click"], folder, environment)
            null = measure(ddbuild, folder, environment)
        print(f"{count:>8}  {click:>10.3f} s  {null:>11.3f} s  {null / click:>6.1f}")


if __name__ == "__main__":
    main()
