"""A preview takes few rows all the way, keeps them apart from builds, and is free the second time."""

import pyarrow.parquet as pq
import pytest

from ddbuild import preview
from ddbuild.building.preview import PreviewSession
from ddbuild.building.results import BuildFailedError
from ddbuild.errors import UsageError
from scenarios.project import statuses

pytestmark = pytest.mark.real


def run_preview(project, target, rows=5, **overrides):
    """Preview and return the result; `project.calls` counts the calls that this made."""
    import os

    from ddbuild.building.api import find_labels

    os.environ["CALLS"] = str(project.calls_file)
    project.calls_file.unlink(missing_ok=True)
    session = PreviewSession(project.session(**overrides), rows)
    running = session.start(find_labels(session.graph, target), jobs=4, keep_going=False, listener=None)
    return running.wait(120)


def count_files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_every_stage_makes_few_rows_and_nothing_lands_where_builds_put_theirs(project):
    result = run_preview(project, "//judged", 3)
    assert {name: result[name].rows for name in ("people", "judged")} == {"people": 3, "judged": 3}
    assert project.calls == {"greeting": 3, "keep_good": 1, "score": 3}
    assert result["judged"].path == project.root / ".ddbuild/preview/ddbuild-out/judged"
    assert not (project.root / "ddbuild-out").exists()
    assert not (project.root / ".ddbuild/history").exists()


def test_the_same_preview_again_is_a_hit(project):
    first = run_preview(project, "//judged", 3)
    second = run_preview(project, "//judged", 3)
    assert second["judged"].status == "hit"
    assert second["judged"].digest == first["judged"].digest
    assert project.calls == {}


def test_an_edit_makes_only_what_it_changes_again(project):
    run_preview(project, "//judged", 3)
    project.edit("columns.py", 'len(row["greeting"])', '2 * len(row["greeting"])')
    run_preview(project, "//judged", 3)
    assert project.calls == {"score": 3}


def test_another_number_of_rows_is_another_preview(project):
    run_preview(project, "//judged", 3)
    run_preview(project, "//judged", 4)
    assert project.calls == {"greeting": 4, "keep_good": 1, "score": 4}


def test_a_build_takes_no_row_from_a_preview_and_a_preview_none_from_a_build(project):
    run_preview(project, "//judged", 10)
    assert project.calls == {"greeting": 10, "keep_good": 1, "score": 10}
    built = project.build("//judged")
    assert project.calls == {"greeting": 10, "keep_good": 1, "score": 10}
    assert statuses(project.build("//judged")) == {"judged": "hit"}
    project.edit("BUILD.py", "num_records=10", "num_records=12")
    run_preview(project, "//judged", 10)
    assert project.calls == {}
    again = project.build("//judged")
    assert project.calls == {"greeting": 2, "keep_good": 1, "score": 2}
    assert again["judged"].digest != built["judged"].digest


def test_equal_rows_of_a_deterministic_path_are_still_kept_apart(make_project):
    """The seed is the same three rows in both, so only the namespace can keep them apart."""
    project = make_project(
        {
            "BUILD.py": """
                import data_designer.config as dd
                from ddbuild import source, stage, transform
                from recorder import record

                def keep(stage_path):
                    record("keep")
                    return stage_path / "parquet-files"

                def copy(parents):
                    record("copy")
                    return parents["named"]

                config = dd.DataDesignerConfigBuilder(model_configs=[])
                config.add_column(name="name", column_type="expression", expr="number {{ id }}")
                source("numbers", files="numbers.csv")
                stage("named", config=config, depends_on=[":numbers"], on_success=keep)
                transform("copied", copy, depends_on=[":named"])
                """,
            "numbers.csv": "id\n1\n2\n3\n",
        }
    )
    built = project.build("//copied")
    assert project.calls == {"keep": 1, "copy": 1}
    previewed = run_preview(project, "//copied", 5)
    assert project.calls == {"keep": 1, "copy": 1}
    assert previewed["copied"].digest == built["copied"].digest
    assert previewed["copied"].key != built["copied"].key


