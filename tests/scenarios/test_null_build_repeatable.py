"""A workspace that may load differently another time is loaded each time, and never answered from a snapshot."""

import pytest

from scenarios.null_build_shell import Server, Shell, write

EVERY_TIME = ("the time in a salt", "parquet outside of the workspace", "the clock by name")
BUILD = """
{code}
from ddbuild import transform

def make(files):
    import pyarrow as pa
    return pa.table({{"n": [1]}})

transform("made", make, salt=str(VALUE))
"""
LOADS = {
    "the time in a salt": "import time\nVALUE = int(time.time()) // 5",
    "the date in a salt": "from datetime import date\nVALUE = date.today().year",
    "the clock by name": "import time\nVALUE = int(getattr(time, 'ti' + 'me')()) // 1000",
    "the clock by import": "VALUE = int(__import__('time').time()) // 1000",
    "the clock by eval": "VALUE = eval('int(__import__(\"time\").time()) // 1000')",
    "the clock of a helper": "from helper import stamp\nVALUE = stamp()",
    "the clock of a library of the user's": "from outside import stamp\nVALUE = stamp()",
    "chance": "import random\nVALUE = random.choice('ab')",
    "a UUID": "import uuid\nVALUE = uuid.uuid4().hex[0]",
    "a token": "import secrets\nVALUE = secrets.choice('ab')",
    "bytes of the system": "import os\nVALUE = os.urandom(1)[0] % 2",
    "bytes of the device": "VALUE = open('/dev/urandom', 'rb').read(1)[0] % 2",
    "the order of a set": "VALUE = list({'a', 'b', 'c'})",
    "a hash": "VALUE = hash('a') % 2",
    "the number of the process": "import os\nVALUE = os.getpid() % 2",
    "the load": "import os\nVALUE = os.getloadavg()[0] > 1",
    "times": "import os\nVALUE = os.times().user > 1",
    "a file of the system": "VALUE = float(open('/proc/uptime').read().split()[0]) // 10",
    "a temporary name": "import tempfile\nVALUE = tempfile.mkdtemp()[-1]",
    "the bytes of the environment": "import os\nVALUE = os.environb.get(b'MODE')",
    "what the environment is kept in": "import os\nVALUE = os.environ._data.get(b'MODE')",
    "a program": "import subprocess\nVALUE = subprocess.run(['cat', '{outside}/x.txt'], capture_output=True).stdout",
    "a shell": "import os\nVALUE = os.popen('cat {outside}/x.txt').read()",
    "a socket": "import socket\nVALUE = socket.gethostname()",
    "a pair of sockets": "import socket\na, b = socket.socketpair()\nVALUE = 1",
    "a thread": "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\nVALUE = t.name",
    "parquet outside of the workspace": (
        "import pyarrow.parquet as pq\nVALUE = pq.read_table('{outside}/x.parquet').num_rows"
    ),
    "parquet of pandas": "import pandas as pd\nVALUE = len(pd.read_parquet('{outside}/x.parquet'))",
    "CSV of Arrow": "import pyarrow.csv as csv\nVALUE = csv.read_csv('{outside}/x.odd').num_rows",
    "a memory map of Arrow": "import pyarrow as pa\nVALUE = pa.memory_map('{outside}/x.odd').read()",
    "a database": (
        "import sqlite3\nbase = sqlite3.connect('file:{outside}/x.db?mode=ro', uri=True)\n"
        "VALUE = base.execute('select 1').fetchall()"
    ),
    "duckdb": "import duckdb\nVALUE = duckdb.sql(\"select count(*) from '{outside}/x.parquet'\").fetchall()",
    "ctypes": "import ctypes\nVALUE = ctypes.CDLL(None).getppid() % 2",
    "an open file": "import os\nVALUE = open(os.open('{outside}/x.txt', os.O_RDONLY)).read()",
    "the command line": "import sys\nVALUE = len(sys.argv)",
    "when a file was read": "import os\nVALUE = os.stat('{outside}/x.txt').st_atime",
}


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in EVERY_TIME else pytest.mark.soak) for what in LOADS]
)
def test_what_may_load_differently_is_loaded_each_time(tmp_path, server, what):
    import sqlite3

    import pyarrow as pa
    import pyarrow.parquet as pq

    outside = tmp_path / "outside"
    write(outside / "x.txt", "1\n")
    write(outside / "x.odd", "n\n1\n")
    pq.write_table(pa.table({"n": [1]}), outside / "x.parquet")
    sqlite3.connect(outside / "x.db").execute("create table t (n)").connection.close()
    code = LOADS[what].replace("{outside}", str(outside))
    stamp = "import time\n\ndef stamp():\n    return int(time.time()) // 1000\n"
    files = {"ddbuild.toml": "", "helper.py": stamp, "BUILD.py": BUILD.format(code=code)}
    shell = Shell(tmp_path, server, files, {"outside.py": stamp})
    shell.settle()
    for _ in range(3):
        done = shell.run("//...")
        assert done.code == 0, done.err
        assert not done.is_short
    assert not (shell.root / ".ddbuild" / "snapshot").exists()
    if what in EVERY_TIME:
        assert shell.run("//...", "--json", slow=True).document["ok"]


