"""Code that may come out differently another time is found where it runs, and only there."""

import cProfile
from contextlib import nullcontext
from textwrap import dedent
from threading import Thread

import pytest

from ddbuild.errors import GraphError
from ddbuild.snapshot.hazards import find_hazards
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.declarations import declaring
from ddbuild.workspace.executed import Executed
from ddbuild.workspace.modules import Importer
from ddbuild.workspace.reads import Reads
from ddbuild.workspace.user_code import running_user_code

CLOCK = {
    "the time": "import time\nX = time.time()",
    "the time under another name": "from time import time as clock\nX = clock()",
    "the time, rounded": "import time\nX = int(time.time()) // 5",
    "the time by name": "import time\nX = getattr(time, 'ti' + 'me')()",
    "the time by a written name": "import time\nX = getattr(time, 'time')()",
    "the time of a module that is handed on": "import time\ndef ask(m): return m.time()\nX = ask(time)",
    "the time of a module under another name": "import time\nclock = time\nX = clock.time()",
    "the time by way of another module": "import logging\nX = logging.time.time()",
    "the time by a record of a log": "import logging\nX = logging.LogRecord('', 0, '', 0, '', (), None).created",
    "the time handed to a function": "import time\nX = list(map(lambda f: f(), [time.time]))",
    "the time by `__import__`": "X = __import__('time').time()",
    "the time by `importlib`": "import importlib\nX = importlib.import_module('time').time()",
    "the time by `sys.modules`": "import sys, time\nX = sys.modules['time'].time()",
    "the time by `eval`": "X = eval('__import__(\"time\").time()')",
    "the time by `exec`": "exec('import time\\nX = time.time()')",
    "the time by the globals of a function": "import json\nX = json.load.__globals__",
    "the time by `vars`": "import json\nX = vars(json)",
    "the time by `globals`": "import time\nX = globals()['time'].time()",
    "the time by `operator`": (
        "import operator, datetime\nX = operator.methodcaller('today')(datetime.date(2020, 1, 1))"
    ),
    "the time by a default of pydantic": (
        "import time\nimport pydantic\nclass A(pydantic.BaseModel):\n"
        "  at: float = pydantic.Field(default_factory=time.time)"
    ),
    "the time by a type of pydantic": "import pydantic\nclass A(pydantic.BaseModel):\n  at: pydantic.PastDate = None",
    "the time by a type as text": "import pydantic\nclass A(pydantic.BaseModel):\n  at: 'pydantic.PastDate' = None",
    "the time by hints": (
        "import typing\ndef f(x: '__import__(\"time\").time()'): ...\ntry: typing.get_type_hints(f)\n"
        "except Exception: ..."
    ),
    "the date": "from datetime import date\nX = date.today()",
    "the date of a date": "from datetime import date\nX = date(2020, 1, 1).today()",
    "the date of a date by name": "from datetime import date\nX = getattr(date(2020, 1, 1), 'today')()",
    "the date of a date's class": "from datetime import date\nX = getattr(type(date(2020, 1, 1)), 'to' + 'day')()",
    "the date under another name": "import datetime\nd = datetime.date\nX = d.today()",
    "the date by a library": "import pandas as pd\nX = pd.Timestamp.now()",
    "the date in a helper": "from datetime import datetime\ndef stamp():\n  return datetime.now()\nX = stamp()",
    "the date two helpers on": "import time\ndef a(): return b()\ndef b(): return time.localtime()\na()",
    "the date in a default": "import time\ndef a(now=time.time()): ...",
    "the date in a class": "import time\nclass A:\n  at = time.time()",
    "the date in a constructor": "import time\nclass A:\n  def __init__(self): self.at = time.time()\nA()",
    "the date in a method": "import time\nclass A:\n  def tell(self): return time.time()\nA().tell()",
    "the date in a property": "import time\nclass A:\n  @property\n  def at(self): return time.time()\nA().at",
    "the date in an operator": "import time\nclass A:\n  def __add__(self, o): return time.time()\nX = A() + 1",
    "the date in a decorator": "import time\ndef mark(f):\n  time.time()\n  return f\n@mark\ndef a(): ...",
    "the date in a lambda": "import time\nX = (lambda: time.time())()",
    "the date in a comprehension": "import time\nX = [time.time() for _ in range(2)]",
    "the date in a generator": "import time\ndef g():\n  yield time.time()\nX = list(g())",
    "the date in a loop over a function": "import time\ndef a(n): return time.time()\nX = list(map(a, [1]))",
    "the date in a factory": "import time\ndef make():\n  def f(): return time.time()\n  return f\nX = make()()",
    "the date as a text": "import time\nX = time.strftime('%Y')",
    "the date inside of a function's import": "def a():\n  import time\n  return time.time()\na()",
    "the date by a star": "from time import *\nX = time()",
    "the date by a pattern": (
        "from datetime import date\nmatch date(2020, 1, 1):\n  case date(today=ask):\n    X = ask()"
    ),
    "how long it takes": "import time\nX = time.perf_counter()",
    "the local time of a date": "from datetime import datetime\nX = datetime(2020, 1, 1).timestamp()",
    "a time zone": "from datetime import datetime\nX = datetime(2020, 1, 1).astimezone()",
}
CHANCE = {
    "a hash beside a name in a list": "def f(x):\n  y = [hash for hash in x]\n  return hash(y[0])\nX = f('a')",
    "a set that is looked through under its own name": "x = {'a'}\nX = [x for x in x]",
    "the time in words": "import pandas as pd\nX = pd.Series(['now'], dtype='datetime64[ns]')",
    "chance in words": "import pandas as pd\nX = pd.Series([1, 2]).apply('sample')",
    "the time by a field of a text": (
        "import string\nfrom datetime import date\n"
        "X = string.Formatter().get_field('0.today', [date(2020, 1, 1)], {})[0]()"
    ),
    "code in words": "import pandas as pd\nX = pd.DataFrame({'n': [1]}).query('n == 1')",
    "chance": "import random\nX = random.random()",
    "chance with a seed for all": "import random\nrandom.seed(3)\nX = random.random()",
    "a seeded source of chance with nothing": "import random\nX = random.Random()",
    "a source of chance seeded with None": "import random\nX = random.Random(None)",
    "a source of chance seeded anew": "import random\nX = random.Random(1)\nX.seed()",
    "the class of a source of chance": "import random\nX = type(random.Random(1))()",
    "a source of chance of another module": "import statistics\nX = statistics.random.Random()",
    "a distribution": "import statistics\nX = statistics.NormalDist().samples(1)",
    "a token": "import secrets\nX = secrets.token_hex()",
    "a UUID": "from uuid import uuid4\nX = uuid4()",
    "chance of numpy": "import numpy as np\nX = np.random.rand()",
    "chance of the system": "import os\nX = os.urandom(1)",
    "the number of the process": "import os\nX = os.getpid()",
    "times": "import os\nX = os.times()",
    "the load": "import os\nX = os.getloadavg()",
    "the processors": "import os\nX = os.cpu_count()",
    "a hash": "X = hash('a')",
    "an address": "X = id(object())",
    "a temporary file": "import tempfile\nX = tempfile.mkdtemp()",
    "threads": "import threading\nX = threading.Thread(target=print).start()",
    "the order of a set": "X = [n for n in {'a', 'b'}]",
    "the order of a named set": "S = {'a', 'b'}\nX = list(S)",
    "the order of a set of another name": "S = {'a', 'b'}\nT = S\nX = str(T)",
    "the order of a set with more": "S = {'a', 'b'}\nS |= {'c'}\nX = str(S)",
    "the order of a set that is made": "X = list(set('abc'))",
    "the order of a difference": "X = str({'a': 1}.keys() - {'b'})",
    "the order of a difference of names": "d = {'a': 1}\nk = d.keys()\nX = str(k - {'b'}), list(k - [])",
    "the order of the fields of a model": (
        "import pydantic\nclass A(pydantic.BaseModel):\n  n: int = 1\nX = list(A(n=1).model_fields_set)"
    ),
    "the order of a union": "X = ','.join({'a'}.union({'b'}))",
    "the order of a set that is returned": "def f(): return {'a', 'b'}\nX = list(f())",
    "the order of a set in an object": "class A:\n  S = {'a', 'b'}\nX = list(A.S)",
    "the order of a set in a list": "X = [{'a', 'b'}]",
    "the order of a set by a key": "X = sorted({'a', 'b'}, key=len)",
    "the order of a set by another function": "X = list(map(set, ['ab']))",
}
ELSEWHERE = {
    "parquet": "import pyarrow.parquet as pq\ntry: pq.read_table('/data/x.parquet')\nexcept OSError: ...",
    "parquet by name": "from pyarrow.parquet import read_table\nX = read_table",
    "parquet by module": "import pyarrow\nimport pyarrow.parquet\nX = pyarrow.parquet.read_table",
    "a file of pyarrow's": "import pyarrow as pa\ntry: pa.memory_map('/data/x')\nexcept OSError: ...",
    "parquet of pandas": "import pandas as pd\nX = pd.read_parquet",
    "CSV of pandas": "import pandas as pd\nX = pd.read_csv",
    "duckdb": "import duckdb\nX = duckdb.sql",
    "duckdb in a helper": "import duckdb\ndef rows(): return duckdb.sql('select 1')\nX = rows()",
    "a database": "import sqlite3\nX = sqlite3.connect('file:x?mode=memory', uri=True)",
    "a library": "import click\nX = click.echo",
    "a class of a library": "import click\nclass A(click.ClickException): ...",
    "a program": "import subprocess\nX = subprocess.run(['true'])",
    "a socket": "import socket\nX = socket.gethostname()",
    "the host": "import platform\nX = platform.node()",
    "the user": "import getpass\nX = getpass.getuser()",
    "the bytes of the environment": "import os\nX = os.environb",
    "what the environment is kept in": "import os\nX = os.environ._data",
    "what the environment is kept in, under another name": "from os import environ as e\nX = e._data",
    "the command line": "import sys\nX = sys.argv",
    "what is typed": "import sys\nX = sys.stdin",
    "the terminal": "import sys\nX = sys.stdout.isatty()",
    "a stat by number": "import os\nX = os.stat('.')[7]",
    "when a file was read": "from pathlib import Path\nX = Path('BUILD.py').stat().st_atime",
    "a stat as a value": "from pathlib import Path\nX = Path('.').stat()",
    "a function by name": "import json\nX = [getattr(json, name) for name in ['loads']]",
    "a function by name, handed on": "import json\nX = list(map(getattr, [json], ['loads']))",
    "a module of a path": "from pathlib import Path\ntry: Path('.')._flavour.os\nexcept AttributeError: ...",
    "the tables of Data Designer": "import data_designer.config.utils.io_helpers as io\nX = io.read_parquet_dataset",
    "a filter of a log": "import logging\nlogging.getLogger().addFilter(lambda record: True)",
    "a subclass": "X = object.__subclasses__()",
    "ctypes": "import ctypes\nX = ctypes.CDLL",
    "a pickle": "import pickle\nX = pickle.loads(pickle.dumps(1))",
    "a YAML that makes objects": "import yaml\nX = yaml.unsafe_load('1')",
    "a changed library": "import json\njson.SOMETHING = 1",
}
HAZARDS = CLOCK | CHANCE | ELSEWHERE
SAFE = {
    "nothing": "",
    "a date that is given": "from datetime import date\nX = date(2020, 1, 1)",
    "a date that is read": (
        "from datetime import date, datetime\nX = date.fromisoformat('2020-01-01'), datetime.strptime('1', '%d')"
    ),
    "a date that is asked for its class": "import datetime\nX = isinstance(3, (datetime.date, int))",
    "a seeded source of chance": "import random\nX = random.Random(7).random()",
    "a UUID that is computed": "import uuid\nX = uuid.uuid5(uuid.NAMESPACE_URL, 'a')",
    "tables in memory": "import pyarrow as pa\nimport pandas as pd\nX = pa.table({}), pd.DataFrame({}), pa.schema([])",
    "an import": "import duckdb, time, random\nfrom datetime import datetime",
    "what is read": (
        "import json, os, csv\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "X = json.loads(os.environ.get('X', '1'))\n"
        "Y = sorted(HERE.glob('*.py')), (HERE / 'BUILD.py').stat().st_mtime_ns\n"
        "Z = os.path.join('a', 'b'), os.listdir(HERE)"
    ),
    "all kinds of code": (
        "import dataclasses, enum, functools, itertools, math, re, typing, collections.abc\n"
        "class Kind(enum.Enum):\n  A = enum.auto()\n"
        "@dataclasses.dataclass(frozen=True)\nclass Part:\n  name: str\n"
        "  more: list = dataclasses.field(default_factory=list)\n"
        "@functools.cache\ndef twice(n: int) -> int: return 2 * n\n"
        "X = [Part(name) for name in 'abc'], re.sub('a', 'b', 'a'), "
        "math.pi, twice(2), list(itertools.chain([1], [2]))\n"
        "try:\n  raise KeyError(Kind.A.name)\nexcept KeyError as error:\n  print(f'{error!r}')\n"
        "for position, part in enumerate(X[0]):\n  assert isinstance(part, Part) and hasattr(part, 'name')\n"
        "Y = {k: getattr(v, 'name') for k, v in zip('abc', X[0])} | {'d': None}"
    ),
    "pydantic": (
        "from pydantic import BaseModel, Field, field_validator\nclass A(BaseModel):\n"
        "  n: int = Field(ge=1, default=1)\n"
        "  @field_validator('n')\n  @classmethod\n  def check(cls, value): return value\nX = A(n=3).model_dump_json()"
    ),
    "a model for structured answers": (
        "import data_designer.config as dd\nfrom pydantic import BaseModel\nclass A(BaseModel):\n  name: str\n"
        "X = dd.LLMStructuredColumnConfig(name='a', model_alias='m', prompt='p', output_format=A)"
    ),
    "a set that is only asked": "S = {'a', 'b'}\nX = 'a' in S, sorted(S), len(S), S == {'a'}, max({1, 2})\nS.add('c')",
    "a set that is a constant": "S = frozenset({'a', 'b'})\ndef keep(path): return [s for s in S]",
    "an import that may fail": (
        "try:\n  import tomllib\nexcept ImportError:\n  import nothing as tomllib\nX = tomllib.loads('')"
    ),
    "a transform": "import pyarrow.parquet as pq\ndef copy(f): return pq.read_table(f['a'])\ntransform('t', copy)",
    "a transform that is a lambda": "import pyarrow.parquet as pq\ntransform('t', lambda f: pq.read_table(f['a']))",
    "transforms in a loop": (
        "import pyarrow.parquet as pq\ndef a(f): return pq.read_table(f)\ndef b(f): return pq.read_table(f)\n"
        "for f in (a, b):\n  transform(f.__name__, f)"
    ),
    "a partial transform": (
        "import functools, time\ndef a(f, n): return time.time()\ntransform('t', functools.partial(a, n=3))"
    ),
    "a callback": "import time\ndef keep(path): return time.time()\nX = keep",
    "a custom column": (
        "import random\nimport data_designer.config as dd\n@dd.custom_column_generator(required_columns=['a'])\n"
        "def score(row): return random.random()\nX = dd.CustomColumnConfig(name='score', generator_function=score)"
    ),
    "a factory of custom columns": "import random\ndef make():\n  def f(n): return random.random()\n  return f\nmake()",
    "a type": (
        "import duckdb\ndef f(x: duckdb.DuckDBPyRelation) -> 'duckdb.DuckDBPyRelation': ...\ny: duckdb.DuckDBPyRelation"
    ),
    "a method that nobody calls": "import time\nclass A:\n  def tell(self): return time.time()\nA()",
    "a parameter with a module's name": "import time\ndef f(time): return time + 1\nX = f(3)",
}
DECLARES = "from ddbuild import transform\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a workspace of these files and return its hazards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setattr(Executed, "is_wanted", True)

    def load(**files):
        for name, text in {"BUILD": "", **files}.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        reads = Reads()
        importer = Importer(tmp_path, reads, [tmp_path])
        build_file = BuildFile(tmp_path / "BUILD.py", "", importer, "python")
        with running_user_code(build_file, "`BUILD.py`"), declaring(build_file):
            importer.run_build_file(build_file.file)
        assert reads.executed.is_complete
        return find_hazards(reads.executed.list_code(), tmp_path)

    return load


