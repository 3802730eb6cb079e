"""How long 1,000 stages take to load, fingerprint and plan, with Data Designer's import, in a process of its own.

python benchmarks/loading.py [--quick]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from reporting import Section, median_of, run_alone, run_child, settle

__all__ = ["measure"]

BUILD_FILE = """
import data_designer.config as dd
from ddbuild import stage

def make(number):
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(dd.SamplerColumnConfig(
        name="mood", sampler_type="category", params=dd.CategorySamplerParams(values=["busy", "calm", str(number)])
    ))
    config.add_column(dd.ExpressionColumnConfig(name="text", expr="{{{{ mood }}}} {name}"))
    return config

for number in range({count}):
    stage(f"s{{number}}", config=lambda number=number: make(number), num_records=10)
"""

# A builder without models of its own has those of the home, as on the machine of everybody who has used Data Designer.
HOME = """
from data_designer.config.default_model_settings import resolve_seed_default_model_settings
resolve_seed_default_model_settings()
print("{}")
"""

MEASURED = """
import json, time
started = time.perf_counter()
import data_designer.config as dd
dd.DataDesignerConfigBuilder
imported = time.perf_counter()
from ddbuild.building.api import open_session
session = open_session().session
loaded = time.perf_counter()
plan = session.plan(list(session.graph))
planned = time.perf_counter()
print(json.dumps({
    "targets": len(plan.targets), "import": imported - started, "load": loaded - imported, "plan": planned - loaded,
    "all": planned - started, "cpu": time.process_time(),
}))
"""


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each way to spread the stages over build files."""
    stages, rounds = (200, 1) if quick else (1000, 3)
    rows, figures = [], {}
    for packages in (1, 100):
        with settle() as (folder, _):
            workspace = _write(folder / "workspace", stages, packages)
            run_child(HOME, cwd=workspace)
            found = [run_child(MEASURED, cwd=workspace) for _ in range(rounds)]
            assert all(each["targets"] == stages for each in found)
            names = ("import", "load", "plan", "all", "cpu")
            median = {name: statistics.median(each[name] for each in found) for name in names}
            command = [sys.executable, "-m", "ddbuild", "plan", "//..."]

            def plan(command: list[str] = command, workspace: Path = workspace) -> None:
                subprocess.run(command, cwd=workspace, check=True, capture_output=True)

            median["command"] = median_of(plan, rounds)
        rows.append(
            (
                f"{stages} stages in {packages} build file{'s' if packages > 1 else ''}",
                f"{median['import']:.2f} s",
                f"{median['load']:.2f} s",
                f"{median['plan']:.2f} s",
                f"{median['all']:.2f} s",
                f"{median['cpu']:.2f} s",
                f"{median['command']:.2f} s",
            )
        )
        figures[f"{packages} packages"] = median
    return Section(
        "Loading",
        "python benchmarks/loading.py",
        ("workspace", "import of Data Designer", "load", "fingerprint and plan", "all", "CPU", "`ddbuild plan //...`"),
        rows,
        [f"A process each, nothing built before; medians of {rounds}. Goal: under 3 s for 1,000 stages."],
        figures,
    )


def _write(workspace: Path, stages: int, packages: int) -> Path:
    workspace.mkdir()
    (workspace / "ddbuild.toml").touch()
    for number in range(packages):
        package = workspace if packages == 1 else workspace / f"p{number:02d}"
        package.mkdir(exist_ok=True)
        text = BUILD_FILE.format(count=stages // packages, name=package.name)
        (package / "BUILD.py").write_text(text, encoding="utf-8")
    return workspace


if __name__ == "__main__":
    run_alone(measure, __doc__)
