"""Taking out of an interrupted run's folder what the disk did not keep.

Nothing there is brought to the disk when it is written, for hardly any of it is read again. So after a power failure a
finished file may be empty or cut off. A kill alone does no such harm.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ddbuild.designer.resume import DATASET, find_batches

__all__ = ["drop_damaged"]

_SEED = "seed.parquet"


def drop_damaged(folder: Path) -> bool:
    """Remove from `folder` the first batch that cannot be read, and all that follow; return whether there was damage.

    Where the seed cannot be read, or a file beside the rows is empty, nothing stays: rows may depend on either.
    """
    dataset, seed = folder / DATASET, folder / _SEED
    if seed.exists() and not _is_whole(seed):
        seed.unlink()
        shutil.rmtree(dataset, ignore_errors=True)
        return True
    beside = (each for each in dataset.rglob("*") if each.suffix != ".parquet" and each.is_file())
    if any(not each.stat().st_size for each in beside):
        shutil.rmtree(dataset, ignore_errors=True)
        return True
    batches = find_batches(dataset / "parquet-files")
    for position, batch in enumerate(batches):
        if all(map(_is_whole, dataset.rglob(batch.name))):
            continue
        for each in batches[position:]:
            for file in list(dataset.rglob(each.name)):
                file.unlink()
        return True
    return False


def _is_whole(file: Path) -> bool:
    # pyarrow, behind its own door.
    from ddbuild.table import TableError, digest_rows

    try:
        digest_rows(file)  # reads all values
    except (TableError, OSError):
        return False
    return True
