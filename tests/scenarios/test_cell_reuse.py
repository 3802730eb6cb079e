"""Builds that make only the cells that changed, edit by edit."""

import shutil
import textwrap
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ddbuild.cells import NOTE
from ddbuild.errors import GraphError
from scenarios.project import RECORDER, Project
from scenarios.test_media import check_album, make_album, painter  # noqa: F401
from stub_provider import StubProvider

pytestmark = pytest.mark.real

TOPICS = [f"t{number}" for number in range(12)]
FILES = {
    "ddbuild.toml": "[designer]\nbuffer_size = 5\n",
    "recorder.py": RECORDER,
    "columns.py": """
        import uuid
        import data_designer.config as dd
        from recorder import record

        @dd.custom_column_generator(required_columns=["topic"], side_effect_columns=["trace"])
        def question(row):
            record("question")
            row["question"] = f"Q({row['topic']}) {uuid.uuid4().hex}"
            row["trace"] = {"asked": row["question"], "steps": [1, 2]}
            return row

        @dd.custom_column_generator(required_columns=["question"])
        def answer(row):
            record("answer")
            row["answer"] = f"A({row['question']}) {uuid.uuid4().hex}"
            return row

        @dd.custom_column_generator(required_columns=["question", "answer"])
        def judge(row):
            record("judge")
            row["judge"] = f"J({row['question']}, {row['answer']}) {uuid.uuid4().hex}"
            return row
        """,
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage
        from columns import answer, judge, question

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(name="mood", column_type="sampler", sampler_type="uuid", params={})
        config.add_column(dd.CustomColumnConfig(name="question", generator_function=question))
        config.add_column(dd.CustomColumnConfig(name="answer", generator_function=answer, drop=True))
        config.add_column(dd.CustomColumnConfig(name="judge", generator_function=judge))
        config.add_column(dd.ExpressionColumnConfig(name="line", expr="{{ mood }} {{ judge }}"))
        # more columns
        source("topics", files="topics.csv")
        stage("qa", config=config, depends_on=[":topics"])
        """,
    "topics.csv": "topic\n" + "\n".join(TOPICS) + "\n",
}


def write_topics(project, topics):
    project.write("topics.csv", "topic\n" + "\n".join(topics) + "\n")


def read(result, name="qa"):
    return pq.read_table(result[name].data).to_pylist()


def note(result, name="qa"):
    return result[name].provenance.notes.get(NOTE, {})


def runs(result, name="qa"):
    return [(each["rows"], each["columns"]) for each in note(result, name)["runs"]]


def check(rows, topics):
    """Every value beside the values that it was made from, and no sample twice."""
    assert [row["topic"] for row in rows] == topics
    for row in rows:
        assert row["question"].startswith(f"Q({row['topic']}) ")
        assert row["trace"]["asked"] == row["question"] and row["trace"]["steps"] == [1, 2]
        if "judge" in row:
            assert row["judge"].startswith(f"J({row['question']}, A({row['question']}) ")
            assert row["line"] == f"{row['mood']} {row['judge']}"
        assert "answer" not in row
    for name in {"mood", "question", "judge"} & set(rows[0]):
        assert len({row[name] for row in rows}) == len(rows)


def pick(rows, *names):
    return {row["topic"]: tuple(row[name] for name in names) for row in rows}


@pytest.fixture(scope="module")
def first_build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    project = Project(folder, FILES)
    rows = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
    check(rows, TOPICS)
    return folder, rows


@pytest.fixture
def built(first_build, tmp_path):
    """A workspace of its own that was built once, and its rows."""
    folder, rows = first_build
    for name in ("workspace", "cache"):
        shutil.copytree(folder / name, tmp_path / name, symlinks=True)
    return Project(tmp_path), rows


def test_an_edited_function_costs_its_column_and_those_that_read_it(built):
    project, before = built
    project.edit("columns.py", 'f"J(', '"" + f"J(')
    result = project.build()
    assert project.calls == {"judge": 12}
    assert runs(result) == [(12, ["judge", "line"])]
    rows = read(result)
    check(rows, TOPICS)
    assert pick(rows, "mood", "question") == pick(before, "mood", "question")
    assert not {row["judge"] for row in rows} & {row["judge"] for row in before}
    # And back: nothing is left to be made.
    project.edit("columns.py", '"" + f"J(', 'f"J(')
    result = project.build()
    assert project.calls == {}
    assert read(result) == before


def test_an_edited_function_at_the_top_costs_all_below_it(built):
    project, before = built
    project.edit("columns.py", "[1, 2]}", "[1, 2]} if True else {}")
    rows = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
    check(rows, TOPICS)
    assert pick(rows, "mood") == pick(before, "mood")


def test_a_new_a_removed_a_moved_and_an_edited_expression_cost_no_call(built):
    project, before = built
    project.edit(
        "BUILD.py", "# more columns", 'config.add_column(dd.ExpressionColumnConfig(name="new", expr="{{ topic }}!"))'
    )
    result = project.build()
    assert runs(result) == [(12, ["new"])]
    rows = read(result)
    check(rows, TOPICS)
    assert [row.pop("new") for row in rows] == [f"{topic}!" for topic in TOPICS]
    assert rows == before
    # The sampler goes last.
    line = 'config.add_column(name="mood", column_type="sampler", sampler_type="uuid", params={})\n'
    text = (project.root / "BUILD.py").read_text().replace(line, "", 1)
    project.write("BUILD.py", text.replace('source("topics"', line + 'source("topics"'))
    result = project.build()
    assert runs(result) == []
    assert list(read(result)[0])[-1] == "mood"
    assert pick(read(result), "mood", "line", "judge") == pick(before, "mood", "line", "judge")
    # Without the judge and what is below it.
    text = (project.root / "BUILD.py").read_text()
    text = "\n".join(each for each in text.split("\n") if 'name="judge"' not in each and 'name="line"' not in each)
    project.write("BUILD.py", text)
    result = project.build()
    assert runs(result) == []
    assert pick(read(result), "mood", "question") == pick(before, "mood", "question")
    assert project.calls == {}


def test_a_renamed_sampler_keeps_its_values(built):
    project, before = built
    project.edit("BUILD.py", '"mood"', '"feeling"')
    project.edit("BUILD.py", "{{ mood }}", "{{ feeling }}")
    result = project.build()
    assert project.calls == {}
    assert runs(result) == [(12, ["line"])]
    assert [row["feeling"] for row in read(result)] == [row["mood"] for row in before]
    assert [row["line"] for row in read(result)] == [row["line"] for row in before]


@pytest.mark.parametrize(
    ("edit", "topics", "made"),
    [
        ("added at the top", ["new", *TOPICS], 1),
        ("added at the end", [*TOPICS, "new", "newer"], 2),
        ("removed", [each for each in TOPICS if each != "t3"], 0),
        ("changed", ["new" if each == "t3" else each for each in TOPICS], 1),
        ("moved", [*TOPICS[6:], *TOPICS[:6]], 0),
        ("repeated", [*TOPICS, "t3", "t3"], 2),
        ("all at once", ["t5", "new", "t5", *TOPICS[7:], "t0"], 2),
    ],
)
def test_edited_seed_rows_cost_what_is_new_of_them(built, edit, topics, made):
    project, before = built
    write_topics(project, topics)
    result = project.build()
    assert project.calls == {name: made for name in ("question", "answer", "judge") if made}
    rows = read(result)
    check(rows, topics)
    old = pick(before, "mood", "question", "judge", "line")
    kept = [tuple(row[name] for name in ("mood", "question", "judge", "line")) for row in rows]
    assert sum(each in old.values() for each in kept) == len(rows) - made


def test_more_records_cost_those_that_are_more_and_fewer_cost_nothing(built):
    project, before = built
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'num_records=30, depends_on=[":topics"]')
    result = project.build()
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 18)
    assert result["qa"].provenance.origin == "grown"
    rows = read(result)
    check(rows, (TOPICS * 3)[:30])
    assert rows[:12] == before
    project.edit("BUILD.py", "num_records=30", "num_records=7")
    result = project.build()
    assert project.calls == {} and read(result) == before[:7]
    # The largest of them serves, and none of its samples twice.
    project.edit("BUILD.py", "num_records=7", "num_records=31")
    result = project.build()
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 1)
    check(read(result), (TOPICS * 3)[:31])
    assert read(result)[:30] == rows


def test_a_filter_upstream_that_is_loosened_costs_the_rows_that_it_lets_in(tmp_path):
    files = FILES | {
        "BUILD.py": FILES["BUILD.py"]
        .replace(
            "from ddbuild import source, stage", "from ddbuild import source, stage, transform\nfrom keep import keep"
        )
        .replace(
            'depends_on=[":topics"])', 'depends_on=[":kept"])\n        transform("kept", keep, depends_on=[":topics"])'
        ),
        "keep.py": """
            import pyarrow.compute as pc
            import pyarrow.parquet as pq

            def keep(parents):
                table = pq.read_table(parents["topics"])
                return table.filter(pc.not_equal(pc.field("topic"), "t3") & pc.not_equal(pc.field("topic"), "t8"))
            """,
    }
    files["BUILD.py"] = files["BUILD.py"].replace("from keep import keep", "        from keep import keep")
    project = Project(tmp_path, files)
    before = read(project.build())
    project.edit("keep.py", ' & pc.not_equal(pc.field("topic"), "t8")', "")
    rows = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 1)
    check(rows, [each for each in TOPICS if each != "t3"])
    assert [row for row in rows if row["topic"] != "t8"] == before
    project.edit("keep.py", '"t3")', '"t3") & pc.not_equal(pc.field("topic"), "t0")')
    assert read(project.build()) == rows[1:]
    assert project.calls == {}


def test_an_edit_of_two_things_makes_each_row_what_it_lacks(built):
    project, before = built
    project.edit("columns.py", 'f"J(', '"" + f"J(')
    write_topics(project, [*TOPICS, "new"])
    result = project.build()
    assert project.calls == {"question": 1, "answer": 1, "judge": 13}
    assert sorted(runs(result)) == [
        (1, ["mood", "question", "answer", "judge", "line"]),
        (12, ["judge", "line"]),
    ]
    check(read(result), [*TOPICS, "new"])
    assert pick(read(result), "question").items() > pick(before, "question").items()


ASKED = {
    "ddbuild.toml": '[designer]\nfactory = "models:make_designer"\n',
    "models.py": """
        import os
        import data_designer.config as dd

        def model(alias, temperature):
            parameters = dd.ChatCompletionInferenceParams(temperature=temperature)
            return dd.ModelConfig(alias=alias, model=alias, provider="stub", inference_parameters=parameters)

        MODELS = [model("writer", 0.5), model("judge", 0.1)]

        def make_designer():
            from data_designer.interface import DataDesigner
            provider = dd.ModelProvider(name="stub", endpoint=os.environ["STUB_ENDPOINT"], api_key="none")
            return DataDesigner(model_providers=[provider], auto_configure_logging=False)
        """,
    "BUILD.py": """
        import data_designer.config as dd
        from pydantic import BaseModel
        from ddbuild import source, stage
        from models import MODELS

        class Grade(BaseModel):
            score: int
            why: str | None = None

        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(dd.LLMTextColumnConfig(name="question", prompt="ask about {{ topic }}", model_alias="writer",
                                                 with_trace="all_messages"))
        config.add_column(dd.LLMStructuredColumnConfig(name="grade", prompt="grade {{ question }}", output_format=Grade,
                                                       model_alias="judge"))
        config.add_column(dd.ExpressionColumnConfig(name="line", expr="{{ topic }}: {{ grade.score }} {{ grade.why }}"))
        source("topics", files="topics.csv")
        stage("qa", config=config, depends_on=[":topics"])
        """,
    "topics.csv": "topic\nt0\nt1\nt1\nt2\n",
}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A workspace that asks models, built once, and the provider that answers."""

    def reply(prompt):
        if prompt.startswith("ask"):
            return f"what of {prompt[-2:]}?"
        return '```json\n{"score": 3%s}\n```' % (', "why": "good"' if "t1" in prompt else ', "why": null')

    with StubProvider(reply) as stub:
        monkeypatch.setenv("STUB_ENDPOINT", stub.endpoint)
        project = Project(tmp_path, ASKED)
        result = project.build()
        assert stub.requests == 8
        assert [row["line"] for row in read(result)] == ["t0: 3 None", "t1: 3 good", "t1: 3 good", "t2: 3 None"]
        stub.prompts.clear()
        yield project, stub, read(result)


def test_another_temperature_costs_the_columns_of_its_model(asked):
    project, stub, before = asked
    project.edit("models.py", 'model("judge", 0.1)', 'model("judge", 0.2)')
    result = project.build()
    assert stub.requests == 4
    assert not [prompt for prompt in stub.prompts if prompt.startswith("ask")]
    assert result["qa"].usage.requests == 4
    assert read(result) == before


def test_an_edited_prompt_costs_its_column_and_traces_go_with_theirs(asked):
    project, stub, before = asked
    project.edit("BUILD.py", "grade {{ question }}", "please grade {{ question }}")
    rows = read(project.build())
    assert stub.requests == 4
    assert rows == before and rows[0]["question__trace"]


def test_a_kept_answer_that_may_have_changed_in_its_file_is_asked_for_again_before_it_is_read(asked):
    """A field that was null may as well have been absent, which a template can tell."""
    project, stub, before = asked
    project.edit("BUILD.py", "{{ topic }}: ", "{{ topic }}; ")
    result = project.build()
    assert stub.requests == 2
    assert not [prompt for prompt in stub.prompts if prompt.startswith("ask") or "t1" in prompt]
    assert [row["line"] for row in read(result)] == [row["line"].replace(":", ";") for row in before]


def test_rows_and_a_new_judge_cost_what_they_need(asked):
    project, stub, before = asked
    project.write("topics.csv", "topic\nt3\nt0\nt1\nt1\nt1\n")
    rows = read(project.build())
    assert stub.requests == 4
    assert rows[1:4] == before[:3]


# What falls back, and what people say


@pytest.mark.parametrize(
    ("say", "made"),
    [
        ('reuse="off"', {"question": 12, "answer": 12, "judge": 12}),
        ('reuse={"answer": False}', {"answer": 12, "judge": 12}),
        ('reuse={"line": False}', {}),
        ('reuse="auto"', {}),
    ],
)
def test_what_is_said_of_reuse_counts(built, say, made):
    project, _before = built
    project.edit("BUILD.py", 'depends_on=[":topics"]', f'num_records=11, {say}, depends_on=[":topics"]')
    result = project.build()
    assert project.calls == {name: count - 1 for name, count in made.items()}
    check(read(result), TOPICS[:11])
    if say == 'reuse="off"':
        assert note(result) == {"reason": 'it says `reuse="off"`'}


def test_a_column_never_to_be_kept_is_not_grown_either(built):
    project, _before = built
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'num_records=13, reuse="off", depends_on=[":topics"]')
    project.build()
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 13)