EXPLODING = {
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import concat, join, source, stage, transform
        from recorder import record

        def make():
            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(dd.CustomColumnConfig(name="seen", generator_function=see))
            return config

        @dd.custom_column_generator(required_columns=["id"])
        def see(row):
            record(f"see-{row['id']}")
            row["seen"] = True
            return row

        def own_seed():
            return make().with_seed_dataset(dd.LocalFileSeedSource(path="SEED"))

        def many(parents):
            import pyarrow as pa
            return pa.table({"id": list(range(100))})

        def none(parents):
            import pyarrow as pa
            return pa.table({"id": pa.array([], pa.int64())})

        source("numbers", files="numbers.csv")
        stage("exploded", config=make, depends_on=[":numbers"], num_records=40)
        stage("few", config=make, depends_on=[":numbers"], num_records=2)
        stage("whole", config=make, depends_on=[":numbers"])
        stage("late", config=make, depends_on=[":numbers"], selection_strategy={"start": 5, "end": 9})
        stage("twice", config=make, depends_on=[":numbers", ":both"], seed=concat(":numbers", ":both"))
        transform("both", many, depends_on=[":numbers"])
        stage("below", config=make, depends_on=[":both"])
        transform("nothing", none, depends_on=[":numbers"])
        stage("beneath", config=make, depends_on=[":nothing"])
        stage("own", config=own_seed)
        stage("short", config=own_seed, num_records=100)
        """,
    "numbers.csv": "id\n" + "".join(f"{number}\n" for number in range(20)),
}


@pytest.fixture
def exploding(make_project, tmp_path):
    pq_file = tmp_path / "seed.parquet"
    import pyarrow as pa

    pq.write_table(pa.table({"id": list(range(50))}), pq_file)
    files = EXPLODING | {"BUILD.py": EXPLODING["BUILD.py"].replace("SEED", str(pq_file))}
    return make_project(files)


@pytest.mark.parametrize(
    ("target", "rows", "ids"),
    [
        ("numbers", 4, [0, 1, 2, 3]),
        ("exploded", 4, [0, 1, 2, 3]),
        ("few", 4, [0, 1]),
        ("whole", 4, [0, 1, 2, 3]),
        ("whole", 30, list(range(20))),
        ("late", 4, [0, 1, 2, 3]),
        ("twice", 4, [0, 1, 2, 3]),
        ("below", 4, [0, 1, 2, 3]),
        ("own", 4, [0, 1, 2, 3]),
        ("short", 4, [0, 1, 2, 3]),
    ],
)
def test_no_source_seed_or_stage_has_more_rows_than_asked_for(exploding, target, rows, ids):
    result = run_preview(exploding, f"//:{target}", rows)
    assert result.ok, [str(each.error) for each in result.targets.values() if each.error]
    assert pq.read_table(result[target].data)["id"].to_pylist() == ids


def test_a_filter_that_leaves_nothing_of_few_rows_is_no_failure(exploding):
    result = run_preview(exploding, "//beneath")
    assert result.ok
    assert statuses(result) == {
        "numbers": "built",
        "nothing": "completed_empty",
        "beneath": "skipped_empty_upstream",
    }


def test_a_row_that_is_lost_of_few_fails_a_build_and_no_preview(make_project):
    project = make_project(
        {
            "BUILD.py": """
                import data_designer.config as dd
                from ddbuild import source, stage

                @dd.custom_column_generator(required_columns=["id"])
                def choosy(row):
                    if row["id"] == 2:
                        raise ValueError("not this one")
                    row["choosy"] = True
                    return row

                config = dd.DataDesignerConfigBuilder(model_configs=[])
                config.add_column(dd.CustomColumnConfig(name="choosy", generator_function=choosy))
                source("numbers", files="numbers.csv")
                stage("chosen", config=config, depends_on=[":numbers"])
                """,
            "numbers.csv": "id\n1\n2\n3\n",
        }
    )
    result = run_preview(project, "//chosen")
    assert result.ok
    assert (result["chosen"].rows, result["chosen"].rows_lost) == (2, 1)
    assert not project.build("//chosen", ok=False).ok


def test_previews_stay_out_of_the_shared_cache(project, tmp_path):
    (tmp_path / "shared").mkdir()
    run_preview(project, "//judged", 3, cache__shared=str(tmp_path / "shared"))
    assert count_files(tmp_path / "shared") == []
    project.build("//judged", cache__shared=str(tmp_path / "shared"))
    assert count_files(tmp_path / "shared") != []


def test_a_script_gets_the_rows(tmp_path, monkeypatch):
    import data_designer.config as dd

    from ddbuild import Graph

    monkeypatch.chdir(tmp_path)
    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(name="name", column_type="sampler", sampler_type="category", params={"values": ["Ada"]})
    graph = Graph(tmp_path)
    graph.add_stage("people", config=config, num_records=50)
    frame = preview(graph, "people", rows=2, cache=tmp_path / "cache").load_dataset()
    assert list(frame["name"]) == ["Ada", "Ada"]
    with pytest.raises(UsageError, match="at least one row"):
        preview(graph, "people", rows=0)


def test_a_preview_that_fails_raises_in_a_script(tmp_path, monkeypatch):
    from ddbuild import Graph

    def fail(parents):
        raise ValueError("no luck")

    monkeypatch.chdir(tmp_path)
    graph = Graph(tmp_path)
    graph.add_transform("bad", fail)
    with pytest.raises(BuildFailedError, match="the function of `//:bad` raised an error"):
        preview(graph, "//bad", cache=tmp_path / "cache")
