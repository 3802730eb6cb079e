"""Run one command and print what this process imported and opened for it."""

import sys

opened = []
sys.addaudithook(lambda event, arguments: opened.append(arguments[0]) if event == "open" else None)
before = set(sys.modules)

from ddbuild.cli.main import run

code = run(sys.argv[1:])
modules = sorted(set(sys.modules) - before)
files = [str(each) for each in opened]

import json
import re
from pathlib import Path

# `ru_maxrss` would count what the parent of this process had.
memory = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps({"code": code, "opened": files, "modules": modules, "memory": memory}))
