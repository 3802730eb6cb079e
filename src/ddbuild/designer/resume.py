"""Going on with a dataset folder: batches that an interrupted run left, or a finished dataset that is to grow.

Data Designer decides by the fingerprint in `metadata.json` whether it may go on. That one contains the absolute path
of the seed, and is blind to much else; ddbuild's key decides better. Without a stored fingerprint, and without
`builder_config.json`, Data Designer trusts its caller: so both are taken out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

from ddbuild.designer.failure import CannotResume

__all__ = ["DATASET", "find_batches", "prepare_resume", "redact_builder_config"]

DATASET = "dataset"
"""The name of the dataset's folder in a run's folder."""

_BATCH = re.compile(r"batch_(\d+)\.parquet")
_BUILDER_CONFIG = "builder_config.json"


def prepare_resume(folder: Path, *, num_records: int, buffer_size: int) -> bool:
    """Make `folder`/dataset ready for Data Designer to go on with up to `num_records`; return whether it can.

    Where there is nothing to go on with, whatever is there is removed. The batches are left as they are, unless a
    dataset that has grown before is to grow again.

    Raises:
        CannotResume: the batches there are for another `buffer_size`, or for more records, or Data Designer has run
            processors over the whole of them.
    """
    dataset = folder / DATASET
    metadata = _read_metadata(dataset)
    batches = find_batches(dataset / "parquet-files")
    if metadata is None or not batches:
        # Data Designer would start over here as well, but among the files of the run before.
        shutil.rmtree(dataset, ignore_errors=True)
        return False
    target = metadata.get("target_num_records")
    if not isinstance(target, int) or num_records < target:
        raise CannotResume(f"the dataset was made for {target} records, and {num_records} are asked for")
    if metadata.get("buffer_size") != buffer_size:
        raise CannotResume(f"the dataset was made in batches of {metadata.get('buffer_size')}, not of {buffer_size}")
    state = metadata.get("post_generation_state")
    if state == "started" or (state == "complete" and num_records != target):
        raise CannotResume("processors have run over the whole dataset")
    original = metadata.get("original_target_num_records", target)
    if original < target < num_records:
        _merge_first_batches(dataset, ceil(target / buffer_size))
        metadata["original_target_num_records"] = target
    for name in [name for name in metadata if name.startswith("config_hash")]:
        del metadata[name]
    _write_json(dataset / "metadata.json", metadata)
    (dataset / _BUILDER_CONFIG).unlink(missing_ok=True)
    return True


def find_batches(folder: Path) -> list[Path]:
    """Return the batch files in `folder`, in the order of their rows."""
    if not folder.is_dir():
        return []
    return [file for _, file in sorted(_number_batches(folder))]


def redact_builder_config(dataset: Path) -> None:
    """Take the token of a seed, where there is one, out of the config that Data Designer leaves with a dataset."""
    file = dataset / _BUILDER_CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        source = config["data_designer"]["seed_config"]["source"]
        if source.get("token"):
            source["token"] = None
            _write_json(file, config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return


def _merge_first_batches(dataset: Path, count: int) -> None:
    """Make `count` batches of those there are by putting the first ones together, so that the rest keep their order.

    Growing gives the new records batches of their own. Data Designer does not note where those began: the second
    time it takes the last of them for a full one, and makes too few records.
    """
    for folder in _batch_folders(dataset):
        batches = find_batches(folder)
        if not batches:
            continue
        if [number for number, _ in sorted(_number_batches(folder))] != list(range(len(batches))):
            raise CannotResume("a batch of the dataset is missing, and it has grown before")
        surplus = len(batches) - count
        if surplus > 0:
            _merge(batches, surplus, folder)


def _merge(batches: list[Path], surplus: int, folder: Path) -> None:
    # pyarrow, behind its own door.
    from ddbuild.table import unify

    # In a folder of its own that takes the old one's place: a kill in between leaves no row twice.
    merged = folder.with_name(folder.name + ".merged")
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    unify(batches[: surplus + 1], merged / batches[0].name)
    for position, file in enumerate(batches[surplus + 1 :], start=1):
        shutil.copyfile(file, merged / batches[position].name)
    shutil.rmtree(folder)
    merged.rename(folder)


def _batch_folders(dataset: Path) -> list[Path]:
    """Return the folders that have one file for each batch, or none."""
    folders = [dataset / "parquet-files", dataset / "dropped-columns-parquet-files"]
    processors = dataset / "processors-files"
    if processors.is_dir():
        folders += [each for each in sorted(processors.iterdir()) if each.is_dir()]
    return folders


def _number_batches(folder: Path) -> Iterator[tuple[int, Path]]:
    for file in folder.glob("batch_*.parquet"):
        if match := _BATCH.fullmatch(file.name):
            yield int(match[1]), file


def _read_metadata(dataset: Path) -> dict[str, Any] | None:
    try:
        metadata = json.loads((dataset / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) else None


def _write_json(file: Path, content: Any) -> None:
    # The file may be a link to one in a cache: it is replaced, never written to.
    draft = file.with_name(file.name + ".ddbuild")
    draft.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")
    draft.replace(file)