def test_the_same_workspace_without_any_of_that_has_its_null_builds(tmp_path, server):
    shell = Shell(tmp_path, server, {"ddbuild.toml": "", "BUILD.py": BUILD.format(code="VALUE = 1")})
    shell.take("//...")


DRAWN = """
def make():
    {code}
    import data_designer.config as dd
    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    builder.add_column(name="n", column_type="sampler", sampler_type="category", params={{"values": [str(VALUE)]}})
    return builder
"""
STAGE = "from ddbuild import stage\nstage('drawn', config={config}, num_records=1)\n"
CLOCK = "import time; VALUE = int(time.time()) // 1000"
FACTORY = """
import time

def make():
    from data_designer.interface import DataDesigner
    from ddbuild.designer.providers import load_default_providers
    buffer = int(time.time()) // 1000
    return DataDesigner(model_providers=load_default_providers(), auto_configure_logging=False)
"""
LATER = {
    "a config function": {"BUILD.py": DRAWN.format(code=CLOCK) + STAGE.format(config="make")},
    "a helper of a config function": {
        "BUILD.py": DRAWN.format(code="from helper import VALUE") + STAGE.format(config="make"),
        "helper.py": CLOCK,
    },
    "a config file in Python": {
        "BUILD.py": STAGE.format(config="'drawn.py:make'"),
        "drawn.py": DRAWN.format(code=CLOCK),
    },
    "a config file in Python that a build file in YAML names": {
        "BUILD.yaml": "stages:\n  drawn:\n    config: drawn.py:make\n    num_records: 1\n",
        "drawn.py": DRAWN.format(code=CLOCK),
    },
    "the factory": {
        "BUILD.py": DRAWN.format(code="VALUE = 1") + STAGE.format(config="make"),
        "ddbuild.toml": '[designer]\nfactory = "designer:make"\n',
        "designer.py": FACTORY,
    },
    "nothing": {"BUILD.py": DRAWN.format(code="VALUE = 1") + STAGE.format(config="make")},
}


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize("what", LATER)
def test_what_runs_only_for_a_plan_counts_as_well(tmp_path, server, what):
    shell = Shell(tmp_path, server, {"ddbuild.toml": "", **LATER[what]})
    shell.settle()
    if what == "nothing":
        shell.take("//...")
        return
    for _ in range(3):
        done = shell.run("//...")
        assert done.code == 0, done.err
        assert not done.is_short
    assert not (shell.root / ".ddbuild" / "snapshot").exists()


def test_a_cache_inside_of_the_workspace_is_in_nobodys_way(tmp_path, server):
    files = {"ddbuild.toml": '[cache]\ndir = "kept/cache"\n', "BUILD.py": BUILD.format(code="VALUE = 1")}
    shell = Shell(tmp_path, server, files)
    del shell.environment["DDBUILD_CACHE_DIR"]
    shell.settle()
    assert shell.run("//...").code == 0
    assert shell.run("//...").is_short
    write(shell.root / "kept" / "cache" / "BUILD.py", "from ddbuild import source\nsource('n', files='BUILD.py')\n")
    assert not shell.run("//...").is_short
    (shell.root / "kept" / "cache" / "BUILD.py").unlink()
    shell.take("//...")
    write(shell.root / "kept" / "more" / "BUILD.py", "")
    assert not shell.run("//...").is_short
