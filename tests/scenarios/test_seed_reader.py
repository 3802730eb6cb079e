"""A Data Designer config that names a build target as its seed, in plain scripts and inside a build."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest
import yaml

from scenarios.project import Project, statuses

pytestmark = pytest.mark.real

FILES = {
    "BUILD.py": """
        import data_designer.config as dd
        from ddbuild import source, stage

        config = dd.DataDesignerConfigBuilder(model_configs=[])
        config.add_column(name="loud", column_type="expression", expr="{{ text | upper }}")
        source("tickets", files="tickets.jsonl")
        stage("answered", config=config, depends_on=[":tickets"])
        """,
    "tickets.jsonl": '{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n{"id": 3, "text": "c"}\n',
}

SCRIPT = """
    import json, sys
    import data_designer.config as dd
    from data_designer.interface import DataDesigner
    from ddbuild import TargetSeedSource

    provider = dd.ModelProvider(name="none", endpoint="http://127.0.0.1:9/v1")
    designer = DataDesigner(sys.argv[1], model_providers=[provider], auto_configure_logging=False)
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))

    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(name="twice", column_type="expression", expr="{{ loud }}{{ loud }}")
    config.with_seed_dataset(TargetSeedSource(**json.loads(sys.argv[2])))
    rows = designer.create(config, num_records=3).load_dataset()
    json.dump(rows.to_dict("records"), sys.stdout)
    """


@pytest.fixture
def built(make_project):
    project = make_project(FILES)
    project.build("//answered")
    return project


def run_script(project, tmp_path, folder=None, script=SCRIPT, **source):
    """Run a script of somebody who only wants the rows, in `folder`, and return what it printed."""
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir(exist_ok=True)
    file = tmp_path / "script.py"
    file.write_text(dedent(script))
    command = [sys.executable, str(file), str(artifacts), json.dumps({"target": "//answered"} | source)]
    environment = os.environ | {"DDBUILD_CACHE_DIR": str(project.cache)}
    return subprocess.run(command, cwd=folder or project.root, env=environment, capture_output=True, text=True)


EXPECTED = [{"id": n, "text": t, "loud": t.upper(), "twice": t.upper() * 2} for n, t in ((1, "a"), (2, "b"), (3, "c"))]


def test_a_plain_script_reads_a_target_out_of_the_cache(built, tmp_path):
    done = run_script(built, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("[{") :]) == EXPECTED


def test_workspace_and_cache_can_be_named_from_anywhere(built, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "the 'cache' [1]"
    built.cache.rename(moved)
    source = {"workspace": str(built.root), "cache": str(moved)}
    done = run_script(built, tmp_path, tmp_path / "elsewhere", **source)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("[{") :]) == EXPECTED


def test_a_workspace_in_a_folder_that_sql_would_misread(tmp_path):
    project = Project(tmp_path / "it's a=1 [odd] *", FILES)
    project.write("ddbuild.toml", "")
    project.build("//answered")
    done = run_script(project, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("[{") :]) == EXPECTED


def test_a_stale_target_is_never_built_and_the_error_says_how_to_build_it(built, tmp_path):
    built.edit("tickets.jsonl", '"c"', '"d"')
    done = run_script(built, tmp_path)
    assert done.returncode != 0
    assert "`//answered` is stale" in done.stderr
    assert "build it first: `ddbuild //answered`" in done.stderr


def test_an_unknown_target_and_a_missing_workspace_are_named(built, tmp_path):
    done = run_script(built, tmp_path, target="//answred")
    assert "`//answred` is not a target" in done.stderr
    assert "did you mean `//answered`?" in done.stderr
    done = run_script(built, tmp_path, tmp_path)
    assert "no workspace: neither" in done.stderr
    assert "name a folder of the workspace" in done.stderr


def make_config(**fields):
    import data_designer.config as dd

    from ddbuild import TargetSeedSource

    config = dd.DataDesignerConfigBuilder(model_configs=[])
    config.add_column(name="twice", column_type="expression", expr="{{ loud }}{{ loud }}")
    return config.with_seed_dataset(TargetSeedSource(**{"target": "//answered", **fields}))


def test_a_config_is_made_before_its_seed_exists_and_survives_yaml():
    import data_designer.config as dd

    config = make_config(workspace="/nowhere/at/all", cache="/nor/here").build()
    text = config.to_yaml()
    assert "/nowhere" not in text and "/nor" not in text
    loaded = dd.DataDesignerConfigBuilder.from_config(yaml.safe_load(text))
    source = loaded.get_seed_config().source
    assert (type(source).__name__, source.target) == ("TargetSeedSource", "//answered")
    assert loaded.build().fingerprint() == config.fingerprint() == make_config().build().fingerprint()
    assert make_config(target="//other").build().fingerprint() != config.fingerprint()


def test_a_yaml_file_may_name_the_workspace():
    import data_designer.config as dd

    plain = make_config().build().to_dict()
    plain["seed_config"]["source"]["workspace"] = "../ws"
    assert dd.DataDesignerConfigBuilder.from_config(plain).get_seed_config().source.workspace == "../ws"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("answered", "write `//answered`"),
        (":answered", "write `//answered`"),
        ("//...", "one target is needed here"),
        ("//a b", "not a label"),
    ],
)
def test_a_target_is_a_label_from_the_root(target, message):
    with pytest.raises(ValueError, match=message):
        make_config(target=target)


CHILD = """
        from ddbuild import TargetSeedSource

        def child():
            config = dd.DataDesignerConfigBuilder(model_configs=[])
            config.add_column(name="twice", column_type="expression", expr="{{ loud }}{{ loud }}")
            return config.with_seed_dataset(TargetSeedSource(target="//answered"))

        stage("child", config=child, DEPENDS)
        """


def test_inside_a_build_the_target_has_to_be_a_parent(make_project):
    project = make_project({**FILES, "BUILD.py": FILES["BUILD.py"] + CHILD.replace(", DEPENDS", "")})
    with pytest.raises(Exception, match="which is not its parent") as caught:
        project.build("//child")
    assert caught.value.hint == 'say so: `depends_on=["//answered"]`; the parent\'s rows are the seed then'


def test_as_a_parent_it_is_built_and_read_like_any_other(make_project):
    text = FILES["BUILD.py"] + CHILD.replace("DEPENDS", 'depends_on=["//answered"]')
    project = make_project({**FILES, "BUILD.py": text})
    first = project.build("//child")
    assert first["child"].load_dataset().to_dict("records") == EXPECTED
    project.edit("BUILD.py", '.with_seed_dataset(TargetSeedSource(target="//answered"))', "")
    assert statuses(project.build("//child")) == {"child": "hit"}


def test_whoever_imports_data_designer_gets_seven_small_modules_of_ddbuild():
    code = """
        import sys
        from data_designer.config.config_builder import DataDesignerConfigBuilder
        print(sorted(name for name in sys.modules if name.partition(".")[0] == "ddbuild"))
        """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    names = ["", ".errors", ".kept_seed", ".kept_seed.source", ".label", ".plugin", ".plugin.seed_source"]
    assert done.stdout.strip() == str([f"ddbuild{name}" for name in names])


@pytest.mark.parametrize(
    "first",
    [
        "import ddbuild.plugin",
        "import ddbuild.plugin.seed_reader",
        "from ddbuild import TargetSeedSource",
        "import data_designer.interface",
        "import data_designer.plugins.registry as registry; registry.PluginRegistry()",
    ],
)
def test_the_source_is_known_to_data_designer_whatever_is_imported_first(first):
    code = f"""
        {first}
        from data_designer.config.seed import SeedConfig
        print(SeedConfig(source={{"seed_type": "ddbuild", "target": "//a"}}).source)
        """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True)
    assert done.stdout.startswith("seed_type='ddbuild' target='//a'"), done.stderr