def test_a_build_without_reuse_asks_for_everything(built):
    project, before = built
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'num_records=13, depends_on=[":topics"]')
    anew = read(project.build(build__reuse=False))
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 13)
    # What it made are samples like all others.
    project.edit("BUILD.py", "num_records=13", "num_records=25")
    rows = read(project.build())
    assert project.calls == {}
    check(rows, (TOPICS * 3)[:25])
    assert {row["question"] for row in rows} == {row["question"] for row in before + anew}


def test_a_function_that_hands_its_row_on_makes_the_whole_stage_run_until_somebody_vouches_for_it(built):
    project, _before = built
    project.edit("columns.py", '    record("judge")', '    record("judge"); str(row)')
    result = project.build()
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
    assert "the function of `judge`" in note(result)["reason"]
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'num_records=11, reuse={"judge": True}, depends_on=[":topics"]')
    result = project.build()
    assert project.calls == {"judge": 11}
    check(read(result), TOPICS[:11])
    project.edit("BUILD.py", "num_records=11", "num_records=10")
    project.build()
    assert project.calls == {}


def test_a_function_that_looks_at_all_of_its_row_sees_no_column_that_is_not_its_stages(built):
    project, _ = built
    project.edit("BUILD.py", "from columns import answer, judge, question", "from columns import *")
    project.edit(
        "BUILD.py",
        "# more columns",
        'config.add_column(dd.CustomColumnConfig(name="names", generator_function=names)); '
        'config.add_column(dd.CustomColumnConfig(name="later", generator_function=later))',
    )
    project.edit("BUILD.py", 'stage("qa", ', 'stage("qa", reuse={"names": True, "later": True}, ')
    kinds = "".join(
        f'\n@dd.custom_column_generator(required_columns=["judge", "mood"])\n{kind} {name}(row):\n'
        f'    row["{name}"] = " ".join(sorted(row))\n    return row\n'
        for kind, name in (("def", "names"), ("async def", "later"))
    )
    with (project.root / "columns.py").open("a") as file:
        file.write(kinds)
    rows = read(project.build())
    check(rows, TOPICS)
    assert project.calls == {}
    for row in rows:
        for name in ("names", "later"):
            assert set(row[name].split()) - {"names", "later"} == {*row, "answer"} - {"names", "later"}


