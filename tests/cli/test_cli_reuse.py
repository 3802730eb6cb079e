"""Paying only for the cells that changed, as the command line tells it, with models that count what they are asked."""

import json

import pytest

from stub_provider import StubProvider

MODELS = """
    import data_designer.config as dd

    PROVIDER = dd.ModelProvider(name="stub", endpoint="{endpoint}", api_key="none")
    MODELS = [dd.ModelConfig(alias="writer", model="m", provider="stub")]

    def make_designer():
        from data_designer.interface import DataDesigner

        return DataDesigner(model_providers=[PROVIDER], auto_configure_logging=False)
"""
BUILD = """
    import data_designer.config as dd
    from ddbuild import source, stage
    from models import MODELS

    def qa():
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        for name, prompt in {"question": "Ask about {{ topic }}", "answer": "Answer {{ question }}"}.items():
            config.add_column(name=name, column_type="llm-text", model_alias="writer", prompt=prompt)
        config.add_column(dd.LLMJudgeColumnConfig(
            name="quality", model_alias="writer", prompt="Judge {{ question }} {{ answer }}",
            scores=[dd.Score(name="clarity", description="Is it clear?", options={1: "no", 3: "yes"})]))
        config.add_column(dd.ExpressionColumnConfig(name="line", expr="{{ topic }}: {{ quality.clarity.score }}"))
        return config

    source("topics", files="topics.csv")
    stage("qa", config=qa, depends_on=[":topics"])
"""


@pytest.fixture
def stub():
    counts = {"answers": 0}

    def reply(prompt):
        counts["answers"] += 1
        if "Judge" in prompt:
            return json.dumps({"clarity": {"score": 3, "reasoning": f"reason {counts['answers']}"}})
        if "poison" in prompt:
            return 400
        return f"text {counts['answers']}"

    with StubProvider(reply) as provider:
        yield provider


class Jobs:
    """A workspace of one stage of four columns, and its file with topics."""

    def __init__(self, workspace, stub):
        self._stub = stub
        self.workspace = workspace
        workspace.write("ddbuild.toml", '[designer]\nfactory = "models:make_designer"\n')
        workspace.write("models.py", MODELS.format(endpoint=stub.endpoint))
        self.write_build()
        self.write_topics("a", "b", "c", "d")

    def write_build(self, *changes):
        text = BUILD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.workspace.write("BUILD.py", text)

    def write_topics(self, *topics):
        self.workspace.write("topics.csv", "\n".join(["topic", *topics]) + "\n")

    def run(self, *arguments):
        """Run a command and return what it printed, and how many requests it made."""
        before = self._stub.requests
        done = self.workspace.run(*arguments)
        return done, self._stub.requests - before


@pytest.fixture
def jobs(workspace, stub):
    return Jobs(workspace, stub)


BETTER = ("Judge {{ question }}", "Judge well {{ question }}")


def test_the_plan_says_what_an_edit_costs_and_the_build_asks_for_just_that(jobs, lines):
    assert jobs.run("//qa")[1] == 12
    jobs.write_build(BETTER)
    plan, requests = jobs.run("plan", "//qa")
    assert requests == 0
    assert plan.out == lines(
        """
        hit        //topics  4 rows
        stale      //qa      column `quality` changed
                             4 of 4 rows new, 2 of 4 columns; 4 requests, 8 reused

        1 of 2 targets to build; 8 LLM requests not needed
        """
    )
    built, requests = jobs.run("//qa")
    assert requests == 4
    assert "//qa: 4 of 4 rows new, 2 of 4 columns; 4 requests, 8 reused\n" in built.err
    assert "built 1 (4 LLM requests and 40 tokens), reused 1 (saved 8 LLM requests) in T s" in built.err


def test_a_column_that_asks_no_model_costs_no_request(jobs):
    jobs.run("//qa")
    jobs.write_build(("{{ topic }}: {{", "{{ topic }} = {{"))
    assert jobs.run("//qa")[1] == 0


