"""Joins, callbacks and transforms on many rows: their time, and the most memory that the build's process has had.

python benchmarks/streaming.py [--quick | --full] (10 million rows with --full)
"""

from __future__ import annotations

from reporting import Section, run_alone, run_child, settle

__all__ = ["measure"]

BUILD_FILE = """
import pyarrow.dataset as ds
from ddbuild import source, transform

def keep(parents):
    return ds.dataset(parents["left"]).scanner(filter=ds.field("id") >= 10).to_reader()

def read_again(parents):
    return parents["left"]

source("left", files="left.parquet")
source("right", files="right.parquet")
transform("streamed", keep, depends_on=[":left"])
transform("as_path", read_again, depends_on=[":left"])
"""

WRITE = """
import sys, json, random
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
count = int(sys.argv[1])
rng = np.random.default_rng(0)
for name, column in (("left", "text"), ("right", "words")):
    schema = pa.schema([("id", pa.int64()), (column, pa.string())])
    with pq.ParquetWriter(f"{name}.parquet", schema, compression="zstd") as out:
        for start in range(0, count, 1 << 16):
            ids = np.arange(start, min(start + (1 << 16), count))
            order = ids if name == "left" else (count - 1 - ids)
            texts = [f"{column} of row {n}, and some more words" for n in order]
            out.write_table(pa.table({"id": order, column: texts}, schema=schema))
print(json.dumps({}))
"""

IMPORTS = """
import json, resource
import pyarrow.parquet, pyarrow.dataset, pandas, duckdb
from ddbuild.building.api import open_session
import data_designer.config as dd
dd.DataDesignerConfigBuilder
print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""

BUILD = """
import json, resource, sys, time
import pyarrow.parquet, pyarrow.dataset, pandas, duckdb
from ddbuild.building.api import open_session, find_labels
session = open_session().session
labels = find_labels(session.graph, sys.argv[1:])
started = time.perf_counter()
result = session.start(labels, jobs=1, keep_going=False, listener=None).wait()
seconds = time.perf_counter() - started
assert result.ok
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "peak": peak, "rows": max(each.rows for each in result.targets.values())}))
"""

JOIN = """
import json, resource, time
from pathlib import Path
import pyarrow.parquet, pandas, duckdb
from ddbuild import table
started = time.perf_counter()
rows = table.join([Path("left.parquet"), Path("right.parquet")], ["id"], "inner", Path("joined.parquet"))
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "peak": peak, "rows": rows}))
"""


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each kind of work, at two sizes: memory that grows with the rows would show."""
    sizes = (100_000, 200_000) if quick else (1_000_000, 10_000_000) if full else (500_000, 2_000_000)
    columns = ("work", "rows", "time", "peak memory", "beyond the imports")
    section = Section("Many rows", "python benchmarks/streaming.py" + (" --full" if full else ""), columns, [])
    for size in sizes:
        with settle() as (folder, _):
            (folder / "ddbuild.toml").touch()
            (folder / "BUILD.py").write_text(BUILD_FILE, encoding="utf-8")
            run_child(WRITE, str(size), cwd=folder)
            idle = run_child(IMPORTS, cwd=folder)["peak"]
            _note(section, "two sources, imported", run_child(BUILD, "//left", "//right", cwd=folder), size, idle)
            _note(section, "a transform that returns a reader", run_child(BUILD, "//streamed", cwd=folder), size, idle)
            _note(section, "a transform that returns a path", run_child(BUILD, "//as_path", cwd=folder), size, idle)
            _note(section, "a join of two files", run_child(JOIN, cwd=folder), size, idle)
            again = run_child(BUILD, "//streamed", "//as_path", cwd=folder)
            _note(section, "all of it, up to date", again, size, idle)
    section.notes.append(
        "A process each. Joins hand DuckDB the keys, with at most 1 GB for it; their spools are files, whose pages the "
        "system counts as memory while there is room."
    )
    return section


def _note(section: Section, what: str, found: dict[str, float], size: int, idle: float) -> None:
    beyond = max(0.0, found["peak"] - idle)
    row = (what, f"{size:,}", f"{found['seconds']:.1f} s", f"{found['peak'] / 1e6:.0f} MB", f"{beyond / 1e6:.0f} MB")
    section.rows.append(row)
    section.figures[f"{what}, {size}"] = {**found, "imports": idle}


if __name__ == "__main__":
    run_alone(measure, __doc__)