def test_a_preview_neither_takes_cells_nor_gives_them(built, monkeypatch):
    from ddbuild.building.preview import preview

    project, _before = built
    project.edit("columns.py", 'f"J(', '"" + f"J(')
    monkeypatch.setenv("CALLS", str(project.calls_file))
    preview(project.session().graph, "//:qa", rows=3, cache=project.cache)
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 3)
    project.build()
    assert project.calls == {"judge": 12}


def test_new_rows_that_a_person_asked_for_are_not_taken_from_the_old_ones(built):
    from ddbuild.building.api import find_labels

    project, before = built
    session = project.session()
    session.renew(find_labels(session.graph, ("//:qa",)))
    rows = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
    assert not set(pick(rows, "mood", "question").values()) & set(pick(before, "mood", "question").values())
    # More of them go on with the new ones.
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'num_records=13, depends_on=[":topics"]')
    more = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 1)
    assert more[:12] == rows


# Where cells come from


def test_teammates_share_cells_through_a_shared_cache(first_build, tmp_path):
    shared = tmp_path / "shared"
    one = Project(tmp_path / "one", FILES)
    two = Project(tmp_path / "two", FILES)
    before = read(one.build(cache__shared=str(shared)))
    two.edit("columns.py", 'f"J(', '"" + f"J(')
    two.edit("BUILD.py", 'stage("qa"', 'stage("other"')
    result = two.build(cache__shared=str(shared))
    assert two.calls == {"judge": 12}
    assert pick(read(result, "other"), "mood", "question") == pick(before, "mood", "question")
    assert note(result, "other")["from"][0]["label"] == "//:qa"


