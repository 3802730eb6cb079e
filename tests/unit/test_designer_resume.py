import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.designer import CannotResume, drop_short_batches, find_output, prepare_resume
from ddbuild.designer.resume import find_batches
from ddbuild.designer.seeds import readable_seed
from ddbuild.errors import BuildError


def write_batches(folder, batches):
    folder.mkdir(parents=True)
    for number, rows in batches.items():
        pq.write_table(pa.table({"n": rows}), folder / f"batch_{number:05d}.parquet")


def read_batches(folder):
    return {file.name: pq.read_table(file)["n"].to_pylist() for file in find_batches(folder)}


def make_dataset(folder, batches, **metadata):
    dataset = folder / "dataset"
    write_batches(dataset / "parquet-files", batches)
    values = {"target_num_records": 10, "buffer_size": 4, "config_hash": "sha256:x", "config_hash_version": 2}
    (dataset / "metadata.json").write_text(json.dumps(values | metadata))
    (dataset / "builder_config.json").write_text("{}")
    return dataset


def resume(folder, num_records=10, buffer_size=4):
    return prepare_resume(folder, num_records=num_records, buffer_size=buffer_size)


def test_the_stored_fingerprint_is_taken_out_and_batches_stay(tmp_path):
    dataset = make_dataset(tmp_path, {0: [1, 2], 2: [3]})
    assert resume(tmp_path)
    assert json.loads((dataset / "metadata.json").read_text()) == {"target_num_records": 10, "buffer_size": 4}
    assert not (dataset / "builder_config.json").exists()
    assert read_batches(dataset / "parquet-files") == {"batch_00000.parquet": [1, 2], "batch_00002.parquet": [3]}


def test_a_link_into_a_cache_is_replaced_and_not_written_to(tmp_path):
    dataset = make_dataset(tmp_path, {0: [1]})
    kept = tmp_path / "kept.json"
    kept.hardlink_to(dataset / "metadata.json")
    before = kept.read_bytes()
    assert resume(tmp_path)
    assert kept.read_bytes() == before


@pytest.mark.parametrize("broken", ["no metadata", "torn metadata", "no batches", "nothing"])
def test_where_there_is_nothing_to_go_on_with_the_folder_is_emptied(broken, tmp_path):
    if broken != "nothing":
        dataset = make_dataset(tmp_path, {} if broken == "no batches" else {0: [1]})
        if broken == "no metadata":
            (dataset / "metadata.json").unlink()
        if broken == "torn metadata":
            (dataset / "metadata.json").write_text('{"target')
    assert not resume(tmp_path)
    assert not (tmp_path / "dataset").exists()


REFUSED = {
    "fewer records": ({}, {"num_records": 9}),
    "another batch size": ({}, {"buffer_size": 5}),
    "processors that were interrupted": ({"post_generation_state": "started"}, {}),
    "processors that have run": ({"post_generation_state": "complete"}, {"num_records": 11}),
    "no target": ({"target_num_records": None}, {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_gone_on_with_is_refused_and_kept(name, tmp_path):
    metadata, request = REFUSED[name]
    dataset = make_dataset(tmp_path, {0: [1]}, **metadata)
    with pytest.raises(CannotResume):
        resume(tmp_path, **request)
    assert (dataset / "parquet-files" / "batch_00000.parquet").exists()


def test_a_dataset_that_grew_before_gets_the_batches_that_a_fresh_one_has(tmp_path):
    grown = {0: [1, 2, 3, 4], 1: [5], 2: [6, 7, 8, 9], 3: [10]}
    dataset = make_dataset(tmp_path, grown, original_target_num_records=5)
    write_batches(dataset / "dropped-columns-parquet-files", grown)
    write_batches(dataset / "processors-files" / "shape", grown)
    assert resume(tmp_path, num_records=12)
    assert json.loads((dataset / "metadata.json").read_text())["original_target_num_records"] == 10
    merged = {
        "batch_00000.parquet": [1, 2, 3, 4, 5],
        "batch_00001.parquet": [6, 7, 8, 9],
        "batch_00002.parquet": [10],
    }
    for folder in ("parquet-files", "dropped-columns-parquet-files", "processors-files/shape"):
        assert read_batches(dataset / folder) == merged


def test_growth_that_was_interrupted_is_not_merged(tmp_path):
    dataset = make_dataset(tmp_path, {0: [1, 2, 3, 4], 1: [5], 2: [6, 7, 8, 9]}, original_target_num_records=5)
    assert resume(tmp_path, num_records=10)
    assert len(read_batches(dataset / "parquet-files")) == 3
    with pytest.raises(CannotResume):
        (dataset / "parquet-files" / "batch_00001.parquet").unlink()
        resume(tmp_path, num_records=12)


def test_batches_that_lost_rows_are_dropped_with_all_that_belongs_to_them(tmp_path):
    batches = {0: [1, 2, 3, 4], 1: [5], 2: [6, 7, 8], 3: [10]}
    dataset = make_dataset(tmp_path, batches, original_target_num_records=5)
    write_batches(dataset / "processors-files" / "shape", batches)
    assert drop_short_batches(tmp_path) == 3
    for folder in ("parquet-files", "processors-files/shape"):
        assert list(read_batches(dataset / folder)) == [f"batch_0000{n}.parquet" for n in (0, 1, 3)]


def test_a_dataset_that_processors_have_run_over_is_dropped_as_a_whole(tmp_path):
    dataset = make_dataset(tmp_path, {0: [1, 2, 3, 4]}, post_generation_state="complete")
    assert drop_short_batches(tmp_path) == 0
    assert not dataset.exists()
    assert drop_short_batches(tmp_path) == 0


def test_batches_are_in_the_order_of_their_numbers(tmp_path):
    write_batches(tmp_path / "x", {99999: [1], 100000: [2], 3: [0]})
    (tmp_path / "x" / "other.parquet").write_bytes(b"")
    assert [file.name for file in find_batches(tmp_path / "x")] == [
        "batch_00003.parquet",
        "batch_99999.parquet",
        "batch_100000.parquet",
    ]
    assert find_batches(tmp_path / "none") == []


def test_outputs_of_processors_are_found_as_folder_or_file(tmp_path):
    write_batches(tmp_path / "processors-files" / "folder", {0: [1], 1: [2]})
    pq.write_table(pa.table({"n": [1]}), tmp_path / "processors-files" / "file.parquet")
    assert [file.name for file in find_output(tmp_path, "processor:folder")] == [
        "batch_00000.parquet",
        "batch_00001.parquet",
    ]
    assert [file.name for file in find_output(tmp_path, "processor:file")] == ["file.parquet"]
    with pytest.raises(BuildError, match="`none` has written no rows"):
        find_output(tmp_path, "processor:none")


def test_a_seed_whose_path_duckdb_would_misread_gets_another_one(tmp_path):
    plain = tmp_path / "plain.parquet"
    odd = tmp_path / "o'brien" / "k=v" / "x*.parquet"
    odd.parent.mkdir(parents=True)
    for file in (plain, odd):
        file.write_bytes(b"rows")
    with readable_seed(plain) as path:
        assert path == plain.resolve()
    with readable_seed(odd) as path:
        assert path.read_bytes() == b"rows"
        assert not set("'*=") & set(str(path))
    assert not path.exists()
    assert odd.exists()
