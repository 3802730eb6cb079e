"""How fast bytes are hashed, put into a cache and compared, beside one core's xxh3 on the same bytes.

python benchmarks/hashing.py [--quick | --full]
"""

from __future__ import annotations

import os
from pathlib import Path

from reporting import Section, compare, run_alone, settle

__all__ = ["measure"]


def measure(quick: bool, full: bool) -> Section:
    """Return a row for each way that bytes are looked at."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xxhash

    from ddbuild import table
    from ddbuild.cache import Tier
    from ddbuild.digest import digest_file

    size, rounds = (64 << 20, 3) if quick else ((1 << 30) if full else (256 << 20), 5)
    section = Section("Hashing", "python benchmarks/hashing.py", ("what", "size", "GB/s", "of one core's xxh3"), [])
    with settle() as (folder, _):
        file = folder / "bytes"
        _write(file, size)
        data = file.read_bytes()
        tier = Tier(folder / "tier", "local")
        blob = tier.put_file(file)

        def base() -> None:
            xxhash.xxh3_128(data).digest()

        def put() -> None:
            with file.open("r+b") as changed:
                changed.write(os.urandom(8))
            tier.put_file(file)

        _note(section, "a file's digest", size, compare(base, lambda: digest_file(file), rounds))
        _note(section, "a blob compared with its name", size, compare(base, lambda: tier.check_bytes(blob), rounds))
        _note(section, "a file into the cache: read once, hashed, written, on the disk", size, compare(base, put, 3))
        count = size // 64
        rows = pa.table(
            {"id": pa.array(range(count)), "text": pa.array([f"some words {n % 997:020d}" for n in range(count)])}
        )
        pq.write_table(rows, folder / "rows.parquet", compression="zstd")
        held = rows.nbytes
        data = data[:held]
        seconds = compare(base, lambda: table.digest_rows([folder / "rows.parquet"]), 3)
        _note(section, "the content digest of rows, decoded from parquet", held, seconds)
    section.notes.append(
        f"Files are in the system's cache; medians of {rounds}, in turns with xxh3_128 of as many bytes in memory. "
        "Goal: 80 % or more for digests of bytes."
    )
    return section


def _write(file: Path, size: int) -> None:
    with file.open("wb") as opened:
        for _ in range(size >> 20):
            opened.write(os.urandom(1 << 20))


def _note(section: Section, what: str, size: int, seconds: tuple[float, float]) -> None:
    base, ours = seconds
    section.rows.append((what, f"{size >> 20} MB", f"{size / ours / 1e9:.2f}", f"{100 * base / ours:.0f} %"))
    section.figures[what] = {"bytes": size, "bytes per second": size / ours, "ratio": base / ours}


if __name__ == "__main__":
    run_alone(measure, __doc__)
