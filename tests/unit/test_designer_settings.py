"""RunConfig fields, package versions, providers and the home folder."""

import os
import subprocess
import sys
import threading

import data_designer.config as dd
import pytest

from ddbuild.designer import Designer, normalize_run_config, package_versions
from ddbuild.designer.crew import Crew
from ddbuild.designer.providers import (
    describe_providers,
    describe_tool_providers,
    find_missing_key,
    find_secrets,
    load_default_providers,
    record_providers,
)
from ddbuild.designer.run_config import OTHER_FIELDS, ROW_FIELDS
from ddbuild.errors import GraphError


def test_the_fields_are_those_of_data_designer_with_its_defaults():
    fields = dd.RunConfig.model_fields
    assert set(fields) == {*ROW_FIELDS, *OTHER_FIELDS}
    assert {name: getattr(fields[name].default, "value", fields[name].default) for name in ROW_FIELDS} == ROW_FIELDS


def test_a_field_at_its_default_counts_as_left_out():
    parts = normalize_run_config({})
    assert normalize_run_config({"buffer_size": 1000, "shutdown_error_rate": 0.5}) == parts
    assert normalize_run_config({"jinja_rendering_engine": dd.JinjaRenderingEngine.SECURE}) == parts
    assert normalize_run_config({"max_in_flight_tasks": 7}) == parts
    assert normalize_run_config({"shutdown_error_rate": 1}) == normalize_run_config({"shutdown_error_rate": 1.0})


@pytest.mark.parametrize("name", ROW_FIELDS)
def test_each_field_that_changes_rows_changes_its_own_part(name):
    default = ROW_FIELDS[name]
    value = (not default) if isinstance(default, bool) else "native" if isinstance(default, str) else default + 1
    before, after = normalize_run_config({}), normalize_run_config({name: value})
    assert [part[1] for part in after if part not in before] == [name]


def test_an_unknown_field_is_refused_with_a_guess():
    with pytest.raises(GraphError) as error:
        Designer(None, {"bufer_size": 3})
    assert error.value.message == "`bufer_size` is no field of Data Designer's RunConfig"
    assert error.value.hint == "did you mean `buffer_size`?"


@pytest.mark.parametrize("fields", [{"buffer_size": "20"}, {"buffer_size": True}, {"disable_early_shutdown": 1}])
def test_a_value_of_a_wrong_type_is_refused(fields):
    with pytest.raises(GraphError, match="wrong type"):
        normalize_run_config(fields)


def test_a_factory_and_settings_exclude_each_other():
    with pytest.raises(GraphError, match="exclude each other"):
        Designer(lambda: None, {"buffer_size": 3})


def test_versions_are_those_of_the_three_packages_and_of_any_that_is_named():
    assert sorted(package_versions()) == ["data-designer", "data-designer-config", "data-designer-engine"]
    assert list(package_versions(["pydantic"])) == ["pydantic"]
    assert package_versions([]) == {}
    with pytest.raises(GraphError, match="`no-such-package` is not installed"):
        package_versions(["no-such-package"])


def provider(name="team", **fields):
    values = {"endpoint": "https://me:s3cret-word@gateway.example/v1?key=other-s3cret", "api_key": "TEAM_API_KEY"}
    return dd.ModelProvider(name=name, **values | fields)


def test_keys_headers_and_urls_of_a_provider_do_not_count_and_the_rest_does():
    def parts(**fields):
        return describe_providers([provider(**fields), provider("unused")], ["team"], key_endpoints=False)

    same = [{"api_key": "x"}, {"extra_headers": {"a": "b"}}, {"endpoint": "http://other/v1"}]
    assert all(parts(**fields) == parts() for fields in same)
    assert parts(extra_body={"a": 1}) != parts()
    assert parts(provider_type="anthropic") != parts()
    assert [part[:2] for part in parts()] == [("provider", "team")]


def test_the_url_of_a_provider_counts_on_demand_without_its_credentials():
    def parts(endpoint):
        return describe_providers([provider(endpoint=endpoint)], ["team"], key_endpoints=True)

    assert parts("https://a/v1") != parts("https://b/v1")
    assert parts("https://me:x@a/v1") == parts("https://me:y@a/v1")


