"""Null builds of workspaces with Data Designer: configs, models, providers, factories, rows that were lost."""

import re

import pytest

from scenarios.null_build_shell import Server, Shell, edit, edit_unseen, replace, write
from stub_provider import StubProvider

pytestmark = [pytest.mark.real, pytest.mark.soak]

FILES = {
    "ddbuild.toml": '[designer]\nfactory = "designer:make"\n',
    "designer.py": """
        from settings import SIZE

        def make():
            import data_designer.config as dd
            from data_designer.interface import DataDesigner
            from ddbuild.designer.providers import load_default_providers

            designer = DataDesigner(model_providers=load_default_providers(), auto_configure_logging=False)
            designer.set_run_config(dd.RunConfig(buffer_size=SIZE, otel_metrics_port=None))
            return designer
        """,
    "settings.py": "SIZE = 10\n",
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import stage

        def said():
            builder = dd.DataDesignerConfigBuilder()
            builder.add_column(name="topic", column_type="sampler", sampler_type="category", params={"values": ["a"]})
            builder.add_column(name="text", column_type="llm-text", model_alias="mine", prompt="Say {{ topic }}.")
            return builder

        @dd.custom_column_generator(required_columns=["n"])
        def picky(row):
            if row["n"] == 2:
                raise ValueError("no twos")
            row["m"] = row["n"]
            return row

        def short():
            builder = dd.DataDesignerConfigBuilder(model_configs=[])
            builder.with_seed_dataset(dd.LocalFileSeedSource(path=__file__.replace("BUILD.py", "seed.csv")))
            builder.add_column(dd.CustomColumnConfig(name="m", generator_function=picky))
            return builder

        stage("said", config=said, num_records=2)
        stage("short", config=short, min_yield=0.5)
        stage("drawn", config="drawn.yaml", num_records=3)
        """,
    "drawn.yaml": """
        columns:
          - name: x
            column_type: sampler
            sampler_type: uniform
            params: {low: 0, high: 1}
        model_configs: []
        """,
    "seed.csv": "n\n1\n2\n3\n4\n",
}


@pytest.fixture(scope="module")
def server():
    server = Server("with the libraries of Data Designer")
    yield server
    server.close()


@pytest.fixture(scope="module")
def stub():
    with StubProvider() as stub:
        yield stub


@pytest.fixture
def shell(tmp_path, server, stub):
    shell = Shell(tmp_path, server, FILES)
    home = shell.home / ".data-designer"
    write(
        home / "model_configs.yaml",
        """
        model_configs:
          - alias: mine
            model: stub-1
            provider: stub
        """,
    )
    write(
        home / "model_providers.yaml",
        f"""
        providers:
          - name: stub
            endpoint: {stub.endpoint}
            api_key: none
        """,
    )
    (home / "managed-assets").mkdir()
    shell.take()
    return shell


def switch_home(shell):
    other = shell.folder / "other"
    (shell.home / ".data-designer").rename(other)
    edit(other / "model_configs.yaml", "stub-1", "stub-7")
    shell.environment["DATA_DESIGNER_HOME"] = str(other)


CHANGED = {
    "a config file is edited": lambda s: edit(s.root / "drawn.yaml", "high: 1", "high: 2"),
    "a config file is edited, size and time kept": lambda s: edit_unseen(s.root / "drawn.yaml", "high: 1", "high: 3"),
    "a config file is replaced": lambda s: replace(
        s.root / "drawn.yaml", (s.root / "drawn.yaml").read_text().replace("low: 0", "low: -1")
    ),
    "a config file is removed": lambda s: (s.root / "drawn.yaml").unlink(),
    "a model of Data Designer's home is another one": lambda s: edit(
        s.home / ".data-designer" / "model_configs.yaml", "stub-1", "stub-2"
    ),
    "a model of Data Designer's home is another one, size and time kept": lambda s: edit_unseen(
        s.home / ".data-designer" / "model_configs.yaml", "stub-1", "stub-3"
    ),
    "a provider has another body": lambda s: edit(
        s.home / ".data-designer" / "model_providers.yaml", "api_key: none", "api_key: none\n    extra_body: {top_k: 3}"
    ),
    "Data Designer has another home": switch_home,
    "the factory is edited": lambda s: edit(s.root / "designer.py", "buffer_size=SIZE", "buffer_size=SIZE + 1"),
    "a helper of the factory is edited": lambda s: edit_unseen(s.root / "settings.py", "10", "20"),
    "a helper of the factory is hidden": lambda s: write(s.root / "settings" / "__init__.py", "SIZE = 30\n"),
    "a seed of a config is edited": lambda s: edit_unseen(s.root / "seed.csv", "4", "5"),
    "a seed of a config is replaced": lambda s: replace(s.root / "seed.csv", "n\n1\n2\n3\n6\n"),
    "a custom column is edited": lambda s: edit(s.root / "BUILD.py", 'row["m"] = row["n"]', 'row["m"] = -row["n"]'),
    "a prompt is edited": lambda s: edit_unseen(s.root / "BUILD.py", "Say {{", "Cry {{"),
    "less loss is tolerated": lambda s: edit(s.root / "BUILD.py", "min_yield=0.5", "min_yield=0.7"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_no_change_leads_to_a_stale_answer(shell, what):
    CHANGED[what](shell)
    expected = shell.run("plan", "//...", "--json", slow=True)
    planned = shell.run("plan", "//...", "--json")
    assert not planned.is_short
    assert (planned.code, planned.err) == (expected.code, expected.err)
    assert planned.out == expected.out if expected.code else planned.document == expected.document
    built = shell.run("//...", "--json")
    assert not built.is_short
    assert built.code == expected.code
    if not built.code:
        checked = shell.run("//...", "--json", slow=True)
        assert built.digests == checked.digests
        assert set(checked.statuses.values()) == {"hit"}
        shell.take()


@pytest.mark.parametrize("colours", [{}, {"FORCE_COLOR": "1"}])
def test_both_ways_say_the_same(shell, colours):
    shell.environment.update(colours)
    if colours:
        # rich looks for it when it is imported.
        shell.take()
    seconds = re.compile(r'"seconds": [0-9.]+')
    for words in ("//...", "//short", "//short -q", "//... --json", "plan //...", "path //short"):
        short, long = shell.run(*words.split()), shell.run(*words.split(), slow=True)
        assert short.is_short
        assert seconds.sub("", short.out) == seconds.sub("", long.out)
        assert (short.code, short.err) == (long.code, long.err)
        assert ("lost 1 of 4 requested rows" in short.err) == (words.startswith("//"))


def test_a_null_build_asks_no_model(shell, stub):
    before = stub.requests
    assert shell.run("//...").is_short
    assert stub.requests == before