def find_blobs(cache: Path, result, name="qa"):
    digest = result[name].result.output.digest.removeprefix("xxh3_128:")
    return [path for path in cache.rglob(f"*{digest[4:]}*") if path.is_file()]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_result_is_no_source(built, damage):
    project, _before = built
    (blob,) = find_blobs(project.cache, project.build())
    blob.chmod(0o644)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(content[: len(content) if damage == "flipped" else 100])
    project.edit("columns.py", 'f"J(', '"" + f"J(')
    rows = read(project.build())
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
    check(rows, TOPICS)


def test_cells_put_together_are_a_source_like_any_other(built):
    """Twice edited and twice longer: every sample is still given once."""
    project, before = built
    for number, more in enumerate((3, 5, 7)):
        project.edit("columns.py", 'f"J(', '"" + f"J(')
        project.edit(
            "BUILD.py", 'stage("qa", ', f'stage("qa", num_records={12 + more}, ' if not number else 'stage("qa", '
        )
        if number:
            project.edit("BUILD.py", f"num_records={12 + (3, 5)[number - 1]}", f"num_records={12 + more}")
        rows = read(project.build())
        new = more - (0, 3, 5)[number]
        assert project.calls == {"question": new, "answer": new, "judge": 12 + more}
        check(rows, (TOPICS * 3)[: 12 + more])
    assert pick(rows[:12], "question") == pick(before, "question")


