"""Many processes publish other content under the same keys; some are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, open_cache, publish, read_text

PROCESSES, KEYS = 8, 30

SCRIPT = """
import json, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from cache_support import QuickDisk, key_of, open_cache, publish, read_text
folder, machine, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
warnings = []
cache = open_cache(folder, machine, disk=QuickDisk(), warnings=warnings)
(folder / f"ready {{name}}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
seen = {{}}
for number in range({keys}):
    key = key_of(str(number))
    result = publish(cache, key, f"{{number}} of {{name}}", deep_key=key_of(f"deep {{number}}"))
    text = read_text(cache, result)
    for again in (cache.lookup(key), cache.lookup(key_of(f"deep {{number}}"))):
        assert read_text(cache, again[0]) == text, (text, again)
    seen[number] = text
print(json.dumps([seen, warnings]))
"""


def start(folder, count, machine_of):
    script = SCRIPT.format(path=[str(Path(__file__).parents[1]), *sys.path], keys=KEYS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, folder, machine_of(n), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(count)
    ]
    while len(list(folder.glob("ready *"))) < count:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    (folder / "go").touch()
    return processes


@pytest.mark.parametrize("machine_of", [lambda n: "one", lambda n: f"machine {n}"], ids=["one machine", "a team"])
def test_one_of_many_processes_wins_each_key_and_all_see_it(tmp_path, machine_of):
    processes = start(tmp_path, PROCESSES, machine_of)
    reports = [json.loads(process.communicate(timeout=100)[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    for seen, warnings in reports:
        assert seen == reports[0][0]
        assert warnings == []
    onlooker = open_cache(tmp_path, "onlooker", disk=QuickDisk())
    for number, text in reports[0][0].items():
        assert read_text(onlooker, onlooker.lookup(key_of(number))[0]) == text
    assert not list((tmp_path / "team/v1").glob("quarantine/*"))
    assert not list((tmp_path / "team/tmp").iterdir())


def test_processes_killed_at_any_time_leave_whole_results_only(tmp_path):
    chance = random.Random(3)
    processes = start(tmp_path, 4, lambda n: f"machine {n % 2}")
    for process in processes[:3]:
        time.sleep(chance.random() / 10)
        os.kill(process.pid, signal.SIGKILL)
    seen, warnings = json.loads(processes[3].communicate(timeout=100)[0])
    for process in processes[:3]:
        process.communicate()
    assert warnings == []
    onlooker = open_cache(tmp_path, "onlooker", disk=QuickDisk())
    for number in range(KEYS):
        assert read_text(onlooker, onlooker.lookup(key_of(str(number)))[0]) == seen[str(number)]
    # The next one on the machine of the dead sweeps up after them.
    for machine in ("machine 0", "machine 1"):
        publish(open_cache(tmp_path, machine, disk=QuickDisk()), key_of("next"), "next")
        assert not list((tmp_path / machine / "tmp").iterdir())
    assert not list((tmp_path / "team/tmp").iterdir())
