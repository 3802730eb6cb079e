"""How long it takes to give somebody a result: by reflink, hard link or copy, and to find that it is there already.

python benchmarks/materializing.py [--quick | --full] (in TMPDIR's file system)
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from reporting import Section, compare, run_alone, settle

__all__ = ["measure"]


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each way that the file system of the temporary folder offers."""
    from hashing import _write

    from ddbuild.cache import Cache, Tier, clone_file
    from ddbuild.cache.result import ActionResult, Provenance
    from ddbuild.label import Label
    from ddbuild.materialize import DATA_FILE, materialize, out_path

    size, rounds = (64 << 20, 3) if quick else ((2 << 30) if full else (512 << 20), 5)
    section = Section(
        "Materializing", "python benchmarks/materializing.py", ("what", "size", "time", "of a plain copy"), []
    )
    with settle() as (folder, _):
        file = folder / "bytes"
        _write(file, size)
        cache = Cache(Tier(folder / "cache", "local"), None, lambda text: None)
        blob = cache.put_file(file)
        source = cache.fetch(blob)
        target = folder / "copy"

        def plain() -> None:
            shutil.copyfile(source, target)
            target.unlink()

        methods: dict[str, str] = {}
        for link in (True, False):

            def clone(link: bool = link) -> None:
                methods[f"{link}"] = clone_file(source, target, link=link)
                target.unlink()

            seconds = compare(plain, clone, rounds)
            words = "to look at" if link else "of one's own, to write to"
            _note(section, f"a file {words}: {methods[f'{link}']}", size, seconds)
        provenance = Provenance(
            label="//:rows", origin="computed", created="", seconds=0, user="", host="", versions={}, models=[]
        )
        result = ActionResult(
            kind="transform",
            key="0" * 32,
            deep_key="0" * 32,
            retry=0,
            digest=blob.digest,
            folder_digest=blob.digest,
            output=blob,
            files={},
            rows=1,
            inputs=[],
            parts=[],
            provenance=provenance,
        )
        label = Label("", "rows")

        def fresh() -> None:
            (out_path(folder, label) / DATA_FILE).unlink(missing_ok=True)
            materialize(result, label, cache, folder)

        _note(section, "a result into ddbuild-out, its bytes verified", size, compare(plain, fresh, rounds))
        again = compare(plain, lambda: materialize(result, label, cache, folder), rounds)
        _note(section, "a result that is there already", size, again)
        kind = _name_file_system(folder)
    section.notes.append(f"On {kind}; a plain copy is `shutil.copyfile`, in turns with each. Medians of {rounds}.")
    return section


def _name_file_system(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True)
    return done.stdout.strip() or "an unknown file system"


def _note(section: Section, what: str, size: int, seconds: tuple[float, float]) -> None:
    base, ours = seconds
    section.rows.append((what, f"{size >> 20} MB", f"{1000 * ours:.1f} ms", f"{100 * ours / base:.1f} %"))
    section.figures[what] = {"bytes": size, "seconds": ours, "ratio": ours / base}


if __name__ == "__main__":
    run_alone(measure, __doc__)