def test_a_tool_provider_counts_by_command_and_arguments():
    def parts(**fields):
        values = {"name": "docs", "command": "/usr/bin/python", "args": ["-m", "docs"]} | fields
        return describe_tool_providers([dd.LocalStdioMCPProvider(**values)], ["docs"], key_endpoints=False)

    assert parts(command="/opt/bin/python") == parts()
    assert parts(env={"KEY": "x"}) == parts()
    assert parts(args=["-m", "other"]) != parts()


def test_the_record_of_a_provider_has_no_credentials():
    assert record_providers([provider()], ["team"]) == [
        {"name": "team", "type": "openai", "endpoint": "https://gateway.example/v1"}
    ]


def test_an_unknown_provider_is_named_with_those_that_are_known():
    with pytest.raises(GraphError) as error:
        describe_providers([provider(), provider("other")], ["teem"], key_endpoints=False)
    assert str(error.value) == (
        "there is no model provider `teem`\n  known:  other, team\n\nhint: did you mean `team`?"
    )


def test_secrets_are_found_wherever_they_are_kept(monkeypatch):
    monkeypatch.setenv("TEAM_API_KEY", "resolved-s3cret")
    tools = dd.LocalStdioMCPProvider(name="docs", command="x", env={"KEY": "tool-s3cret"})
    found = find_secrets([provider(extra_headers={"X-Key": "header-s3cret"}), provider("b", api_key="EMPTY")], [tools])
    assert {"resolved-s3cret", "s3cret-word", "key=other-s3cret", "header-s3cret", "tool-s3cret"} <= found
    assert "EMPTY" not in found


def test_a_key_from_a_variable_that_is_not_set_is_missing(monkeypatch):
    monkeypatch.delenv("TEAM_API_KEY", raising=False)
    assert find_missing_key([provider()], ["team"]) == ("team", "TEAM_API_KEY")
    assert find_missing_key([provider(api_key="plain-text-key")], ["team"]) is None
    monkeypatch.setenv("TEAM_API_KEY", "x")
    assert find_missing_key([provider()], ["team"]) is None


def test_default_providers_need_no_designer():
    assert [each.name for each in load_default_providers()] == ["nvidia", "openai", "openrouter"]
    assert [part[:2] for part in Designer().provider_parts(["openai"])] == [("provider", "openai")]


HOMES = """
import os, sys
from ddbuild.designer import prepare_home
prepare_home()
from data_designer.config.utils.constants import DATA_DESIGNER_HOME
print(DATA_DESIGNER_HOME, os.access(DATA_DESIGNER_HOME.parent, os.W_OK))
"""


def run_home(script, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "DATA_DESIGNER_HOME")}
    return subprocess.run([sys.executable, "-c", script], env=kept | environment, capture_output=True, text=True)


def test_a_home_that_can_be_written_is_used(tmp_path):
    assert run_home(HOMES, HOME=str(tmp_path)).stdout == f"{tmp_path}/.data-designer True\n"
    assert not (tmp_path / ".data-designer").exists()


def test_a_home_that_cannot_be_used_is_replaced_by_a_private_one(tmp_path):
    (tmp_path / "file").write_text("")
    output = run_home(HOMES, HOME=str(tmp_path / "file")).stdout
    assert "ddbuild-home-" in output
    assert output.endswith("True\n")


def test_a_named_home_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_home(HOMES, HOME=str(tmp_path), DATA_DESIGNER_HOME=str(tmp_path / "file"))
    assert "GraphError: Data Designer cannot write its settings" in result.stderr


def test_a_home_that_was_chosen_before_us_and_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    script = "import data_designer.config.utils.constants\n" + HOMES
    assert "set DATA_DESIGNER_HOME" in run_home(script, HOME=str(tmp_path / "file")).stderr


def test_a_crew_works_at_once_on_as_much_as_it_has_threads():
    crew = Crew("test", 3)
    together = threading.Barrier(3, timeout=10)
    futures = [crew.submit(together.wait) for _ in range(9)]
    assert sorted(future.result(10) for future in futures) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sum(thread.name.startswith("test-") for thread in threading.enumerate()) == 3
    crew.dismiss()


def test_a_crew_hands_errors_on_and_skips_what_was_cancelled():
    crew = Crew("test", 1)
    leave = threading.Event()
    first = crew.submit(leave.wait, 10)
    cancelled = crew.submit(lambda: 1)
    assert cancelled.cancel()
    leave.set()
    with pytest.raises(ZeroDivisionError):
        crew.submit(lambda: 1 / 0).result(10)
    assert first.result(10)
    crew.dismiss()
    assert crew.submit(lambda: "late").result(10) == "late"
