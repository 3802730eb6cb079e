"""The workspaces that people begin with have their null builds: what `ddbuild init` writes, and each example."""

import json
import shutil
from pathlib import Path

import pytest

from scenarios.null_build_shell import Server, Shell
from stub_provider import StubProvider

pytestmark = pytest.mark.real

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/ddbuild.toml"))


def answer(prompt):
    """Answer as a judge where one is asked."""
    if "clear" in prompt:
        return json.dumps({"clarity": {"reasoning": "It is plain.", "score": 4}})
    return "It is said."


@pytest.fixture(scope="module")
def server():
    server = Server("with the libraries of Data Designer")
    yield server
    server.close()


@pytest.fixture
def shell(tmp_path, server):
    return Shell(tmp_path, server)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_each_example_has_its_null_builds(shell, name):
    shutil.copytree(EXAMPLES / name, shell.root, ignore=shutil.ignore_patterns(".ddbuild", "ddbuild-out"))
    with StubProvider(answer) as stub:
        shell.environment["DDBUILD_EXAMPLE_URL"] = stub.endpoint
        shell.take("//...")
        before = stub.requests
        assert shell.run("//...").is_short
        assert stub.requests == before


def test_a_first_workspace_has_its_null_builds(shell):
    shell.root.mkdir()
    assert shell.run("init").code == 0
    shell.take("//greetings")
    assert shell.run("plan", "//...").code == 0
    assert shell.run("//greetings").is_short


@pytest.mark.soak
def test_an_ordinary_workspace_has_its_null_builds(shell):
    """Helpers, settings in a file, plain configs, and libraries that are used where rows are."""
    files = {
        "ddbuild.toml": '[designer]\nbuffer_size = 10\n[cache]\ndir = "cache"\n',
        "common/__init__.py": "from common.names import NAMES as NAMES\n",
        "common/names.py": "import json\nfrom pathlib import Path\n"
        "NAMES = json.loads((Path(__file__).parent / 'names.json').read_text())\n",
        "common/names.json": '["a", "b"]\n',
        "people/BUILD.py": """\
from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

import data_designer.config as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from common import NAMES
from pydantic import BaseModel, Field

from ddbuild import stage, transform

logger = logging.getLogger(__name__)
SKIPPED = {"x", "y"}
SIZE = int(os.environ.get("SIZE", "4"))
with open(os.path.join(os.path.dirname(__file__), "more.yaml")) as file:
    MORE = yaml.safe_load(file)


class Person(BaseModel):
    name: str = Field(description="A name.")


@dataclass
class Part:
    name: str
    values: list[str] = field(default_factory=list)


@dd.custom_column_generator(required_columns=["name"])
def shout(row: dict) -> dict:
    row["loud"] = pd.Series([row["name"]]).str.upper()[0]
    return row


def people() -> dd.DataDesignerConfigBuilder:
    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    part = Part("name", [name for name in NAMES if name not in SKIPPED])
    builder.add_column(name=part.name, column_type="sampler", sampler_type="category", params={"values": part.values})
    builder.add_column(dd.CustomColumnConfig(name="loud", generator_function=shout))
    logger.info("made %s", Person.model_json_schema()["title"])
    return builder


def keep(path) -> str:
    rows: pa.Table = pq.read_table(path / "parquet-files")
    pq.write_table(rows.slice(0, 3), path / "kept.parquet")
    return path / "kept.parquet"


def count(files) -> pd.DataFrame:
    return pd.read_parquet(files["people"]).groupby("name").size().reset_index(name=MORE["column"])


stage("people", config=people, num_records=SIZE, on_success=keep)
transform("counts", count, depends_on=[":people"])
for number in range(2):
    transform(f"again{number}", lambda files: pq.read_table(files["counts"]), depends_on=[":counts"])
""",
        "people/more.yaml": "column: count\n",
        "plain/BUILD.yaml": "stages:\n  drawn:\n    config: drawn.yaml\n    num_records: 3\n",
        "plain/drawn.yaml": "columns:\n  - {name: x, column_type: sampler, sampler_type: uniform, "
        "params: {low: 0, high: 1}}\nmodel_configs: []\n",
    }
    for name, text in files.items():
        path = shell.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    del shell.environment["DDBUILD_CACHE_DIR"]
    shell.take("//...")
    assert shell.run("//people:again1").is_short