@pytest.mark.parametrize("what", HAZARDS)
def test_what_a_load_may_depend_on_is_found(load, what):
    assert load(BUILD=DECLARES + HAZARDS[what])


@pytest.mark.parametrize("what", SAFE)
def test_what_does_not_run_at_load_or_is_repeatable_is_no_hazard(load, what):
    assert load(BUILD=DECLARES + SAFE[what]) == []


def test_a_hazard_is_told_with_its_place(load):
    assert load(BUILD="import time\n\nX = time.time()") == ["`BUILD.py:3` uses `time.time` while it is loaded"]


HELPERS = {
    "from helpers import stamp\nX = stamp()": ["`helpers.py:3` uses `time.time` while it is loaded"],
    "from helpers import stamp": [],
    "import helpers\nX = helpers.stamp": [],
    "import helpers\nX = helpers.time.time()": ["`BUILD.py:2` uses `time.time` while it is loaded"],
    "from helpers import time as t\nX = t.time()": ["`BUILD.py:2` uses `time.time` while it is loaded"],
    "from helpers import *\nX = time.time()": ["`BUILD.py:2` uses `time.time` while it is loaded"],
    "from helpers import *\nX = list(NAMES)": [
        "`BUILD.py:2` uses a set, which is in another order each time, while it is loaded"
    ],
    "import helpers\nX = list(helpers.NAMES)": [
        "`BUILD.py:2` uses a set, which is in another order each time, while it is loaded"
    ],
    "import helpers\nX = 'a' in helpers.NAMES": [],
    "import helpers\nX = [helpers]": ["`BUILD.py:2` uses the module `helpers` as a value while it is loaded"],
    "from parts import deep\nX = deep.stamp()": ["`parts/deep.py:3` uses `time.time` while it is loaded"],
    "import parts.deep\nX = parts.deep.SIZE": [],
    "from parts.deep import SIZE, again\nX = again()": ["`parts/deep.py:3` uses `time.time` while it is loaded"],
}


