"""Each edit rebuilds exactly what it must, counted by calls of the functions of the workspace."""

import pytest

from scenarios.project import Project, statuses, steps

pytestmark = pytest.mark.real

ALL = {"greeting": 10, "keep_good": 1, "score": 10}


@pytest.fixture
def built(project):
    project.first = project.build("//judged")
    assert project.calls == ALL
    return project


def test_a_second_build_is_a_hit_and_calls_nothing(built):
    result = built.build("//judged")
    assert result["judged"].status == "hit"
    assert built.calls == {}
    assert result["judged"].digest == built.first["judged"].digest


def test_a_copied_workspace_in_another_folder_is_a_hit(built, tmp_path, monkeypatch):
    import shutil

    other = Project(tmp_path / "elsewhere", cache=built.cache)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(built.root, other.root, ignore=shutil.ignore_patterns(".ddbuild", "ddbuild-out"))
    assert statuses(other.build("//judged"))["judged"] == "hit"
    assert other.calls == {}


def test_a_comment_in_a_callback_rebuilds_nothing(built):
    built.edit("callbacks.py", 'record("keep_good")', 'record("keep_good")  # note\n\n    # another')
    built.build("//judged")
    assert built.calls == {}


def test_an_edited_callback_runs_only_that_callback_when_its_rows_stay_the_same(built):
    built.edit("callbacks.py", 'record("keep_good")', 'record("keep_good"); unused = 1')
    result = built.build("//judged")
    assert built.calls == {"keep_good": 1}
    assert steps(result, "people") == {"generate": "hit", "callback": "ran"}
    assert statuses(result) == {"people": "built", "judged": "cutoff"}
    assert result["people"].reasons[0].part == "callback"


def test_an_edited_helper_in_another_file_counts_as_the_callback(built):
    built.edit("helpers.py", "number >= 0", "number >= 0.0")
    result = built.build("//judged")
    assert built.calls == {"keep_good": 1}
    assert [(r.part, r.name) for r in result["people"].reasons] == [("callback", "keep_good -> is_good")]


def test_a_renamed_callback_rebuilds_nothing(built):
    for name in ("callbacks.py", "BUILD.py"):
        built.edit(
            name,
            "keep_good(" if name == "callbacks.py" else "keep_good",
            "keep_the_good" + "(" * (name == "callbacks.py"),
        )
    built.build("//judged")
    assert built.calls == {}


def test_a_callback_that_keeps_fewer_rows_rebuilds_what_is_below_out_of_kept_cells(built):
    built.edit("helpers.py", "number >= 0", "number >= 0.5")
    result = built.build("//judged")
    assert result["people"].rows < 10
    assert (result["judged"].status, result["judged"].rows) == ("built", result["people"].rows)
    assert built.calls == {"keep_good": 1}


def test_an_edited_custom_column_rebuilds_its_stage_and_descendants(built):
    built.edit("columns.py", 'row["name"])', "row[\"name\"] + ',')")
    built.build("//judged")
    assert built.calls == ALL


def test_an_edited_last_stage_leaves_the_rows_above_alone(built):
    built.edit("columns.py", 'len(row["greeting"])', '2 * len(row["greeting"])')
    result = built.build("//judged")
    assert built.calls == {"score": 10}
    assert statuses(result) == {"people": "hit", "judged": "built"}


def test_a_closure_value_is_part_of_the_key(built):
    built.edit("BUILD.py", "make_greeting(True)", "make_greeting(False)")
    built.build("//judged")
    assert built.calls == ALL


def test_a_global_that_a_column_reads_is_part_of_the_key(built):
    built.edit("columns.py", 'PREFIX = "Dear"', 'PREFIX = "My dear"')
    built.build("//judged")
    assert built.calls == ALL


def test_a_global_of_a_helper_is_part_of_the_key(built):
    built.edit("helpers.py", 'SUFFIX = "!"', 'SUFFIX = "?"')
    built.build("//judged")
    assert built.calls == ALL


def test_a_global_that_nothing_reads_rebuilds_nothing(built):
    built.edit("columns.py", 'PREFIX = "Dear"', 'PREFIX = "Dear"\nOTHER = 3')
    built.build("//judged")
    assert built.calls == {}


def test_a_model_config_that_no_column_uses_rebuilds_nothing(built):
    built.edit(
        "BUILD.py",
        "judged = dd.DataDesignerConfigBuilder(model_configs=[])",
        'judged = dd.DataDesignerConfigBuilder(model_configs=[dd.ModelConfig(alias="x", model="m", provider="p")])',
    )
    built.build("//judged")
    assert built.calls == {}


def test_the_order_of_declaration_does_not_matter(built):
    text = (built.root / "BUILD.py").read_text()
    people, judged = [line for line in text.splitlines() if line.startswith("stage(")]
    built.write("BUILD.py", text.replace(people, "#1").replace(judged, people).replace("#1", judged))
    built.build("//judged")
    assert built.calls == {}


def test_a_renamed_target_keeps_its_rows(built):
    built.edit("BUILD.py", '"people"', '"persons"')
    built.edit("BUILD.py", '":people"', '":persons"')
    built.build("//judged")
    assert built.calls == {}


def test_more_records_generate_only_what_is_missing(built):
    before = built.first["people"].load_dataset()
    built.edit("BUILD.py", "num_records=10", "num_records=20")
    result = built.build("//people")
    assert built.calls == {"greeting": 10, "keep_good": 1}
    assert result["people"].rows == 20
    assert result["people"].load_dataset()[:10].equals(before)
    built.edit("BUILD.py", "num_records=20", "num_records=10")
    assert built.build("//people")["people"].digest == built.first["people"].digest
    assert built.calls == {}


def test_another_buffer_size_is_another_key_for_the_same_cells(built):
    built.edit("ddbuild.toml", "buffer_size = 5", "buffer_size = 4")
    result = built.build("//judged")
    assert steps(result, "people")["generate"] == "ran"
    assert built.calls == {}


def test_another_buffer_size_generates_anew_what_is_not_made_row_by_row(built):
    built.edit("BUILD.py", "num_records=10,", 'num_records=10, reuse="off",')
    built.build("//judged")
    built.edit("ddbuild.toml", "buffer_size = 5", "buffer_size = 4")
    built.build("//judged")
    assert built.calls["greeting"] == 10


def test_a_salt_asks_for_everything_again(built):
    built.edit("ddbuild.toml", "[designer]", '[build]\nsalt = "2"\n[designer]')
    built.build("//judged")
    assert built.calls == ALL


def test_going_back_to_the_old_text_is_a_hit(built):
    built.edit("columns.py", 'PREFIX = "Dear"', 'PREFIX = "Hello"')
    built.build("//judged")
    built.edit("columns.py", 'PREFIX = "Hello"', 'PREFIX = "Dear"')
    result = built.build("//judged")
    assert built.calls == {}
    assert result["judged"].digest == built.first["judged"].digest


def test_the_plan_says_what_changed_and_what_waits(built):
    built.edit("callbacks.py", 'record("keep_good")', 'record("keep_good"); unused = 1')
    plan = built.plan("//judged")
    assert statuses(plan) == {"people": "stale", "judged": "undecided"}
    assert [(reason.part, reason.name) for reason in plan["people"].reasons] == [("callback", "keep_good")]
