"""docs/review.md as written: rows are exported, corrected by a person, and built on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ddbuild import Graph, build
from ddbuild.errors import GraphError, UsageError
from scenarios.project import Project, statuses

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "review.md"

PYTHON = """
    import pyarrow as pa
    from ddbuild import source, transform
    from recorder import record

    def make_drafts(parents):
        record("drafts")
        return pa.table({"n": [1, 2, 3]})

    def make_labels(parents):
        record("labels")
        import pyarrow.parquet as pq
        table = pq.read_table(parents["drafts"])
        return table.append_column("label", pa.array([f"<{n}>" for n in table["n"].to_pylist()]))

    def make_other(parents):
        return pa.table({"n": [9]})

    transform("drafts", make_drafts)
    transform("labels", make_labels, depends_on=[":drafts"])
    transform("other", make_other)
"""


@pytest.fixture
def project(make_project):
    return make_project({"BUILD.py": PYTHON})


def override(project, file="approved.csv"):
    build_file = project.root / "BUILD.py"
    text = build_file.read_text().replace("import source,", "import override, source,")
    build_file.write_text(f'{text}override("drafts", "{file}")\n')


def test_the_page_works_as_written(tmp_path, monkeypatch):
    page = PAGE.read_text(encoding="utf-8")
    (build_file,) = re.findall(r"```python\n# BUILD.py\n(.*?)```", page, re.DOTALL)
    (declared,) = re.findall(r"```python\n(override.*?)```", page, re.DOTALL)
    shells = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(shells) == 3
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "ddbuild.toml").touch()
    (root / "BUILD.py").write_text(build_file)
    environ = {**os.environ, "DDBUILD_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    # The page's `sed` is the person who edits.
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"

    def run(text):
        done = subprocess.run(
            ["sh", "-e", "-c", text], cwd=root, env=environ, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(shells[0])
    drafts = [json.loads(line) for line in (root / "drafts.jsonl").read_text().splitlines()]
    assert len(drafts) == 20 and {each["job"] for each in drafts} <= {"nurse", "baker"}
    (root / "BUILD.py").write_text(
        (root / "BUILD.py").read_text().replace("import stage", "import override, stage") + declared
    )
    said = run(shells[1])
    assert "overridden by a person: approved.jsonl" in said
    assert "overridden: //drafts is what a person has put into approved.jsonl" in said
    rows = [json.loads(line) for line in run("ddbuild export //labels -").splitlines() if line.startswith("{")]
    assert len(rows) == 19 and all("dentist" in each["text"] or "baker" in each["text"] for each in rows)
    assert "overridden" in run(shells[2])


def test_reviewed_rows_stand_in_for_those_that_a_target_would_make(project):
    project.write("approved.csv", "n\n1\n7\n")
    override(project)
    result = project.build("//labels")
    assert list(result["labels"].load_dataset()["label"]) == ["<1>", "<7>"]
    assert project.calls == {"labels": 1}
    assert result["drafts"].provenance.origin == "overridden"
    assert result["drafts"].overridden == project.root / "approved.csv"
    assert result["labels"].overridden is None
    assert statuses(project.build("//labels"))["labels"] == "hit"


def test_equal_rows_rerun_nothing_and_an_edit_of_them_reruns_what_is_below(project):
    project.build("//labels")
    project.write("approved.csv", "n\n1\n2\n3\n")
    override(project)
    assert statuses(project.build("//labels"))["labels"] in ("hit", "cutoff")
    assert not project.calls
    project.write("approved.csv", "n\n5\n")
    assert list(project.build("//labels")["labels"].load_dataset()["n"]) == [5]


def test_a_build_of_something_else_is_no_error(project):
    project.write("approved.csv", "n\n7\n")
    override(project)
    assert statuses(project.build("//other")) == {"other": "built"}


def test_the_flag_goes_before_the_build_file(project):
    from ddbuild.building.api import find_labels
    from ddbuild.label import Label

    project.write("approved.csv", "n\n7\n")
    better = project.write("better.csv", "n\n8\n")
    override(project)
    os.environ["CALLS"] = str(project.calls_file)
    session = project.session().override({Label("", "drafts"): better})
    labels = find_labels(session.graph, "//labels")
    result = session.start(labels, jobs=1, keep_going=False, listener=None).wait(60)
    assert list(result["labels"].load_dataset()["n"]) == [8]
    with pytest.raises(UsageError, match="nothing that was asked for needs it"):
        session.check_overrides(find_labels(session.graph, "//other"))


def test_yaml_and_scripts_say_the_same(tmp_path, monkeypatch):
    project = Project(
        tmp_path,
        {
            "ddbuild.toml": "",
            "made.py": "import pyarrow as pa\ndef make(parents):\n    return pa.table({'n': [1]})\n",
            "approved.csv": "n\n7\n",
            "BUILD.yaml": """
                transforms:
                  drafts: {function: "made.py:make"}
                overrides:
                  drafts: approved.csv
                """,
        },
    )
    result = project.build("//drafts")
    assert list(result["drafts"].load_dataset()["n"]) == [7]
    monkeypatch.chdir(project.root)
    graph = Graph()
    graph.add_transform("drafts", "made.py:make")
    graph.add_override("drafts", "approved.csv")
    assert list(build(graph, "drafts", cache=project.cache)["drafts"].load_dataset()["n"]) == [7]
    with pytest.raises(GraphError, match="`//drafts` is overridden twice"):
        graph.add_override("drafts", "approved.csv")


def test_what_is_wrong_with_an_override_is_said_with_its_line(project):
    override(project)
    with pytest.raises(GraphError) as caught:
        project.session()
    assert caught.value.message == "the override of `drafts` is by `approved.csv`, and there is no file `approved.csv`"
    line = len((project.root / "BUILD.py").read_text().splitlines())
    assert caught.value.facts == {"build file": f"BUILD.py:{line}"}
    project.write("approved.csv", "n\n7\n")
    project.edit("BUILD.py", 'override("drafts"', 'override("draft"')
    with pytest.raises(GraphError, match="an override is of `//:draft`, which no build file defines") as caught:
        project.session()
    assert "did you mean" in caught.value.hint


def test_the_command_line_says_so_each_time(project):
    project.write("approved.csv", "n\n1\n7\n")
    override(project)
    environ = {**os.environ, "CALLS": str(project.calls_file), "DDBUILD_CACHE_DIR": str(project.cache)}

    def run(*words):
        command = [sys.executable, "-m", "ddbuild", *words]
        return subprocess.run(command, cwd=project.root, env=environ, capture_output=True, text=True, timeout=60)

    assert "overridden by a person: approved.csv" in run("plan", "//labels").stdout
    for _ in range(3):
        assert "overridden: //drafts is what a person has put into approved.csv" in run("//drafts", "//labels").stderr
    document = json.loads(run("//drafts", "--json").stdout)
    assert document["targets"][0]["overridden"] == "approved.csv"
