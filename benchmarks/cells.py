"""Kept cells for new rows: the matching alone, and builds in which all or nearly all cells are kept ones.

python benchmarks/cells.py [--quick | --full] (a million rows of a build with --full)
"""

from __future__ import annotations

from reporting import Section, run_alone, run_child, settle

__all__ = ["measure"]

WRITE = """
import json, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
kept, new = int(sys.argv[1]), int(sys.argv[2])
def text(what, n): return f"{what} of row {n}, and some more words, so that it is as long as an answer may be"
with pq.ParquetWriter("seed.parquet", pa.schema([("topic", pa.string()), ("level", pa.int64())])) as seed:
    for start in range(0, kept + new, 1 << 16):
        ids = range(start, min(start + (1 << 16), kept + new))
        seed.write_table(pa.table({"topic": [f"topic {n}" for n in ids], "level": [n % 7 for n in ids]}))
names = ("question", "answer", "verdict")
schema = pa.schema([("topic", pa.string()), ("level", pa.int64()), *((name, pa.string()) for name in names)])
with pq.ParquetWriter("kept.parquet", schema, compression="zstd") as out:
    for start in range(0, kept, 1 << 16):
        ids = range(start, min(start + (1 << 16), kept))
        rows = {"topic": [f"topic {n}" for n in ids], "level": [n % 7 for n in ids]}
        out.write_table(pa.table(rows | {name: [text(name, n) for n in ids] for name in names}))
print(json.dumps({}))
"""

IMPORTS = """
import json, resource
import numpy, pandas, pyarrow.parquet
from ddbuild.table import matching, match_cells
print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""

MATCH = """
import json, resource, sys, time
from pathlib import Path
import numpy as np, pandas, pyarrow.parquet
from ddbuild.table import KeptTable, UnitColumns, match_cells
kept, new, order, absent = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split()
units = [UnitColumns(columns=(name,), kinds=("plain",), reads=reads) for name, reads in (
    ("mood", ()), ("question", ("topic", "level")), ("answer", ("question",)), ("verdict", ("question", "answer")))]
names = {name: name for name in ("question", "answer", "verdict") if name not in absent}
numbers = {name: place * (1 << 40) + np.arange(kept) for place, name in enumerate(names)}
table = KeptTable(rows=kept, sheets=((Path("kept.parquet"),),), names=names, samples=numbers)
rows = np.arange(kept + new)
if order == "shuffled":
    np.random.default_rng(0).shuffle(rows)
started = time.perf_counter()
match = match_cells(units, kept + new, Path("seed.parquet"), rows, [table])
groups = match.groups
seconds = time.perf_counter() - started
assert match.count_kept("question") == kept, match.count_kept("question")
assert match.count_kept("verdict") == (0 if "verdict" in absent else kept)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "peak": peak}))
"""

BUILD_FILE = """
import data_designer.config as dd
from ddbuild import source, stage

config = dd.DataDesignerConfigBuilder(model_configs=[])
config.add_column(name="mood", column_type="sampler", sampler_type="uuid", params={})
config.add_column(dd.ExpressionColumnConfig(name="question", expr="{{ topic }}, at level {{ level }}?"))
config.add_column(dd.ExpressionColumnConfig(name="answer", expr="An answer to {{ question }} in {{ mood }}"))
source("seed", files="rows.parquet")
stage("rows", config=config, depends_on=[":seed"])
"""

BUILD = """
import json, resource, time
import pandas, pyarrow.parquet
from ddbuild.building.api import find_labels, open_session
session = open_session().session
labels = find_labels(session.graph, ["//rows"])
started = time.perf_counter()
result = session.start(labels, jobs=1, keep_going=False, listener=None).wait()
seconds = time.perf_counter() - started
assert result.ok, [str(each.error) for each in result.targets.values()]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
notes = next(each for label, each in result.targets.items() if label.name == "rows").provenance.notes
print(json.dumps({"seconds": seconds, "peak": peak, "new": notes.get("reuse", {}).get("rows_new")}))
"""

CUT = """
import json, sys
import pyarrow.parquet as pq
table = pq.read_table("seed.parquet")
pq.write_table(table.slice(0, int(sys.argv[1])), "rows.parquet")
print(json.dumps({}))
"""


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each matching, and for each build."""
    kept, new = (100_000, 1_000) if quick else (1_000_000, 1_000)
    built = 20_000 if quick else 1_000_000 if full else 100_000
    columns = ("work", "kept rows", "new rows", "time", "peak memory", "beyond the imports")
    section = Section("Kept cells", "python benchmarks/cells.py" + (" --full" if full else ""), columns, [])
    with settle() as (folder, _):
        run_child(WRITE, str(kept), str(new), cwd=folder)
        idle = run_child(IMPORTS, cwd=folder)["peak"]
        for what, order, absent in (
            ("matching, rows added", "same", ""),
            ("matching, rows added and all moved", "shuffled", ""),
            ("matching, rows added and the last column edited", "same", "verdict"),
        ):
            found = run_child(MATCH, str(kept), str(new), order, absent, cwd=folder)
            _note(section, what, kept, new, found, idle)
        (folder / "ddbuild.toml").touch()
        (folder / "BUILD.py").write_text(BUILD_FILE, encoding="utf-8")
        run_child(CUT, str(built), cwd=folder)
        _note(section, "a build of all", 0, built, run_child(BUILD, cwd=folder), idle)
        moved = BUILD_FILE.replace("config.add_column(name", "mood = dict(name").replace(
            "source(", "config.add_column(**mood)\nsource("
        )
        (folder / "BUILD.py").write_text(moved, encoding="utf-8")
        found = run_child(BUILD, cwd=folder)
        assert found["new"] == 0, found
        _note(section, "a build with its columns moved", built, 0, found, idle)
        if built + new <= kept + new:
            run_child(CUT, str(built + new), cwd=folder)
            found = run_child(BUILD, cwd=folder)
            assert found["new"] == new, found
            _note(section, "a build with rows added", built, new, found, idle)
    section.notes.append("A process each. Four columns to match: one of the seed's two, two of made ones, one of none.")
    return section


def _note(section: Section, what: str, kept: int, new: int, found: dict[str, float], idle: float) -> None:
    beyond = max(0.0, found["peak"] - idle)
    memory = (f"{found['peak'] / 1e6:.0f} MB", f"{beyond / 1e6:.0f} MB")
    section.rows.append((what, f"{kept:,}", f"{new:,}", f"{found['seconds']:.1f} s", *memory))
    section.figures[f"{what}, {kept + new}"] = {**found, "imports": idle}


if __name__ == "__main__":
    run_alone(measure, __doc__)
