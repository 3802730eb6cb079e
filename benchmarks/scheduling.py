"""What the scheduler adds: to trivial transforms, to Data Designer's `create()`, and to stages that wait for a model.

python benchmarks/scheduling.py [--quick | --full]
"""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from reporting import Section, run_alone, run_child, settle, time_once

__all__ = ["measure"]

TRANSFORMS = """
import pyarrow as pa
from ddbuild import transform

def make(parents):
    return pa.table({{"id": [1]}})

for number in range({count}):
    transform(f"t{{number}}", make, salt=str(number), depends_on={parents})
"""
PARENTS = {"side by side": "[]", "a chain": '[f":t{number - 1}"] if number else []'}

BUILDING = """
import json, os, resource, sys, time
import pyarrow.parquet, pandas
from ddbuild.building.api import open_session
session = open_session().session
labels = list(session.graph)
started, cpu = time.perf_counter(), time.process_time()
result = session.start(labels, jobs=4, keep_going=False, listener=None).wait()
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
assert result.ok and all(each.status == "built" for each in result.targets.values())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "cpu": cpu, "targets": len(labels), "peak": peak}))
"""

RECORDS = 10
DELAY = 3.0


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each kind of work."""
    section = Section(
        "Scheduling",
        "python benchmarks/scheduling.py" + (" --full" if full else ""),
        ("work", "targets", "by hand", "ddbuild", "added to each", "CPU of each"),
        [],
    )
    for shape in PARENTS:
        _measure_transforms(section, shape, 300 if quick else 10_000 if full else 1000)
    with settle() as (folder, _):
        _measure_stages(section, folder, 5 if quick else 20)
    for shape in ("wide", "diamond"):
        with settle() as (folder, _):
            _measure_waiting(section, folder, shape, 1 if quick else 3)
    section.notes += [
        "Transforms: one row each, nothing by hand to compare with; `--full` builds 10,000. Goal: under 2 ms each.",
        f"Stages: {RECORDS} rows of a sampler and an expression, one after the other; `create()` by hand for each. "
        "Goal: under 50 ms each.",
        f"Stages that wait: one request each, which the stub answers after {DELAY:g} s. By hand, the critical path is "
        "the `create()` of each of its stages, one after the other; threads run all at once on one DataDesigner. Goal: "
        "within 5 % of the critical path. What Data Designer itself computes runs in one thread at a time.",
    ]
    return section


def _measure_transforms(section: Section, shape: str, count: int) -> None:
    with settle() as (folder, _):
        (folder / "ddbuild.toml").touch()
        (folder / "BUILD.py").write_text(TRANSFORMS.format(count=count, parents=PARENTS[shape]), encoding="utf-8")
        found = run_child(BUILDING, cwd=folder)
    each, cpu = found["seconds"] / count, found["cpu"] / count
    section.rows.append(
        (
            f"transforms, {shape}",
            f"{count}",
            "",
            f"{found['seconds']:.1f} s",
            f"{1000 * each:.1f} ms",
            f"{1000 * cpu:.1f} ms",
        )
    )
    section.figures[f"transforms, {shape}"] = found


def _measure_stages(section: Section, folder: Path, count: int) -> None:
    import data_designer.config as dd

    from ddbuild import Graph, build

    def make(number: int) -> Any:
        config = dd.DataDesignerConfigBuilder(model_configs=[])
        params = dd.CategorySamplerParams(values=["busy", "calm", str(number)])
        config.add_column(dd.SamplerColumnConfig(name="mood", sampler_type="category", params=params))
        return config.add_column(dd.ExpressionColumnConfig(name="text", expr="{{ mood }}"))

    designer = _make_designer(folder, None)
    # The first run of a process imports what all others have.
    designer.create(make(-1), num_records=RECORDS, dataset_name="first")
    hand, built = [], []
    for turn in range(3):
        hand.append(
            time_once(
                lambda turn=turn: [
                    designer.create(make(number), num_records=RECORDS, dataset_name=f"hand-{turn}-{number}")
                    for number in range(count)
                ]
            )
        )
        graph = Graph(folder)
        for number in range(count):
            graph.add_stage(f"s{number}", config=make(number), num_records=RECORDS)
        # One at a time: what is added is to be seen, and not hidden behind another stage.
        cache = folder / f"cache-{turn}"
        built.append(time_once(lambda graph=graph, cache=cache: _build(build, graph, designer, cache, jobs=1)))
    by_hand, ours = statistics.median(hand), statistics.median(built)
    added = (ours - by_hand) / count
    section.rows.append(
        ("stages without a model", f"{count}", f"{by_hand:.2f} s", f"{ours:.2f} s", f"{1000 * added:.0f} ms", "")
    )
    section.figures["stages"] = {"by hand": by_hand, "ddbuild": ours, "added": added, "targets": count}


def _measure_waiting(section: Section, folder: Path, shape: str, rounds: int) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    import data_designer.config as dd

    from ddbuild import Graph, build
    from stub_provider import StubProvider

    names = ["top", "left", "middle", "right", "bottom"] if shape == "diamond" else [f"s{i}" for i in range(8)]
    path = ["top", "left", "bottom"] if shape == "diamond" else names[:1]

    parameters = dd.ChatCompletionInferenceParams(max_parallel_requests=16)
    with StubProvider(delay=DELAY) as stub:

        def make(name: str) -> Any:
            config = dd.DataDesignerConfigBuilder(model_configs=[stub.model(inference_parameters=parameters)])
            params = dd.CategorySamplerParams(values=["one", "two"])
            config.add_column(dd.SamplerColumnConfig(name=f"n_{name}", sampler_type="category", params=params))
            prompt = f"say {{{{ n_{name} }}}}"
            return config.add_column(dd.LLMTextColumnConfig(name=name, model_alias="writer", prompt=prompt))

        designer = _make_designer(folder, stub.provider())
        designer.create(make("first"), num_records=1, dataset_name="first")
        hand, at_once, built = [], [], []
        for turn in range(rounds):

            def create(name: str, kind: str = f"hand-{turn}") -> None:
                designer.create(make(name), num_records=1, dataset_name=f"{kind}-{name}")

            hand.append(time_once(lambda create=create: [create(name) for name in path]))
            if shape == "wide":
                with ThreadPoolExecutor(len(names)) as threads:
                    each = partial(create, kind=f"threads-{turn}")
                    at_once.append(time_once(lambda each=each, threads=threads: list(threads.map(each, names))))
            graph = Graph(folder)
            for name in names:
                parents = {"top": [], "bottom": ["left", "middle", "right"]}.get(name, ["top"])
                options: dict[str, Any] = {} if shape == "wide" else {"depends_on": parents}
                if name == "bottom":
                    options["seed"] = "left"
                if shape == "wide" or name == "top":
                    options["num_records"] = 1
                graph.add_stage(name, config=make(name), **options)
            cache = folder / f"cache-{turn}"
            built.append(time_once(lambda graph=graph, cache=cache: _build(build, graph, designer, cache, jobs=8)))
    ours = statistics.median(built)
    figures = {"critical path": statistics.median(hand), "ddbuild": ours}
    if at_once:
        figures["threads"] = statistics.median(at_once)
    for kind in ("critical path", "threads"):
        if kind in figures:
            work = f"stages that wait, {'a diamond' if shape == 'diamond' else 'side by side'}; by hand: {kind}"
            added = f"{100 * (ours / figures[kind] - 1):+.1f} % in all"
            section.rows.append((work, f"{len(names)}", f"{figures[kind]:.2f} s", f"{ours:.2f} s", added, ""))
    section.figures[f"waiting, {shape}"] = figures


def _build(build: Callable[..., Any], graph: Any, designer: Any, cache: Path, jobs: int) -> None:
    assert build(graph, "//...", data_designer=designer, cache=cache, jobs=jobs).ok


def _make_designer(folder: Path, provider: Any) -> Any:
    import data_designer.config as dd
    from data_designer.interface import DataDesigner

    logging.disable(logging.CRITICAL)
    none = dd.ModelProvider(name="none", endpoint="http://127.0.0.1:9/v1", api_key="none")
    designer = DataDesigner(folder / "artifacts", model_providers=[provider or none], auto_configure_logging=False)
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))
    return designer


if __name__ == "__main__":
    run_alone(measure, __doc__)