def test_of_two_equal_samplers_the_one_that_stays_keeps_its_own_values(built):
    project, _ = built
    more = 'config.add_column(name="other", column_type="sampler", sampler_type="uuid", params={})'
    project.edit("BUILD.py", "# more columns", more)
    before = read(project.build())
    project.edit("BUILD.py", "{{ mood }} ", "")
    line = 'config.add_column(name="mood", column_type="sampler", sampler_type="uuid", params={})\n'
    project.edit("BUILD.py", line, "")
    result = project.build()
    assert runs(result) == [(12, ["line"])]
    assert [row["other"] for row in read(result)] == [row["other"] for row in before]
    # And one more of the kind gets what is free: the values that the other one does not have.
    project.edit("BUILD.py", more, more + "; " + more.replace('"other"', '"third"'))
    rows = read(project.build())
    assert [row["other"] for row in rows] == [row["other"] for row in before]
    assert not {row["third"] for row in rows} & {row["other"] for row in rows}


def test_an_older_result_with_more_rows_is_found_behind_many_newer_ones(built):
    project, before = built
    for number in range(9):
        project.edit("BUILD.py", 'stage("qa", ', 'stage("qa", num_records=3, ' if not number else 'stage("qa", ')
        project.edit("BUILD.py", "{{ mood }}", f"{{{{ mood }}}}{number}" if not number else "{{ mood }}")
        if number:
            project.edit("BUILD.py", f"}}}}{number - 1} ", f"}}}}{number} ")
        project.build()
        assert project.calls == {}
    project.edit("BUILD.py", "num_records=3, ", "")
    rows = read(project.build())
    assert project.calls == {}
    assert pick(rows, "mood", "question", "judge") == pick(before, "mood", "question", "judge")


