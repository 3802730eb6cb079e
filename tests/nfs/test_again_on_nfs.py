"""Tests of the cache that know nothing of NFS, with their folders on it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nfs

MODULES = ["unit/test_cache_two_tiers.py", "unit/test_cache_leases.py", "unit/test_cache_verify.py"]


def test_tests_of_the_cache_pass_there_too(folders):
    tests = Path(__file__).parents[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DDBUILD_NFS")}
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", f"--basetemp={folders[0] / 'tests'}"]
    command = [sys.executable, "-m", "pytest", *options, *(str(tests / module) for module in MODULES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 50
