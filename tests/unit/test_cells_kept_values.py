"""Which kept values may not be what they were, which rows a seed's hole changes, and whose samples are new."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddbuild.table import Piece, Samples, SourceColumn, assemble, find_floated, read_schema, write_samples
from ddbuild.table.kept_values import find_changed_by_keeping

CASES = {
    "texts": ("any", pa.string(), ["a", None], [False, False]),
    "truths": ("any", pa.bool_(), [True, None], [False, False]),
    "integers": ("any", pa.int64(), [1, None], [False, False]),
    "nothing at all": ("any", pa.null(), [None], [False]),
    "numbers that may have been integers": ("any", pa.float64(), [1.0, 1.5, None], [True, False, True]),
    "lists of a function": ("any", pa.list_(pa.int64()), [[1], None], [True, True]),
    "dictionaries of a function": ("any", pa.struct([("a", pa.int64())]), [{"a": 1}], [True]),
    "times": ("any", pa.timestamp("us"), [None], [True]),
    "numbers of a model": ("json", pa.float64(), [1.0, 1.5, None], [True, False, False]),
    "whole dictionaries of a model": (
        "json",
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        [{"a": 1, "b": "x"}, {"a": 1, "b": None}, None],
        [False, True, False],
    ),
    "lists of a model": ("json", pa.list_(pa.float64()), [[1.5], [1.0], [], [None]], [False, True, False, True]),
    "dictionaries in lists": (
        "json",
        pa.list_(pa.struct([("a", pa.int64())])),
        [[{"a": 1}], [{"a": 1}, {"a": None}]],
        [False, True],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_value_that_a_file_may_have_changed_is_told(tmp_path, case):
    kind, type_, values, changed = CASES[case]
    pq.write_table(pa.table({"x": pa.array(values, type_)}), tmp_path / "kept.parquet")
    found = find_changed_by_keeping([[tmp_path / "kept.parquet"]], "x", np.arange(len(values)), kind)
    assert found.tolist() == changed


def test_a_value_is_looked_up_in_whichever_file_has_its_column(tmp_path):
    pq.write_table(pa.table({"y": ["a"] * 4}), tmp_path / "kept.parquet")
    for number, values in enumerate(([1.0, 1.5], [2.5, 2.0])):
        pq.write_table(pa.table({"x": values}), tmp_path / f"dropped-{number}.parquet")
    sheets = [[tmp_path / "kept.parquet"], [tmp_path / "dropped-0.parquet", tmp_path / "dropped-1.parquet"]]
    assert find_changed_by_keeping(sheets, "x", np.array([0, 1, 3]), "any").tolist() == [True, False, True]
    assert find_changed_by_keeping(sheets, "z", np.array([0, 1]), "any").tolist() == [True, True]


@pytest.mark.parametrize(
    ("numbers", "floated"),
    [([0, 1], set()), ([1, 2], {"x"}), ([2, 2], {"x"}), ([0, 3], {"y"}), ([0, 1, 2, 3], {"x", "y"})],
)
def test_integers_beside_a_hole_that_is_taken_become_floating_point_numbers(tmp_path, numbers, floated):
    file = tmp_path / "seed.parquet"
    table = pa.table({"x": [1, 2, None, 4], "y": [1, 2, 3, None], "z": ["a", None, None, None], "f": [0.5] * 4})
    pq.write_table(table, file, row_group_size=2)
    assert find_floated(file, np.array(numbers)) == floated


def test_a_column_made_floating_has_no_integers_whatever_rows_it_takes(tmp_path):
    pq.write_table(pa.table({"x": [1, 2, None], "t": ["a", "b", "c"]}), tmp_path / "seed.parquet")
    for as_float, name in ((False, "int64"), (True, "double")):
        columns = {
            each: SourceColumn([Piece([[tmp_path / "seed.parquet"]], each, 3)], np.array([1, 0]), as_float=as_float)
            for each in "xt"
        }
        assemble(columns, tmp_path / "out.parquet")
        assert read_schema(tmp_path / "out.parquet") == {"x": name, "t": "string"}
        assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"x": [2, 1], "t": ["b", "a"]}


def test_samples_keep_their_names_from_result_to_result(tmp_path):
    first = Samples()
    own = first.read(None, "question", 3, "one")
    write_samples(first, {"question": np.array([own[2], -1, own[0]])}, tmp_path / "samples.parquet")
    second = Samples()
    again = second.read(tmp_path / "samples.parquet", "question", 3, "two")
    before = second.read(None, "question", 3, "one")
    assert again[[0, 2]].tolist() == before[[2, 0]].tolist()
    assert again[1] not in before.tolist()
    assert again[1] == second.read(None, "question", 3, "two")[1]


def test_samples_are_new_until_they_are_noted():
    samples = Samples()
    one, two = samples.read(None, "q", 3, "one"), samples.read(None, "q", 3, "two")
    assert samples.has_new({"q": one})
    samples.note({"q": one})
    assert not samples.has_new({"q": one[1:]})
    assert samples.has_new({"q": one, "other": one})
    assert samples.has_new({"q": np.concatenate([one, two[:1]])})
    samples.note({"q": two})
    assert not samples.has_new({"q": np.concatenate([one, two])})
