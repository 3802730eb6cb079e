"""The workspaces of docs/jobs.md and docs/migrating-from-allow-resize.md, built as they are by the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import data_designer.config as dd
import pandas as pd
import pytest
from pydantic import ValidationError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MIGRATING = ROOT / "docs" / "migrating-from-allow-resize.md"
sys.path.insert(0, str(EXAMPLES))

from embedded_model import EmbeddedModel, find_what_is_missing

MISSING = find_what_is_missing()
NEEDS_MODEL = pytest.mark.skipif(MISSING is not None and "CI" not in os.environ, reason=str(MISSING))

pytestmark = [pytest.mark.real, pytest.mark.slow]

NO_MODEL = "http://127.0.0.1:9/v1"


class Workspace:
    """A copy of an example with a home, a cache and an environment of its own."""

    def __init__(self, name: str, folder: Path, url: str = NO_MODEL) -> None:
        self.root = folder / name
        self.home = folder / "home"
        self.url = url
        self.home.mkdir()
        kept_out = shutil.ignore_patterns(".ddbuild", "ddbuild-out", "__pycache__")
        shutil.copytree(EXAMPLES / name, self.root, ignore=kept_out)

    def run(self, *arguments: str) -> str:
        """Return what the command writes to stdout; its stderr is shown where the command fails."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DDBUILD_", "XDG_"))}
        environment |= {"HOME": str(self.home), "DDBUILD_EXAMPLE_URL": self.url, "NEMO_TELEMETRY_ENABLED": "false"}
        command = [Path(sys.executable).with_name("ddbuild"), "-C", self.root, *arguments]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert finished.returncode == 0, f"{arguments} -> {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout

    def build(self) -> dict[str, dict]:
        """Build everything and return the targets of the JSON document by their names."""
        document = json.loads(self.run("build", "//...", "--json"))
        return {target["label"].rpartition(":")[2]: target for target in document["targets"]}

    def read(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.root / "ddbuild-out" / name / "data.parquet")

    def edit(self, old: str, new: str, file: str = "BUILD.py") -> None:
        """Replace the one occurrence of `old` in `file`."""
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


def assert_hits(targets: dict[str, dict], before: dict[str, dict]) -> None:
    """Check that a second build ran nothing and has the rows of the first."""
    assert {target["status"] for target in targets.values()} == {"hit"}
    assert {name: each["digest"] for name, each in targets.items()} == {
        name: each["digest"] for name, each in before.items()
    }


def get_statuses(target: dict) -> dict[str, str]:
    return {action["kind"]: action["status"] for action in target["actions"]}


@pytest.fixture(scope="module")
def model():
    with EmbeddedModel() as model:
        yield model


def test_explode_gives_each_persona_as_many_conversations_as_any_other(tmp_path):
    workspace = Workspace("explode", tmp_path)
    first = workspace.build()

    assert {name: target["rows"] for name, target in first.items()} == {"personas": 100, "conversations": 1000}
    conversations = workspace.read("conversations")
    assert conversations.groupby("persona_id").size().tolist() == [10] * 100
    assert set(conversations["persona_id"]) == set(workspace.read("personas")["persona_id"])
    assert conversations.groupby("persona_id")["topic"].nunique().max() > 1
    assert_hits(workspace.build(), first)

    workspace.edit("CONVERSATIONS_EACH = 10", "CONVERSATIONS_EACH = 12")
    more = workspace.build()
    assert more["personas"]["status"] == "hit"
    assert more["conversations"]["rows"] == 1200
    pd.testing.assert_frame_equal(workspace.read("conversations")[:1000], conversations)


def test_filter_decides_how_many_rows_the_next_stage_makes(tmp_path):
    workspace = Workspace("filter", tmp_path)
    first = workspace.build()

    ideas, articles = workspace.read("ideas"), workspace.read("articles")
    assert 0 < len(ideas) < 200
    assert ideas["rating"].min() >= 7
    assert first["articles"]["rows_requested"] == len(articles) == len(ideas)
    pd.testing.assert_frame_equal(articles[list(ideas.columns)], ideas)
    assert_hits(workspace.build(), first)

    # Every rating has one decimal place: another bound that keeps the same rows makes nothing below stale.
    workspace.edit("LOWEST_RATING = 7.0", "LOWEST_RATING = 6.95")
    same = workspace.build()
    assert get_statuses(same["ideas"]) == {"generate": "hit", "callback": "ran"}
    assert same["articles"]["status"] == "cutoff"

    workspace.edit("LOWEST_RATING = 6.95", "LOWEST_RATING = 5.0")
    wider = workspace.build()
    assert get_statuses(wider["ideas"]) == {"generate": "hit", "callback": "ran"}
    assert wider["articles"]["rows"] == wider["ideas"]["rows"] > first["ideas"]["rows"]


