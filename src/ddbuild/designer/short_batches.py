"""Taking short batches out of a dataset, so that a resumed run makes them again: Data Designer never refills holes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ddbuild.designer.resume import DATASET, find_batches

__all__ = ["drop_short_batches"]


def drop_short_batches(folder: Path) -> int:
    """Remove the batches of `folder`/dataset that have fewer rows than were planned; return how many are left.

    Where processors have run over the whole dataset, its batches are no longer those that were made: all are removed.
    """
    # pyarrow, behind its own door.
    from ddbuild.table import count_rows

    dataset = folder / DATASET
    try:
        metadata = json.loads((dataset / "metadata.json").read_text(encoding="utf-8"))
        size, target = int(metadata["buffer_size"]), int(metadata["target_num_records"])
        grown_from = int(metadata.get("original_target_num_records", target))
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    if metadata.get("post_generation_state"):
        shutil.rmtree(dataset, ignore_errors=True)
        return 0
    # A grown dataset has a last batch of its own for the records that it had before.
    planned = [min(size, grown_from - start) for start in range(0, grown_from, size)]
    planned += [min(size, target - start) for start in range(grown_from, target, size)]
    left = 0
    for file in find_batches(dataset / "parquet-files"):
        number = int(file.stem.removeprefix("batch_"))
        if number < len(planned) and count_rows([file]) >= planned[number]:
            left += 1
            continue
        for each in dataset.rglob(file.name):
            each.unlink(missing_ok=True)
    return left
