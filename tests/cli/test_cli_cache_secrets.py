"""A whole build against a provider with secrets: none of them may be found in anything that ddbuild writes or says."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from stub_provider import StubProvider

API_KEY = "sk-stub-0123456789"
HEADER = "header-secret-0123456789"
FROM_ENVIRONMENT = "nvapi-environment-0123456789"
HF_TOKEN = "hf_0123456789abcdefghij"
SECRETS = [API_KEY, HEADER, FROM_ENVIRONMENT, HF_TOKEN]

MODELS = """
    import data_designer.config as dd

    def make_designer():
        from data_designer.interface import DataDesigner
        providers = [
            dd.ModelProvider(name="stub", endpoint="{endpoint}", api_key="{api_key}",
                             extra_headers={{"x-secret": "{header}"}}),
            dd.ModelProvider(name="other", endpoint="{endpoint}", api_key="SECRET_FROM_ENVIRONMENT"),
        ]
        return DataDesigner(model_providers=providers, auto_configure_logging=False)

    MODELS = [dd.ModelConfig(alias="writer", model="m", provider="stub"),
              dd.ModelConfig(alias="judge", model="m", provider="other")]
"""

BUILD = """
    import data_designer.config as dd
    from ddbuild import stage
    from models import MODELS

    def greetings():
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(name="name", column_type="sampler", sampler_type="category",
                          params=dd.CategorySamplerParams(values=["Ada", "Bob"]))
        config.add_column(name="greeting", column_type="llm-text", model_alias="writer", prompt="greet {{ name }}")
        return config

    def judged():
        config = dd.DataDesignerConfigBuilder(model_configs=MODELS)
        config.add_column(name="verdict", column_type="llm-text", model_alias="judge", prompt="judge {{ greeting }}")
        return config

    stage("greetings", config=greetings, num_records=6, min_yield=0)
    stage("judged", config=judged, depends_on=[":greetings"], min_yield=0)
    stage("refused", config=greetings, num_records=7)
"""


class TalkativeStub(StubProvider):
    """Says what it was given, as real gateways do when they refuse a key."""

    def _answer(self, path, body):
        status, answer = super()._answer(path, body)
        if status >= 400:
            answer["error"]["message"] = f"incorrect API key provided: {API_KEY}, x-secret: {HEADER}"
        return status, answer


def find_secrets(folder, secrets):
    """Return the files below `folder`, other than the user's own, that hold a secret by name or content."""
    found = []
    for path in folder.rglob("*"):
        data = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
        found += [(path, secret) for secret in secrets if secret.encode() in data]
    return found


@pytest.mark.real
def test_no_secret_is_in_what_a_build_writes_or_says(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_FROM_ENVIRONMENT", FROM_ENVIRONMENT)
    monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    refuses = set()

    def reply(prompt):
        return 401 if prompt in refuses else f"reply to {prompt}"

    with TalkativeStub(reply) as stub:
        workspace.write("models.py", MODELS.format(endpoint=stub.endpoint, api_key=API_KEY, header=HEADER))
        workspace.write("BUILD.py", BUILD)
        team = tmp_path / "team"
        workspace.write("ddbuild.toml", f'[cache]\nshared = "{team}"\n[designer]\nfactory = "models:make_designer"\n')
        said = []
        for words in (
            ["//judged", "-v"],
            ["//judged", "--json"],
            ["plan", "//...", "--json"],
            ["show", "//judged", "-x"],
            ["export", "//judged", tmp_path / "exported.jsonl"],
            ["cache", "ls", "--json"],
            ["cache", "verify", "--json"],
            ["cache", "pin", "//judged"],
        ):
            outcome = workspace.run(*words)
            assert outcome.code == 0, outcome.err
            said += [outcome.out, outcome.err]
        assert stub.requests == 12
        refuses |= {"greet Ada", "greet Bob"}
        outcome = workspace.run("//refused", "-v")
        assert outcome.code == 1
        said += [outcome.out, outcome.err]
    assert find_secrets(workspace.root, SECRETS[:2]) == [(workspace.root / "models.py", each) for each in SECRETS[:2]]
    assert find_secrets(workspace.root, SECRETS[2:]) == []
    for folder in (workspace.home, team):
        assert (folder / "v1/cas").is_dir() or (folder / ".cache/ddbuild/v1/cas").is_dir()
        assert find_secrets(folder, SECRETS) == []
    assert not [
        secret for secret in SECRETS for text in [*said, (tmp_path / "exported.jsonl").read_text()] if secret in text
    ]