def test_allow_resize_is_gone_and_its_jobs_are_done_without_it(tmp_path):
    with pytest.raises(ValidationError, match="allow_resize"):
        dd.CustomColumnConfig(
            name="question", generator_function=dd.custom_column_generator()(lambda row: row), allow_resize=True
        )

    workspace = Workspace("allow_resize", tmp_path)
    first = workspace.build()

    answers, quizzes = workspace.read("answers"), workspace.read("quizzes")
    assert first["questions"]["rows_requested"] == 20
    assert first["answers"]["rows"] == first["questions"]["rows"] == len(answers)
    assert set(answers["topic"]) <= {"bread", "rivers", "clouds"}
    for topic, how_many in (("bread", 3), ("rivers", 2), ("clouds", 1)):
        questions = answers[answers["topic"] == topic]["question"].tolist()
        one_row = [f"What is question {number} about {topic}?" for number in range(1, how_many + 1)]
        assert questions == one_row * (len(questions) // how_many)
    assert all(question in answer for question, answer in zip(answers["question"], answers["answer"], strict=True))
    assert sorted(quizzes["topic"]) == sorted(set(answers["topic"]))
    assert sum(len(questions) for questions in quizzes["questions"]) == len(answers)
    assert_hits(workspace.build(), first)


def test_the_page_on_allow_resize_shows_the_example_that_runs():
    after = MIGRATING.read_text(encoding="utf-8").split("\n## After\n")[1]
    blocks = re.findall(r"```python\n(.*?)```", after, re.DOTALL)
    example = (EXAMPLES / "allow_resize" / "BUILD.py").read_text(encoding="utf-8")
    assert len(blocks) == 3
    for block in blocks:
        for part in block.split("\n\n\n"):
            assert part.strip() in example


@pytest.mark.model
@NEEDS_MODEL
def test_judge_from_questions_to_the_exported_file(tmp_path, model):
    workspace = Workspace("judge", tmp_path, url=model.url)
    first = workspace.build()

    assert first["questions"]["usage"]["requests"] >= first["questions"]["rows"] > 0
    assert first["judged"]["usage"]["requests"] >= first["judged"]["rows_requested"] - first["judged"]["rows_lost"] > 0
    clear = workspace.read("judged")
    assert (clear["score"] >= 3).all()

    tokens = model.count_tokens()
    assert_hits(workspace.build(), first)

    # The filter's bound: no model is asked.
    workspace.edit("LOWEST_SCORE = 3", "LOWEST_SCORE = 1")
    all_kept = workspace.build()
    assert model.count_tokens() == tokens
    assert all_kept["questions"]["status"] == "hit"
    assert get_statuses(all_kept["judged"]) == {"generate": "hit", "callback": "ran"}
    file = workspace.root / "judged.jsonl"
    workspace.run("export", "//judged", str(file))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == first["judged"]["rows_requested"] - first["judged"]["rows_lost"]
    assert all(row["score"] == row["judgement"]["clarity"]["score"] for row in rows)
    assert [row["question"] for row in rows if row["score"] >= 3] == clear["question"].tolist()
    questions = workspace.read("questions")["question"].tolist()
    assert [row["question"] for row in rows] == questions or first["judged"]["rows_lost"]

    # The judge's prompt: judgements are asked for again, questions are not.
    workspace.edit("How clear is this question", "How easy to understand is this question")
    judged_again = workspace.build()
    assert model.count_tokens() > tokens
    assert judged_again["questions"]["status"] == "hit"
    assert judged_again["questions"]["digest"] == first["questions"]["digest"]
    assert judged_again["questions"]["usage"]["requests"] == 0
    assert judged_again["judged"]["usage"]["requests"] > 0
    assert workspace.read("questions")["question"].tolist() == questions
    assert {reason["part"] for reason in judged_again["judged"]["reasons"]} == {"column"}


@pytest.mark.model
@NEEDS_MODEL
def test_multi_turn_asks_the_models_in_turn_and_only_for_the_turns_that_changed(tmp_path, model):
    workspace = Workspace("multi_turn", tmp_path, url=model.url)
    first = workspace.build()

    follow_up = workspace.read("follow_up")
    messages = workspace.read("chats")["messages"]
    assert len(messages) == len(follow_up) > 0
    for row, chat in zip(follow_up.to_dict("records"), messages, strict=True):
        assert [message["role"] for message in chat] == ["user", "assistant", "user"]
        assert [message["content"] for message in chat] == [row["opening"], row["advice"], row["follow_up"]]

    tokens = model.count_tokens()
    assert_hits(workspace.build(), first)
    assert model.count_tokens() == tokens

    # Another expert: the opening stays, what follows the expert's turn does not.
    workspace.edit("temperature=0.3", "temperature=0.4", file="models.py")
    again = workspace.build()
    assert again["opening"]["status"] == "hit"
    assert again["opening"]["digest"] == first["opening"]["digest"]
    assert again["advice"]["status"] == "built"
    assert again["advice"]["usage"]["requests"] > 0