@pytest.mark.parametrize("code", HELPERS)
def test_helpers_are_looked_into(load, code):
    helpers = "import time\ndef stamp():\n  return time.time()\nNAMES = {'a', 'b'}\n"
    deep = "import time\ndef stamp():\n  return time.time()\nSIZE = 3\ndef again():\n  return stamp()\n"
    assert load(BUILD=code, helpers=helpers, parts__deep=deep) == HELPERS[code]


def test_with_a_seed_for_hashes_sets_have_an_order(load, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    assert load(BUILD="X = list({'a', 'b'})") == []


def test_a_file_that_has_become_another_one_is_a_hazard(load, tmp_path):
    text = "def f(): return 1\nX = f()\nopen(__file__, 'w').write('X = 1')\n"
    assert load(BUILD=dedent(text)) == ["`BUILD.py` is not what was run"]


@pytest.mark.parametrize("is_wanted", [True, False])
def test_another_profiler_is_no_proof_and_neither_is_none(monkeypatch, is_wanted):
    monkeypatch.setattr(Executed, "is_wanted", is_wanted)
    reads = Reads()
    with cProfile.Profile() if is_wanted else nullcontext(), reads.recording():
        pass
    assert not reads.executed.is_complete


def test_what_another_thread_runs_meanwhile_is_no_proof(monkeypatch):
    monkeypatch.setattr(Executed, "is_wanted", True)
    executed = Executed()

    def run():
        with executed.noting():
            pass

    with executed.noting():
        run()
        assert executed.is_complete
        thread = Thread(target=run)
        thread.start()
        thread.join()
    assert not executed.is_complete


def test_code_that_raises_is_none_of_this(load):
    with pytest.raises(GraphError):
        load(BUILD="1 / 0")