def test_the_document_has_the_figures(jobs):
    jobs.run("//qa")
    jobs.write_topics("a", "b", "new", "c", "d")
    jobs.run("//topics")
    for command in (["plan"], ["build"]):
        done, requests = jobs.run(*command, "--json", "//qa")
        document = json.loads(done.out)
        assert document["targets"][-1]["reuse"] == {
            "rows": 5,
            "rows_new": 1,
            "columns": 4,
            "columns_new": 4,
            "cells_kept": 16,
            "requests": 3,
            "requests_saved": 12,
            "reason": None,
        }
    assert requests == 3
    assert document["totals"]["requests_saved"] == 12
    # What is kept has cost its first makers fifteen.
    done, _ = jobs.run("--json", "//qa")
    assert json.loads(done.out)["totals"]["requests_saved"] == 15


def test_everything_is_asked_for_again_on_demand(jobs):
    jobs.run("//qa")
    jobs.write_build(BETTER)
    plan, _ = jobs.run("build", "--no-reuse", "-n", "//qa")
    assert "reused" not in plan.out
    assert jobs.run("build", "--no-reuse", "//qa")[1] == 12


def test_the_settings_can_say_so_for_good(jobs):
    jobs.workspace.write("ddbuild.toml", '[build]\nreuse = false\n[designer]\nfactory = "models:make_designer"\n')
    jobs.run("//qa")
    jobs.write_build(BETTER)
    assert jobs.run("//qa")[1] == 12


def test_a_stage_that_reuses_nothing_says_why(jobs, lines):
    jobs.run("//qa")
    jobs.write_build(BETTER, ("depends_on=", 'reuse="off", depends_on='))
    plan, _ = jobs.run("plan", "//qa")
    assert 'reuses no cell: it says `reuse="off"`' in plan.out
    built, requests = jobs.run("-v", "//qa")
    assert requests == 12
    assert '//qa: reuses no cell: it says `reuse="off"`' in built.err


def test_only_lost_rows_are_asked_for_again(jobs, stub):
    jobs.write_build(("depends_on=", "min_yield=0.5, depends_on="))
    jobs.write_topics("a", "poison", "c", "d")
    first, requests = jobs.run("//qa")
    assert "//qa lost 1 of 4 requested rows" in first.err
    assert jobs.run("//qa")[1] == 0
    # The model has come to its senses.
    poisoned, stub.reply = stub.reply, lambda prompt: poisoned(prompt.replace("poison", "harmless"))
    plan, _ = jobs.run("build", "--retry-lost", "-n", "//qa")
    assert jobs.run("plan", "--retry-lost", "//qa")[0].out == plan.out
    assert "it lost 1 of 4 rows" in plan.out
    assert "1 of 4 rows new, 4 of 4 columns; 3 requests, 9 reused" in plan.out
    retried, requests = jobs.run("build", "--retry-lost", "//qa")
    assert requests == 3
    assert "//qa: 4 rows in ddbuild-out/qa" in retried.err
    # From now on the fuller one counts, and there is nothing to retry.
    for command in (["//qa"], ["build", "--retry-lost", "//qa"]):
        again, requests = jobs.run(*command)
        assert (again.err, requests) == ("//qa is up to date (4 rows, ddbuild-out/qa)\n", 0)
    rows = json.loads(jobs.run("show", "--json", "//qa")[0].out)["rows"]
    assert [row["topic"] for row in rows] == ["a", "poison", "c", "d"]


def test_rows_that_a_provider_is_down_for_are_not_taken_for_lost_ones(jobs, stub):
    topics = [f"t{number}" for number in range(12)]
    jobs.write_topics(*topics)
    jobs.run("//qa")
    jobs.write_topics(*topics, "new")
    up, stub.reply = stub.reply, lambda prompt: 401
    down, _ = jobs.run("//qa")
    # Twelve of thirteen rows are there, and that would be enough.
    assert down.code == 1
    assert "while running health checks" in down.err
    stub.reply = up
    again, requests = jobs.run("//qa")
    assert (again.code, requests) == (0, 3)
    assert "//qa: 1 of 13 rows new, 4 of 4 columns; 3 requests, 36 reused" in again.err


def test_a_team_shares_cells(jobs, tmp_path):
    shared = str(tmp_path / "team")
    jobs.run("--shared-cache", shared, "//qa")
    jobs.write_build(BETTER)
    _, requests = jobs.run("--shared-cache", shared, "--cache-dir", str(tmp_path / "colleague"), "//qa")
    assert requests == 4