def test_an_interrupted_build_goes_on_with_the_batches_of_its_runs(built, monkeypatch):
    from ddbuild.building.api import find_labels

    project, before = built
    edited = """
        @dd.custom_column_generator(required_columns=["question", "answer"])
        def judge(row):
            import os, time
            record("judge")
            if row["question"][2:4] in ("t7", "t9") and os.environ.get("DAWDLE"):
                time.sleep(3)
    """
    text = (project.root / "columns.py").read_text()
    start = text.index('@dd.custom_column_generator(required_columns=["question", "answer"])')
    end = text.index('    row["judge"]')
    project.write("columns.py", text[:start] + textwrap.dedent(edited).lstrip() + text[end:])
    monkeypatch.setenv("CALLS", str(project.calls_file))
    monkeypatch.setenv("DAWDLE", "1")
    session = project.session()
    running = session.start(find_labels(session.graph, ("//:qa",)), jobs=1, keep_going=False, listener=None)
    deadline = time.monotonic() + 60
    while not list(project.cache.rglob("attempt-*/cells/*/dataset/parquet-files/batch_00000.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while not list(project.cache.rglob("attempt-*/cells/*/dataset/metadata.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.interrupt()
    assert running.wait(60).exit_code == 8
    batches = project.cache.rglob("attempt-*/cells/*/dataset/parquet-files/batch_*.parquet")
    finished = sum(pq.read_metadata(each).num_rows for each in batches)
    monkeypatch.delenv("DAWDLE")
    rows = read(project.build())
    assert finished and project.calls == {"judge": 12 - finished}
    check(rows, TOPICS)
    assert pick(rows, "mood", "question") == pick(before, "mood", "question")


def test_media_of_the_seed_are_there_in_a_run_for_single_columns(make_album):  # noqa: F811
    more = """
from columns import weighed

def two():
    config = weighed()
    config.add_column(dd.ExpressionColumnConfig(name="named", expr="{{ thing }}"))
    return config

stage("weights", config=two, depends_on=[":photos"])
"""
    project = make_album(more, things=["cat", "dog"])
    with (project.root / "BUILD.py").open() as file:
        text = file.read()
    project.write("BUILD.py", "import data_designer.config as dd\n" + text)
    before = read(project.build("//weights"), "weights")
    assert project.calls == {"weigh": 2}
    project.edit("columns.py", "read_bytes().hex()", "read_bytes().hex() + ''")
    result = project.build("//weights")
    assert project.calls == {"weigh": 2} and runs(result, "weights") == [(2, ["bytes"])]
    check_album(result, "weights", ["cat", "dog"])
    assert read(result, "weights") == before
    # A row more: its image is there as well.
    project.write("things.jsonl", '{"id": 0, "thing": "cat"}\n{"id": 1, "thing": "dog"}\n{"id": 2, "thing": "owl"}\n')
    result = project.build("//weights")
    assert project.calls == {"weigh": 1}
    check_album(result, "weights", ["cat", "dog", "owl"])


# Rows that get lost


LOSSY = {
    "columns.py": """
        import os
        import uuid
        import data_designer.config as dd
        from recorder import record

        @dd.custom_column_generator(required_columns=["topic"])
        def question(row):
            record("question")
            row["question"] = f"Q({row['topic']}) {uuid.uuid4().hex}"
            return row

        @dd.custom_column_generator(required_columns=["question"])
        def answer(row):
            record("answer")
            if row["question"][2:4] in os.environ["UNLUCKY"].split():
                raise ValueError("no answer")
            row["answer"] = f"A({row['question']})"
            return row
        """,
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage
        from columns import answer, question

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(dd.CustomColumnConfig(name="question", generator_function=question))
        config.add_column(dd.CustomColumnConfig(name="answer", generator_function=answer))
        source("topics", files="topics.csv")
        stage("qa", config=config, depends_on=[":topics"], min_yield=1.0)
        """,
}


def test_a_stage_that_lost_rows_asks_for_those_again_and_for_no_other(tmp_path, monkeypatch):
    project = Project(tmp_path, FILES | LOSSY)
    monkeypatch.setenv("UNLUCKY", "t3 t8")
    result = project.build(ok=False)
    assert "lost too many rows" in str(result["qa"].error)
    assert project.calls["question"] == 12
    monkeypatch.setenv("UNLUCKY", "t8")
    assert not project.build(ok=False).ok
    assert project.calls["question"] == 2
    monkeypatch.setenv("UNLUCKY", "")
    rows = read(project.build())
    assert project.calls == {"question": 1, "answer": 1}
    assert [row["topic"] for row in rows] == TOPICS
    # No sample was counted twice on the way: more records are made of new ones only.
    project.edit("BUILD.py", "min_yield=1.0", "num_records=24")
    rows = read(project.build())
    assert project.calls == {"question": 12, "answer": 12}
    assert len({row["question"] for row in rows}) == 24


def test_a_lost_row_is_never_taken_for_a_made_one(tmp_path, monkeypatch):
    project = Project(tmp_path, FILES | LOSSY)
    monkeypatch.setenv("UNLUCKY", "t3 t8")
    project.edit("BUILD.py", "min_yield=1.0", "min_yield=0.5")
    before = read(project.build())
    assert len(before) == 10
    project.edit("columns.py", 'f"A(', '"" + f"A(')
    monkeypatch.setenv("UNLUCKY", "t8")
    result = project.build()
    assert project.calls["question"] == 2 and project.calls["answer"] >= 12
    rows = read(result)
    assert [row["topic"] for row in rows] == [each for each in TOPICS if each != "t8"]
    assert pick(rows, "question").items() > pick(before, "question").items()
    assert result["qa"].result.lost[0].rows == 1 and result["qa"].result.rows_requested == 12


# What a function sees


TYPES = {
    "columns.py": """
        import data_designer.config as dd
        from recorder import record

        DICTS = {
            "dict": {"a": 1, "b": [1.5, 2.5, None], "c": {"d": "x"}},
            "less": {"a": 1},
            "more": {"a": None, "b": [], "c": {"d": "y"}},
            "text": {"e": "x"},
            "none": None,
        }
        LISTS = {"dict": [1, 2, 3], "less": [], "more": [1], "text": None, "none": [4]}

        @dd.custom_column_generator(required_columns=["kind"], side_effect_columns=["flag", "whole", "level_too"])
        def number(row):
            record("number")
            row["number"] = 2.25 if row["kind"] == "dict" else 2.5
            row["flag"] = row["kind"] == "none"
            row["whole"] = 7
            row["level_too"] = row["kind"] + "\U0001f600" if row["kind"] != "none" else None
            return row

        @dd.custom_column_generator(required_columns=["kind"], side_effect_columns=["some"])
        def few(row):
            record("few")
            row["few"] = 3 if row["kind"] == "dict" else None
            row["some"] = 2.0 if row["kind"] == "dict" else 2.5 if row["kind"] == "less" else 3
            return row

        @dd.custom_column_generator(required_columns=["kind"], side_effect_columns=["list"])
        def value(row):
            record("value")
            row["value"] = DICTS[row["kind"]]
            row["list"] = LISTS[row["kind"]]
            return row

        @dd.custom_column_generator(required_columns=["value", "list", "number", "flag", "few", "rank", "level"])
        def seen(row):
            record("seen")
            made = [row["value"], row["list"], row["number"], row["flag"], row["whole"], row["few"], row["some"]]
            row["seen"] = " | ".join(map(repr, [*made, row["level_too"], row["rank"], row["level"]]))
            return row
        """,
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage
        from columns import few, number, seen, value

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(dd.CustomColumnConfig(name="value", generator_function=value))
        config.add_column(dd.CustomColumnConfig(name="number", generator_function=number))
        config.add_column(dd.CustomColumnConfig(name="few", generator_function=few))
        config.add_column(dd.CustomColumnConfig(name="seen", generator_function=seen))
        source("kinds", files="kinds.csv")
        stage("typed", config=config, depends_on=[":kinds"])
        """,
    "ddbuild.toml": "",
    "kinds.csv": "kind,rank,level\ndict,1,1\nless,2,\nmore,3,3\ntext,4,4\nnone,5,5\n",
}


def test_a_function_sees_in_a_reused_run_what_it_sees_in_a_full_one(tmp_path):
    project = Project(tmp_path / "one", FILES | TYPES)
    project.build()
    project.edit("columns.py", '" | ".join(', '" / ".join(')
    reused = project.build()
    # What a file cannot bring back as it was is made anew, before it is read.
    assert project.calls == {"value": 5, "few": 5, "seen": 5}
    other = Project(tmp_path / "two", FILES | TYPES)
    other.edit("columns.py", '" | ".join(', '" / ".join(')
    full = other.build()
    assert [row["seen"] for row in read(reused, "typed")] == [row["seen"] for row in read(full, "typed")]
    assert reused["typed"].result.digest == full["typed"].result.digest
    # One row changes, and is alone in its run.
    for each in (project, other):
        each.write("kinds.csv", TYPES["kinds.csv"].replace("more,3,3", "more,9,9"))
    reused, full = project.build(), other.build(build__reuse=False)
    assert runs(reused, "typed")[0][0] == 1
    assert [row["seen"] for row in read(reused, "typed")] == [row["seen"] for row in read(full, "typed")]
    assert reused["typed"].result.digest == full["typed"].result.digest


SAMPLERS = {
    "day": ("datetime", {"start": "2020-01-01", "end": "2021-01-01"}, {}),
    "date": ("datetime", {"start": "2020-01-01", "end": "2021-01-01", "unit": "h"}, {"convert_to": "%Y-%m-%d"}),
    "later": ("timedelta", {"dt_min": 1, "dt_max": 5, "reference_column_name": "day", "unit": "D"}, {}),
    "person": ("person_from_faker", {"locale": "en_US"}, {}),
    "share": ("uniform", {"low": 0, "high": 1}, {}),
    "count": ("uniform", {"low": 0, "high": 9}, {"convert_to": "int"}),
    "noise": ("gaussian", {"mean": 0, "stddev": 1}, {}),
    "heads": ("binomial", {"n": 5, "p": 0.5}, {}),
    "coin": ("bernoulli", {"p": 0.5}, {}),
    "calls": ("poisson", {"mean": 3}, {}),
    "odd": ("scipy", {"dist_name": "beta", "dist_params": {"a": 1, "b": 2}}, {}),
    "number": ("category", {"values": [1, 2, 3]}, {}),
    "half": ("category", {"values": [1.0, 2.5]}, {}),
    "name": ("uuid", {}, {}),
}


def test_what_samplers_and_expressions_give_looks_the_same_to_a_function_when_it_is_kept(tmp_path):
    names = [*SAMPLERS, "int", "float", "bool"]
    declared = "".join(
        f'add(dd.SamplerColumnConfig(name="{name}", sampler_type="{kind}", params={params}, **{more}))\n'
        for name, (kind, params, more) in SAMPLERS.items()
    )
    expressions = "".join(
        f'add(dd.ExpressionColumnConfig(name="{each}", expr="{{{{ number }}}}", dtype="{each}"))\n'
        for each in names[-3:]
    )
    texts = ", ".join(f'repr(row["{name}"])' for name in names)
    files = {
        "ddbuild.toml": FILES["ddbuild.toml"],
        "columns.py": "import data_designer.config as dd\n"
        f"@dd.custom_column_generator(required_columns={names})\n"
        f'def seen(row):\n    row["seen"] = " ".join(["first", {texts}])\n    return row\n',
        "BUILD.py": "import data_designer.config as dd\nfrom columns import seen\nfrom ddbuild import stage\n"
        f"config = dd.DataDesignerConfigBuilder(model_configs=[])\nadd = config.add_column\n{declared}{expressions}"
        'add(dd.CustomColumnConfig(name="seen", generator_function=seen))\n'
        'stage("drawn", config=config, num_records=12)\n',
    }
    project = Project(tmp_path, files)
    before = read(project.build(), "drawn")
    project.edit("columns.py", '"first"', '"second"')
    result = project.build()
    assert runs(result, "drawn") == [(12, ["seen"])]
    assert [row["seen"] for row in read(result, "drawn")] == [
        row["seen"].replace("first", "second", 1) for row in before
    ]


# Seeds that a config brings along


@pytest.mark.parametrize(
    "seed",
    [
        'dd.DataFrameSeedSource(df=pd.DataFrame({"topic": TOPICS}))',
        'dd.LocalFileSeedSource(path="own.csv")',
        'dd.LocalFileSeedSource(path="own.csv"), selection_strategy=dd.IndexRange(start=2, end=9)',
        'dd.LocalFileSeedSource(path="own.csv"), selection_strategy=dd.PartitionBlock(index=1, num_partitions=3)',
    ],
)
def test_a_configs_own_seed_is_matched_like_a_parent(tmp_path, seed):
    files = FILES | {"own.csv": FILES["topics.csv"]}
    text = FILES["BUILD.py"].replace("# more columns", f"config.with_seed_dataset({seed})")
    text = text.replace(
        "import data_designer.config as dd",
        f"import pandas as pd\n        import data_designer.config as dd\n        TOPICS = {TOPICS!r}",
    )
    files["BUILD.py"] = text.replace(', depends_on=[":topics"]', "")
    project = Project(tmp_path, files)
    project.edit("BUILD.py", '"own.csv"', repr(str(project.root / "own.csv"))) if "own.csv" in seed else None
    before = read(project.build())
    topics = TOPICS[2:10] if "IndexRange" in seed else TOPICS[4:8] if "Partition" in seed else TOPICS
    check(before, topics)
    project.edit("columns.py", 'f"J(', '"" + f"J(')
    result = project.build()
    assert project.calls == {"judge": len(topics)}
    check(read(result), topics)
    assert pick(read(result), "question", "mood") == pick(before, "question", "mood")
    project.edit("BUILD.py", 'stage("qa", ', f'stage("qa", num_records={len(topics) + 1}, ')
    result = project.build()
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 1)
    check(read(result), [*topics, topics[0]])


def test_a_seed_that_comes_back_after_many_others_finds_its_cells(built):
    project, _ = built
    for number in range(9):
        write_topics(project, [f"other {number}"])
        project.build()
    write_topics(project, [*TOPICS, "new"])
    check(read(project.build()), [*TOPICS, "new"])
    assert project.calls == dict.fromkeys(("question", "answer", "judge"), 1)


def test_a_dropped_column_that_others_read_and_that_is_not_kept_ends_reuse_and_says_so(built):
    project, _ = built
    project.edit("ddbuild.toml", "buffer_size = 5", "buffer_size = 5\npreserve_dropped_columns = false")
    for edit in ("J2(", "J3(", "J4("):
        project.edit("columns.py", "J(" if edit == "J2(" else f"J{int(edit[1]) - 1}(", edit)
        (target,) = (each for label, each in project.plan().targets.items() if label.name == "qa")
        assert target.reuse.reason.startswith("`answer` is dropped, and `preserve_dropped_columns` is off")
        result = project.build()
        assert project.calls == dict.fromkeys(("question", "answer", "judge"), 12)
        assert note(result)["reason"] == target.reuse.reason
    project.edit("ddbuild.toml", "preserve_dropped_columns = false", "")
    project.edit("columns.py", "J4(", "J(")
    check(read(project.build()), TOPICS)


def test_reuse_that_speaks_of_no_column_is_an_error(built):
    project, _ = built
    project.edit("BUILD.py", 'depends_on=[":topics"]', 'depends_on=[":topics"], reuse={"jugde": False}')
    with pytest.raises(GraphError) as caught:
        project.plan()
    assert caught.value.message == "`reuse` of `//:qa` speaks of the column `jugde`, which its config does not make"
    assert caught.value.hint == "did you mean `judge`?"


@pytest.mark.parametrize("value", [{"a": None}, None])
def test_numbers_in_a_seeds_values_with_holes_beside_them_are_not_taken_apart(tmp_path, value):
    files = {
        "ddbuild.toml": "",
        "recorder.py": RECORDER,
        "BUILD.py": """
            import data_designer.config as dd
            from ddbuild import source, stage
            from recorder import record

            @dd.custom_column_generator(required_columns=["j"])
            def text(row):
                record("text")
                row["text"] = f"1 {row['j']}"
                return row

            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(dd.CustomColumnConfig(name="text", generator_function=text))
            config.add_column(name="mood", column_type="sampler", sampler_type="uuid", params={})
            source("rows", files="rows.parquet")
            stage("qa", config=config, depends_on=[":rows"])
            """,
    }
    project = Project(tmp_path, files)
    rows = [{"j": {"a": 1}}, {"j": {"a": 2}}]
    project.write_rows("rows.parquet", rows)
    project.build()
    project.write_rows("rows.parquet", [*rows, {"j": value}])
    result = project.build()
    assert project.calls == {"text": 3}
    assert note(result)["reason"].startswith("the seed's column `j` has numbers inside of values, and holes")
    assert [row["text"] for row in read(result)] == ["1 {'a': 1.0}", "1 {'a': 2.0}", f"1 {value}"]
