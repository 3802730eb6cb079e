"""What a power failure has left of an interrupted run: only the batches before the first damaged one stay."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.designer import drop_damaged
from ddbuild.designer.resume import find_batches


@pytest.fixture
def work(tmp_path):
    for name in ("parquet-files", "dropped-columns-parquet-files", "processors-files/short", "images"):
        (tmp_path / "dataset" / name).mkdir(parents=True)
    for number in range(4):
        for name in ("parquet-files", "dropped-columns-parquet-files", "processors-files/short"):
            write(
                tmp_path / "dataset" / name / f"batch_{number:05d}.parquet", range(1000 * number, 1000 * number + 1000)
            )
    write(tmp_path / "seed.parquet", range(4000))
    (tmp_path / "dataset/metadata.json").write_text("{}")
    (tmp_path / "dataset/images/one.png").write_bytes(b"PNG")
    return tmp_path


def write(path, numbers):
    pq.write_table(pa.table({"n": list(numbers), "text": [f"row {n}" for n in numbers]}), path)


def numbers_left(work, name="parquet-files"):
    return [int(file.stem.removeprefix("batch_")) for file in find_batches(work / "dataset" / name)]


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def fill_with_zeros(path):
    """Its length is on the disk, and its end; a block in the middle is not."""
    data = path.read_bytes()
    path.write_bytes(data[:500] + bytes(1500) + data[2000:])


def test_a_work_folder_without_damage_stays_as_it_is(work):
    assert not drop_damaged(work)
    assert numbers_left(work) == [0, 1, 2, 3]
    assert (work / "seed.parquet").exists()


@pytest.mark.parametrize("harm", [cut_off, empty, fill_with_zeros])
@pytest.mark.parametrize("where", ["parquet-files", "dropped-columns-parquet-files", "processors-files/short"])
def test_a_damaged_batch_goes_with_all_that_follow_it(work, harm, where):
    harm(work / "dataset" / where / "batch_00002.parquet")
    assert drop_damaged(work)
    for name in ("parquet-files", "dropped-columns-parquet-files", "processors-files/short"):
        assert numbers_left(work, name) == [0, 1]


@pytest.mark.parametrize("harm", [cut_off, empty, fill_with_zeros])
def test_nothing_stays_of_batches_whose_seed_is_damaged(work, harm):
    harm(work / "seed.parquet")
    assert drop_damaged(work)
    assert not (work / "dataset").exists()
    assert not (work / "seed.parquet").exists(), "it is made again"


@pytest.mark.parametrize("name", ["images/one.png", "metadata.json"])
def test_nothing_stays_where_a_file_beside_the_rows_is_empty(work, name):
    empty(work / "dataset" / name)
    assert drop_damaged(work)
    assert not (work / "dataset").exists()
    assert (work / "seed.parquet").exists()


def test_a_folder_in_which_nothing_was_made_yet_is_no_damage(tmp_path):
    assert not drop_damaged(tmp_path)
