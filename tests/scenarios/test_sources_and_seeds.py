"""Sources, seeds and merges: content counts, names and encodings do not."""

import pytest

from scenarios.project import statuses

pytestmark = pytest.mark.real

ROWS = [{"id": number, "text": f"ticket {number}"} for number in range(6)]

FILES = {
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage, transform, join, concat
        from recorder import record

        @dd.custom_column_generator(required_columns=["text"])
        def answer(row):
            record("answer")
            row["answer"] = row["text"].upper()
            return row

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(dd.CustomColumnConfig(name="answer", generator_function=answer))

        def double(parents):
            record("double")
            import pyarrow.parquet as pq, pyarrow as pa
            table = pq.read_table(parents["answered"])
            return pa.concat_tables([table, table])

        source("tickets", files="data/*.parquet")
        stage("answered", config=config, depends_on=[":tickets"])
        transform("doubled", double, depends_on=[":answered"])
        """
}


@pytest.fixture
def built(make_project):
    project = make_project(FILES)
    project.write_rows("data/a.parquet", ROWS[:4])
    project.write_rows("data/b.parquet", ROWS[4:])
    result = project.build("//doubled")
    assert project.calls == {"answer": 6, "double": 1}
    assert result["doubled"].rows == 12
    return project


def test_the_same_rows_in_another_compression_stop_at_the_source(built):
    built.write_rows("data/a.parquet", ROWS[:4], compression="none")
    result = built.build("//doubled")
    assert built.calls == {}
    assert statuses(result) == {"tickets": "built", "answered": "cutoff", "doubled": "cutoff"}


def test_a_moved_and_renamed_file_is_no_change(built):
    (built.root / "other").mkdir()
    (built.root / "data/a.parquet").rename(built.root / "other/x.parquet")
    (built.root / "data/b.parquet").rename(built.root / "other/y.parquet")
    built.edit("BUILD.py", "data/*.parquet", "other/*.parquet")
    assert statuses(built.build("//doubled"))["doubled"] == "hit"
    assert built.calls == {}


def test_an_edited_row_is_rebuilt_all_the_way_down(built):
    built.write_rows("data/b.parquet", [{"id": 4, "text": "another"}, ROWS[5]])
    built.build("//doubled")
    assert built.calls == {"answer": 1, "double": 1}


def test_a_file_that_a_pattern_newly_finds_counts(built):
    built.write_rows("data/c.parquet", [{"id": 6, "text": "new"}])
    assert built.build("//doubled")["doubled"].rows == 14
    assert built.calls == {"answer": 1, "double": 1}


def test_rows_left_out_are_as_many_as_the_seed_has_and_more_rows_cycle_it(built):
    built.edit("BUILD.py", 'depends_on=[":tickets"])', 'depends_on=[":tickets"], num_records=9)')
    result = built.build("//answered")
    assert list(result["answered"].load_dataset()["id"]) == [0, 1, 2, 3, 4, 5, 0, 1, 2]


MERGES = {
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage, join, concat
        from recorder import record

        @dd.custom_column_generator(required_columns=["id"])
        def mark(row):
            record("mark")
            row["mark"] = row["id"] + 1
            return row

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(dd.CustomColumnConfig(name="mark", generator_function=mark))

        source("a", files="a.csv")
        source("b", files="b.jsonl")
        stage("merged", config=config, depends_on=[":a", ":b"], seed=SEED)
        """,
    "a.csv": "id,left\n1,one\n2,two\n3,three\n",
    "b.jsonl": '{"id": 2, "right": "zwei"}\n{"id": 3, "right": "drei"}\n{"id": 4, "right": "vier"}\n',
}


@pytest.fixture
def merge(make_project):
    def make(seed):
        project = make_project(MERGES)
        project.edit("BUILD.py", "SEED", seed)
        return project

    return make


def test_join_keeps_the_rows_that_both_have(merge):
    project = merge('join(":a", ":b", on="id")')
    frame = project.build("//merged")["merged"].load_dataset()
    assert frame[["id", "left", "right", "mark"]].values.tolist() == [[2, "two", "zwei", 3], [3, "three", "drei", 4]]


def test_a_join_the_other_way_round_is_another_key(merge):
    project = merge('join(":a", ":b", on="id")')
    project.build("//merged")
    project.edit("BUILD.py", 'join(":a", ":b"', 'join(":b", ":a"')
    result = project.build("//merged")
    assert [run.status for run in result["merged"].actions] == ["ran"]
    # It is called for no row: each has the values that it had.
    assert project.calls == {}


def test_the_order_of_depends_on_does_not_matter(merge):
    project = merge('join(":a", ":b", on="id")')
    project.build("//merged")
    project.edit("BUILD.py", 'depends_on=[":a", ":b"]', 'depends_on=[":b", ":a"]')
    assert project.build("//merged")["merged"].status == "hit"


def test_concat_puts_one_after_the_other(merge):
    project = merge('concat(":a", ":b")')
    assert list(project.build("//merged")["merged"].load_dataset()["id"]) == [1, 2, 3, 2, 3, 4]


def test_a_function_can_make_the_seed(merge):
    project = merge("lambda parents: parents['b']")
    assert list(project.build("//merged")["merged"].load_dataset()["right"]) == ["zwei", "drei", "vier"]
    project.edit("BUILD.py", "parents['b']", "parents['a']")
    assert list(project.build("//merged")["merged"].load_dataset()["left"]) == ["one", "two", "three"]


def test_one_of_several_parents_can_be_the_seed(merge):
    project = merge('":b"')
    assert project.build("//merged")["merged"].rows == 3


def test_several_parents_without_a_seed_are_an_error_with_a_hint(merge):
    project = merge("None")
    with pytest.raises(Exception, match="no `seed`"):
        project.build("//merged")


SEEDED = {
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import stage
        from recorder import record
        from pathlib import Path

        @dd.custom_column_generator(required_columns=["id"])
        def mark(row):
            record("mark")
            row["mark"] = row["id"] + 1
            return row

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.with_seed_dataset(dd.LocalFileSeedSource(path=str(Path(__file__).parent / "seed.csv")))
        config.add_column(dd.CustomColumnConfig(name="mark", generator_function=mark))
        stage("marked", config=config, num_records=3)
        """,
    "seed.csv": "id\n1\n2\n3\n",
}


def test_the_content_of_a_configs_own_seed_file_counts_and_its_name_does_not(make_project):
    project = make_project(SEEDED)
    project.build("//marked")
    assert project.calls == {"mark": 3}
    (project.root / "seed.csv").rename(project.root / "renamed.csv")
    project.edit("BUILD.py", "seed.csv", "renamed.csv")
    assert project.build("//marked")["marked"].status == "hit"
    project.write("renamed.csv", "id\n1\n2\n4\n")
    assert list(project.build("//marked")["marked"].load_dataset()["mark"]) == [2, 3, 5]
