"""The newcomer's path: examples/quickstart, built by the command line with a true model on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from embedded_model import EmbeddedModel, find_what_is_missing, is_healthy

MISSING = find_what_is_missing()
# A machine that runs all tests must have the model; where it is missing, CI is to fail and not to skip.
NEEDS_MODEL = pytest.mark.skipif(MISSING is not None and "CI" not in os.environ, reason=str(MISSING))

pytestmark = [pytest.mark.model, pytest.mark.slow, NEEDS_MODEL]

NO_MODEL = "http://127.0.0.1:9/v1"


class Quickstart:
    """A copy of the example with a home, a cache and an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "quickstart"
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copytree(EXAMPLES / "quickstart", self.root, ignore=shutil.ignore_patterns(".ddbuild", "ddbuild-out"))

    def run(self, *arguments: str, url: str = NO_MODEL) -> str:
        """Return what the command writes to stdout; its stderr is shown where the command fails."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DDBUILD_", "XDG_"))}
        environment |= {"HOME": str(self.home), "DDBUILD_EXAMPLE_URL": url, "NEMO_TELEMETRY_ENABLED": "false"}
        command = [Path(sys.executable).with_name("ddbuild"), "-C", self.root, *arguments]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert finished.returncode == 0, f"{arguments} -> {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout

    def build(self, *arguments: str, url: str = NO_MODEL) -> dict:
        """Return the JSON document of a build."""
        return json.loads(self.run("build", "//judged", "--json", *arguments, url=url))

    def read_rows(self) -> list[dict]:
        """Return the rows of `//judged`, as a user exports them."""
        file = self.root / "judged.jsonl"
        self.run("export", "//judged", str(file))
        return [json.loads(line) for line in file.read_text().splitlines()]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the one occurrence of `old` in `file`."""
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


def find_target(document: dict, label: str) -> dict:
    return next(target for target in document["targets"] if target["label"] == label)


@pytest.mark.real
def test_quickstart_asks_the_model_once_and_never_again(tmp_path):
    quickstart = Quickstart(tmp_path)
    with EmbeddedModel() as model:
        first = quickstart.build(url=model.url)
        tokens = model.count_tokens()

        assert tokens > 0
        assert first["ok"], first
        assert first["totals"]["built"] == 3
        for label, requested in (("//:personas", 5), ("//:questions", 8), ("//:judged", 8)):
            target = find_target(first, label)
            assert target["status"] == "built"
            assert target["rows_requested"] == requested
            assert target["usage"]["requests"] >= requested - target["rows_lost"] > 0
            assert target["usage"]["output_tokens"] > 0
        assert first["totals"]["requests"] == sum(target["usage"]["requests"] for target in first["targets"])

        second = quickstart.build(url=model.url)
        assert model.count_tokens() == tokens
    judged = find_target(second, "//:judged")
    assert (judged["status"], judged["tier"]) == ("hit", "local")
    assert judged["digest"] == find_target(first, "//:judged")["digest"]
    assert second["totals"]["requests"] == 0
    assert second["totals"]["requests_saved"] > 0

    rows = quickstart.read_rows()
    assert len(rows) == judged["rows"] > 0
    assert all(row["score"] >= 3 and row["score"] == row["judgement"]["clarity"]["score"] for row in rows)
    assert all(row["persona"] and row["question"] for row in rows)

    # From here on there is no model: what an edit makes stale, or does not, decides whether the build can succeed.
    quickstart.edit("BUILD.py", "LOWEST_SCORE = 3", "LOWEST_SCORE = 1")
    edited = quickstart.build()
    judged = find_target(edited, "//:judged")
    assert judged["status"] == "built"
    assert {action["kind"]: action["status"] for action in judged["actions"]} == {"generate": "hit", "callback": "ran"}
    assert edited["totals"]["requests"] == 0
    made = find_target(first, "//:judged")
    assert len(quickstart.read_rows()) == made["rows_requested"] - made["rows_lost"]


ONE_STAGE = """

def quiz():
    config = questions()
    config.add_column(pick("job", "baker", "nurse"))
    config.add_column(pick("hobby", "chess", "hiking"))
    for column in judged().get_column_configs():
        config.add_column(column)
    return config


stage("quiz", config=quiz, num_records=2)
"""


@pytest.mark.real
def test_an_edited_judge_judges_the_questions_that_are_there(tmp_path):
    quickstart = Quickstart(tmp_path)
    build_file = quickstart.root / "BUILD.py"
    build_file.write_text(build_file.read_text() + ONE_STAGE)
    with EmbeddedModel() as model:
        first = json.loads(quickstart.run("build", "//quiz", "--json", url=model.url))
        before = json.loads(quickstart.run("show", "//quiz", "--json"))["rows"]
        quickstart.edit("BUILD.py", "How clear is this question", "In plain words, how clear is this question")
        second = json.loads(quickstart.run("build", "//quiz", "--json", url=model.url))
    quiz = find_target(second, "//:quiz")
    assert quiz["reuse"] == {
        "rows": 2,
        "rows_new": 2,
        "columns": 6,
        "columns_new": 2,
        "cells_kept": 8,
        "requests": 2,
        "requests_saved": 2,
        "reason": None,
    }
    # A judgement that cannot be read is asked for once more.
    assert 2 <= quiz["usage"]["requests"] < find_target(first, "//:quiz")["usage"]["requests"] + 2
    after = json.loads(quickstart.run("show", "//quiz", "--json"))["rows"]
    kept = ("job", "hobby", "topic", "question")
    assert [[row[name] for name in kept] for row in after] == [[row[name] for name in kept] for row in before]
    assert [row["judgement"] for row in after] != [row["judgement"] for row in before]


def test_model_server_ends_with_its_parent():
    program = "from embedded_model import *; m = EmbeddedModel().__enter__(); print(m.url, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=EXAMPLES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        url = parent.stdout.readline().strip()
        assert is_healthy(url)
    finally:
        parent.kill()
        parent.communicate()
    for _ in range(1000):
        if not is_healthy(url):
            return
        time.sleep(0.01)
    pytest.fail("the model's server outlived its parent")
